"""A whole export: what it writes, what it survives, and that a second call costs nothing."""

from __future__ import annotations

import io
import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from export.certify.check import check_gguf
from export.gguf.file import read_gguf
from export.pipeline import export
from export.settings import CertifySettings, ExportSettings
from runtime.errors import ExportError
from runtime.files import sha256_file
from runtime.lce import CONTROL_TOKENS, END_OF_MESSAGE
from tests.export.conftest import Exported

# Ten seconds on an idle machine: a conversion starts a process that imports torch.
pytestmark = pytest.mark.timeout(1200)


def test_every_control_token_template_and_flag_survives(llama_export: Exported, qwen2_export: Exported) -> None:
    for exported in (llama_export, qwen2_export):
        for file in exported.summary.files.values():
            report = check_gguf(file)
            assert report.ok, report.problems
            assert report.warnings == []
            assert set(report.control) == set(CONTROL_TOKENS)
            assert report.control[END_OF_MESSAGE] in report.end_of_generation
            assert report.facts["exported by"].endswith(f"({read_gguf(file).metadata['mathcoder.fingerprint']})")


def test_llama_cpp_itself_ends_generation_at_both_ends(llama_export: Exported) -> None:
    from export.certify.measure_worker import Measured

    vocabulary = Measured(str(llama_export.summary.files["F16"]), n_ctx=64, threads=1).vocabulary
    ends = [token for token in range(vocabulary.size) if vocabulary.is_end(token)]
    assert [vocabulary.name(token) for token in ends] == ["</s>", END_OF_MESSAGE]
    assert [vocabulary.control_id(token) for token in CONTROL_TOKENS] == [400, 401, 402, 403, 404, 405, 406, 407]


def test_the_certificate_holds_and_says_what_it_compared(llama_export: Exported) -> None:
    certificate = json.loads(llama_export.summary.certificate.read_text())
    assert certificate["certified"] is True
    assert llama_export.summary.certified == {"F16": True, "Q8_0": True, "Q4_K_M": True}
    models = certificate["models"]
    assert list(models) == [
        "adapter model", "base without adapter", "merged model", "adapter on the other base", "F16", "Q8_0", "Q4_K_M",
    ]  # fmt: skip
    assert certificate["rows"]["compared"] == 3
    # 16-bit rounding alone: about 5e-6; a merge into the wrong base is a thousand times off.
    assert models["merged model"]["kl"] < 3e-5
    assert models["F16"]["kl"] < 3e-5
    assert models["adapter on the other base"]["kl"] > 20 * models["merged model"]["kl"]
    assert models["F16"]["kl"] < models["Q8_0"]["kl"] < models["Q4_K_M"]["kl"]
    assert models["base without adapter"]["perplexity"]["all"] > 2 * models["adapter model"]["perplexity"]["all"]
    for name, file in llama_export.summary.files.items():
        assert models[name]["bytes"] == file.stat().st_size
        assert models[name]["sha256"] == sha256_file(file)
        assert models[name]["token_ids_equal"] is True
        assert models[name]["tokens_per_second"]["generation"] > 0


def test_card_and_modelfile_lie_beside_the_files(llama_export: Exported) -> None:
    card = (llama_export.out / "tiny.README.md").read_text()
    assert "tiny-Q8_0.gguf" in card
    assert "llama-server" in card
    assert "| yes |" in card
    assert "FROM ./tiny-Q4_K_M.gguf" in (llama_export.out / "tiny.Modelfile").read_text()
    assert not list(llama_export.out.glob(".*"))


def test_a_second_call_does_nothing_again(
    llama_export: Exported, converter: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for step in ("merge.merge.merge", "gguf.convert.convert", "gguf.quantize.quantize", "certify.certify.Certifier"):
        monkeypatch.setattr(f"export.{step}", lambda *_a, **_k: pytest.fail("something was made again"))
    settings = ExportSettings(quant=("F16", "Q8_0", "Q4_K_M"), keep_merged=True, llama_cpp=converter.folder)
    again = export(llama_export.run, settings, llama_export.out)
    assert again.certified == llama_export.summary.certified


def test_killed_before_every_result_it_ends_with_the_same_bytes(
    llama_export: Exported, converter: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class KilledError(BaseException):
        pass

    rename = os.replace
    calls = kills = 0

    def killed(source: Any, target: Any) -> None:
        nonlocal calls
        calls += 1
        if calls > kills:
            # The file under the temporary name stays, as after a real kill.
            shutil.copyfile(source, Path(source).with_name(Path(source).name.replace(".tmp", "1.tmp")))
            raise KilledError
        rename(source, target)

    monkeypatch.setattr(os, "replace", killed)
    settings = ExportSettings(quant=("Q8_0", "F16"), llama_cpp=converter.folder, certify=CertifySettings(rows=0))
    while True:
        calls = 0
        try:
            summary = export(llama_export.run, settings, tmp_path)
            break
        except KilledError:
            kills += 1
            assert kills < 40
    assert kills >= 6
    for name in ("F16", "Q8_0"):
        assert sha256_file(summary.files[name]) == sha256_file(llama_export.summary.files[name])
    assert not list(tmp_path.glob(".*"))


def test_two_exports_into_one_folder_keep_out_of_each_others_way(llama_export: Exported, converter: Any) -> None:
    import fcntl

    work = llama_export.out / ".tiny-export"
    work.mkdir()
    try:
        with open(work / "lock", "w", encoding="ascii") as handle:
            fcntl.flock(handle, fcntl.LOCK_EX)
            with pytest.raises(ExportError, match="another export of tiny"):
                export(llama_export.run, ExportSettings(llama_cpp=converter.folder), llama_export.out)
    finally:
        shutil.rmtree(work)


@pytest.mark.parametrize(
    ("rows", "said"), [(64, "; the certificate tells"), (0, "; without a certificate nothing tells")]
)
def test_a_converter_that_is_not_the_known_one_is_noted_and_what_proves_its_files_said_truly(
    rows: int, said: str, llama_export: Exported, converter: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: Any) -> None:
        raise KeyboardInterrupt("by the test")

    monkeypatch.setattr("export.gguf.llamacpp.TREES", {})
    monkeypatch.setattr("export.pipeline.locked", stop)
    screen = io.StringIO()
    settings = ExportSettings(llama_cpp=converter.folder, certify=CertifySettings(rows=rows))
    with pytest.raises(KeyboardInterrupt, match="by the test"):
        export(llama_export.run, settings, llama_export.out, console=Console(file=screen, width=2000))
    assert f"known to compare {converter.folder} with{said}" in screen.getvalue()


def test_pick_keeps_the_smallest_type_that_solves_enough(
    llama_export: Exported, converter: Any, tmp_path: Path
) -> None:
    solved = {"F16": 3, "Q8_0": 3, "Q4_0": 1}

    def solve(model: Path, problems: Any) -> list[bool]:
        count = solved[model.stem.removeprefix("tiny-")]
        return [index < count for index in range(len(problems))]

    shutil.copyfile(llama_export.summary.files["F16"], tmp_path / "tiny-F16.gguf")
    settings = ExportSettings(
        quant=("F16", "Q8_0", "Q4_0"), pick=0.99, llama_cpp=converter.folder,
        certify=CertifySettings(problems=3, both_bases=False, speed_tokens=0),
    )  # fmt: skip
    summary = export(llama_export.run, settings, tmp_path, solve=solve)
    assert summary.picked == "Q8_0"
    assert list(summary.files) == ["Q8_0"]
    assert [path.name for path in tmp_path.glob("*.gguf")] == ["tiny-Q8_0.gguf"]
    certificate = json.loads((tmp_path / "tiny.certificate.json").read_text())
    assert certificate["models"]["Q4_0"]["solved"] == {"correct": 1, "of": 3}
    assert certificate["files"] == {"F16": True, "Q8_0": True, "Q4_0": False}
    assert any("fewer problems" in reason for reason in certificate["models"]["Q4_0"]["reasons"])


def test_a_merged_folder_is_its_own_reference(llama_export: Exported, converter: Any, tmp_path: Path) -> None:
    merged = llama_export.out / "tiny-merged"
    settings = ExportSettings(
        quant=("Q8_0",), llama_cpp=converter.folder, name="again", held_out=llama_export.run / "held_out.jsonl"
    )
    summary = export(merged, settings, tmp_path)
    certificate = json.loads((tmp_path / "again.certificate.json").read_text())
    assert summary.ok
    assert "the merged model" in certificate["reference"]
    assert "adapter model" not in certificate["models"]

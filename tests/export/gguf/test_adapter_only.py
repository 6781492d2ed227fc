"""`--adapter-only`: an adapter beside its base's GGUF computes what the merge does, or says why not."""

from __future__ import annotations

import ctypes
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from export.gguf.adapter import export_adapter
from export.pipeline import export
from export.settings import CertifySettings, ExportSettings
from recipes.cli import main
from runtime.errors import InputError
from tests.export.conftest import Exported
from tests.export.factory import add_control_tokens, make_adapter, make_base, make_run

# Ten seconds on an idle machine: a conversion starts a process that imports torch.
pytestmark = pytest.mark.timeout(1200)


@dataclass
class Run:
    """A run whose adapter is nothing but low-rank pairs, its live model, and a GGUF of its base as it was."""

    folder: Path
    model: Any
    base: Path


@pytest.fixture(scope="module")
def plain_run(tmp_path_factory: pytest.TempPathFactory, converter: Any) -> Run:
    """rsLoRA, whose scale llama.cpp does not know by name, on a base that has the block tokens already."""
    folder = tmp_path_factory.mktemp("plain")
    base, run = make_base(folder / "base", vocab_size=408), folder / "run"
    add_control_tokens(base, base)
    run.mkdir()
    tokenizer = add_control_tokens(base, run / "tokenizer")
    options = {"trainable_token_indices": None, "use_rslora": True, "noise": 0.2}
    model = make_adapter(base, run / "adapter", tokenizer, nf4=False, **options)
    record = {"name": "plain", "base_path": str(base), "quantization": None, "status": "finished"}
    (run / "run.json").write_text(json.dumps(record), encoding="utf-8")
    settings = ExportSettings(llama_cpp=converter.folder, certify=CertifySettings(rows=0), quant=("F16",))
    return Run(run, model, export(base, settings, folder / "out").files["F16"])


@pytest.fixture(scope="module")
def adapter(plain_run: Run, converter: Any) -> Path:
    """What the command line makes of the run."""
    out = plain_run.folder.parent / "adapters"
    words = ["export", str(plain_run.folder), "--adapter-only", "--out", str(out), "--llama-cpp", str(converter.folder)]
    assert main(words) == 0
    return out / "plain-adapter.gguf"


def test_the_command_line_names_the_file_and_how_to_use_it(
    plain_run: Run, adapter: Path, converter: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("export.gguf.llamacpp.TREES", {})
    words = ["export", str(plain_run.folder), "--adapter-only", "--json", "--llama-cpp", str(converter.folder)]
    assert main(words) == 0
    told = capsys.readouterr()
    assert f"known to compare {converter.folder} with" in told.err, "an odd converter is noted"
    written = Path(json.loads(told.out)["adapter"])
    assert written == plain_run.folder / "export" / "plain-adapter.gguf"
    assert written.read_bytes() == adapter.read_bytes()
    assert [file.name for file in adapter.parent.iterdir()] == ["plain-adapter.gguf"]


def test_on_the_base_it_computes_what_the_adapter_model_computes(plain_run: Run, adapter: Path) -> None:
    import torch

    from export.certify.measure_worker import Measured

    ids = list(range(3, 60))
    with torch.inference_mode():
        wanted = plain_run.model(input_ids=torch.tensor([ids])).logits[0]
    measured = Measured(str(plain_run.base), n_ctx=96, threads=1)
    without = torch.from_numpy(measured.decode(ids, 0, set(range(len(ids)))))
    measured.forget()
    handle = measured.lib.llama_adapter_lora_init(measured.model, str(adapter).encode())
    adapters = (measured.lib.llama_adapter_lora_p_ctypes * 1)(handle)
    assert measured.lib.llama_set_adapters_lora(measured.context, adapters, 1, (ctypes.c_float * 1)(1.0)) == 0
    together = torch.from_numpy(measured.decode(ids, 0, set(range(len(ids)))))
    assert float((together - wanted).abs().max()) < 0.03
    assert float((without - wanted).abs().max()) > 10 * float((together - wanted).abs().max())


def test_the_solver_s_engine_takes_it_with_lora(plain_run: Run, adapter: Path) -> None:
    from runtime.engine import load
    from runtime.settings import EngineSettings

    engine = load(plain_run.base, settings=EngineSettings(n_ctx=256, threads=1), lora=adapter)
    try:
        assert engine.facts()["lora"] == "plain-adapter.gguf"
    finally:
        engine.close()


def test_trained_token_rows_are_refused_and_the_merge_is_offered(
    llama_export: Exported, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["export", str(llama_export.run), "--adapter-only", "--out", str(tmp_path / "out")]) == 2
    said = " ".join(capsys.readouterr().err.split())
    assert "trained 16 token rows, which a base GGUF does not have" in said
    assert "nothing was written" in said
    assert f"Merge it instead, which keeps everything: mathcoder export {llama_export.run}" in said
    assert not (tmp_path / "out").exists()


def test_tokens_that_the_base_lacks_are_refused_even_where_they_were_not_trained(tmp_path: Path) -> None:
    make_run(tmp_path, nf4=False, steps=0, trainable_token_indices=None)
    with pytest.raises(InputError, match=r"8 tokens more than the base has rows.*merge it instead"):
        export_adapter(tmp_path / "run")


def test_a_type_makes_no_sense_for_an_adapter(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", str(tmp_path), "--adapter-only", "--quant", "Q8_0"]) == 2
    assert "--adapter-only and --quant exclude each other" in capsys.readouterr().err

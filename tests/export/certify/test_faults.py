"""Planted faults: the certificate catches each one and says what it is."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from export.certify.certify import Certifier
from export.certify.diagnose import diagnose_gguf
from export.certify.table import certificate_notes, certificate_table
from export.job import plan_job
from export.merge.source import open_source
from export.settings import CertifySettings, ExportSettings
from tests.export.conftest import Exported

# Ten seconds on an idle machine: a conversion starts a process that imports torch.
pytestmark = pytest.mark.timeout(1200)


def rewrite(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    from safetensors.torch import load_file, save_file

    tensors = load_file(folder / "model.safetensors")
    change(tensors)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})


def zeroed_adapter(folder: Path, exported: Exported) -> None:
    """The linear layers as they were before training; the token rows stay."""
    from export.merge.tensors import TensorFolder

    base = TensorFolder(exported.run.parent / "base")
    nf4 = open_source(exported.run, ExportSettings()).nf4

    def change(tensors: dict[str, Any]) -> None:
        for name in tensors:
            if "_proj" in name:
                tensors[name] = nf4.round_trip(base.read(name)).half()

    rewrite(folder, change)


def adapter_of_another_base(folder: Path, exported: Exported) -> None:
    import torch

    del exported

    def change(tensors: dict[str, Any]) -> None:
        torch.manual_seed(9)
        for name, tensor in tensors.items():
            if "_proj" in name:
                tensors[name] = torch.randn_like(tensor.float()).half() * 0.06

    rewrite(folder, change)


def swapped_head(folder: Path, exported: Exported) -> None:
    del exported

    def change(tensors: dict[str, Any]) -> None:
        tensors["lm_head.weight"] = tensors["model.embed_tokens.weight"].clone()

    rewrite(folder, change)


def wrong_rope_theta(folder: Path, exported: Exported) -> None:
    del exported
    config = json.loads((folder / "config.json").read_text())
    config["rope_parameters"]["rope_theta"] = 100.0
    (folder / "config.json").write_text(json.dumps(config))


def forgotten_token_rows(folder: Path, exported: Exported) -> None:
    del exported

    def change(tensors: dict[str, Any]) -> None:
        tensors["lm_head.weight"][400:] = tensors["lm_head.weight"][:400].mean(0)

    rewrite(folder, change)


FAULTS = [
    (zeroed_adapter, "the adapter left no trace"),
    (adapter_of_another_base, "the weights are of another base"),
    (swapped_head, "the output head (lm_head.weight) hold the rows of model.embed_tokens.weight"),
    (wrong_rope_theta, "rope_theta is 100.0 in the merged model and 10000.0 in its base"),
    (forgotten_token_rows, "the trained token rows of the output head"),
]


def certify(exported: Exported, merged: Path, folder: Path) -> dict[str, Any]:
    """The certificate of an export into `folder` whose merged model is `merged`."""
    settings = ExportSettings(
        quant=("F16",), keep_merged=True, certify=CertifySettings(both_bases=False, speed_tokens=0)
    )
    job = plan_job(open_source(exported.run, settings), settings, folder)
    shutil.copytree(merged, job.merged)
    shutil.copyfile(exported.summary.files["F16"], job.wide)
    return Certifier(job).run(lambda _what, _share: None)


@pytest.mark.parametrize(("plant", "name"), FAULTS)
def test_a_planted_fault_is_caught_and_named(
    plant: Callable[[Path, Exported], None], name: str, llama_export: Exported, tmp_path: Path
) -> None:
    merged = tmp_path / "merged"
    shutil.copytree(llama_export.out / "tiny-merged", merged)
    plant(merged, llama_export)
    certificate = certify(llama_export, merged, tmp_path)
    assert certificate["certified"] is False
    assert any(name in fault for fault in certificate["faults"]), certificate["faults"]
    assert certificate["models"]["merged model"]["certified"] is False
    assert certificate["models"]["merged model"]["kl"] > 3e-4
    # The GGUF itself is sound, and still not certified: what it claims to come from is not.
    assert certificate["models"]["F16"]["certified"] is False
    assert any("fault" in note and name in note for note in certificate_notes(certificate))
    assert certificate_table(certificate).row_count == len(certificate["models"])


def test_without_a_fault_there_is_none(llama_export: Exported, tmp_path: Path) -> None:
    certificate = certify(llama_export, llama_export.out / "tiny-merged", tmp_path)
    assert certificate["faults"] == []
    assert certificate["certified"] is True
    (few,) = certificate["warnings"]
    assert few.startswith("only 3 held-out rows were compared")
    assert any(few in note for note in certificate_notes(certificate))


def test_control_tokens_that_were_not_learned_are_a_warning(llama_export: Exported, tmp_path: Path) -> None:
    """An adapter as it is before training: zero, and its token rows at the mean of the base's."""
    from safetensors.torch import load_file, save_file

    run = tmp_path / "run"
    shutil.copytree(llama_export.run, run)
    file = run / "adapter" / "adapter_model.safetensors"
    save_file({name: t * 0 if "lora_B" in name or "tokens" in name else t for name, t in load_file(file).items()}, file)
    merged = tmp_path / "merged"
    shutil.copytree(llama_export.out / "tiny-merged", merged)
    untrained = Exported(run, llama_export.out, llama_export.model, llama_export.summary)
    warnings = certify(untrained, merged, tmp_path / "out")["warnings"]
    assert any("the control tokens were not learned (loss" in warning for warning in warnings), warnings


def test_a_gguf_of_another_model_is_named(llama_export: Exported, qwen2_export: Exported, tmp_path: Path) -> None:
    merged = llama_export.out / "tiny-merged"
    assert diagnose_gguf(llama_export.summary.files["F16"], merged) == []
    shutil.copytree(merged, tmp_path / "merged")
    rewrite(tmp_path / "merged", lambda tensors: tensors["lm_head.weight"].neg_())
    wrong_rope_theta(tmp_path / "merged", llama_export)
    findings = diagnose_gguf(llama_export.summary.files["F16"], tmp_path / "merged")
    assert "rope.freq_base is 10000.0 in the GGUF and 100.0 in the merged model" in findings
    assert "output.weight of the GGUF is not lm_head.weight of the merged model" in findings
    assert qwen2_export.summary.ok


def test_an_adapter_that_was_never_trained_is_named(llama_export: Exported, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(llama_export.run, run)
    from safetensors.torch import load_file, save_file

    file = run / "adapter" / "adapter_model.safetensors"
    save_file({name: t * 0 if "lora_B" in name else t for name, t in load_file(file).items()}, file)
    assert open_source(run, ExportSettings()).adapter.is_zero  # type: ignore[union-attr]

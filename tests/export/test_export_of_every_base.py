"""Every tested architecture to a solved question: trained, merged, converted, certified, run."""

from __future__ import annotations

import io
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from export.pipeline import export
from export.settings import CertifySettings, ExportSettings, Thresholds
from runtime.lce import CONTROL_TOKENS, END_OF_MESSAGE
from tests.architectures import SHAPES
from tests.export.factory import ROWS, make_base, row

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

OWNED = {"glm4": ["<|system|>", "<|assistant|>", "<|user|>"], "phi3": ["<|system|>", "<|assistant|>", "<|user|>"]}
"""Block tokens that the published models have themselves; the last one ends their texts."""


EXPORTED: dict[str, dict[str, Any]] = {
    # llama.cpp slides no window for a Mistral or a Phi, and for an EXAONE 4 only where it has the 64 layers of the 32B.
    "mistral": {"sliding_window": None},
    "phi3": {"sliding_window": None},
    "exaone4": {"sliding_window": None, "layer_types": ["full_attention"] * 2},
}


def trained(folder: Path, shape: str) -> Path:
    """The run folder of a few steps on `ROWS`."""
    from qlora.settings import QloraSettings
    from qlora.train import train

    base = make_base(folder / "base", shape, owned=OWNED.get(shape, ()), **SHAPES[shape] | EXPORTED.get(shape, {}))
    rows = folder / "rows.jsonl"
    rows.write_text("".join(json.dumps(row(*each)) + "\n" for each in ROWS * 2), encoding="utf-8")
    settings = QloraSettings.model_validate(
        {
            "name": "tiny",
            "base": str(base),
            "data": {"source": str(rows), "held_out_percent": 0},
            "train": {"backend": "peft", "context": 512, "batch_rows": 6, "max_steps": 24, "learning_rate": 0.005,
                      "warmup_steps": 0, "schedule": "constant"},
            "lora": {"r": 4, "alpha": 8},
        }
    )  # fmt: skip
    summary = train(settings, folder / "run", console=Console(file=io.StringIO()))
    assert summary.last_loss["loss"] < summary.first_loss["loss"]
    shutil.copyfile(rows, folder / "run" / "held_out.jsonl")
    return folder / "run"


@pytest.mark.parametrize("shape", sorted(SHAPES))
def test_an_architecture_is_trained_merged_exported_and_solved_with(shape: str, tmp_path: Path, converter: Any) -> None:
    settings = ExportSettings(
        quant=("F16", "Q8_0"), llama_cpp=converter.folder,
        # Of the hundred positions of three rows one may be a tie between two tokens of a random model, not more.
        certify=CertifySettings(rows=3, speed_tokens=0, both_bases=False, thresholds=Thresholds(f16_top1=0.98)),
    )  # fmt: skip
    summary = export(trained(tmp_path, shape), settings, tmp_path / "out")
    assert summary.certificate is not None
    certificate = json.loads(summary.certificate.read_text(encoding="utf-8"))
    assert certificate["faults"] == []
    assert certificate["files"] == {"F16": True, "Q8_0": True}, certificate["models"]
    models = certificate["models"]
    assert models["F16"]["token_ids_equal"]
    assert models["F16"]["kl"] < 1e-4
    assert models["base without adapter"]["kl"] > 100 * models["F16"]["kl"], "training is what the file holds"
    solve(summary.files["F16"])


def solve(file: Path) -> None:
    """Put a question to the file as the solver does; no control token but the last ends generation."""
    from runtime.engine import load
    from runtime.sandbox import Sandbox
    from runtime.settings import EngineSettings, SolverSettings
    from runtime.solver import Solver

    engine = load(file, settings=EngineSettings(n_ctx=512, threads=1))
    try:
        vocabulary = engine.vocabulary
        assert vocabulary is not None
        ends = {token for token in CONTROL_TOKENS if vocabulary.is_end(vocabulary.control_id(token))}
        assert ends == {END_OF_MESSAGE}
        with Sandbox() as sandbox:
            solution = Solver(engine, sandbox, SolverSettings(max_tokens=64)).solve("How many eggs are there?")
        assert solution.status not in ("error", "interrupted")
        assert solution.tokens["generated"] > 0
    finally:
        engine.close()

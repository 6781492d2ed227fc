"""unsloth's code for GPUs, run on a CPU: it computes and trains what the peft backend does."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from test_training_run import recipe, run

HERE = Path(__file__).parent
PACK = [3, 4, 5]
MISSING = [name for name in ("triton", "unsloth", "unsloth_zoo") if importlib.util.find_spec(name) is None]

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(2400),
    pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)}"),
]

CHILD = """
import json, sys
sys.path[:0] = [{root!r}, {here!r}]
import unsloth_on_cpu
from pathlib import Path
from conftest import Bench
from rich.console import Console
from safetensors.torch import save_file
from test_step_invariances import losses_by_row
from qlora.settings import QloraSettings
from qlora.train import train

base, rows, out = map(Path, sys.argv[1:4])
made = Bench(base, rows, backend="unsloth", quantize=False)
made.randomize_adapter()
loss, gradients = made.gradients({pack})
save_file({{name: gradient.contiguous() for name, gradient in gradients.items()}}, out / "gradients.safetensors")
packed, alone = losses_by_row(made, {pack}), {{row: losses_by_row(made, [row])[row] for row in {pack}}}
train(QloraSettings.model_validate_json(sys.argv[4]), out / "run", console=Console(quiet=True))
found = {{"by_unsloth": made.adapted.by_unsloth, "loss": loss, "packed": packed, "alone": alone}}
(out / "found.json").write_text(json.dumps(found))
"""


def settings_of(base: Path, rows: Path, backend: str) -> Any:
    """A short run without dropout or quantization: unsloth's 4-bit kernels cannot run here."""
    return recipe(
        base, rows, backend=backend, quantize=False, max_steps=3, batch_rows=4, lora={"dropout": 0.0}
    )  # fmt: skip


@pytest.fixture(scope="module")
def out(base: Callable[..., Path], rows_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the child found: gradients and losses of a pack, and a run."""
    folder = tmp_path_factory.mktemp("unsloth")
    code = CHILD.format(root=str(HERE.parent.parent), here=str(HERE), pack=PACK)
    settings = settings_of(base(), rows_file, "unsloth").model_dump_json()
    # In a process of its own: unsloth rewrites transformers and peft for everyone in the process.
    child = subprocess.run(
        [sys.executable, "-c", code, str(base()), str(rows_file), str(folder), settings],
        env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True, timeout=2300,
    )  # fmt: skip
    assert child.returncode == 0, child.stderr[-3000:]
    return folder


def test_a_pack_has_the_loss_and_the_gradients_it_has_by_peft(
    out: Path, base: Callable[..., Path], rows_file: Path, bench: Any
) -> None:
    found = json.loads((out / "found.json").read_text())
    assert found["by_unsloth"], "transformers' own forward pass was computed, as unsloth has it on a CPU"
    ours = bench(base(), rows_file, quantize=False)
    ours.randomize_adapter()
    loss, gradients = ours.gradients(PACK)
    assert found["loss"] == pytest.approx(loss, abs=1e-5)
    theirs = load_file(out / "gradients.safetensors")
    assert theirs.keys() == gradients.keys()
    for name, gradient in gradients.items():
        assert theirs[name].abs().max() > 0
        torch.testing.assert_close(theirs[name], gradient, rtol=1e-3, atol=1e-5)


def test_rows_of_a_pack_do_not_see_each_other_by_unsloth(out: Path) -> None:
    found = json.loads((out / "found.json").read_text())
    for row in map(str, PACK):
        assert found["packed"][row] == pytest.approx(found["alone"][row], abs=1e-5)


def test_a_run_takes_the_steps_of_one_by_peft_moves_the_rows_and_both_are_certified(
    out: Path, base: Callable[..., Path], rows_file: Path, tmp_path: Path
) -> None:
    from export.gguf.llamacpp import find
    from export.pipeline import export
    from export.settings import ExportSettings
    from runtime.errors import ExportError

    run(settings_of(base(), rows_file, "peft"), tmp_path / "peft")
    logs = [
        [json.loads(line)["loss"] for line in (folder / "log.jsonl").read_text().splitlines()]
        for folder in (out / "run", tmp_path / "peft")
    ]
    assert logs[0] == pytest.approx(logs[1], abs=1e-3)
    assert logs[0][-1] < logs[0][0]
    theirs, ours = (
        load_file(folder / "adapter" / "adapter_model.safetensors") for folder in (out / "run", tmp_path / "peft")
    )
    assert theirs.keys() == ours.keys()
    rows = [name for name in ours if "token_adapter" in name or "trainable_tokens" in name]
    assert len(rows) == 2
    for name in rows:
        start = ours[name].mean(0)
        assert (theirs[name] - start).abs().max() > 1e-3  # all start equal, and each went its own way
        torch.testing.assert_close(theirs[name], ours[name], rtol=0, atol=1e-3)
    try:
        converter = find()
    except ExportError as error:
        pytest.skip(f"the steps are equal; no certificate, since {error}")
    for name, folder in (("unsloth", out / "run"), ("peft", tmp_path / "peft")):
        summary = export(
            folder, ExportSettings(quant=("F16",), llama_cpp=converter.folder), tmp_path / f"{name}-export"
        )
        assert summary.certified == {"F16": True}, name

"""Two processes on one run, the base whole or sharded, under torchrun and `accelerate launch`."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from several import probe
from test_training_run import recipe, run

from qlora import checkpoint
from qlora.backend import choose_backend
from qlora.processes import is_sharded, speaks_for_all
from qlora.settings import LoraSettings, QloraSettings, TrainSettings
from recipes.cli import main
from runtime.errors import TrainError

HERE = Path(__file__).parent
TORCHRUN = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
ACCELERATE = [
    "-m", "accelerate.commands.launch", "--use_fsdp", "--num_processes", "2", "--num_machines", "1",
    "--mixed_precision", "no", "--dynamo_backend", "no", "--main_process_port", "0",
]  # fmt: skip


def launch(launcher: list[str], plan: list[dict[str, Any]], folder: Path) -> tuple[int, str]:
    """Exit code and output of two processes that go through `plan`."""
    file = folder / "plan.json"
    file.write_text(json.dumps(plan))
    done = subprocess.run(
        [sys.executable, *launcher, str(HERE / "several.py"), str(file)],
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(HERE.parent.parent)},
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=280,
    )  # fmt: skip
    return done.returncode, done.stdout


VARIANTS: dict[str, dict[str, Any]] = {
    # Dropout and NEFTune: random numbers belong to the micro-batch, not to the process.
    "whole": {"micro_tokens": 200, "neftune_alpha": 5.0},
    "whole, memory runs out in one": {"micro_tokens": 400, "lora": {"dropout": 0.0}},
    "cut, dropout": {"fsdp": True, "micro_tokens": 200},
    "cut, one micro-batch for two": {"fsdp": True, "neftune_alpha": 5.0, "lora": {"dropout": 0.0}},
    "cut, padded, recomputed": {
        "fsdp": True, "micro_tokens": 200, "packing": False, "gradient_checkpointing": True, "lora": {"dropout": 0.0}
    },
    "cut, 16 bits": {"fsdp": True, "micro_tokens": 200, "quantize": False, "lora": {"dropout": 0.0}},
}  # fmt: skip


def settings_of(name: str, base: Callable[..., Path], rows: Path) -> QloraSettings:
    tied = name == "cut, padded, recomputed"
    folder = base("qwen2", tied=True, style="bytes") if tied else base()
    return recipe(folder, rows, **VARIANTS[name] | {"max_steps": 4, "sample_every": 2})


@pytest.fixture(scope="module")
def both(base: Callable[..., Path], rows_file: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A folder with a run of two processes for each variant, and what they said."""
    folder = tmp_path_factory.mktemp("both")
    plan = [
        {
            "settings": settings_of(name, base, rows_file).model_dump(mode="json"),
            "out": str(folder / name),
            "memory": 250 if "memory" in name else 0,
        }
        for name in VARIANTS
    ]
    code, said = launch(TORCHRUN, plan, folder)
    assert code == 0, said
    return folder, said


def log_of(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]


def adapter_of(out: Path) -> dict[str, Any]:
    from safetensors.numpy import load_file

    return load_file(out / "adapter" / "adapter_model.safetensors")


def assert_same_run(two: Path, one: Path) -> None:
    for mine, alone in zip(log_of(two), log_of(one), strict=True):
        assert mine["loss"] == pytest.approx(alone["loss"], abs=2e-5)
        assert mine["grad_norm"] == pytest.approx(alone["grad_norm"], rel=1e-4)
        assert (mine["supervised"], mine["tokens"]) == (alone["supervised"], alone["tokens"])
        if "sample" in alone:
            assert mine["sample"]["pass_at_1"] == pytest.approx(alone["sample"]["pass_at_1"], rel=1e-4)
    expected, found = adapter_of(one), adapter_of(two)
    assert found.keys() == expected.keys()
    assert any("trainable_tokens_delta" in name for name in found)
    for name, value in expected.items():
        # Adam divides by the size of the gradient: where that is next to nothing, its last digits become a step.
        np.testing.assert_allclose(found[name], value, atol=1e-3)
        assert np.abs(found[name] - value).mean() < 1e-5


@pytest.mark.parametrize("name", VARIANTS)
def test_two_processes_train_what_one_trains(
    name: str, both: tuple[Path, str], base: Callable[..., Path], rows_file: Path, tmp_path: Path
) -> None:
    folder, _ = both
    _, screen = run(settings_of(name, base, rows_file), tmp_path, on_sample=probe)
    assert "shard " not in screen  # one process alone keeps the base whole, by the same recipe
    assert_same_run(folder / name, tmp_path)


def test_a_cut_base_lies_half_in_each_process_and_the_screen_says_so(both: tuple[Path, str]) -> None:
    _, said = both
    quantized = 2 * (64 * (64 + 32 + 32 + 64) + 3 * 64 * 128) // 2
    assert said.count(f"shard     {quantized / 2e6:.3g} of {quantized / 1e6:.3g} MB of linear weights") == 3
    assert said.count("; 2 processes") == len(VARIANTS)


def test_memory_that_runs_out_in_one_process_halves_the_micro_batches_of_all(both: tuple[Path, str]) -> None:
    folder, said = both
    assert said.count("memory ran out: micro-batches of at most 200 tokens from here on") == 1
    assert json.loads((folder / "whole, memory runs out in one" / "run.json").read_text())["micro_tokens"] == 200


def test_a_killed_process_is_one_error_and_the_run_goes_on_from_its_checkpoint(
    base: Callable[..., Path], rows_file: Path, tmp_path: Path
) -> None:
    settings = recipe(base(), rows_file, micro_tokens=200)
    plan = [{"settings": settings.model_dump(mode="json"), "out": str(tmp_path / "two"), "kill": ["1", 8]}]
    code, said = launch(ACCELERATE, plan, tmp_path)
    assert code != 0
    assert f"exitcode  : -{signal.SIGKILL.value}" in said
    assert said.count("another of the 2 processes of this run ended before its time") == 1
    assert "shard " in said  # `accelerate launch --use_fsdp` says it for a recipe that does not
    last = checkpoint.latest(tmp_path / "two" / "checkpoints")
    assert last is not None
    assert last.name == "step-5"
    # What two processes began on a cut base, one ends on a whole one.
    _, screen = run(settings, tmp_path / "two")
    assert "going on after step 5" in screen
    run(settings, tmp_path / "one")
    assert_same_run(tmp_path / "two", tmp_path / "one")


def test_what_needs_whole_weights_is_refused_before_anything_is_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    from qlora.checks import refuse_sharded

    with pytest.raises(TrainError, match=r"set train\.backend=peft, or train\.fsdp=false"):
        choose_backend("unsloth", sharded=True)
    assert choose_backend("auto", sharded=True)[0] == "peft"
    with pytest.raises(TrainError, match=r"set lora\.dora=false or train\.fsdp=false"):
        refuse_sharded(LoraSettings(dora=True))
    for world, launcher, key, cut in (
        ("2", "true", None, True),
        ("2", "true", False, False),
        ("2", "false", None, False),
        ("2", "false", True, True),
        ("1", "true", True, False),
    ):
        monkeypatch.setenv("WORLD_SIZE", world)
        monkeypatch.setenv("ACCELERATE_USE_FSDP", launcher)
        assert is_sharded(TrainSettings(fsdp=key)) is cut


def test_of_processes_with_one_mistake_one_speaks(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert speaks_for_all()
    monkeypatch.setenv("WORLD_SIZE", "2")
    said = []
    for rank in ("0", "1"):
        monkeypatch.setenv("LOCAL_RANK", rank)
        assert main(["train", "nano", "train.epoch=2"]) == 2
        said.append(capsys.readouterr().err)
    assert "did you mean train.epochs?" in said[0]
    assert said[1] == ""

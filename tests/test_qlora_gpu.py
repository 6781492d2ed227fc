"""`benchmarks/qlora_gpu.py` without a GPU: it says so, and in small all four sides start alike."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SCRIPT = ROOT / "benchmarks" / "qlora_gpu.py"
pytest.importorskip("torch", reason="needs the train extra")


def call(*arguments: str, seconds: int = 200) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(SCRIPT), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=seconds, check=False)


@pytest.mark.parametrize("shape", ["llama-7b", "qwen2-1.5b"])
def test_without_a_gpu_a_shape_is_not_run_and_nothing_is_written(shape: str, tmp_path: Path) -> None:
    target = tmp_path / "figures.json"
    done = call("--shape", shape, "--json", str(target))
    assert done.returncode == 0, done.stderr
    assert "no GPU here" in done.stdout
    assert not target.exists()


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_the_small_shape_runs_all_sides_with_one_loss_at_the_start_and_moves_every_token_row(tmp_path: Path) -> None:
    pytest.importorskip("unsloth", reason="unsloth is not installed")
    pytest.importorskip("trl", reason="trl is not installed")
    target = tmp_path / "figures.json"
    done = call(
        "--shape",
        "tiny",
        "--micro-tokens",
        "1024",
        "--steps",
        "3",
        "--limit",
        "280",
        "--json",
        str(target),
        seconds=1150,
    )
    told = json.loads(target.read_text())
    assert done.returncode == 0, done.stdout
    figures = told["figures"]
    assert figures["tiny: sides that ran"]["value"] == 4
    assert figures["tiny: losses of the sides at the first step, largest difference"]["value"] < 1e-3
    assert figures["tiny: token rows moved, ours, unsloth"]["value"] == 16
    for run in told["tiny"].values():
        assert run["attention"]
        assert run["retries"] == 0

"""`benchmarks/gpu_first_hour.py` was written without a GPU: its parts see damage on a processor."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent
SCRIPT = ROOT / "benchmarks" / "gpu_first_hour.py"
pytest.importorskip("torch", reason="needs the train extra")


@pytest.fixture(scope="module")
def hour() -> Iterator[ModuleType]:
    """The script as a module."""
    import importlib

    import torch

    torch.set_num_threads(1)
    path = list(sys.path)
    sys.path.insert(0, str(ROOT / "benchmarks"))
    yield importlib.import_module("gpu_first_hour")
    sys.path[:] = path


@pytest.fixture
def try_part(hour: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], dict[str, bool]]:
    """Run a part with its sides in this process: its figures by name, and whether each meets its bounds."""
    from figures import Figures
    from gpu_sides import SIDES

    monkeypatch.setattr(
        hour.Part,
        "side",
        lambda self, do, device=None, **spec: json.loads(
            json.dumps(SIDES[do](json.loads(json.dumps({"do": do, "folder": str(self.folder), **spec}))))
        ),
    )

    def run(name: str) -> dict[str, bool]:
        part = hour.Part("cpu", tmp_path, paged=False)
        hour.PARTS[name](part)
        json.dumps(part.details)
        figures = Figures("trial")
        return {figure: figures.add(figure, value, **bounds) for figure, value, bounds in part.figures}

    return run


PARTS = {"gradients": 8, "isolation": 2, "rows": 3, "resume": 3, "memory": 2, "plan-1.5b": 1, "nf4": 2}


SLOW = {"gradients", "resume", "memory", "plan-1.5b"}


@pytest.mark.parametrize("name", [pytest.param(name, marks=[pytest.mark.slow] * (name in SLOW)) for name in PARTS])
def test_a_part_meets_its_bounds_on_the_processor(name: str, try_part: Callable[[str], dict[str, bool]]) -> None:
    found = try_part(name)
    assert len(found) == PARTS[name]
    assert [figure for figure, met in found.items() if not met] == []


def test_rows_that_never_move_are_seen(
    try_part: Callable[[str], dict[str, bool]], monkeypatch: pytest.MonkeyPatch
) -> None:
    import gpu_sides

    class Frozen(gpu_sides.Trial):
        def __init__(self, spec: dict[str, Any]) -> None:
            super().__init__(spec)
            self.adapted.embedding.rows.requires_grad_(False)  # as unsloth's loader did on a GPU

    monkeypatch.setattr(gpu_sides, "Trial", Frozen)
    found = try_part("rows")
    assert not found["peft: rows of the embedding that moved"]
    assert found["peft: adapter parameters that moved"]


def test_rows_that_see_each_other_are_seen(
    try_part: Callable[[str], dict[str, bool]], monkeypatch: pytest.MonkeyPatch
) -> None:
    from qlora.attention import RowLayout

    real = RowLayout.__init__
    monkeypatch.setattr(
        RowLayout, "__init__", lambda self, lengths, *rest, **named: real(self, [sum(lengths)], *rest, **named)
    )
    assert not try_part("isolation")["peft: a row in a pack against alone, largest difference"]


def test_without_a_gpu_the_script_says_so_and_ends_well_and_writes_nothing(tmp_path: Path) -> None:
    target = tmp_path / "hour.json"
    done = subprocess.run(
        [sys.executable, str(SCRIPT), "--json", str(target)], capture_output=True, text=True, timeout=200, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "there is no GPU here" in done.stdout
    assert not target.exists()


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_script_runs_parts_in_children_and_writes_one_file_with_a_verdict_for_each(tmp_path: Path) -> None:
    target = tmp_path / "hour.json"
    call = [sys.executable, str(SCRIPT), "--device", "cpu", "--part", "nf4", "rows", "--json", str(target)]
    done = subprocess.run(call, capture_output=True, text=True, timeout=850, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    told = json.loads(target.read_text())
    assert set(told["parts"]) == {"nf4", "rows"}
    assert told["figures"]["rows: came to its end"]["met"]
    assert told["figures"]["rows: peft: rows of the head that moved"]["value"] == 8
    assert "rows: peft: rows of the head that moved: 8" in done.stdout


@pytest.mark.slow
def test_a_part_that_dies_is_a_line_and_exit_code_1(tmp_path: Path) -> None:
    target = tmp_path / "hour.json"
    broken = tmp_path / "broken.py"
    broken.write_text(
        f"import os, sys\nsys.path.insert(0, {str(ROOT / 'benchmarks')!r})\nimport gpu_first_hour as hour\n"
        "hour.PARTS['nf4'] = lambda part: os.kill(os.getpid(), 11)\nsys.exit(hour.main())\n"
    )
    call = [sys.executable, str(broken), "--device", "cpu", "--part", "nf4", "--json", str(target)]
    done = subprocess.run(call, capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "ended with code -11" in done.stdout
    assert json.loads(target.read_text())["parts"]["nf4"]["error"]

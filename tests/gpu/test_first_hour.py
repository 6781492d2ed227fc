"""The parts of `benchmarks/gpu_first_hour.py` that take minutes at most, held to their bounds."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent


@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", ["doctor", "nf4", "gradients", "isolation", "rows", "resume", "memory"])
def test_a_part_of_the_first_hour_meets_its_bounds(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    script = ROOT / "benchmarks" / "gpu_first_hour.py"
    monkeypatch.syspath_prepend(str(script.parent))
    monkeypatch.setattr(sys, "argv", [str(script)])
    import gpu_first_hour
    from figures import Figures

    told = gpu_first_hour.child_part(name, argparse.Namespace(device="cuda", paged=False))
    assert "error" not in told, told["error"]
    figures = Figures("trial")
    missed = [figure for figure, value, bounds in told["figures"] if not figures.add(figure, value, **bounds)]
    assert missed == []

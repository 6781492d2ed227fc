"""What a benchmark promised beside what it measured: printed, kept as JSON in benchmarks/results/, and an exit code."""

from __future__ import annotations

import json
import os
import platform
import sys
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

RESULTS = Path(__file__).resolve().parent / "results"


class Targets:
    """The figures of one benchmark.

    Args:
        name: of the script; `benchmarks/results/NAME.json` is written.
        whole: False for a run on a smaller scale, which proves nothing and is printed only.
    """

    def __init__(self, name: str, *, whole: bool = True) -> None:
        self.name, self.whole = name, whole
        self.figures: dict[str, Any] = {}
        self.targets: list[dict[str, Any]] = []
        self._began = time.monotonic()

    def note(self, name: str, value: Any) -> None:
        """A figure without a target."""
        self.figures[name] = value

    def hold(self, what: str, figure: float, relation: str, target: float, unit: str = "", digits: int = 3) -> bool:
        """Compare a figure with its target and print both; `relation` is one of `>=`, `<=`, `>`, `<`, `==`."""
        met = {
            ">=": figure >= target, "<=": figure <= target, ">": figure > target, "<": figure < target,
            "==": figure == target,
        }[relation]  # fmt: skip
        rounded = round(figure, digits)
        self.targets.append(
            {"what": what, "figure": rounded, "relation": relation, "target": target, "unit": unit, "met": met}
        )
        space = f" {unit}" if unit else ""
        print(
            f"{'met   ' if met else 'MISSED'}  {what}: {rounded:g}{space} (target {relation} {target:g}{space})",
            flush=True,
        )
        return met

    def finish(self) -> int:
        """Write the file of a whole run; returns the exit code: 1 where a target was missed."""
        met = all(item["met"] for item in self.targets)
        content = {
            "benchmark": self.name,
            "whole": self.whole,
            "met": met,
            "targets": self.targets,
            "figures": self.figures,
            "seconds": round(time.monotonic() - self._began, 1),
            "machine": {
                "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
                "system": platform.system(),
                "architecture": platform.machine(),
                "python": platform.python_version(),
            },
        }
        if self.whole:
            RESULTS.mkdir(exist_ok=True)
            target = RESULTS / f"{self.name}.json"
            target.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
            print(f"written to benchmarks/results/{target.name}")
        else:
            print("a run on a smaller scale: nothing is written")
        return 0 if met else 1

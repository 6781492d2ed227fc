"""Figures beside their targets: what a benchmark prints, what it writes as JSON, and its exit code."""

from __future__ import annotations

import argparse
import json
import operator
import os
import platform
import sys
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
"""The repository: benchmarks run from a checkout, installed or not."""
sys.path.insert(0, str(ROOT))

from runtime.files import write_text  # noqa: E402

SHARED_DATA = Path(os.environ.get("MATHCODER_SHARED_DATA", ROOT.parent / "shared" / "data"))
"""The development data, which is not part of the repository."""
RESULTS = ROOT / "benchmarks" / "results"


def add_json_argument(parser: argparse.ArgumentParser, name: str) -> None:
    """`--json FILE`.

    A full run goes to the results of this repository, a small trial is better sent elsewhere.
    """
    default = RESULTS / f"{name}.json"
    parser.add_argument(
        "--json", type=Path, default=default, help=f"where the figures go (default results/{name}.json)"
    )


class Figures:
    """Collects what one run of a benchmark measured.

    Args:
        name: of the benchmark.
        settings: what it ran with (sizes, tier), so that a small trial is not taken for the real thing.
    """

    def __init__(self, name: str, **settings: Any) -> None:
        self.name, self.settings = name, settings
        self.figures: dict[str, dict[str, Any]] = {}
        self.details: dict[str, Any] = {}
        self.began = time.time()

    def add(
        self,
        name: str,
        value: float,
        *,
        at_least: float | None = None,
        at_most: float | None = None,
        above: float | None = None,
        below: float | None = None,
        unit: str = "",
    ) -> bool:
        """Print a figure with its targets and keep both; whether it meets them (a figure without target does)."""
        targets = {
            "at least": (at_least, operator.ge),
            "at most": (at_most, operator.le),
            "above": (above, operator.gt),
            "below": (below, operator.lt),
        }
        entry: dict[str, Any] = {"value": value, "unit": unit}
        words = [f"{name}: {_text(value)}{unit and ' ' + unit}"]
        met = True
        for word, (bound, meets) in targets.items():
            if bound is not None:
                entry[word.replace(" ", "_")] = bound
                words.append(f"({word} {_text(bound)})")
                met = met and meets(value, bound)
        if len(entry) > 2:
            entry["met"] = met
            words.append("met" if met else "MISSED")
        self.figures[name] = entry
        print("  ".join(words), flush=True)
        return met

    def count(self, name: str, value: int, of: int) -> bool:
        """A number of things that has to be exactly `of`."""
        return self.add(name, value, at_least=of, at_most=of)

    @property
    def met(self) -> bool:
        """Whether every target is met."""
        return all(entry.get("met", True) for entry in self.figures.values())

    def finish(self, target: Path | None) -> int:
        """Write the JSON; returns the exit code, 1 where a target is missed.

        None: a trial, which is only printed.
        """
        if target is None:
            print("a run on a smaller scale: nothing is written")
            return 0 if self.met else 1
        content = {
            "benchmark": self.name,
            "met": self.met,
            "settings": self.settings,
            "machine": {
                "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
                "memory_gib": round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30, 1),
                "system": f"{platform.system()} {platform.release()} {platform.machine()}",
                "python": platform.python_version(),
                "load_at_end": round(os.getloadavg()[0], 2),
            },
            "date": time.strftime("%Y-%m-%dT%H:%M:%S%z", time.localtime(self.began)),
            "figures": self.figures,
            **self.details,
        }
        try:
            write_text(target, json.dumps(content, indent=1, default=str) + "\n")
        except OSError as error:
            # An ordinary user measures from a checkout that is not theirs: the figures stand on the screen.
            print(f"the figures were not written to {target}: {error.strerror}", file=sys.stderr)
        return 0 if self.met else 1


def _text(value: float) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:,.4g}"

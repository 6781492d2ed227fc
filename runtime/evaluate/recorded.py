"""What recorded solutions cost, of anybody: blocks, tokens, and seconds of running their cells.

A record says nothing of the machine that wrote it, so the seconds of its decoding are not known. Its cells can be run
again: each solution's in a session of its own, in order, as the solver would have run them.
"""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runtime.evaluate.records import Record, read_records
from runtime.evaluate.sheets import Sheet, written
from runtime.evaluate.stats import wilson
from runtime.files import write_json, write_text

if TYPE_CHECKING:
    from rich.console import Console

    from runtime.sandbox import Limits, Sandbox

Count = Callable[[str], int]


def measure_recorded(
    paths: Sequence[Path],
    out: Path | None = None,
    *,
    limits: Limits | None = None,
    limit: int | None = None,
    seed: int = 1,
    count: Count = len,
    unit: str = "characters",
    console: Console | None = None,
) -> dict[str, Any]:
    """Run the cells of recorded solutions again and say what a solution costs.

    Args:
        paths: any files of `read_records` whose lines have blocks.
        out: where `efficiency.json` and `efficiency.md` go; None writes nothing.
        limits: of each session.
        limit: this many solutions of each file, drawn by `seed`; None for all.
        count: how long a text is, in `unit`.
        console: told how far it is.

    Returns:
        `{"unit": ..., "files": {stem: {...}}}`: of each file means of a solution.

    Raises:
        InputError, DataError: see `read_records`.
        SandboxError: no isolation works here.
    """
    from runtime.sandbox import Sandbox

    told: dict[str, Any] = {"unit": unit, "seed": seed, "files": {}}
    with Sandbox(limits) as sandbox:
        sandbox.run("0")  # Starting the sandbox is not part of the first solution.
        for path in paths:
            records = read_records(path)
            if limit is not None and limit < len(records):
                drawn = random.Random(seed).sample(range(len(records)), limit)
                records = [records[place] for place in sorted(drawn)]
            costs = []
            for done, record in enumerate(records, start=1):
                costs.append(_cost(record, sandbox, count))
                if console is not None and (done % max(1, len(records) // 5) == 0 or done == len(records)):
                    console.print(f"{path.name} {done}/{len(records)}", markup=False, highlight=False)
            told["files"][path.name.removesuffix(".gz").removesuffix(".jsonl")] = _account(records, costs)
    if out is not None:
        write_json(out / "efficiency.json", told)
        write_text(out / "efficiency.md", written([sheet(told)], "markdown"))
    return told


def _cost(record: Record, sandbox: Sandbox, count: Count) -> dict[str, Any]:
    """One solution: what it wrote and read, and milliseconds of its cells (None: the machine failed one)."""
    from runtime.errors import CellNotRunError

    contents = {kind: [b.content for b in record.blocks if b.type == kind] for kind in ("text", "code", "execution")}
    seconds, stopped = 0.0, 0
    sandbox.reset()
    try:
        for code in contents["code"]:
            begun = time.perf_counter()
            result = sandbox.run(code)
            seconds += time.perf_counter() - begun
            stopped += result.status in ("timeout", "killed")
    except CellNotRunError:
        seconds = float("nan")
    return {
        "texts": len(contents["text"]),
        "cells": len(contents["code"]),
        "written": sum(count(text) for kind in ("text", "code") for text in contents[kind]),
        "read": count(record.question) + sum(map(count, contents["execution"])),
        "seconds": seconds,
        "stopped": stopped,
    }


def _account(records: Sequence[Record], costs: Sequence[dict[str, Any]]) -> dict[str, Any]:
    share = wilson(sum(record.correct for record in records), len(records))
    seconds = [cost["seconds"] for cost in costs if cost["seconds"] == cost["seconds"]]
    return {
        "solutions": len(records),
        "accuracy": {"value": share.value, "low": share.low, "high": share.high},
        **{key: statistics.fmean(cost[key] for cost in costs) for key in ("texts", "cells", "written", "read")},
        "cell_seconds": statistics.fmean(seconds) if seconds else None,
        "cell_seconds_median": statistics.median(seconds) if seconds else None,
        "cell_seconds_most": max(seconds, default=None),
        "cells_stopped": sum(cost["stopped"] for cost in costs),
        "not_run": len(costs) - len(seconds),
    }


def sheet(told: dict[str, Any]) -> Sheet:
    """The table: a line a file."""
    header = ["file", "n", "accuracy % [95 %]", "texts", "cells", "written", "read", "cell s", "median", "most"]
    body = []
    for name, row in told["files"].items():
        share = row["accuracy"]
        line = [name, f"{row['solutions']:,}"]
        line += [f"{100 * share['value']:.1f} [{100 * share['low']:.1f}, {100 * share['high']:.1f}]"]
        line += [f"{row['texts']:.2f}", f"{row['cells']:.2f}", f"{row['written']:.1f}", f"{row['read']:.1f}"]
        seconds = [row[key] for key in ("cell_seconds", "cell_seconds_median", "cell_seconds_most")]
        body.append(
            [*line, *("-" if value is None else f"{value:.3f}" for value in seconds), f"{row['cells_stopped']}"]
        )
    failed = sum(row["not_run"] for row in told["files"].values())
    note = (
        f"Means of a solution; written, read: {told['unit']}; cell s: all its cells run again, in a fresh session. "
        "The seconds of decoding are not recorded"
    )
    note += f". {failed} solutions had a cell that this machine could not run" if failed else ""
    return Sheet("What a recorded solution costs", [*header, "stopped"], body, note=note)

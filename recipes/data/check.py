"""`data check`: every row validated and executed again, resumable, with a report by cause.

Verdicts go to a journal, so that a killed check loses seconds. Repairing is a second pass over
the source with the verdicts in hand: executions become what the code really prints, and a row whose answer no longer
follows is left out by name.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qlora.data import problem_of, question_of
from recipes.data.journal import journaled
from recipes.data.rows import beside, files_of, read_lines, sha256_of, solutions_of, write_lines
from recipes.data.verdict import EQUAL, Verdict, judge
from runtime.files import Line
from runtime.lce import Block
from runtime.solver.support import answer_problem

if TYPE_CHECKING:
    from runtime.sandbox import Limits

OUTPUT_CHARS = 2_000_000
"""A recorded result is compared whole; the longest released one has 36,003 characters."""
WRITTEN_CHARS = 4096
"""Characters of a repaired execution, the bound under which the solver shows one to the model."""


@dataclass
class CheckReport:
    """All verdicts, counted."""

    rows: int = 0
    cells: int = 0
    causes: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    flagged: list[Verdict] = field(default_factory=list)
    seconds: float = 0.0

    def add(self, verdict: Verdict) -> None:
        """Count one row."""
        self.rows += 1
        self.cells += verdict.cells
        self.causes.update(verdict.equal)
        self.causes.update(cell.cause for cell in verdict.differing)
        self.faults.update({name for name, _ in verdict.faults})
        if not verdict.clean:
            self.flagged.append(verdict)

    @property
    def equal(self) -> int:
        """Cells whose fresh output agrees with the record."""
        return sum(self.causes[cause] for cause in EQUAL)

    def as_dict(self) -> dict[str, Any]:
        """For `--json`."""
        return {
            "rows": self.rows,
            "clean_rows": self.rows - len(self.flagged),
            "cells": self.cells,
            "equal": self.equal,
            "equal_percent": round(100 * self.equal / self.cells, 3) if self.cells else None,
            "causes": dict(self.causes.most_common()),
            "faults": dict(self.faults.most_common()),
            "flagged": [verdict.as_dict() for verdict in self.flagged],
        }


def check(
    source: str,
    *,
    limits: Limits | None = None,
    sessions: int | None = None,
    first: int | None = None,
    gold: Mapping[str, str] | None = None,
    fresh: bool = False,
    on_progress: Callable[[int], None] | None = None,
) -> CheckReport:
    """Check every row of `source`.

    Args:
        source: file, folder, hub id or `nano`.
        limits: of the sessions; by default 10 seconds a cell and room for long outputs.
        sessions: sandbox sessions at once.
        first: check only this many rows.
        gold: question text to gold answer; rows whose question is in it are also held to that answer.
        fresh: forget an earlier journal.
        on_progress: called with the number of rows done so far.

    Raises:
        InputError: no such source, or another process checks it just now.
        DataError: a file that cannot be read to its end.
        SandboxError: code cannot be isolated on this machine.
    """
    import time

    from runtime.sandbox import Limits

    begun = time.monotonic()
    bounds = limits or Limits(cell_seconds=10.0, output_chars=OUTPUT_CHARS)
    files = files_of(source)
    known = gold or {}
    facts = {
        "data": {"source": source, "sha256": sha256_of(files), "first": first, "gold": _fingerprint(gold)},
        "limits": bounds.model_dump(mode="json"),
    }

    def work(index: int, line: Line) -> dict[str, Any]:
        return judge(index, line.place, line.value, bounds, _gold_of(line.value, known)).as_dict()

    report = CheckReport()
    with journaled(
        "check",
        read_lines(files),
        work,
        facts,
        sessions=sessions,
        first=first,
        fresh=fresh,
        on_progress=on_progress,
    ) as verdicts:
        for verdict in verdicts:
            report.add(Verdict.from_dict(verdict))
    report.seconds = time.monotonic() - begun
    return report


def _fingerprint(gold: Mapping[str, str] | None) -> str | None:
    import hashlib

    return None if gold is None else hashlib.sha256(repr(sorted(gold.items())).encode()).hexdigest()


def _gold_of(value: Any, gold: Mapping[str, str]) -> str | None:
    if not gold or not isinstance(value, Mapping) or not isinstance(value.get("messages"), list):
        return None
    return gold.get(question_of(value["messages"]).strip()) if problem_of(value) is None else None


# Repair


@dataclass
class RepairReport:
    """What `repair` wrote: rows as they were, rows with new executions, and why others were left out."""

    kept: int = 0
    mended: int = 0
    left_out: Counter[str] = field(default_factory=Counter)
    listing: Path | None = None


def repair(source: str, report: CheckReport, out: str | Path, *, first: int | None = None) -> RepairReport:
    """Write the rows of `source` with true executions to `out`.

    Those that cannot be mended go, with the reason, to `out`'s `left-out` file.

    Args:
        report: of `check` on the same source with the same `first`.
    """
    flagged = {verdict.index: verdict for verdict in report.flagged}
    result = RepairReport(listing=beside(out, "left-out"))
    left_out: list[dict[str, Any]] = []

    def rows() -> Iterator[Any]:
        for index, line in enumerate(itertools.islice(read_lines(files_of(source)), first)):
            verdict = flagged.get(index)
            if verdict is None:
                result.kept += 1
                yield line.value
                continue
            mended, reason = mend(line.value, verdict)
            if mended is None:
                result.left_out[reason.split(": ")[0]] += 1
                left_out.append({"place": line.place, "index": index, "reason": reason})
            else:
                result.mended += 1
                yield mended

    write_lines(out, rows())
    assert result.listing is not None
    write_lines(result.listing, left_out)
    return result


def mend(value: Any, verdict: Verdict) -> tuple[dict[str, Any] | None, str]:
    """The row with its true executions, or None and why it cannot be mended."""
    from runtime.solver import cleaned
    from runtime.text import for_model

    for name, detail in verdict.faults:
        # A stray execution goes; no other fault of a row is cured by running its code.
        if name != "stray execution":
            return None, f"{name}: {detail}"
    fresh = {}
    for cell in verdict.differing:
        if cell.cause in ("time-out", "killed", "error"):
            return None, f"{cell.cause}: block {cell.block} of the code does not run through"
        fresh[cell.message, cell.block] = cleaned(for_model(cell.now, WRITTEN_CHARS))
    solutions = [_mended(blocks, number, fresh) for number, blocks in enumerate(solutions_of(value["messages"]))]
    if not _still_follows(solutions_of(value["messages"])[-1], solutions[-1], question_of(value["messages"])):
        return None, "answer no longer follows: the true executions do not hold the value it was read from"
    replaced = iter(solutions)
    messages = [
        {**message, "content": [block.as_dict() for block in next(replaced)]}
        if message["role"] == "assistant"
        else message
        for message in value["messages"]
    ]
    return {**value, "messages": messages}, ""


def _mended(blocks: list[Block], number: int, fresh: Mapping[tuple[int, int], str]) -> list[Block]:
    result: list[Block] = []
    for position, block in enumerate(blocks):
        if block.type == "execution" and (position == 0 or blocks[position - 1].type != "code"):
            continue
        if block.type == "execution" and (number, position - 1) in fresh:
            continue
        result.append(block)
        if (number, position) in fresh:
            result.append(Block("execution", fresh[number, position]))
    return result


def _still_follows(before: list[Block], after: list[Block], question: str) -> bool:
    """Whether an execution that held the answer holds it still."""
    from runtime.grade import equivalent, final_answer

    answer = final_answer(before)
    if answer is None or answer_problem(after, None, question) is not None:
        return False

    def holds(blocks: list[Block]) -> bool:
        return any(equivalent(answer, block.content.strip()) for block in blocks if block.type == "execution") or any(
            answer in block.content for block in blocks if block.type == "execution"
        )

    return holds(after) or not holds(before)

"""The verdict on one row: every code block run again in a fresh session, against the record."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from recipes.data.outputs import agreement, is_timeout, is_traceback
from recipes.data.rows import solutions_of, why_no_row
from runtime.lce import Block
from runtime.solver.support import answer_problem, boxes_in

if TYPE_CHECKING:
    from runtime.sandbox import CellResult, Limits

EQUAL = ("equal", "rounded", "set order", "other address", "same exception")
"""Causes that agree with the record."""
RETRY_FACTOR = 3.0
"""A cell that ran out of time is given this many times as long, once, before the row is blamed for a busy machine."""


@dataclass
class Cell:
    """One code block run again.

    Attributes:
        block: its position in the assistant's message.
        cause: one of EQUAL, or `differs`, `error` (it fails and did not), `time-out`, `killed`, `time-out in the
            record`, `no execution` (none was recorded).
        now: the fresh output where the cause is not `equal`.
    """

    message: int
    block: int
    cause: str
    recorded: str | None = None
    now: str = ""


@dataclass
class Verdict:
    """What is wrong with one row.

    `faults` are about the row as a whole: `invalid`, `stray execution`, `no answer in the last block`, `answer
    contradicted`, `not the gold answer`.
    """

    index: int
    place: str
    cells: int = 0
    equal: dict[str, int] = field(default_factory=dict)
    differing: list[Cell] = field(default_factory=list)
    faults: list[tuple[str, str]] = field(default_factory=list)

    @property
    def clean(self) -> bool:
        """Nothing is wrong."""
        return not self.differing and not self.faults

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "index": self.index,
            "place": self.place,
            "cells": self.cells,
            "equal": self.equal,
            "differing": [vars(cell) for cell in self.differing],
            "faults": self.faults,
        }

    @classmethod
    def from_dict(cls, value: dict[str, Any]) -> Verdict:
        """The reverse of `as_dict`."""
        cells = [Cell(**cell) for cell in value["differing"]]
        faults = [(str(name), str(detail)) for name, detail in value["faults"]]
        return cls(value["index"], value["place"], value["cells"], value["equal"], cells, faults)


def judge(index: int, place: str, value: Any, limits: Limits, gold: str | None = None) -> Verdict:
    """Validate a row, run its code, compare.

    Raises:
        SandboxError: code cannot be isolated on this machine.
    """
    verdict = Verdict(index, place)
    reason = why_no_row(value)
    if reason is not None:
        verdict.faults.append(("invalid", reason))
        return verdict
    solutions = solutions_of(value["messages"])
    outputs = _execute(solutions, limits, verdict)
    for number, blocks in enumerate(solutions):
        for position, block in enumerate(blocks):
            if block.type == "execution" and (position == 0 or blocks[position - 1].type != "code"):
                verdict.faults.append(("stray execution", f"message {number}, block {position} follows no code"))
    verdict.faults += _answer_faults(value["messages"], solutions, outputs, gold)
    return verdict


def _answer_faults(
    messages: Sequence[Any], solutions: Sequence[Sequence[Block]], outputs: Sequence[str], gold: str | None
) -> list[tuple[str, str]]:
    """Faults of the last solution, and of those before it that box an answer."""
    asked = [block["content"] for message in messages if message["role"] != "assistant" for block in message["content"]]
    question = "\n".join(asked)
    found = [
        answer_problem(blocks, None, question, outputs)
        for blocks in solutions[:-1]
        if any(boxes_in(block.content) for block in blocks if block.type == "text")
    ]
    found.append(answer_problem(solutions[-1], gold, question, outputs))
    return [problem for problem in found if problem is not None]


def _execute(solutions: Sequence[Sequence[Block]], limits: Limits, verdict: Verdict) -> list[str]:
    """Count the cells of a row in `verdict`; returns what they really print."""
    results = run_cells([block.content for blocks in solutions for block in blocks if block.type == "code"], limits)
    number = 0
    for message, blocks in enumerate(solutions):
        for position, block in enumerate(blocks):
            if block.type != "code":
                continue
            result = results[number]
            number += 1
            verdict.cells += 1
            follows = blocks[position + 1] if position + 1 < len(blocks) else None
            recorded = follows.content if follows is not None and follows.type == "execution" else None
            cause = _cause(recorded, result)
            if cause in EQUAL:
                verdict.equal[cause] = verdict.equal.get(cause, 0) + 1
            else:
                verdict.differing.append(Cell(message, position, cause, recorded, result.output))
    return [result.output for result in results]


def run_cells(codes: Sequence[str], limits: Limits) -> list[CellResult]:
    """Results of a row's code blocks in a fresh session; once more with more time where it ran out."""
    if not codes:
        return []
    results = _run(codes, limits)
    if any(result.status == "timeout" for result in results):
        patient = limits.model_copy(update={"cell_seconds": limits.cell_seconds * RETRY_FACTOR})
        results = _run(codes, patient)
    return results


def _run(codes: Sequence[str], limits: Limits) -> list[CellResult]:
    from runtime.sandbox import Sandbox

    with Sandbox(limits) as sandbox:
        return [sandbox.run(code) for code in codes]


def _cause(recorded: str | None, result: CellResult) -> str:
    if recorded is None:
        return "no execution"
    if result.status in ("timeout", "killed"):
        if result.status == "timeout" and is_timeout(recorded):
            return "same exception"
        return "time-out" if result.status == "timeout" else "killed"
    found = agreement(recorded, result.output)
    if found != "differs":
        return found
    if is_timeout(recorded):
        return "time-out in the record"
    return "error" if result.status == "error" and not is_traceback(recorded) else "differs"

"""The verdict on one row: every code block run again in one fresh session, and what that says about the record."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from recipes.data.outputs import agreement, is_timeout
from recipes.data.rows import solutions_of, why_no_row
from runtime.grade import equivalent, final_answer, last_boxed
from runtime.lce import Block

if TYPE_CHECKING:
    from runtime.sandbox import CellResult, Limits

EQUAL = ("equal", "rounded", "set order", "same exception")
"""Causes that agree with the record."""
PATIENCE = 3.0
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
    """What is wrong with one row. `faults` are about the row as a whole: `invalid`, `stray execution`, `no answer in
    the last block`, `answer contradicted`, `not the gold answer`."""

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
    _execute(solutions, limits, verdict)
    for number, blocks in enumerate(solutions):
        for position, block in enumerate(blocks):
            if block.type == "execution" and (position == 0 or blocks[position - 1].type != "code"):
                verdict.faults.append(("stray execution", f"message {number}, block {position} follows no code"))
    problem = answer_problem(solutions[-1], gold)
    if problem is not None:
        verdict.faults.append(problem)
    return verdict


def _execute(solutions: Sequence[Sequence[Block]], limits: Limits, verdict: Verdict) -> None:
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


def run_cells(codes: Sequence[str], limits: Limits) -> list[CellResult]:
    """Results of the code blocks of one row, in one fresh session; once more with more time where one ran out of it."""
    if not codes:
        return []
    results = _run(codes, limits)
    if any(result.status == "timeout" for result in results):
        patient = limits.model_copy(update={"cell_seconds": limits.cell_seconds * PATIENCE})
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
    return "error" if result.status == "error" and agreement_is_new_failure(recorded) else "differs"


def agreement_is_new_failure(recorded: str) -> bool:
    """Whether the record itself was no failure, so that a failing run is one."""
    from recipes.data.outputs import is_traceback

    return not is_traceback(recorded)


# The answer


def answer_problem(blocks: Sequence[Block], gold: str | None = None) -> tuple[str, str] | None:
    r"""What is wrong with the answer a solution ends in, as (fault, detail).

    A final answer has to be what the solution worked out: one of its `\boxed{}` (or a part of one, since a box may hold
    `x = 3, y = 4`), or, where nothing is boxed, a value that the last text or an execution holds.
    """
    answer = final_answer(blocks)
    if answer is None:
        return "no answer in the last block", f"the last block is {blocks[-1].type}" if blocks else "no blocks"
    last = blocks[-1].content.strip()
    earlier = list(blocks[:-1])
    if last != answer and earlier and earlier[-1].type == "text" and equivalent(earlier[-1].content.strip(), answer):
        return "no answer in the last block", "the bare answer stands before its explanation"
    boxes = [box for block in earlier if block.type == "text" for box in _boxes(block.content)]
    if last != answer:
        boxes = boxes or [answer]
    if not _supported(answer, boxes, earlier):
        told = boxes[-1] if boxes else "another value"
        return "answer contradicted", f"it ends in {answer!r}, the solution says {told!r}"
    if gold is not None and not equivalent(answer, gold):
        return "not the gold answer", f"it ends in {answer!r}, right is {gold!r}"
    return None


def _boxes(text: str) -> list[str]:
    found = []
    # `last_boxed` knows about nested braces; cutting the text before each box gives all of them.
    for piece in re.split(r"(?=\\f?boxed)", text)[1:]:
        box = last_boxed(piece)
        if box is not None:
            found.append(box)
    return found


_SPLIT = re.compile(r"\\?%|,(?!\d{3}\b)|=|\\approx|\\quad|\\qquad|\\text\{[^}]*\}|\\\\|;|\(\w\)|[()]")
_WORD = re.compile(r"-?\d[\d,]*(?:\.\d+)?")


def _supported(answer: str, boxes: Sequence[str], earlier: Sequence[Block]) -> bool:
    if any(equivalent(answer, box) for box in boxes):
        return True
    if any(equivalent(answer, part.strip()) for box in boxes for part in _SPLIT.split(box) if part.strip()):
        return True
    if boxes:
        return False
    said = [block.content for block in earlier[-2:]]
    if any(equivalent(answer, text.strip()) for text in said if len(text) <= 200):
        return True
    number = answer.strip().lstrip("$")
    return any(equivalent(number, word) for text in said for word in _WORD.findall(text)) or any(
        answer.strip().lower() in text.lower() for text in said if not _WORD.fullmatch(number)
    )

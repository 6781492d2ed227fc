"""Replaying recorded solutions through the real loop, and counting the differences."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from runtime.engine.scripted import Script
from runtime.grade import final_answer
from runtime.lce import Block
from runtime.solver import Solution


@dataclass
class ReplayReport:
    """How a replay compares with the record.

    Attributes:
        rows: solutions replayed.
        answers_equal: rows whose answer is the recorded one (see `compare`).
        literal: those of them whose answer is the `completion` to the letter.
        cells_equal: rows whose cells, as run, are the recorded code blocks in order.
        executions: execution blocks compared; `executions_equal` of them match byte for byte.
        differing: ids of rows whose answer differs.
    """

    rows: int = 0
    answers_equal: int = 0
    literal: int = 0
    cells_equal: int = 0
    executions: int = 0
    executions_equal: int = 0
    differing: list[str] = field(default_factory=list)
    statuses: dict[str, int] = field(default_factory=dict)


def recorded_script(traces: Iterable[Mapping[str, Any]]) -> tuple[Script, list[dict[str, Any]]]:
    """A script that writes what each trace recorded.

    Returns:
        The script, and the traces with a running number before each `question`, because some questions recur.
    """
    by_question: dict[str, list[Block]] = {}
    unique: list[dict[str, Any]] = []
    for number, trace in enumerate(traces):
        question = f"[{number}] {trace['question']}"
        by_question[question] = [Block(block["type"], block["content"]) for block in trace["blocks"]]
        unique.append({**trace, "question": question})
    return by_question.__getitem__, unique


def compare(
    report: ReplayReport, trace: Mapping[str, Any], solution: Solution, same_output: Callable[[str, str], bool]
) -> None:
    """Count one replayed solution into `report`.

    The recorded answer is `completion`, the last block as it stands. By the house's rule for answers a long last text
    answers with its last box, and a record that was cut off at an execution answers nothing.
    """
    report.rows += 1
    report.statuses[solution.status] = report.statuses.get(solution.status, 0) + 1
    recorded = [Block(block["type"], block["content"]) for block in trace["blocks"]]
    completion = str(trace["completion"]).strip()
    expected = completion if final_answer(recorded) == completion else final_answer(recorded)
    if solution.answer == expected:
        report.answers_equal += 1
        report.literal += solution.answer == completion
    else:
        report.differing.append(str(trace["id"]))
    codes = [block.content for block in recorded if block.type == "code"]
    # The count tells those that ran from those that were only written.
    written = [block.content for block in solution.blocks if block.type == "code"]
    report.cells_equal += codes == written and solution.cells == len(codes)
    made = [block.content for block in solution.blocks if block.type == "execution"]
    outputs = [block.content for block in recorded if block.type == "execution"]
    report.executions += len(outputs)
    # A solution that ended early made fewer: the missing ones count as different.
    report.executions_equal += sum(same_output(mine, theirs) for mine, theirs in zip(made, outputs, strict=False))

"""Held-out questions solved greedily by the model as it stands, paired with what the run began with."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recipes.reinforce.reward import earned, is_unfinished
from recipes.reinforce.sample import plain
from runtime.errors import EngineError
from runtime.evaluate.stats import paired_difference, wilson
from runtime.files import write_text
from runtime.solver.item import Item
from runtime.solver.side_by_side import solve_side_by_side

if TYPE_CHECKING:
    from recipes.reinforce.questions import Question
    from runtime.engine import Engine
    from runtime.sandbox import Limits
    from runtime.settings import SolverSettings

SHEET = 20
"""Solutions on the sheet that a person reads."""


class Evaluation:
    """Evaluations of one run, one file each in `evaluations/`; one that is there is not done again."""

    def __init__(
        self, folder: Path, questions: Sequence[Question], solve: SolverSettings, limits: Limits, slots: int,
        decoders: int = 1,
    ) -> None:  # fmt: skip
        self.folder, self.questions, self.limits, self.slots, self.decoders = folder, questions, limits, slots, decoders
        self.solve = plain(solve).model_copy(update={"temperature": 0.0})

    def path(self, step: int) -> Path:
        """The file of one evaluation."""
        return self.folder / f"step-{step:05d}.jsonl"

    def __call__(
        self, engine: Engine, step: int, adapter: str, on_solution: Callable[[int, int], None] | None = None
    ) -> dict[str, Any]:
        """Figures of the model after `step` steps: share right with Wilson's interval, and paired with step 0.

        Raises:
            EngineError: the engine cannot go on, or a question could not be solved for a reason of the machine's.
        """
        lines = self.read(step, adapter)
        if lines is None:
            lines = self._solve(engine, on_solution)
            head = json.dumps({"adapter": adapter, "step": step})
            body = "".join(json.dumps(line) + "\n" for line in lines)
            write_text(self.path(step), f"{head}\n{body}")
            write_text(self.folder / f"step-{step:05d}.md", sheet(lines, step))
        right = [bool(line["right"]) for line in lines]
        share = wilson(sum(right), len(right))
        found: dict[str, Any] = {"pass_at_1": share.value, "low": share.low, "high": share.high, "n": share.n}
        first = self.read(0)
        if step and first is not None:
            pair = paired_difference([bool(line["right"]) for line in first], right)
            found |= {"gain": pair.difference, "gain_low": pair.low, "gain_high": pair.high, "p_value": pair.p_value}
        return found

    def read(self, step: int, adapter: str | None = None) -> list[dict[str, Any]] | None:
        """The lines of an evaluation; None where it is not there, or of another adapter."""
        try:
            head, *lines = [json.loads(line) for line in self.path(step).read_text(encoding="utf-8").splitlines()]
        except (OSError, ValueError):
            return None
        return lines if adapter in (None, head.get("adapter")) and len(lines) == len(self.questions) else None

    def _solve(self, engine: Engine, on_solution: Callable[[int, int], None] | None) -> list[dict[str, Any]]:
        items = [Item(one.id, number, one.text) for number, one in enumerate(self.questions)]
        lines: dict[int, dict[str, Any]] = {}
        solved = solve_side_by_side(
            engine, items, self.solve, limits=self.limits, slots=min(self.slots, len(items)), decoders=self.decoders
        )
        for item, solution in solved:
            if is_unfinished(solution.status):
                raise EngineError(
                    f"a held-out question could not be solved ({solution.detail or solution.status})",
                    "the evaluation would not be paired; the last checkpoint is kept",
                    "give the same command again",
                )
            asked = self.questions[item.index]
            lines[item.index] = {
                "id": asked.id, "question": asked.text, "gold": asked.gold, "right": earned(solution, asked.gold),
                "supported": solution.is_supported, **solution.as_dict(),
            }  # fmt: skip
            if on_solution is not None:
                on_solution(len(lines), len(items))
        return [lines[number] for number in range(len(items))]


def sheet(lines: Sequence[dict[str, Any]], step: int) -> str:
    """Markdown with some right, some wrong, the longest and the most failing solutions, for a human eye."""
    kinds = {
        "right": [line for line in lines if line["right"]],
        "wrong": [line for line in lines if not line["right"]],
        "long": sorted(lines, key=lambda line: -line["tokens"]["generated"]),
        "failing cells": sorted(lines, key=lambda line: -line["failed_cells"]),
    }
    shown: list[str] = []
    parts = [f"# Solutions after step {step}"]
    for kind, some in kinds.items():
        chosen = [line for line in some if line["id"] not in shown][: SHEET // len(kinds)]
        shown += [line["id"] for line in chosen]
        for line in chosen:
            parts.append(f"## {kind}: {line['id']} ({line['status']}, {line['tokens']['generated']} tokens)")
            parts.append(f"    {_indented(line['question'])}\n\nanswer `{line['answer']}`, gold `{line['gold']}`")
            parts += [f"{block['type']}:\n\n    {_indented(block['content'])}" for block in line["blocks"]]
    return "\n\n".join(parts) + "\n"


def _indented(text: str) -> str:
    return text.replace("\n", "\n    ")

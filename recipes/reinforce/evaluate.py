"""Held-out questions solved greedily by the model as it stands, paired with what the run began with."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recipes.reinforce.reward import earned, is_unfinished
from recipes.reinforce.sample import plain
from runtime.errors import EngineError
from runtime.evaluate.stats import paired_difference, wilson
from runtime.files import write_text
from runtime.grade import equivalent
from runtime.solver.item import Item, with_samples
from runtime.solver.side_by_side import solve_side_by_side

if TYPE_CHECKING:
    from recipes.reinforce.questions import Question
    from runtime.engine import Engine
    from runtime.sandbox import Limits
    from runtime.settings import SolverSettings
    from runtime.solver import Solution

SHEET = 20
"""Solutions on the sheet that a person reads."""
SAMPLED = 50
"""Held-out questions to which several solutions are drawn."""
CHANGED = 40
"""Right solutions that are written again with other results of their cells."""


class Evaluation:
    """Evaluations of one run, one file each in `evaluations/`; one that is there is not done again."""

    def __init__(
        self, folder: Path, questions: Sequence[Question], solve: SolverSettings, limits: Limits, slots: int,
        *, samples: int = 0, decoders: int = 1,
    ) -> None:  # fmt: skip
        """`samples` are drawn to each of SAMPLED questions, for pass@k; the other arguments are the run's."""
        self.samples = samples
        self.folder, self.questions, self.limits, self.slots, self.decoders = folder, questions, limits, slots, decoders
        self.solve = plain(solve).model_copy(update={"temperature": 0.0})

    def path(self, step: int) -> Path:
        """The file of one evaluation."""
        return self.folder / f"step-{step:05d}.jsonl"

    def __call__(
        self, engine: Engine, step: int, adapter: str, on_solution: Callable[[int, int], None] | None = None
    ) -> dict[str, Any]:
        """Figures of the model after `step` steps: share right with Wilson's interval, and paired with step 0.

        `follows` is the share of right solutions whose answer changes where each result of a cell is replaced by
        another number: where it is low, the cells are decoration.

        Raises:
            EngineError: the engine cannot go on, or a question could not be solved for a reason of the machine's.
        """
        lines = self.read(step, adapter)
        if lines is None:
            lines = self._solve(engine, on_solution)
            figures = {**self._follows(engine, lines), **self._sampled(engine)}
            head = json.dumps({"adapter": adapter, "step": step, "figures": figures})
            body = "".join(json.dumps(line) + "\n" for line in lines)
            write_text(self.path(step), f"{head}\n{body}")
            write_text(self.folder / f"step-{step:05d}.md", sheet(lines, step))
        return self.figures(step)

    def figures(self, step: int) -> dict[str, Any]:
        """What `__call__` returned for `step`; empty where it was not evaluated."""
        head, lines = self._file(step)
        if not lines:
            return {}
        right = [bool(line["right"]) for line in lines]
        share = wilson(sum(right), len(right))
        found: dict[str, Any] = {"pass_at_1": share.value, "low": share.low, "high": share.high, "n": share.n}
        found |= head.get("figures", {})
        first = self.read(0)
        if step and first is not None:
            pair = paired_difference([bool(line["right"]) for line in first], right)
            found |= {"gain": pair.difference, "gain_low": pair.low, "gain_high": pair.high, "p_value": pair.p_value}
        return found

    def until(self, step: int) -> list[dict[str, Any]]:
        """`step` and figures of every evaluation up to `step`, in order."""
        steps = sorted(int(path.stem.removeprefix("step-")) for path in self.folder.glob("step-*.jsonl"))
        return [{"step": one, **found} for one in steps if one <= step and (found := self.figures(one))]

    def read(self, step: int, adapter: str | None = None) -> list[dict[str, Any]] | None:
        """The lines of an evaluation; None where it is not there, or of another adapter."""
        head, lines = self._file(step)
        return lines if lines and adapter in (None, head.get("adapter")) else None

    def _file(self, step: int) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        try:
            head, *lines = [json.loads(line) for line in self.path(step).read_text(encoding="utf-8").splitlines()]
        except (OSError, ValueError):
            return {}, []
        return (head, lines) if len(lines) == len(self.questions) else ({}, [])

    def _solve(self, engine: Engine, on_solution: Callable[[int, int], None] | None) -> list[dict[str, Any]]:
        lines: dict[int, dict[str, Any]] = {}
        items = self._items(len(self.questions))
        for item, solution in self._solutions(engine, items, self.solve):
            asked = self.questions[item.index]
            lines[item.index] = {
                "id": asked.id, "question": asked.text, "gold": asked.gold, "right": earned(solution, asked.gold),
                "supported": solution.is_supported, **solution.as_dict(),
            }  # fmt: skip
            if on_solution is not None:
                on_solution(len(lines), len(items))
        return [lines[number] for number in range(len(items))]

    def _follows(self, engine: Engine, lines: Sequence[dict[str, Any]]) -> dict[str, Any]:
        """Right answers that an executed result shows, written again with other results."""
        right = [n for n, line in enumerate(lines) if line["right"] and line["cells"] and line["supported"]][:CHANGED]
        if not right:
            return {}
        items = [Item(self.questions[n].id, n, self.questions[n].text) for n in right]
        settings = self.solve.model_copy(update={"mode": "wrong-results"})
        changed = sum(
            solution.answer is None or not equivalent(solution.answer, lines[item.index]["answer"])
            for item, solution in self._solutions(engine, items, settings)
        )
        return {"follows": changed / len(right), "follows_of": len(right)}

    def _sampled(self, engine: Engine) -> dict[str, Any]:
        """Share of the first questions that any of `samples` drawn solutions gets."""
        if not self.samples:
            return {}
        items = self._items(min(SAMPLED, len(self.questions)))
        settings = self.solve.model_copy(update={"temperature": 1.0})
        solved = {
            item.index
            for item, solution in self._solutions(engine, with_samples(items, self.samples), settings)
            if earned(solution, self.questions[item.index].gold)
        }
        return {"pass_at_k": len(solved) / len(items), "k": self.samples, "k_of": len(items)}

    def _items(self, count: int) -> list[Item]:
        return [Item(one.id, number, one.text) for number, one in enumerate(self.questions[:count])]

    def _solutions(
        self, engine: Engine, items: Iterable[Item], settings: SolverSettings
    ) -> Iterator[tuple[Item, Solution]]:
        solved = solve_side_by_side(
            engine, items, settings, limits=self.limits, slots=self.slots, decoders=self.decoders
        )
        for item, solution in solved:
            if is_unfinished(solution.status):
                raise EngineError(
                    f"a held-out question could not be solved ({solution.detail or solution.status})",
                    "the evaluation would not be paired; the last checkpoint is kept",
                    "give the same command again",
                )
            yield item, solution


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

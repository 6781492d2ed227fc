"""Held-out problems solved by a GGUF file: what the demo and the benchmarks report."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from recipes.nano.problems import HeldOutKind, Problem, held_out
from runtime.grade import equivalent

if TYPE_CHECKING:
    from runtime.engine import Engine
    from runtime.solver import Solution

KINDS: dict[HeldOutKind, str] = {
    "numbers": "known wordings, new numbers and names",
    "wording": "new wordings, new numbers and names",
    "families": "families that only the base has seen, as plain text",
    "never": "families that no stage has seen",
}


@dataclass(frozen=True, slots=True)
class Paper:
    """Problems of one kind with the solutions a model gave."""

    kind: HeldOutKind
    problems: list[Problem]
    solutions: list[Solution]

    @property
    def right(self) -> list[bool]:
        """Whether each problem is solved."""
        pairs = zip(self.problems, self.solutions, strict=True)
        return [s.answer is not None and equivalent(s.answer, p.gold) for p, s in pairs]

    @property
    def solved(self) -> int:
        """How many problems are solved."""
        return sum(self.right)


def sit(
    engine: Engine,
    kind: HeldOutKind,
    n: int,
    *,
    seed: int = 0,
    mode: str = "full",
    slots: int = 8,
    on_done: Callable[[int], None] | None = None,
) -> Paper:
    """Solve `n` held-out problems of `kind` greedily.

    Args:
        engine: the model.
        kind: see `recipes.nano.problems.held_out`.
        n: how many problems.
        seed: which ones.
        mode: one of `runtime.evaluate.run.MODES`.
        slots: sequences decoded together.
        on_done: called with the number of problems finished so far.
    """
    from runtime.evaluate.run import settings_for_mode
    from runtime.settings import SolverSettings
    from runtime.solver.batch import Item, solve_batch

    problems = held_out(kind, n, seed)
    settings = settings_for_mode(SolverSettings(max_tokens=400, max_blocks=9), mode)
    items = (Item(f"{kind}/{index}", index, problem.question, problem.gold) for index, problem in enumerate(problems))
    solutions: dict[int, Solution] = {}
    for item, solution in solve_batch(engine, items, settings, slots=slots):
        solutions[item.index] = solution
        if on_done:
            on_done(len(solutions))
    return Paper(kind, problems, [solutions[index] for index in range(n)])

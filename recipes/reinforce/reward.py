"""What a solution earns, 1 or 0: judged in this process once its sandbox session is gone."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import TYPE_CHECKING

from recipes.reinforce.groups import UNFINISHED, VOID_STATUSES
from runtime.grade import equivalent, strict_equal
from runtime.grade.strict import plain_number
from runtime.solver.support import boxes_in

if TYPE_CHECKING:
    from runtime.solver import Solution


def earned(solution: Solution, gold: str) -> bool:
    """Whether a solution earns: it ended by itself, within the sandbox's limits, with one right answer.

    A gold answer that is a number is compared strictly; others by the grader, which evaluates nothing it reads.
    """
    if solution.status != "answered" or solution.answer is None or solution.notices or solution.stopped:
        return False
    if len(_boxed(solution)) > 1:
        return False  # Several answers: one of them may well be right.
    if plain_number(gold) is not None:
        return strict_equal(solution.answer, gold)
    return equivalent(solution.answer, gold)


def _boxed(solution: Solution) -> list[str]:
    """The different values in boxes of the model's own texts."""
    found: list[str] = []
    for block in solution.blocks:
        for box in boxes_in(block.content) if block.type == "text" else ():
            if not any(equivalent(box, known) for known in found):
                found.append(box)
    return found


def reward_of(solution: Solution, gold: str, kind: str, seed: str) -> float:
    """1 or 0, or with `random` a coin that knows nothing of the solution.

    The same one for the same `seed`; `shuffled` is dealt out when all are known, see `dealt_out`.
    """
    if kind == "random":
        return float(random.Random(f"reward {seed}").random() < 0.5)
    return float(earned(solution, gold))


def dealt_out(rewards: Sequence[float], seed: str) -> list[float]:
    """The same rewards in an order that knows nothing of the solutions, and follows from `seed`."""
    return random.Random(f"dealt {seed}").sample(rewards, len(rewards))


def is_void(status: str) -> bool:
    """Whether a solution ended by a limit: it counts in its group's mean and is not trained on."""
    return status in VOID_STATUSES


def is_unfinished(status: str) -> bool:
    """Whether a solution says nothing about the model."""
    return status in UNFINISHED

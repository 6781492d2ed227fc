"""What a family of problems is: wordings, numbers, and a solution of text and code steps.

Every family writes its problems from small templates. `{slot}` is replaced by a drawn value, `[this|that]` by one of
its alternatives. Numbers and names belong to one of two sides, `seen` (both training stages draw from it) or `held_out`
(only evaluation does), and so do wordings, so that what a model has met before can be told from what it has not.
"""

from __future__ import annotations

import hashlib
import random
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Stage = Literal["fine_tuning", "base_only", "never"]
"""Which training stages see a family: both, the base's pre-training alone, or neither."""

Drawn = Mapping[str, Any]

_SLOT = re.compile(r"\{(\w+)\}")
_CHOICE = re.compile(r"\[([^\[\]|]*(?:\|[^\[\]|]*)+)\]")


@dataclass(frozen=True, slots=True)
class Step:
    """One code block and the texts that may introduce it.

    Slots: the family's numbers and words, and `{out1}`, `{out2}` for the outputs of the steps before.
    """

    texts: tuple[str, ...]
    code: str


@dataclass(frozen=True)
class Family:
    """A way of making problems that share one solution.

    Args:
        name: unique, snake case.
        wordings: questions that both training stages may see.
        unseen_wordings: questions that only evaluation sees.
        numbers: slot -> inclusive range of whole numbers, at least 11 so that a held-out value exists.
        steps: one to three code blocks; the output of the last is the answer.
        closings: final sentences, with `{result}` inside `\\boxed{{result}}`.
        answer: the right answer from the values, computed without the steps' code.
        words: slot -> its vocabulary in `words.py` (defaults to the slot's own name without trailing digits).
        accept: which drawn values make a sensible problem.
        derive: further values from the drawn ones (slots in question or code that are not drawn).
        stage: which training stages see the family.
    """

    name: str
    wordings: tuple[str, ...]
    unseen_wordings: tuple[str, ...]
    numbers: Mapping[str, tuple[int, int]]
    steps: tuple[Step, ...]
    closings: tuple[str, ...]
    answer: Callable[[Drawn], object]
    words: Mapping[str, str] = field(default_factory=dict)
    accept: Callable[[Drawn], bool] = lambda values: True
    derive: Callable[[Drawn], dict[str, Any]] = lambda values: {}
    stage: Stage = "fine_tuning"

    def __post_init__(self) -> None:
        for slot, (low, high) in self.numbers.items():
            if low < 11 or high <= low:
                raise ValueError(f"{self.name}: range of {slot} must start at 11 or above and not be empty")
        if not 1 <= len(self.steps) <= 3:
            raise ValueError(f"{self.name}: one to three steps, not {len(self.steps)}")
        if any("{result}" not in closing for closing in self.closings):
            raise ValueError(f"{self.name}: every closing holds {{result}}")


def is_held_out_number(number: int) -> bool:
    """Whether `number` is for evaluation alone: one in eight from 11 on, without a pattern."""
    if number < 11 or number in UNIT_NUMBERS:
        return False
    return hashlib.sha256(f"nano number {number}".encode()).digest()[0] < 32


UNIT_NUMBERS = frozenset(
    {12, 15, 20, 24, 25, 28, 30, 45, 50, 52, 60, 90, 100, 144, 180, 200, 360, 365, 500, 1000, 3600}
)
"""Numbers that wordings and code use as units (minutes in an hour, per cent); they are on neither side."""


def fill(template: str, values: Drawn, random_source: random.Random) -> str:
    """`template` with its alternatives chosen and its slots replaced.

    Raises:
        KeyError: a slot that `values` does not have.
    """
    while choice := _CHOICE.search(template):
        chosen = random_source.choice(choice.group(1).split("|"))
        template = template[: choice.start()] + chosen + template[choice.end() :]
    return fill_code(template, values)


def fill_code(template: str, values: Drawn) -> str:
    """`template` with its slots replaced; `[a|b]` stays, since in code it is no choice."""
    return _SLOT.sub(lambda match: str(values[match.group(1)]), template)


def slots(template: str) -> set[str]:
    """Names of the slots in `template`."""
    return set(_SLOT.findall(template))

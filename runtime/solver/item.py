"""What a batch solves: one sample of one question."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from runtime.settings import SolverSettings
from runtime.solver.dialects import Exchange


@dataclass(frozen=True, slots=True)
class Item:
    """One sample of one question.

    Attributes:
        id: the question's own name in its data set.
        index: its position there; with `sample` it makes the seed.
        question: text.
        gold: the expected answer, carried along.
        sample: which of several solutions to the same question.
        seed: seed of the sampler; 0 derives one from the settings, `index` and `sample`.
        settings: in place of the batch's, for this item alone; dialect, mode and `code_execution` stay the batch's.
        history: earlier questions with their blocks.
    """

    id: str
    index: int
    question: str
    gold: Any = None
    sample: int = 0
    seed: int = 0
    settings: SolverSettings | None = None
    history: tuple[Exchange, ...] = ()


def with_samples(items: Iterable[Item], samples: int) -> Iterator[Item]:
    """Each item `samples` times, a question's samples side by side so that they share its prompt."""
    for item in items:
        for sample in range(samples):
            yield replace(item, sample=sample, seed=item.seed + sample if item.seed else 0)

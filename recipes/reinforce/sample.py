"""Rollouts of a step: solutions of the model as it is, with real execution, and what they earn."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from recipes.reinforce.groups import pick, varies
from recipes.reinforce.journal import Journal, Rollout
from recipes.reinforce.reward import dealt_out, is_unfinished, reward_of
from runtime.errors import EngineError
from runtime.settings import SolverSettings, derived_seed
from runtime.solver.item import Item, with_samples
from runtime.solver.side_by_side import solve_side_by_side

if TYPE_CHECKING:
    from recipes.reinforce.questions import Question
    from recipes.reinforce.settings import ReinforceSettings
    from runtime.engine import Engine
    from runtime.sandbox import Limits

PART = 512
"""Solutions that are drawn, then written down, together: what a kill costs. A round of `rft` has thousands."""

PATIENT_SECONDS = 7200.0
"""No limit of time decides about a solution of training: the machine may be busy with other things."""


def plain(solve: SolverSettings) -> SolverSettings:
    """`solve` with nothing between the model's probabilities and the draw, so that mu compares with pi."""
    return solve.model_copy(
        update={
            "temperature": 1.0, "top_k": 0, "top_p": 1.0, "min_p": 0.0, "repeat_penalty": 1.0, "dialect": "lce",
            "mode": "full", "code_execution": True, "max_seconds": PATIENT_SECONDS,
        }
    )  # fmt: skip


_SECONDS = ("sample", "cells", "cells_beside", "grade")


@dataclass
class Sampled:
    """The solutions of one step.

    Attributes:
        groups: question to its solutions that came to an end, all turns together.
        seconds: of this call: sampling; within it, waiting for cells with nothing to decode, the cells beside the
            decoding (summed over solutions, their waiting for a processor included), and grading.
        fresh: solutions drawn in this call; the others were read from the journal.
    """

    groups: dict[int, list[Rollout]] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=lambda: dict.fromkeys(_SECONDS, 0.0))
    fresh: int = 0

    @property
    def rollouts(self) -> list[Rollout]:
        """All solutions."""
        return [rollout for group in self.groups.values() for rollout in group]

    def rewards(self) -> list[list[float]]:
        """Of each group."""
        return [[rollout.reward for rollout in group] for group in self.groups.values()]


class Sampler:
    """Draws the groups of a step, or reads back what was drawn before the run was interrupted."""

    def __init__(
        self, engine: Engine, pool: Sequence[Question], options: ReinforceSettings, solve: SolverSettings,
        limits: Limits, journal: Journal, seed: int, decoders: int = 1,
    ) -> None:  # fmt: skip
        self.engine, self.pool, self.options, self.limits = engine, pool, options, limits
        self.solve, self.journal, self.seed, self.decoders = plain(solve), journal, seed, decoders
        self.rates: dict[int, float] = {}

    def remember(self, groups: dict[int, list[Rollout]]) -> None:
        """Take over how often the questions of a step were solved."""
        for question, group in groups.items():
            self.rates[question] = sum(rollout.reward for rollout in group) / len(group)

    def recall(self, steps: int) -> None:
        """Rebuild what was remembered in the first `steps` steps from the journal."""
        for step in range(steps):
            sampled = Sampled()
            for rollouts in self.journal.parts(step):
                _add(sampled, rollouts)
            self.remember(sampled.groups)

    def __call__(
        self, step: int, adapter: str, on_solution: Callable[[int, int], None] | None = None,
        on_part: Callable[[Sampled], None] | None = None,
    ) -> Sampled:  # fmt: skip
        """The groups of `step`, drawn by the adapter with this hash.

        Groups without variance are filled up with other questions, at most `refill` times.

        Args:
            on_solution: told how many solutions are drawn, and of how many.
            on_part: shown what there is after each part; what it raises ends the step.

        Raises:
            EngineError: the engine cannot go on, or not one of the solutions drawn together came to an end.
            WriteError: the journal cannot be written.
        """
        options, sampled = self.options, Sampled()
        wanted, part, planned = options.questions, 0, 0
        at_a_time = max(1, PART // options.samples)
        for turn in range(options.refill + 1):
            numbers = pick(
                len(self.pool), wanted, seed=self.seed, step=step, turn=turn, rates=self.rates,
                band=(options.hardest, options.easiest), taken=sampled.groups.keys(),
            )  # fmt: skip
            if not numbers:
                break
            asked = planned
            planned += len(numbers) * options.samples
            settings = self.solve.model_copy(update={"seed": derived_seed(self.seed + 1, step, turn)})
            for first in range(0, len(numbers), at_a_time):
                some = numbers[first : first + at_a_time]
                facts = {"adapter": adapter, "questions": [[n, self.pool[n].id] for n in some]}
                rollouts = self.journal.read(step, part, facts)
                if rollouts is None:
                    place = (asked + first * options.samples, planned)
                    rollouts = self._draw(step, part, some, settings, sampled, place, on_solution)
                    self.journal.write(step, part, facts, rollouts)
                _add(sampled, rollouts)
                part += 1
                if on_part is not None:
                    on_part(sampled)
            wanted = options.questions - sum(self.useful(group) for group in sampled.groups.values())
            if wanted <= 0:
                break
        self.remember(sampled.groups)
        return sampled

    def useful(self, group: Sequence[Rollout]) -> bool:
        """Whether a group gives the method something to train on."""
        rewards = [rollout.reward for rollout in group]
        return varies(rewards) if self.options.method == "pg" else any(rewards)

    def _draw(
        self, step: int, part: int, numbers: Sequence[int], settings: SolverSettings, sampled: Sampled,
        place: tuple[int, int], on_solution: Callable[[int, int], None] | None,
    ) -> list[Rollout]:  # fmt: skip
        options, began = self.options, time.perf_counter()
        # Only the text goes in: the gold answer stays here.
        asked = (Item(str(number), number, self.pool[number].text) for number in numbers)
        found: dict[tuple[int, int], Rollout] = {}
        failed = ""
        waited: list[float] = []
        total = len(numbers) * options.samples
        for done, (item, solution) in enumerate(
            solve_side_by_side(
                self.engine, with_samples(asked, options.samples), settings, limits=self.limits,
                slots=min(options.slots, total), decoders=self.decoders, trajectories=True,
                waited=waited,
            ), 1,
        ):  # fmt: skip
            if on_solution is not None:
                on_solution(place[0] + done, place[1])
            written = solution.trajectory
            if is_unfinished(solution.status) or written is None or not written.places:
                failed = solution.detail or solution.status
                continue
            graded = time.perf_counter()
            key = (item.index, item.sample)
            reward = reward_of(solution, self.pool[item.index].gold, options.reward, f"{self.seed} {step} {key}")
            told: dict[str, Any] = {**solution.as_dict(), "supported": solution.is_supported}
            found[key] = Rollout(*key, reward, told, written)
            sampled.seconds["grade"] += time.perf_counter() - graded
            sampled.seconds["cells_beside"] += solution.ms["execution"] / 1e3
        if not found:
            raise EngineError(
                f"not one of {total} solutions came to an end ({failed})",
                "the run stops; the last checkpoint is kept",
                "mend that, and give the same command again",
            )
        sampled.seconds["cells"] += sum(waited) / len(waited) if waited else 0.0
        sampled.seconds["sample"] += time.perf_counter() - began
        sampled.fresh += len(found)
        # In the order in which they were asked: they finish in another one each time.
        order = {number: place for place, number in enumerate(numbers)}
        drawn = [found[key] for key in sorted(found, key=lambda key: (order[key[0]], key[1]))]
        if options.reward == "shuffled":
            rewards = dealt_out([rollout.reward for rollout in drawn], f"{self.seed} {step} {part}")
            for rollout, reward in zip(drawn, rewards, strict=True):
                rollout.reward = reward
        return drawn


def _add(sampled: Sampled, rollouts: Sequence[Rollout]) -> None:
    for rollout in rollouts:
        sampled.groups.setdefault(rollout.question, []).append(rollout)

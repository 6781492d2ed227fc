"""Voting: one answer from several solutions to the same question (maj@K)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from runtime.grade import equivalent
from runtime.solver.solution import Solution


@dataclass(frozen=True)
class Vote:
    """The outcome.

    Attributes:
        answer: the winning answer as its first sample wrote it, None where no sample answered.
        votes: how many samples gave it.
        groups: every distinct answer with its number of samples, best first.
        members: positions of the winning samples.
    """

    answer: str | None
    votes: int
    groups: tuple[tuple[str, int], ...]
    members: tuple[int, ...] = ()


def vote(solutions: Sequence[Solution], same: Callable[[str, str], bool] = equivalent) -> Vote:
    """The answer most samples agree on.

    Answers are grouped by `same`. Only a finished solution votes; where none finished, the best answers of the
    unfinished ones do. Ties go to the answer that more samples computed as their last executed value, whatever they
    then wrote; a tie that is left goes to the earliest sample, so that the outcome does not depend on timing.
    """
    voters = [n for n, s in enumerate(solutions) if s.status == "answered" and s.answer]
    voters = voters or [n for n, s in enumerate(solutions) if s.answer]
    groups: list[list[int]] = []
    for number in voters:
        answer = str(solutions[number].answer)
        home = next((g for g in groups if same(answer, str(solutions[g[0]].answer))), None)
        if home is None:
            groups.append([number])
        else:
            home.append(number)
    if not groups:
        return Vote(None, 0, ())
    executed = [_last_execution(solution) for solution in solutions]
    most = max(len(group) for group in groups)
    tied = [group for group in groups if len(group) == most]

    def agreement(group: list[int]) -> int:
        answer = str(solutions[group[0]].answer)
        return sum(value is not None and same(value, answer) for value in executed)

    # `max` keeps the first of equals, and groups are in the order of their first samples.
    winner = tied[0] if len(tied) == 1 else max(tied, key=agreement)
    ranked = sorted(groups, key=lambda group: (group is not winner, -len(group), group[0]))
    return Vote(
        answer=solutions[winner[0]].answer,
        votes=len(winner),
        groups=tuple((str(solutions[group[0]].answer), len(group)) for group in ranked),
        members=tuple(winner),
    )


def _last_execution(solution: Solution) -> str | None:
    for block in reversed(solution.blocks):
        if block.type == "execution":
            value = block.content.strip()
            return value if value and len(value) <= 200 else None
    return None

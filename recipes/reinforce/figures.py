"""What a step's solutions say of the run, success and collapse alike: its numbers in the log."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from recipes.reinforce.groups import varies
from recipes.reinforce.journal import Rollout
from runtime.grade import equivalent


def sample_figures(groups: Mapping[int, Sequence[Rollout]]) -> dict[str, Any]:
    """Figures of the solutions of one step; shares of 0 to 1, lengths in drawn tokens.

    `pass_at_1` is the mean reward, `pass_at_k` the share of questions that any sample got, `maj_at_k` that of those
    whose most frequent answer earned. `pass_at_k` falls first where a policy collapses.
    """
    every = [rollout for group in groups.values() for rollout in group]
    count = max(1, len(every))
    solutions = [rollout.solution for rollout in every]
    rewards = [[rollout.reward for rollout in group] for group in groups.values()]
    lengths = sorted(len(rollout.trajectory.places) for rollout in every)
    cells = sum(s["cells"] for s in solutions)
    void = Counter(rollout.solution["status"] for rollout in every if rollout.void)
    supported = [s["supported"] for s in solutions if s["supported"] is not None]
    flat = [group for group in rewards if not varies(group)]
    groups_count = max(1, len(rewards))
    return {
        "rollouts": len(every),
        "questions": len(rewards),
        "pass_at_1": sum(map(sum, rewards)) / count,
        "pass_at_k": sum(any(group) for group in rewards) / groups_count,
        "maj_at_k": sum(_majority_earned(group) for group in groups.values()) / groups_count,
        "flat_share": len(flat) / groups_count,
        "all_right": sum(all(group) for group in flat) / groups_count,
        "all_wrong": sum(not any(group) for group in flat) / groups_count,
        "length_mean": sum(lengths) / count,
        "length_p95": lengths[int(0.95 * (len(lengths) - 1))] if lengths else 0,
        "cells": cells / count,
        "failed_cells": sum(s["failed_cells"] for s in solutions) / max(1, cells),
        "no_cell_share": sum(s["cells"] == 0 for s in solutions) / count,
        "unsupported": supported.count(False) / max(1, len(supported)),
        "void_share": sum(void.values()) / count,
        "void": dict(sorted(void.items())),
        "notices": sum(bool(s["notices"]) for s in solutions),
        "no_answer": sum(s["status"] == "no_answer" for s in solutions) / count,
    }


def _majority_earned(group: Sequence[Rollout]) -> bool:
    """Whether the most frequent answer of a question's samples earned; ties go to the earlier one."""
    kinds: list[list[Rollout]] = []
    for rollout in group:
        answer = rollout.solution["answer"]
        if answer is None:
            continue
        home = next((kind for kind in kinds if equivalent(answer, kind[0].solution["answer"])), None)
        if home is None:
            kinds.append([rollout])
        else:
            home.append(rollout)
    if not kinds:
        return False
    most = max(kinds, key=len)
    return sum(rollout.reward for rollout in most) > len(most) / 2


def rounded(entry: Mapping[str, Any]) -> dict[str, Any]:
    """`entry` with floats of six significant digits, as the log holds them."""
    return {
        key: float(f"{value:.6g}") if isinstance(value, float) else rounded(value) if isinstance(value, dict) else value
        for key, value in entry.items()
    }

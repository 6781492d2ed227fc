"""Which questions a step asks, what each solution is worth, and when to stop: pure functions."""

from __future__ import annotations

import random
from collections.abc import Collection, Mapping, Sequence
from statistics import median
from typing import Any

from runtime.errors import InputError

LEAST_VARIED = 0.05
"""Share of groups whose samples differ in reward below which a first step has nothing to learn from."""
DRIFT = 1e-3
"""Nats a token between sampler and trainer that say nothing yet: a step of few tokens scatters that much."""
VOID_STATUSES = frozenset({"block_limit", "token_limit", "time_limit", "context_full", "repeated_error"})
"""Ends that are not the model's own. Such a solution earns nothing and is no example of anything either: its gradient
is that of text that nobody wrote to an end, and explodes (SimpleTIR, arXiv 2509.02479)."""
UNFINISHED = frozenset({"error", "interrupted"})
"""Ends that say nothing about the model."""


def pick(
    pool: int,
    count: int,
    *,
    seed: int,
    step: int,
    turn: int,
    rates: Mapping[int, float],
    band: tuple[float, float],
    taken: Collection[int] = (),
) -> list[int]:
    """Numbers of the questions to ask: a pure function of seed, step, turn and what was solved so far.

    Args:
        pool: how many questions there are.
        count: how many are wanted; fewer come where the pool is used up.
        turn: 0, or which refill of the step.
        rates: question to the share of its samples that earned, when it was last asked.
        band: questions with a known rate outside of it come last.
        taken: questions the step has asked already.
    """
    order = list(range(pool))
    random.Random(f"reinforce {seed} {step} {turn}").shuffle(order)
    free = [number for number in order if number not in taken]
    low, high = band
    # `sorted` keeps the shuffled order among equals.
    return sorted(free, key=lambda number: not (number not in rates or low <= rates[number] <= high))[:count]


def centred(rewards: Sequence[float]) -> list[float]:
    """Rewards minus their mean.

    Not divided by their deviation, which favours nearly solved and nearly unsolved questions (Dr. GRPO, arXiv
    2503.20783).
    """
    mean = sum(rewards) / len(rewards)
    return [reward - mean for reward in rewards]


def varies(rewards: Sequence[float]) -> bool:
    """Whether a group has anything to teach: some of its samples earn more than others."""
    return len(set(rewards)) > 1


def refuse_pool(groups: Sequence[Sequence[float]], method: str) -> None:
    """Refuse to go on after a first step, refills included, whose groups are nearly all alike.

    Raises:
        InputError: the model solves nearly everything, or nearly nothing, or the pool is split into the two.
    """
    if not groups:
        raise InputError("not one solution came to an end of its own", "nothing was learned", "see the run's rollouts")
    every = [reward for group in groups for reward in group]
    varied = sum(map(varies, groups)) / len(groups)
    share = sum(every) / len(every)
    if varied >= LEAST_VARIED or (method == "rft" and 0 < share < 1):
        return
    asked = f"of {len(every)} solutions to {len(groups)} questions {share:.0%} earn"
    if share > 0.5:
        raise InputError(
            f"{asked}, and in {1 - varied:.0%} of the questions all or none",
            "there is nothing left to learn from this pool",
            "give harder questions with --data",
        )
    raise InputError(
        f"{asked}, and in {1 - varied:.0%} of the questions all or none",
        "reinforcement cannot begin where nothing succeeds",
        "fine-tune first (mathcoder train), give easier questions with --data, or raise solve.max_tokens",
    )


def stop_reason(log: Sequence[Mapping[str, Any]]) -> str | None:
    """Why a run should stop after the last step of `log`, None where it should not."""
    first, last = log[0], log[-1]
    now, then = last.get("mismatch_kl", 0.0), first.get("mismatch_kl", 0.0)
    if now > max(DRIFT, 10 * then):
        return f"sampler and trainer have drifted apart (KL {now:.1e}, at first {then:.1e})"
    if last.get("entropy", 1.0) < 0.1 * first.get("entropy", 0.0):
        return f"the model hardly varies any more (entropy {last['entropy']:.3f}, at first {first['entropy']:.3f})"
    recent = log[-3:]
    if len(recent) == 3 and all(entry["void_share"] > 0.3 for entry in recent):
        return "for three steps more than 30 % of the solutions ran into a limit"
    if len(recent) == 3 and all(entry["flat_share"] > 0.9 for entry in recent):
        return "for three steps in over 90 % of the questions all or none of the samples earned: nothing left to learn"
    return None


def held_out_reason(evaluated: Sequence[Mapping[str, Any]], patience: int) -> str | None:
    """Why a run should stop after the last of its evaluations, None where it should not.

    Args:
        evaluated: `step`, `pass_at_1` and, but for the first, `gain_high` of each.
        patience: evaluations without a new best after which it stops; 0: it goes on.
    """
    if len(evaluated) < 2:
        return None
    first, last = evaluated[0], evaluated[-1]
    if last.get("gain_high", 0.0) < 0:
        return (
            f"of the held-out questions {last['pass_at_1']:.1%} are solved and at the start {first['pass_at_1']:.1%} "
            "were (95 % interval of the change below 0)"
        )
    best = max(evaluated, key=lambda one: float(one["pass_at_1"]))
    since = sum(one["step"] > best["step"] for one in evaluated)
    if patience and since >= patience:
        return (
            f"for {since} evaluations no more held-out questions were solved than after step {best['step']} "
            f"({best['pass_at_1']:.1%})"
        )
    return None


def warnings(log: Sequence[Mapping[str, Any]]) -> list[str]:
    """What a person should look at after the last step of `log`."""
    first, last = log[0], log[-1]
    found = []
    if last["no_cell_share"] > first["no_cell_share"] + 0.2:
        found.append(
            f"{last['no_cell_share']:.0%} of the solutions run no code (at first {first['no_cell_share']:.0%})"
        )
    norms = [entry["grad_norm"] for entry in log[:-1] if entry.get("grad_norm")]
    if len(norms) >= 3 and last.get("grad_norm", 0.0) > 20 * median(norms):
        found.append(f"the gradient is {last['grad_norm'] / median(norms):.0f} times as long as usual")
    return found

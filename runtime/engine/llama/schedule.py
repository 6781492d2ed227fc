"""What one step of a decoder evaluates: tokens of each sequence, and fillers between them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from runtime.engine.protocol import TokenSequence

Share = tuple[TokenSequence, int]
"""A sequence, and how many of its pending tokens a step takes."""


def share_out(sequences: Sequence[TokenSequence], room: int, few: int) -> list[Share]:
    """How many tokens each sequence gives to a step, in the order of slots.

    Sequences with few pending tokens have their place for sure, so that a long prompt never holds them up.

    Args:
        room: tokens that the step can take.
        few: most pending tokens that count as few.
    """
    pending = [(sequence, len(sequence.ids) - sequence.past) for sequence in sequences]
    pending = sorted((share for share in pending if share[1]), key=lambda share: share[0].slot)
    least = min((count for _, count in pending), default=0)
    spare = room - least * sum(1 for _, count in pending if count <= few)
    parts = []
    for sequence, count in pending:
        taken = min(least, room) if count <= few else max(0, min(count, spare, room))
        if taken:
            spare -= taken if count > few else 0
            room -= taken
            parts.append((sequence, taken))
    return parts


def fillers(parts: list[Share], past: Callable[[int], int], room: int, n_ctx: int) -> list[tuple[int, int]]:
    """(slot, position) of the tokens that join groups of slots where one large group costs less than two.

    What attention to the past of a slot in between costs is not counted; it is little beside the weights.

    Args:
        parts: what `share_out` gave.
        past: how many tokens a slot holds.
        room: tokens that the step can take.
        n_ctx: tokens that a slot can hold.
    """
    groups: list[list[int]] = []
    for sequence, _ in parts:
        if groups and groups[-1][1] == sequence.slot - 1:
            groups[-1][1] = sequence.slot
        else:
            groups.append([sequence.slot, sequence.slot])
    if len(groups) == 1 or min(count for _, count in parts) > 1:
        return []
    # Cheapest way to join the groups up to each one: (cost, the first of the last joined ones).
    cheapest: list[tuple[float, int]] = [(0.0, 0)]
    for end, (_, last) in enumerate(groups):
        ways = ((cheapest[begin][0] + cost(last - groups[begin][0] + 1), begin) for begin in range(end + 1))
        cheapest.append(min(ways))
    found: list[tuple[int, int]] = []
    end = len(groups)
    while end:
        begin = cheapest[end][1]
        for (_, last), (first, _) in zip(groups[begin:end], groups[begin + 1 : end], strict=False):
            found += [(slot, past(slot)) for slot in range(last + 1, first)]
        end = begin
    full = any(position >= n_ctx for _, position in found)
    return [] if full or len(found) > room - sum(count for _, count in parts) else found


def cost(rows: int) -> float:
    """What a step of `rows` single tokens takes, in steps of one token.

    Measured on processors with AVX2 and with AVX-512: up to four rows each costs nearly as much as one alone, then six
    about as much as one (a 0.5B model in Q4_K_M, 16 rows: 7.2 and 5.3 times one).
    """
    return min(rows, 4) + max(0, rows - 4) / 6

"""Equality of answers."""

from __future__ import annotations

from runtime.grade.strict import strict_equal


def equivalent(prediction: object, gold: object, *, lenient: bool = False) -> bool:
    """Whether `prediction` and `gold` are the same answer. Never raises."""
    if prediction is None or gold is None:
        return False
    left, right = ("".join(str(side).split()).strip("$").lower() for side in (prediction, gold))
    return bool(left) and (left == right or strict_equal(left, right))

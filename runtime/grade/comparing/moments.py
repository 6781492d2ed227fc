"""Equality of times of day, durations, scores, ranges and dates."""

from __future__ import annotations

from fractions import Fraction

from runtime.grade.comparing.scalars import expressions_equal
from runtime.grade.reading.nodes import Call, Joined, Moment, Number, Ratio, Scalar
from runtime.grade.reading.units import conversion

_HOUR, _MINUTE = 3600, 60


def equal(left: Moment, right: Moment) -> bool:
    """Whether two moments are one time of day or one duration; either may leave out a.m. or p.m."""
    if left.half and right.half:
        return _of_day(left) == _of_day(right)
    if _padded(left) == _padded(right):
        return True
    for long, short in ((left, right), (right, left)):
        # 0:02:05 is 2:05, read as minutes and seconds.
        if len(long.parts) == 3 and len(short.parts) == 2 and long.parts == (0, *short.parts):
            return long.half not in ("am", "pm") and short.half not in ("am", "pm")
    return False


def _padded(moment: Moment) -> tuple[Fraction, ...]:
    return (*moment.parts, Fraction(0))[:3]


def _of_day(moment: Moment) -> tuple[Fraction, ...]:
    hour, *rest = _padded(moment)
    if moment.half in ("am", "pm"):
        hour = hour % 12 + (12 if moment.half == "pm" else 0)
    return (hour, *rest)


def lasts(moment: Moment, quantity: Scalar) -> bool:
    """Whether a quantity with a unit of time is as long as a moment read as a duration."""
    unit = conversion(quantity.unit, "s")
    if unit is None or moment.half in ("am", "pm"):
        return False
    sizes = (_HOUR, _MINUTE, 1)
    starts = (0,) if len(moment.parts) == 3 else (0, 1)
    lengths = [sum(part * size for part, size in zip(moment.parts, sizes[start:], strict=False)) for start in starts]
    seconds = Call("mul", (quantity.expression, Number(unit)))
    return any(expressions_equal(seconds, Number(Fraction(length))) for length in lengths)


def ratio(moment: Moment) -> Ratio:
    """The ratio that a moment looks like."""
    return Ratio(tuple(map(Number, moment.parts)))


def joined_equal(left: Joined, right: Joined) -> bool:
    """Whether two are the same numbers in the same order; a date may have either separator."""
    if left.by == right.by == "*":
        return sorted(left.numbers) == sorted(right.numbers)
    return left.numbers == right.numbers and (left.by == right.by or (len(left.numbers) == 3))


def product(joined: Joined) -> Scalar:
    """The product that dimensions look like."""
    first, second = (Number(Fraction(number), 0, len(str(number))) for number in joined.numbers)
    return Scalar(Call("mul", (first, second)))

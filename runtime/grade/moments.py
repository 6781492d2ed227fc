"""Times of day: `6:30 p.m.`, `18:30`, `6 pm`."""

from __future__ import annotations

import re
from fractions import Fraction

from runtime.grade.nodes import Answer, Number, Scalar, Words

_TIME = re.compile(r"(\d{1,2})(?::(\d\d))?\s*([ap])\s*\.?\s*m\b\.?", re.IGNORECASE)
_NAMED = {"noon": "12:00pm", "midnight": "12:00am", "12 noon": "12:00pm", "12 midnight": "12:00am"}
_CLOCK = re.compile(r"(\d{1,2}):(\d\d)")


def read_time(text: str) -> list[Answer]:
    """The readings of a time of day; none where `text` is no time that says which half of the day it means."""
    if text.lower() in _NAMED:
        return [Words(_NAMED[text.lower()])]
    named = _TIME.fullmatch(text)
    if named and 1 <= int(named[1]) <= 12:
        return _readings(int(named[1]), named[2] or "00", named[3].lower() + "m", spoken=True)
    clock = _CLOCK.fullmatch(text)
    if clock and (int(clock[1]) in range(13, 24) or clock[1] in ("0", "00")) and int(clock[2]) < 60:
        hour = int(clock[1])
        return _readings(hour % 12 or 12, clock[2], "pm" if hour >= 12 else "am", spoken=False)
    return []


def _readings(hour: int, minutes: str, half: str, *, spoken: bool) -> list[Answer]:
    words = Words(f"{hour}:{minutes}{half}")
    # A whole hour is also a number with a unit, which the other side may leave out.
    return [Scalar(Number(Fraction(hour), 0, len(str(hour))), half), words] if spoken and minutes == "00" else [words]

"""Times, durations (`6:30 p.m.`, `1:30`), scores, ranges and dates (`3-2`, `3/4/2021`).

Such notations look like ratios, differences and fractions, and are none: they have one reading, as text.
"""

from __future__ import annotations

import re
from fractions import Fraction

from runtime.grade.reading.nodes import Answer, Joined, Moment, Number, Scalar, Words
from runtime.grade.reading.tokens import Token

_LONGEST = 16
"""Tokens: `11 : 45 : 30 p . m .` and some to spare."""
_NAMED = {"noon": "12:00pm", "midnight": "12:00am", "12 noon": "12:00pm", "12 midnight": "12:00am"}
_SPOKEN = re.compile(r"(\d{1,2})(?::([0-5]\d))?(?::([0-5]\d))?\s*([ap])\s*\.?\s*m\b\s*\.?", re.IGNORECASE)
_CLOCK = re.compile(r"(\d{1,3}):([0-5]\d)(?::([0-5]\d))?(\.\d{1,6})?")
_JOINED = re.compile(r"\d{1,15}(?:-\d{1,15}){1,7}|\d{1,15}(?:/\d{1,15}){2,7}")
_MONTHS = "january february march april may june july august september october november december".split()
_MONTH = rf"({'|'.join(f'{month[:3]}(?:{month[3:]})?' for month in _MONTHS)}|sept)\.?"
_DAY = r"(\d{1,2})(?:st|nd|rd|th)?"
_DATE = re.compile(rf"(?:{_MONTH} {_DAY}|{_DAY}(?: of)? {_MONTH})(?:,? (\d{{4}}))?", re.IGNORECASE)
_DIMENSIONS = re.compile(r"([1-9]\d{0,14})\s*(?:x|by|\\times)\s*(\d{1,15})")


def notation(tokens: list[Token]) -> Answer | None:
    """The time, duration, score, range or date that all tokens write together, else None."""
    if len(tokens) > 4 and tokens[0].text == "+":
        tokens = tokens[1:]  # +1-555-0142
    if not 2 <= len(tokens) <= _LONGEST or tokens[0].kind != "number":
        return None
    text = tokens[0].text + "".join((" " if token.spaced else "") + token.text for token in tokens[1:])
    moment = read_moment(text)
    if moment is not None:
        return moment
    if _JOINED.fullmatch(text):
        return Joined("/" if "/" in text else "-", tuple(map(int, re.split("[-/]", text))))
    return None


def read_date(text: str) -> Words | None:
    """A day of a named month, with or without its year: `Jan. 5`, `5 January`, `January 5th, 2020`."""
    match = _DATE.fullmatch(text)
    if match is None:
        return None
    month, day = (match[1] or match[4])[:3].lower(), int(match[2] or match[3])
    return Words(f"{month}{day},{match[5] or ''}") if 1 <= day <= 31 else None


def dimensions(text: str) -> Joined | None:
    """`3 x 4` and `3 \\times 4`: two lengths, or a product that nobody computed."""
    match = _DIMENSIONS.fullmatch(text)
    return Joined("*", (int(match[1]), int(match[2]))) if match else None


def read_moment(text: str) -> Moment | None:
    """A time of day, or a duration in hours and minutes or minutes and seconds; else None."""
    text = _NAMED.get(text.lower(), text)
    spoken = _SPOKEN.fullmatch(text)
    if spoken and 1 <= int(spoken[1]) <= 12:
        seconds = (Fraction(int(spoken[3])),) if spoken[3] else ()
        return Moment((Fraction(int(spoken[1])), Fraction(int(spoken[2] or 0)), *seconds), spoken[4].lower() + "m")
    clock = _CLOCK.fullmatch(text)
    if clock is None:
        return None
    parts = [Fraction(int(part)) for part in clock.groups()[:3] if part]
    # 18:30 and 06:30 are of a day with 24 hours, 6:30 may be of either half.
    whole_day = 13 <= parts[0] < 24 or clock[1].startswith("0")
    parts[-1] += Fraction(clock[4] or 0)
    return Moment(tuple(parts), "24" if whole_day and not clock[4] else "")


def whole_hour(moment: Moment) -> list[Answer]:
    """`6 pm` as a number with a unit, which the other side may leave out; empty for any other moment."""
    if moment.half not in ("am", "pm") or any(moment.parts[1:]):
        return []
    return [Scalar(Number(moment.parts[0], 0, len(str(moment.parts[0]))), moment.half)]

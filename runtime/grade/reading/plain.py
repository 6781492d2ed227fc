"""Answers that need no parser: numerals, also in words or with a base, times, `5 m`, thousands."""

from __future__ import annotations

import re
from fractions import Fraction

from runtime.grade.reading.cardinals import read_cardinal
from runtime.grade.reading.expression import ExpressionParser
from runtime.grade.reading.nodes import REALS, Answer, BaseNumeral, Number, Scalar
from runtime.grade.reading.notations import dimensions, read_date, read_moment, whole_hour
from runtime.grade.reading.tokens import tokenize
from runtime.grade.reading.units import canonical_unit

_NUMBER = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)")
_BASES = "two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen".split()
_BASED = re.compile(
    r"(-?)\s?\(?([0-9A-Za-z.]+?)\)?\s*"
    rf"(?:_\s*\{{?\s*(?:base\s*)?(\d+|{'|'.join(_BASES)})\s*\}}?|(?:in )?base\s*(\d+|{'|'.join(_BASES)}))"
)
_UNIT_LETTER = r"(?:mm|cm|km|nm|mg|kg|ml|mL|[kM]?(?:Hz|Pa|eV)|\\mu ?m|\\Omega|[mghsLlKNJWVA])(?:\^\{?[23]\}?)?"
_LETTER_UNIT = re.compile(
    r"([-+]?[\d.]*\d(?: ?(?:\\times|\\cdot) ?10 ?\^ ?(?:\{ ?-?\d{1,4} ?\}|\d))?)"
    rf"(?: ({_UNIT_LETTER})"
    rf"| ?({_UNIT_LETTER}\s*/\s*(?:h|s|min|hr|sec|{_UNIT_LETTER})(?:\^\{{?[23]\}}?)?))"
)
_ANGLE = re.compile(r"(\d{1,4})\s*\\deg\s*(\d{1,2}(?:\.\d{1,9})?)\s*'(?:\s*(\d{1,2}(?:\.\d{1,9})?)\s*(?:''|\"))?")
_REAL_LINE = re.compile(r"(?:the )?(?:set of )?(?:all )?(?:the )?reals?(?: numbers?)?|all real (?:values|x)", re.I)
SPACED_THOUSANDS = re.compile(r"[-+]?\d{1,3}(?: \d{3})+(?:\.\d+)?")
THOUSANDS = re.compile(r"(?<![\d.,])\d{1,3}(?:,\d{3})+(?![\d]|,\d)(?:\.\d+)?")


def simple(text: str) -> list[Answer]:
    """Plain numerals, also in words or with a base, times of day and the real line, without the parser."""
    if _NUMBER.fullmatch(text):
        return [Scalar(ExpressionParser(tokenize(text)).finish())]
    plain = re.sub(r"\\text\s*\{([^{}]*)\}", r" \1 ", text).strip()
    if re.search(r":|m\b|noon|night", plain, re.IGNORECASE) and (moment := read_moment(plain)):
        return [*(whole_hour(moment) if plain[0].isdigit() else []), moment]
    if found := dimensions(plain) or read_date(" ".join(plain.split())):
        return [found]
    based = _BASED.fullmatch(re.sub(r"\s+", " ", plain).replace("{ ", "{"))
    if based:
        sign, written = based[1], based[2]
        named = based[3] or based[4]
        base = _BASES.index(named) + 2 if named in _BASES else int(named[:6])
        # Letters alone are a numeral where all are digits of the base, else a name with its subscript.
        digits = len(written) > 1 and base <= 36 and all(c.isalnum() and int(c, 36) < base for c in written)
        if written[0].isdigit() or digits:
            return [BaseNumeral(sign + written.upper(), base)]
    if (number := read_cardinal(plain)) is not None:
        return [Scalar(ExpressionParser(tokenize(str(number))).finish())]
    return [REALS] if _REAL_LINE.fullmatch(" ".join(plain.split())) else []


def other_readings(text: str) -> list[Answer]:
    """What the parser reads in another way or not at all: `5 m` is five times m or five metres."""
    letter = _LETTER_UNIT.fullmatch(text)
    if letter:
        return [Scalar(ExpressionParser(tokenize(letter[1])).finish(), canonical_unit(letter[2] or letter[3]))]
    angle = _ANGLE.fullmatch(text)
    if angle:
        degrees = sum(Fraction(part or 0) / 60**index for index, part in enumerate(angle.groups()))
        return [Scalar(Number(Fraction(degrees)), "degree")]
    return []


def join_thousands(text: str) -> str:
    """Thousands separators removed, except directly inside brackets, where a comma separates."""
    result, depth, position = [], 0, 0
    while position < len(text):
        match = THOUSANDS.match(text, position) if depth == 0 else None
        if match:
            result.append(match.group().replace(",", ""))
            position = match.end()
            continue
        depth += (text[position] in "([") - (text[position] in ")]")
        if text.startswith((r"\{", r"\}"), position):
            depth += 1 if text[position + 1] == "{" else -1
            result.append(text[position])
            position += 1
        result.append(text[position])
        position += 1
    return "".join(result)

"""Units: which words may follow a number, and which of them mean the same."""

from __future__ import annotations

import re
from fractions import Fraction

_ALIASES = {
    "mm": "millimeter millimeters millimetre millimetres",
    "cm": "centimeter centimeters centimetre centimetres",
    "m": "meter meters metre metres",
    "km": "kilometer kilometers kilometre kilometres",
    "in": "inch inches",
    "ft": "foot feet",
    "yd": "yard yards yds",
    "mi": "mile miles",
    "mg": "milligram milligrams",
    "g": "gram grams gm gms",
    "kg": "kilogram kilograms kgs",
    "lb": "pound pounds lbs",
    "oz": "ounce ounces",
    "ml": "milliliter milliliters millilitre millilitres mL",
    "l": "liter liters litre litres L",
    "gal": "gallon gallons",
    "qt": "quart quarts",
    "pt": "pint pints",
    "s": "second seconds sec secs",
    "min": "minute minutes mins",
    "h": "hour hours hr hrs",
    "day": "days",
    "week": "weeks",
    "month": "months",
    "year": "years yr yrs",
    "mi/h": "mph",
    "km/h": "kph kmph",
    "usd": "dollar dollars bucks USD",
    "cent": "cents ¢",
    "eur": "euro euros €",
    "gbp": "£",
    "inr": "rupee rupees Rs",
    "jpy": "yen",
    "degree": "degrees deg",
    "am": "a.m. AM",
    "pm": "p.m. PM",
    "unit": "units",
    "percent": "percents",
}
_CANONICAL = {alias: name for name, aliases in _ALIASES.items() for alias in [name, *aliases.split()]}
_WORD = re.compile(r"[A-Za-z¢€£]+(?:\.[A-Za-z]\.)?")
_SQUARE = re.compile(r"\b(square|squared|sq)\b\.?\s*|square(?=[a-z])", re.IGNORECASE)
_CUBIC = re.compile(r"\b(cubic|cubed|cu)\b\.?\s*|cubic(?=[a-z])", re.IGNORECASE)

SHORT = frozenset(name for name in _CANONICAL if len(name) > 1 and name not in ("am", "pm")) | {"sq", "cu"}
"""Units that may follow a number without being marked as text. One-letter units would be taken from variables."""


def is_unit(text: str) -> bool:
    """Whether `text` names a unit, a currency or `percent` that is known here, squared or cubed or not."""
    words = _CUBIC.sub(" ", _SQUARE.sub(" ", text)).strip()
    return words in _CANONICAL or words.lower() in _CANONICAL


MAGNITUDES = {"dozen": 12, "hundred": 100, "thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12}
"""Words that multiply, in front of a unit or alone."""

_SIZES = {
    "length": {"mm": "1/1000", "cm": "1/100", "m": "1", "km": "1000"},
    "imperial length": {"in": "1", "ft": "12", "yd": "36", "mi": "63360"},
    "mass": {"mg": "1/1000", "g": "1", "kg": "1000"},
    "imperial mass": {"oz": "1", "lb": "16"},
    "volume": {"ml": "1/1000", "l": "1"},
    "imperial volume": {"pt": "1", "qt": "2", "gal": "8"},
    "time": {"s": "1", "min": "60", "h": "3600", "day": "86400", "week": "604800"},
    "calendar": {"month": "1", "year": "12"},
    "money": {"cent": "1/100", "usd": "1"},
}


def conversion(left: str, right: str) -> Fraction | None:
    """What one `left` is in `right`: 60 for hours in minutes; None where they measure different things."""
    for sizes in _SIZES.values():
        if left in sizes and right in sizes:
            return Fraction(sizes[left]) / Fraction(sizes[right])
    return None


def canonical_unit(text: str) -> str:
    """One name for a unit: `square inches`, `in^2` and `sq in` agree; others become singular."""
    text = text.replace("\\", " ").replace("{", "").replace("}", "").strip().strip(".,;").strip()
    power = ""
    if _SQUARE.search(text):
        text, power = _SQUARE.sub(" ", text), "^2"
    elif _CUBIC.search(text):
        text, power = _CUBIC.sub(" ", text), "^3"
    lowered = text.strip().lower().replace(" ", "")
    if re.fullmatch(r"[ap]\.?m\.?", lowered):
        return lowered[0] + "m"
    # m s^-1 is m/s.
    text = re.sub(
        r"(?<=[A-Za-z])[ *.]+([A-Za-z]+)\^-(?:1|([23]))", lambda m: f"/{m[1]}{'^' + m[2] if m[2] else ''}", text
    )
    text = re.sub(r"(?<=[A-Za-z])(?=[23])", "^", re.sub(r"\bper\b", "/", text))
    names = re.sub(r"\s*([/^])\s*", r"\1", _WORD.sub(lambda match: _word(match.group()), text))
    return "".join(names.split()) + power


def _word(word: str) -> str:
    for candidate in (word, word.lower()):
        if candidate in _CANONICAL:
            return _CANONICAL[candidate]
    word = word.lower()
    return word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith("ss") else word


def compatible(left: str, right: str) -> bool:
    """Whether two units may stand for one quantity: equal, or one side leaves the unit out."""
    return left == right or not left or not right

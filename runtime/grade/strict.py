"""Strict numeric grading, which reproduces the published GSM8K and SVAMP cells exactly."""

from __future__ import annotations

import math

TOLERANCE = 1e-6
"""Absolute; decimals in the released solutions are rounded to six places."""


def strict_equal(prediction: object, gold: object) -> bool:
    r"""Whether both are plain numbers that differ by less than 1e-6.

    Only `,`, `$` and backslashes are removed first; `18 dollars`, `1/2` and `\frac{1}{2}` are no plain numbers.
    """
    left, right = plain_number(prediction), plain_number(gold)
    return left is not None and right is not None and abs(left - right) < TOLERANCE


def plain_number(value: object) -> float | None:
    """`value` as a finite float where it is a number or spells one, else None."""
    if value is None or isinstance(value, bool):
        return None
    try:
        text = str(value)
    except Exception:  # An int of more than 4,300 digits has no text.
        return None
    text = text.replace(",", "").replace("$", "").replace("\\", "").strip()
    # float() reads underscores and words that no grader should take for numbers.
    if not text or len(text) > 400 or any(c not in "0123456789+-.eE" for c in text):
        return None
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None

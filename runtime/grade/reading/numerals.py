"""Numerals, exactly, and products of factors."""

from __future__ import annotations

from fractions import Fraction

from runtime.grade.reading.nodes import Call, Expression, Number, Unreadable


def read_number(text: str) -> Number:
    """The numeral `text`, exactly."""
    mantissa, _, exponent = text.lower().partition("e")
    if exponent and abs(int(exponent[:6])) > 5000:
        raise Unreadable
    whole, _, decimals = mantissa.partition(".")
    decimals = decimals.rstrip("0")
    value = Fraction(int((whole or "0") + decimals), 10 ** len(decimals)) * Fraction(10) ** int(exponent or 0)
    digits = len((whole + decimals).lstrip("0"))
    return Number(value, max(0, len(decimals) - int(exponent or 0)) if decimals or exponent else 0, digits)


def product_of(factors: list[Expression]) -> Expression:
    """The product of one or more factors."""
    return factors[0] if len(factors) == 1 else Call("mul", tuple(factors))

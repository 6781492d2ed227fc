r"""Sums and products written out: `\sum_{k=1}^{5} k^2` is five terms. Those without a numeral as bound are not read."""

from __future__ import annotations

import functools
from fractions import Fraction
from typing import TYPE_CHECKING

from runtime.grade.nodes import Call, Expression, Number, Symbol, Unreadable

if TYPE_CHECKING:
    from runtime.grade.expression import Parser

MOST_TERMS = 200


def series(parser: Parser, command: str) -> Expression:
    """The expression that `command` and what follows it stand for; the summand ends where a product does.

    Raises:
        Unreadable: a bound is no integer, or there are too many terms.
    """
    parser.expect("_")
    parser.expect("{")
    name = parser.take()
    parser.expect("=")
    first = _integer(parser.sum())
    parser.expect("}")
    parser.expect("^")
    last = _integer(parser.exponent())
    if name.kind not in ("name", "symbol") or not 0 <= last - first < MOST_TERMS:
        raise Unreadable
    body = parser.product()
    terms = [replaced(body, name.text, Number(Fraction(value), 0, 1)) for value in range(first, last + 1)]
    if command == r"\sum":
        return Call("add", tuple(terms))
    return functools.reduce(lambda product, factor: Call("mul", (product, factor)), terms)


def replaced(expression: Expression, name: str, value: Expression) -> Expression:
    """`expression` with `value` for the variable `name`."""
    if isinstance(expression, Symbol):
        return value if expression.name == name else expression
    if isinstance(expression, Call):
        return Call(expression.name, tuple(replaced(argument, name, value) for argument in expression.arguments))
    return expression


def _integer(expression: Expression) -> int:
    negative = isinstance(expression, Call) and expression.name == "neg"
    number = expression.arguments[0] if isinstance(expression, Call) and negative else expression
    if not isinstance(number, Number) or number.value.denominator != 1 or abs(number.value) > 10**6:
        raise Unreadable
    return -int(number.value) if negative else int(number.value)

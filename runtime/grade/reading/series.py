r"""Sums and products written out: `\sum_{k=1}^{5} k^2` is five terms."""

from __future__ import annotations

from fractions import Fraction

from runtime.grade.reading.nodes import Call, Expression, Number, Symbol, Unreadable

MOST_TERMS = 200


def written_out(command: str, name: str, first: int, last: int, body: Expression) -> Expression:
    """The sum (or product) of `body` with each integer from `first` to `last` for `name`."""
    terms = tuple(replaced(body, name, Number(Fraction(value), 0, 1)) for value in range(first, last + 1))
    return Call("add" if command == r"\sum" else "mul", terms)


def replaced(expression: Expression, name: str, value: Expression) -> Expression:
    """`expression` with `value` for the variable `name`."""
    if isinstance(expression, Symbol):
        return value if expression.name == name else expression
    if isinstance(expression, Call):
        return Call(expression.name, tuple(replaced(argument, name, value) for argument in expression.arguments))
    return expression


def bound(expression: Expression) -> int:
    """The integer that a bound of a sum is.

    Raises:
        Unreadable: it is none.
    """
    negative = isinstance(expression, Call) and expression.name == "neg"
    number = expression.arguments[0] if isinstance(expression, Call) and negative else expression
    if not isinstance(number, Number) or number.value.denominator != 1 or abs(number.value) > 10**6:
        raise Unreadable
    return -int(number.value) if negative else int(number.value)

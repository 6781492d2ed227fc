r"""General solutions: `\frac{\pi}{4} + k\pi` is the same whatever the integer is called."""

from __future__ import annotations

from fractions import Fraction

from runtime.grade.comparing import values
from runtime.grade.reading.nodes import Call, Expression, Number, Symbol
from runtime.grade.reading.series import replaced

_INTEGERS = frozenset("k n m l N K".split())


def same_parameter(left: Expression, right: Expression) -> Expression:
    """`left` with `right`'s name for its integer, where both are families of angles; else as it is."""
    names = values.variables(left), values.variables(right)
    if len(names[0]) != 1 or len(names[1]) != 1 or names[0] == names[1] or not names[0] | names[1] <= _INTEGERS:
        return left
    (here,), (there,) = names
    return replaced(left, here, Symbol(there)) if _is_family(left, here) and _is_family(right, there) else left


def _is_family(expression: Expression, name: str) -> bool:
    """Whether `expression` is linear in `name` and speaks of pi or of degrees."""
    if not _has_turns(expression):
        return False
    try:
        first, second, third = (values.evaluate(expression, {name: Fraction(value)}) for value in (0, 1, 2))
    except (values.Undefined, values.TooBig):
        return False
    return not values.close(first, second) and values.close(second - first, third - second)


def _has_turns(expression: Expression) -> bool:
    if isinstance(expression, Call):
        return expression.name == "degrees" or any(map(_has_turns, expression.arguments))
    return not isinstance(expression, Number) and expression.name == "pi"

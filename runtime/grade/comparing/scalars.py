"""Equality of single values and of expressions with variables."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

from runtime.grade.comparing import values
from runtime.grade.reading.nodes import Call, Expression, Number

ENOUGH_POINTS = 2
"""Points where both sides have a value, before an agreement counts. Two rational points of five-digit coordinates agree
by chance about once in 10^7 for expressions of the size of an answer."""
_FAR = 41
_NOISE = Fraction(1, 10**12)
"""Relative. What float arithmetic leaves behind: 0.30000000000000004, 14.999999999999998."""
_FLOAT_DIGITS = 9
"""A prediction of as many digits, six of them decimals, was printed from a float: it stands for what it rounds."""
_SAFE_DIGITS, _SAFE_DECIMALS, _GOLD_DIGITS, _GOLD_DECIMALS, _FINER = 6, 6, 4, 2, 4


def expressions_equal(left: Expression, right: Expression, *, lenient: bool = False) -> bool | None:
    """Whether an expression equals the gold one (`right`); None where that cannot be computed.

    Raises:
        values.TooBig: a side is too large to compute. The algebra library would not get to the end of it either.

    Numbers are compared exactly, except that a decimal may stand for the value it is a rounding of (`rounds_to`).
    Expressions with variables are compared in several points.
    """
    if left == right:
        return True
    names = values.variables(left) | values.variables(right)
    if not names:
        return _constants_equal(left, right, lenient=lenient)
    complex_numbers = _mentions(left, "i") or _mentions(right, "i")
    agreed = 0
    for here, there in _values(left, right, names):
        if not complex_numbers and not (values.is_real(here) and values.is_real(there)):
            # Outside the real domain of one side, such as sqrt(x) for negative x, the identity claims nothing.
            continue
        if not values.close(here, there):
            return False
        agreed += 1
    return True if agreed >= ENOUGH_POINTS else None


def _values(left: Expression, right: Expression, names: set[str]) -> Iterator[tuple[Any, Any]]:
    # Whole parts of small numbers are 0 and 1, which are their own squares.
    stepped = any(_calls(side, name) for side in (left, right) for name in ("floor", "ceil"))
    # And a step between two whole numbers is seen at whole numbers alone: floor(sqrt(n-1)) and floor(sqrt(n-2)).
    near = values.whole_points(names) if stepped else ()
    for point in itertools.chain(values.points(names, _FAR if stepped else 1), near):
        try:
            yield values.evaluate(left, point), values.evaluate(right, point)
        except values.Undefined:
            continue


def _calls(expression: Expression, name: str) -> bool:
    return isinstance(expression, Call) and (
        expression.name == name or any(_calls(argument, name) for argument in expression.arguments)
    )


def _mentions(expression: Expression, name: str) -> bool:
    if isinstance(expression, Call):
        return any(_mentions(argument, name) for argument in expression.arguments)
    return not isinstance(expression, Number) and expression.name == name


def _constants_equal(left: Expression, right: Expression, *, lenient: bool) -> bool | None:
    try:
        here, there = values.evaluate(left, {}), values.evaluate(right, {})
    except values.Undefined:
        return None
    if values.close(here, there):
        return True
    return rounds_to(left, here, right, there, lenient=lenient)


def literal(expression: Expression) -> Number | None:
    """The numeral that an expression is, its sign aside, or None."""
    while isinstance(expression, Call) and expression.name == "neg":
        (expression,) = expression.arguments
    return expression if isinstance(expression, Number) else None


def rounds_to(left: Expression, here: Any, right: Expression, there: Any, *, lenient: bool) -> bool:
    """Whether a decimal on one side is a rounding of the value on the other.

    - Float noise: two decimals that agree to 12 digits.
    - A decimal of six or more decimals (and digits) stands for the exact value it rounds: 0.333333 for 1/3.
    - So does a prediction of nine digits for a gold that has more: 1.3333333333 for 1.33333333333333.
    - A gold decimal of at least four digits, two of them decimals, stands for a prediction that is exact or has at
      least four digits more: 2/3 for gold 0.6667. Never the other way round: a prediction may not be coarser.
    - Lenient: the second and third rule for any decimal of at least three digits, in both directions.
    """
    if not (values.is_real(here) and values.is_real(there)):
        return False
    prediction, gold = literal(left), literal(right)
    if prediction and gold and (prediction.decimals or gold.decimals):
        exact_here, exact_there = Fraction(here), Fraction(there)
        if abs(exact_here - exact_there) <= _NOISE * max(abs(exact_here), abs(exact_there)):
            return True
    for numeral, value, other, other_value, is_gold in (
        (prediction, here, gold, there, False),
        (gold, there, prediction, here, True),
    ):
        if numeral is None or numeral.decimals == 0:
            continue
        finer = other is None or other.digits >= numeral.digits + _FINER
        exact_other = other is None or (not is_gold and numeral.digits >= _FLOAT_DIGITS)
        enough = numeral.digits >= _SAFE_DIGITS and numeral.decimals >= _SAFE_DECIMALS and exact_other
        if is_gold:
            enough = enough or (finer and numeral.digits >= _GOLD_DIGITS and numeral.decimals >= _GOLD_DECIMALS)
        if lenient:
            enough = enough or numeral.digits >= 3
        if enough and _is_rounding(value, numeral.decimals, other_value):
            return True
    return False


def _is_rounding(rounded: Any, decimals: int, value: Any) -> bool:
    if decimals > 60:
        return False
    half = values.approximate(Fraction(1, 2 * 10**decimals))
    return bool(abs(values.approximate(rounded) - values.approximate(value)) <= half * (1 + Fraction(1, 10**9)))


def proportional(left: Expression, right: Expression, *, positive: bool = False) -> bool | None:
    """Whether left = c * right for a constant c, not zero (`positive`: above it); None if undecided.

    Two equations `left = 0` and `right = 0` with proportional sides are one equation.
    """
    names = values.variables(left) | values.variables(right)
    if not names:
        return None
    factor = None
    agreed = 0
    for here, there in _values(left, right, names):
        if values.close(here, Fraction(0)) or values.close(there, Fraction(0)):
            if values.close(here, there):
                continue
            return False
        ratio = values.approximate(here) / values.approximate(there)
        if factor is None:
            factor = ratio
            if not values.is_real(factor) or (positive and not factor > 0):
                return False
        elif not values.close(factor, ratio):
            return False
        agreed += 1
    return True if agreed > ENOUGH_POINTS else None

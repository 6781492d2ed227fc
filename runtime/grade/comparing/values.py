"""What expressions are worth: exact fractions, or 120 digits, and never an unbounded computation.

The polynomial-identity idea decides equality of expressions with variables: two that agree in several arbitrary points
are one. Points are fixed, so a verdict never changes between runs.
"""

from __future__ import annotations

import functools
import hashlib
import math
import threading
from collections.abc import Callable, Iterator, Mapping
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from runtime.grade.reading.nodes import Expression, Number, Symbol

if TYPE_CHECKING:
    Value = Any

DIGITS = 120
_EXACT_BITS = 40_000
_LARGEST_EXPONENT_BITS = 3_000_000
POINTS = 8
WHOLE_POINTS = 29
CONSTANTS = frozenset({"pi", "e", "i", "infty"})


class Undefined(Exception):  # noqa: N818 - a signal inside the grader
    """The expression has no value here: a division by zero, the logarithm of zero."""


class TooBig(Exception):  # noqa: N818 - a signal inside the grader
    """The value is too large to compute in bounded time."""


_LOCAL = threading.local()


def context() -> Any:
    """This thread's mpmath context.

    The library's global one is shared by all threads and may be changed by any.
    """
    if not hasattr(_LOCAL, "context"):
        import mpmath  # type: ignore[import-untyped]

        _LOCAL.context = mpmath.MPContext()
        _LOCAL.context.dps = DIGITS
    return _LOCAL.context


def evaluate(expression: Expression, point: Mapping[str, Fraction]) -> Value:
    """The value of `expression` where variables have the values of `point`: a Fraction, mpf or mpc.

    Raises:
        Undefined: there is none.
        TooBig: it cannot be computed in bounded time.
    """
    if isinstance(expression, Number):
        return expression.value
    if isinstance(expression, Symbol):
        return _symbol(expression.name, point)
    arguments = [evaluate(argument, point) for argument in expression.arguments]
    try:
        value = _FUNCTIONS[expression.name](*arguments)
    except (ZeroDivisionError, ValueError, KeyError, TypeError) as error:
        raise Undefined from error
    except (OverflowError, MemoryError) as error:
        raise TooBig from error
    if isinstance(value, Fraction):
        if value.numerator.bit_length() + value.denominator.bit_length() > _EXACT_BITS:
            return approximate(value)
        return value
    if isinstance(value, context().mpc) and value.imag == 0:
        value = value.real
    if not context().isfinite(value) and not context().isinf(value):
        raise Undefined
    return value


def _symbol(name: str, point: Mapping[str, Fraction]) -> Value:
    if name == "pi":
        return +context().pi
    if name == "e":
        return +context().e
    if name == "i":
        return context().mpc(0, 1)
    if name == "infty":
        return context().inf
    if name not in point:
        raise Undefined
    return point[name]


def approximate(value: Value) -> Value:
    """`value` as a number of 120 digits."""
    if isinstance(value, Fraction):
        if value.denominator == 1:
            return context().mpf(value.numerator)
        return context().mpf(value.numerator) / value.denominator
    return value


def variables(expression: Expression) -> set[str]:
    """Names of the free variables."""
    if isinstance(expression, Number):
        return set()
    if isinstance(expression, Symbol):
        return set() if expression.name in CONSTANTS else {expression.name}
    return set().union(*(variables(argument) for argument in expression.arguments))


def points(names: set[str], scale: int = 1) -> Iterator[dict[str, Fraction]]:
    """Fixed arbitrary points: rational, of both signs, small and large; `scale` times as far out."""
    for index in range(POINTS):
        yield {name: _coordinate(name, index) * scale for name in names}


def whole_points(names: set[str]) -> Iterator[dict[str, Fraction]]:
    """Small natural numbers, for one variable each of the first, for several in fixed combinations."""
    for first in range(1, WHOLE_POINTS + 1):
        yield {name: Fraction((first * (2 * place + 1)) % 29 + 1) for place, name in enumerate(sorted(names))}


@functools.lru_cache(maxsize=2048)
def _coordinate(name: str, index: int) -> Fraction:
    digest = hashlib.sha256(f"{name}/{index}".encode()).digest()
    size = Fraction(int.from_bytes(digest[:4], "big") % 4999 + 300, 1009)
    # Every variable is positive in half the points, all of them are in the first three: even roots need that.
    negative = index >= 3 and digest[5] % 2 == 0
    return -size if negative else size


def close(left: Value, right: Value) -> bool:
    """Whether two values are the same number, up to the last digits of 120."""
    if isinstance(left, Fraction) and isinstance(right, Fraction):
        return left == right
    left, right = approximate(left), approximate(right)
    if context().isinf(left) or context().isinf(right):
        return bool(left == right)
    difference, size = abs(left - right), max(abs(left), abs(right))
    return bool(difference <= size * context().mpf(10) ** -90 or difference <= context().mpf(10) ** -105)


def is_real(value: Value) -> bool:
    """Whether a value has no imaginary part, rounding aside."""
    if isinstance(value, Fraction) or not isinstance(value, context().mpc):
        return True
    return bool(abs(value.imag) <= context().mpf(10) ** -100 * (1 + abs(value.real)))


def _exactly(operation: Callable[..., Value]) -> Callable[..., Value]:
    """Fractions stay fractions only while all operands are."""

    @functools.wraps(operation)
    def wrapped(*arguments: Value) -> Value:
        if all(isinstance(argument, Fraction) for argument in arguments):
            return operation(*arguments)
        return operation(*map(approximate, arguments))

    return wrapped


@_exactly
def _add(*terms: Value) -> Value:
    return functools.reduce(lambda total, term: total + term, terms)


@_exactly
def _mul(*factors: Value) -> Value:
    return functools.reduce(lambda product, factor: product * factor, factors)


@_exactly
def _div(left: Value, right: Value) -> Value:
    if right == 0:
        raise ZeroDivisionError
    return left / right


def _pow(base: Value, exponent: Value) -> Value:
    if isinstance(exponent, Fraction) and isinstance(base, Fraction):
        exact = _exact_power(base, exponent)
        if exact is not None:
            return exact
    base, exponent = approximate(base), approximate(exponent)
    if base == 0:
        if context().re(exponent) <= 0:
            raise ZeroDivisionError
        return Fraction(0)
    if context().isinf(base) or context().isinf(exponent):
        raise Undefined
    # The result's own exponent, in bits, must stay a small number: 9^{9^{9^9}} has no computable one.
    if abs(context().log(base)) * abs(exponent) > _LARGEST_EXPONENT_BITS:
        raise TooBig
    return context().power(base, exponent)


def _exact_power(base: Fraction, exponent: Fraction) -> Fraction | None:
    if base == 0:
        if exponent <= 0:
            raise ZeroDivisionError
        return base
    if exponent.denominator > 64 or abs(exponent.numerator) > _EXACT_BITS:
        return None
    if exponent.denominator > 1:
        root = _exact_root(base, exponent.denominator)
        if root is None:
            return None
        base = root
    bits = max(base.numerator.bit_length(), base.denominator.bit_length()) * abs(exponent.numerator)
    return base**exponent.numerator if bits <= _EXACT_BITS else None


def _exact_root(value: Fraction, index: int) -> Fraction | None:
    """The real root of a fraction where it is a fraction, for non-negative values."""
    if value < 0 or value.numerator.bit_length() + value.denominator.bit_length() > 4000:
        return None
    roots = []
    for part in (value.numerator, value.denominator):
        guess = round(context().root(context().mpf(part), index)) if part.bit_length() < 380 else None
        if guess is None or int(guess) ** index != part:
            return None
        roots.append(int(guess))
    return Fraction(roots[0], roots[1])


def _sqrt(value: Value) -> Value:
    return _root(value, Fraction(2))


def _root(value: Value, index: Value) -> Value:
    if not isinstance(index, Fraction) or index.denominator != 1 or not 1 <= index <= 1000:
        raise Undefined
    degree = int(index)
    if isinstance(value, Fraction):
        exact = _exact_root(abs(value), degree)
        if exact is not None and (value >= 0 or degree % 2):
            return exact if value >= 0 else -exact
    value = approximate(value)
    if degree % 2 and is_real(value) and context().re(value) < 0:
        return -context().root(-context().re(value), degree)
    return context().root(value, degree)


def _analytic(name: str, *, largest: float = 1e6) -> Callable[[Value], Value]:
    def function(value: Value) -> Value:
        value = approximate(value)
        if context().isinf(value):
            raise Undefined
        if abs(value) > largest:
            raise TooBig
        return getattr(context(), name)(value)

    return function


def _log(value: Value, base: Value | None = None) -> Value:
    value = approximate(value)
    if value == 0 or context().isinf(value):
        raise ZeroDivisionError
    if base is None:
        return context().log(value)
    return context().log(value) / context().log(approximate(base))


def _natural(value: Value, largest: int) -> int:
    if not isinstance(value, Fraction) or value.denominator != 1 or value < 0:
        raise Undefined
    if value > largest:
        raise TooBig
    return int(value)


def _gamma(value: Value) -> Value:
    """The factorial of a number between the natural ones, which only identities can lead to."""
    if not isinstance(value, Fraction) or value.denominator == 1 or abs(value) > 3000:
        raise Undefined
    return context().gamma(approximate(value) + 1)


def _factorial(value: Value) -> Value:
    if isinstance(value, Fraction) and value.denominator > 1:
        return _gamma(value)
    return Fraction(math.factorial(_natural(value, 3000)))


def _binomial(top: Value, bottom: Value) -> Value:
    if not isinstance(top, Fraction) or not isinstance(bottom, Fraction):
        raise Undefined
    if top.denominator == bottom.denominator == 1:
        return Fraction(math.comb(_natural(top, 3000), _natural(bottom, 3000)))
    if bottom.denominator == 1 and 0 <= bottom <= 100:
        return math.prod((top - k for k in range(int(bottom))), start=Fraction(1)) / math.factorial(int(bottom))
    return context().binomial(approximate(top), approximate(bottom)) if abs(top) + abs(bottom) < 3000 else _gamma(top)


def _integer_part(value: Value, *, up: bool) -> Value:
    if isinstance(value, Fraction):
        return Fraction(math.ceil(value) if up else math.floor(value))
    if not is_real(value) or abs(value) > 10**100:
        raise Undefined
    return Fraction(int(context().ceil(value) if up else context().floor(value)))


def _whole(function: Callable[..., int]) -> Callable[..., Value]:
    return lambda *values: Fraction(function(*(_natural(abs(value), 10**1000) for value in values)))


def _extreme(function: Callable[..., Value]) -> Callable[..., Value]:
    def wrapped(*values: Value) -> Value:
        if not all(map(is_real, values)):
            raise Undefined
        return function(values, key=approximate)

    return wrapped


def _functions() -> dict[str, Callable[..., Value]]:
    table: dict[str, Callable[..., Value]] = {
        "add": _add,
        "mul": _mul,
        "div": _div,
        "pow": _pow,
        "neg": lambda value: -value,
        "sqrt": _sqrt,
        "root": _root,
        "abs": abs,
        "ln": _log,
        # Without a base, as schools and the MATH data set write it: base ten.
        "log": lambda value, base=Fraction(10): _log(value, base),
        "lg": lambda value: _log(value, Fraction(10)),
        "exp": _analytic("exp"),
        "cis": lambda value: context().expj(approximate(value)),
        "factorial": _factorial,
        "binomial": _binomial,
        "floor": lambda value: _integer_part(value, up=False),
        "ceil": lambda value: _integer_part(value, up=True),
        "degrees": lambda value: approximate(value) * context().pi / 180,
        "gcd": _whole(math.gcd),
        "lcm": _whole(math.lcm),
        "max": _extreme(max),
        "min": _extreme(min),
        "arccot": lambda value: context().acot(approximate(value)),
    }
    for name in ("sin", "cos", "tan", "cot", "sec", "csc", "sinh", "cosh", "tanh"):
        table[name] = _analytic(name)
    for name in ("sin", "cos", "tan"):
        table[f"arc{name}"] = _analytic(f"a{name}")
    return table


_FUNCTIONS = _functions()

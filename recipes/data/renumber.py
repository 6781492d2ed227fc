"""Copies of questions with an equation, with other numbers in question and equation alike.

The order of the numbers stays, so that what the question tells of them stays true ("gave away 5 of his 9 pens"), and so
does what kind of value each step of the equation has: a whole number stays one, nothing becomes negative.
"""

from __future__ import annotations

import ast
import random
import re
from collections.abc import Iterator, Mapping
from fractions import Fraction
from typing import Any

from recipes.data.equations import KEYS, equation_in, infix_of
from recipes.data.gsm8k import value_of
from recipes.data.records import GOLD_KEYS, QUESTION_KEYS, SOLUTION_KEYS, question_in
from runtime.files import Line

_IN_TEXT = re.compile(r"(?<![\w./,:-])\d+(?:\.\d+)?(?![\w/%:]|[.,-]\d)")
_IN_EQUATION = re.compile(r"(?<![\w.])\d+(?:\.\d+)?(?![\w.])")
_TRIES = 300
_LARGEST_SMALL = 12


def with_copies(lines: Iterator[Line], copies: int) -> Iterator[Line]:
    """Each line, followed by up to `copies` of it with other numbers where it has an equation.

    The same every time.
    """
    for position, line in enumerate(lines):
        yield line
        if not isinstance(line.value, Mapping):
            continue
        rng = random.Random(position)
        for _ in range(copies):
            value = renumbered(line.value, rng)
            if value is not None:
                yield line._replace(value=value)


def renumbered(value: Mapping[str, Any], rng: random.Random) -> dict[str, Any] | None:
    """The record with other numbers; None where it has no equation over numbers of the question.

    None also where no other numbers were found.
    """
    question, equation = question_in(value), equation_in(value)
    expression = infix_of(equation) if equation is not None else None
    if question is None or expression is None or (steps := _steps(expression)) is None:
        return None
    told = {Fraction(n): n for n in _IN_TEXT.findall(question) if n not in ("0", "1")}
    if not any(Fraction(n) in told for n in _IN_EQUATION.findall(expression)):
        return None
    old = sorted(told)
    for _ in range(_TRIES):
        drawn = sorted((_like(told[n], rng) for n in old), key=Fraction)
        if len({Fraction(n) for n in drawn}) < len(old):
            continue
        # Sorted on both sides: the order stays. A number may get the size of its neighbour by it, which is as well.
        new = dict(zip(old, drawn, strict=True))

        def other(found: re.Match[str], new: dict[Fraction, str] = new) -> str:
            return new.get(Fraction(found.group()), found.group())

        changed = _IN_EQUATION.sub(other, expression)
        after = _steps(changed)
        if after is not None and _alike(steps, after):
            return _rewritten(value, question, _IN_TEXT.sub(other, question), changed)
    return None


def _rewritten(value: Mapping[str, Any], question: str, text: str, equation: str) -> dict[str, Any]:
    """The record with its question and equation under their keys, without the answer to the old numbers."""
    gone = {*GOLD_KEYS, *SOLUTION_KEYS, *KEYS}
    result = {key: item for key, item in value.items() if key not in gone}
    result.update({key: text for key in QUESTION_KEYS if value.get(key) == question})
    return result | {"equation": equation}


def _like(number: str, rng: random.Random) -> str:
    """Another number of as many digits, before and after the point."""
    whole, _, decimals = number.partition(".")
    if decimals:
        return (
            f"{_like(whole, rng) if whole != '0' else '0'}.{rng.randint(1, 10 ** len(decimals) - 1):0{len(decimals)}d}"
        )
    if int(whole) <= _LARGEST_SMALL:
        return str(rng.randint(2, _LARGEST_SMALL))
    return str(rng.randint(10 ** (len(whole) - 1), 10 ** len(whole) - 1))


def _steps(expression: str) -> list[Fraction] | None:
    """The value of every part of an expression, None where one has none."""
    parts = [ast.unparse(n) for n in ast.walk(ast.parse(expression, mode="eval")) if isinstance(n, ast.BinOp)]
    values = [value_of(part) for part in parts or [expression]]
    return None if any(v is None for v in values) else [v for v in values if v is not None]


def _alike(before: list[Fraction], after: list[Fraction]) -> bool:
    """Whether the steps are whole, positive and above 1 where they were."""
    return len(before) == len(after) and all(
        (old.denominator == 1) <= (new.denominator == 1) and (old > 0) <= (new > 0) and (old > 1) <= (new > 1)
        for old, new in zip(before, after, strict=True)
    )

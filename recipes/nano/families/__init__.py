"""All families of problems, by name: the YAML files of this folder, one a subject.

A file is a list of families. Each has the fields of `recipes.nano.family.Family`; `accept` and `answer` are Python
expressions over the slots, `derive` maps further slots to such expressions, and they may call `FUNCTIONS`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fractions import Fraction
from math import comb, gcd, lcm
from pathlib import Path
from typing import Any

import yaml

from recipes.nano.family import Drawn, Family, Step

FOLDER = Path(__file__).parent
FILES = tuple(FOLDER / f"{subject}.yaml" for subject in "everyday money rates algebra numbers shapes".split())
"""In the order in which problems are drawn from them."""


def decimal(cents: int) -> str:
    """Dollars with cents as Python prints the float; `cents` is no whole number of dollars."""
    return f"{cents // 100}.{cents % 100:02d}".rstrip("0")


def share_cents(bill: int, tip: int, people: int) -> int:
    """Cents that each of `people` pays of a bill in dollars with a tip in per cent, rounded."""
    total_cents = bill * (100 + tip)
    return (2 * total_cents + people) // (2 * people)


def is_clear_share(bill: int, tip: int, people: int) -> bool:
    """Whether the tip is whole, and the share is neither whole nor halfway between two cents."""
    total_cents = bill * (100 + tip)
    halfway = 2 * total_cents % (2 * people) == people
    return total_cents % 100 == 0 and not halfway and share_cents(bill, tip, people) % 100 != 0


def divisors(number: int) -> list[int]:
    """All positive divisors of `number`, without sympy."""
    return [divisor for divisor in range(1, number + 1) if number % divisor == 0]


def largest_prime_factor(number: int) -> int:
    """By trial division, without sympy."""
    factor = 2
    while factor * factor <= number:
        if number % factor == 0:
            number //= factor
        else:
            factor += 1
    return number


FUNCTIONS: dict[str, Callable[..., Any]] = {
    function.__name__: function
    for function in (Fraction, comb, gcd, lcm, decimal, share_cents, is_clear_share, divisors, largest_prime_factor)
}


def _expression(text: str) -> Callable[[Drawn], Any]:
    # The files are our own, as the code in them is that `run_trusted` executes.
    code = compile(text, "<family>", "eval")
    return lambda values: eval(code, {**FUNCTIONS, **values})


def _family(fields: dict[str, Any]) -> Family:
    derived = {slot: _expression(text) for slot, text in fields.pop("derive", {}).items()}
    steps = tuple(Step(tuple(step["texts"]), step["code"]) for step in fields.pop("steps"))
    return Family(
        numbers={slot: (low, high) for slot, (low, high) in fields.pop("numbers").items()},
        accept=_expression(str(fields.pop("accept", "True"))),
        derive=lambda values: {slot: value(values) for slot, value in derived.items()},
        answer=_expression(fields.pop("answer")),
        steps=steps,
        wordings=tuple(fields.pop("wordings")),
        unseen_wordings=tuple(fields.pop("unseen_wordings")),
        closings=tuple(fields.pop("closings")),
        **fields,
    )


def _read(file: Path) -> Iterator[Family]:
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # ten times faster where libyaml is there
    yield from map(_family, yaml.load(file.read_text(encoding="utf-8"), Loader=loader))


FAMILIES: dict[str, Family] = {family.name: family for file in FILES for family in _read(file)}

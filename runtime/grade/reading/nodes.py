"""What an answer can be, once read: expressions, and the shapes that hold them."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Literal


class Unreadable(Exception):  # noqa: N818 - a signal inside the grader, never an error that leaves it
    """The text is not in the notation that is being tried."""


@dataclass(frozen=True, slots=True)
class Number:
    """A numeral. `decimals` and `digits` (significant ones) are counted without trailing zeros."""

    value: Fraction
    decimals: int = 0
    digits: int = 0


@dataclass(frozen=True, slots=True)
class Symbol:
    """A variable, or a constant where its name is one of values.CONSTANTS."""

    name: str


@dataclass(frozen=True, slots=True)
class Call:
    """An operation or function on expressions: add, mul, div, pow, neg, sqrt, root, sin, log, ..."""

    name: str
    arguments: tuple[Expression, ...]


Expression = Number | Symbol | Call


@dataclass(frozen=True, slots=True)
class Scalar:
    """One expression with what stands around it."""

    expression: Expression
    unit: str = ""
    percent: bool = False


@dataclass(frozen=True, slots=True)
class BaseNumeral:
    """Digits in a stated base, such as 152A_{11}; equal only to a numeral in the same base."""

    digits: str
    base: int


@dataclass(frozen=True, slots=True)
class Ratio:
    """3 : 1, of two or more terms."""

    terms: tuple[Expression, ...]


@dataclass(frozen=True, slots=True)
class Moment:
    """A time of day or a duration: hours, minutes and seconds, or minutes and seconds.

    `half` is `am`, `pm`, `24` for a time that can only be of a day with 24 hours, and empty where nothing says which.
    """

    parts: tuple[Fraction, ...]
    half: str = ""


@dataclass(frozen=True, slots=True)
class Joined:
    """Whole numbers joined by `-` or `/` without a space (a score, a range, a date), or two joined by `*`."""

    by: Literal["-", "/", "*"]
    numbers: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Words:
    """Names, option letters, days: compared as text."""

    key: str


@dataclass(frozen=True, slots=True)
class Listing:
    """Values side by side.

    `bare` (1, 2) and `set` have no order, `row` (7 1 -1) has one; `both` are inequalities that hold together.
    """

    kind: Literal["bare", "set", "row", "both"]
    items: tuple[Answer, ...]


@dataclass(frozen=True, slots=True)
class Group:
    """A tuple, point, vector or interval: its brackets decide nothing until it is compared."""

    left: str
    right: str
    items: tuple[Answer, ...]


@dataclass(frozen=True, slots=True)
class Union:
    """Intervals and sets joined."""

    parts: tuple[Answer, ...]


@dataclass(frozen=True, slots=True)
class Difference:
    """A set without what is in another one."""

    left: Answer
    right: Answer


@dataclass(frozen=True, slots=True)
class Cases:
    """A function given piece by piece: values, each with the condition under which it holds."""

    rows: tuple[tuple[Answer, Answer], ...]


@dataclass(frozen=True, slots=True)
class Matrix:
    """Rows of expressions, all of one length; a determinant is another thing than its matrix."""

    rows: tuple[tuple[Answer, ...], ...]
    determinant: bool = False


@dataclass(frozen=True, slots=True)
class Assignment:
    """A name and what it equals: `x = 5`, `f(x) = 2x`."""

    name: str
    value: Answer


@dataclass(frozen=True, slots=True)
class Relation:
    """Sides joined by `=`, `<`, `<=`, `>`, `>=` or `!=`."""

    sides: tuple[Expression, ...]
    operators: tuple[str, ...]


Answer = (
    Scalar
    | BaseNumeral
    | Ratio
    | Moment
    | Joined
    | Words
    | Listing
    | Group
    | Union
    | Difference
    | Cases
    | Matrix
    | Assignment
    | Relation
)

INFINITY = Scalar(Symbol("infty"))
MINUS_INFINITY = Scalar(Call("neg", (Symbol("infty"),)))
REALS = Group("(", ")", (MINUS_INFINITY, INFINITY))
"""All real numbers."""

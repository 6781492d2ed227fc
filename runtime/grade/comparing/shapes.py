"""Equality of read answers, shape by shape."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from runtime.grade.comparing import moments, regions, values
from runtime.grade.comparing.families import same_parameter
from runtime.grade.comparing.regions import FLIPPED
from runtime.grade.comparing.scalars import expressions_equal, proportional
from runtime.grade.reading.nodes import (
    Answer,
    Assignment,
    BaseNumeral,
    Call,
    Cases,
    Difference,
    Expression,
    Group,
    Joined,
    Listing,
    Matrix,
    Moment,
    Number,
    Ratio,
    Relation,
    Scalar,
    Symbol,
    Union,
    Words,
)
from runtime.grade.reading.units import compatible, conversion

_HUNDRED = Number(Fraction(100), 0, 1)
_LONGEST_LIST = 60


def same(left: Answer, right: Answer, *, lenient: bool = False) -> bool | None:
    """Whether a prediction (`left`) is the gold answer (`right`). None: not decided by these rules."""
    try:
        return _same(left, right, lenient)
    except values.TooBig:
        return False


def _same(left: Answer, right: Answer, lenient: bool) -> bool | None:
    if isinstance(left, Assignment) or isinstance(right, Assignment):
        return _assignments(left, right, lenient)
    if isinstance(left, Scalar) and isinstance(right, Scalar):
        return _scalars(left, right, lenient)
    if isinstance(left, (Moment, Joined)) or isinstance(right, (Moment, Joined)):
        return _notations(left, right, lenient)
    if (_is_region(left) or _is_region(right)) and (verdict := regions.equal(left, right)) is not None:
        return verdict
    if type(left) is type(right):
        return _alike(left, right, lenient)
    return _unlike(left, right, lenient)


def _notations(left: Answer, right: Answer, lenient: bool) -> bool | None:
    """Times, durations, scores and dates: by their own rules, and at last as what they look like."""
    if isinstance(left, Moment) and isinstance(right, Moment):
        return moments.equal(left, right)
    if isinstance(left, Joined) and isinstance(right, Joined):
        return moments.joined_equal(left, right)
    if isinstance(left, Moment) and isinstance(right, Scalar):
        return moments.lasts(left, right) or (lenient and same(moments.ratio(left), right, lenient=True))
    if isinstance(right, Moment) and isinstance(left, Scalar):
        return moments.lasts(right, left) or (lenient and same(left, moments.ratio(right), lenient=True))
    if isinstance(left, Moment) and isinstance(right, Ratio):
        return _ratios(moments.ratio(left), right)
    if isinstance(right, Moment) and isinstance(left, Ratio):
        return _ratios(left, moments.ratio(right))
    if isinstance(left, Joined) and left.by == "*":
        return same(moments.product(left), right, lenient=lenient)
    if isinstance(right, Joined) and right.by == "*":
        return same(left, moments.product(right), lenient=lenient)
    return _unlike(left, right, lenient)


def _is_region(answer: Answer) -> bool:
    """Whether an answer can only be a set of real numbers, unlike (1, 2), which may be a point."""
    if isinstance(answer, Listing):
        return answer.kind == "both"
    return isinstance(answer, (Union, Difference))


def _scalars(left: Scalar, right: Scalar, lenient: bool) -> bool | None:
    a, b = left.expression, right.expression
    if not compatible(left.unit, right.unit):
        factor = conversion(left.unit, right.unit)
        if factor is None:
            return False
        a = Call("mul", (Number(factor), a))
    a = same_parameter(a, b)
    if {left.unit, right.unit} == {"degree", ""} and expressions_equal(
        Call("degrees", (a,)) if left.unit else a, Call("degrees", (b,)) if right.unit else b
    ):
        # 90 degrees are the number pi/2.
        return True
    if left.percent == right.percent:
        return expressions_equal(a, b, lenient=lenient)
    scaled = expressions_equal(
        Call("div", (a, _HUNDRED)) if left.percent else a, Call("div", (b, _HUNDRED)) if right.percent else b
    )
    if lenient and not scaled and not left.unit and not right.unit:
        # A percent sign on one side alone may have been the question's unit; beside another unit it was not.
        return expressions_equal(a, b, lenient=True)
    return scaled


def _alike(left: Answer, right: Answer, lenient: bool) -> bool | None:
    """Two answers of one shape other than a scalar."""
    if isinstance(left, Listing) and isinstance(right, Listing):
        if "row" in (left.kind, right.kind):
            return _ordered(left.items, right.items, lenient)
        if _all_named(left.items) != _all_named(right.items) and "set" not in (left.kind, right.kind):
            # `a = 4, b = 3` is not 3, 4, whatever order names were written in.
            written = _ordered(left.items, right.items, lenient)
            return written or _ordered(_by_name(left.items), _by_name(right.items), lenient)
        return _unordered(left.items, right.items, lenient)
    if isinstance(left, Group) and isinstance(right, Group):
        brackets = (left.left, left.right) == (right.left, right.right)
        # With two items the brackets may be those of an interval, which they then belong to; vectors do not care.
        if not brackets and (len(left.items) == 2 or not lenient):
            return False
        return _ordered(left.items, right.items, lenient)
    if isinstance(left, Union) and isinstance(right, Union):
        return _unordered(left.parts, right.parts, lenient)
    if isinstance(left, Matrix) and isinstance(right, Matrix):
        if left.determinant != right.determinant or len(left.rows) != len(right.rows):
            return False
        return _all(_ordered(a, b, lenient) for a, b in zip(left.rows, right.rows, strict=True))
    if isinstance(left, Ratio) and isinstance(right, Ratio):
        return _ratios(left, right)
    if isinstance(left, Cases) and isinstance(right, Cases):
        one, other = ([Group("{", ",", row) for row in side.rows] for side in (left, right))
        return _unordered(one, other, lenient)
    if isinstance(left, Relation) and isinstance(right, Relation):
        return _relations(left, right)
    if isinstance(left, Words) and isinstance(right, Words):
        return left.key == right.key or _singular(left.key) == _singular(right.key)
    if isinstance(left, BaseNumeral):
        return left == right
    return None


def _singular(word: str) -> str:
    return word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith("ss") else word


def _unlike(left: Answer, right: Answer, lenient: bool) -> bool | None:
    """Two answers of different shapes."""
    for one, other, swap in ((left, right, False), (right, left, True)):

        def ordered(a: Sequence[Answer], b: Sequence[Answer], swap: bool = swap) -> bool | None:
            return _ordered(b, a, lenient) if swap else _ordered(a, b, lenient)

        def again(a: Answer, b: Answer, swap: bool = swap) -> bool | None:
            return same(b, a, lenient=lenient) if swap else same(a, b, lenient=lenient)

        if isinstance(one, Group) and isinstance(other, Listing):
            # (1, 2) and [1, 2] against 1, 2 or the row 1 2: the same items in the same order. A set has none.
            closed = (one.left, one.right) in (("(", ")"), ("[", "]"))
            return ordered(one.items, _by_name(other.items)) if closed and other.kind in ("bare", "row") else False
        if isinstance(one, Group) and len(one.items) == 1 and one.left == "[" and isinstance(other, Scalar):
            return again(one.items[0], other)
        if isinstance(one, Listing) and one.kind == "set" and len(one.items) == 1 and isinstance(other, Scalar):
            return again(one.items[0], other)
        if isinstance(one, Relation) and isinstance(other, Scalar) and set(one.operators) == {"="}:
            # `6/8 = 3/4`, a computation written to its end; with variables it would be an equation.
            parts = [Scalar(side) for side in one.sides]
            if any(values.variables(side) for side in one.sides):
                return False
            return _all([same(parts[0], part) for part in parts[1:]] + [again(parts[-1], other)])
        if isinstance(one, Relation) and isinstance(other, (Group, Union)):
            if (verdict := regions.equal(one, other)) is not None:
                return verdict
            region = regions.solved(one)
            return again(region, other) if region is not None else None
        if isinstance(one, Matrix) and isinstance(other, Group) and lenient and 1 in (len(one.rows), len(one.rows[0])):
            return ordered([cell for row in one.rows for cell in row], other.items)
        if isinstance(one, Matrix) and isinstance(other, Group) and other.left == "[":
            rows = [item.items for item in other.items if isinstance(item, Group)]
            return len(rows) == len(one.rows) and _all(map(ordered, one.rows, rows))
        if (
            isinstance(one, Ratio)
            and isinstance(other, Scalar)
            and lenient
            and len(one.terms) == 2
            and not any(map(_is_zero, one.terms))
        ):
            return again(Scalar(Call("div", one.terms)), other)
        if isinstance(one, Words) and isinstance(other, Scalar) and isinstance(other.expression, Symbol):
            return one.key == other.expression.name
    return False


def _all_named(items: tuple[Answer, ...]) -> bool:
    """Whether every item is given under a name of its own."""
    names = {item.name for item in items if isinstance(item, Assignment)}
    return len(names) == len(items) > 1


def _by_name(items: tuple[Answer, ...]) -> tuple[Answer, ...]:
    """`y = 2, x = 1` in the order of the coordinates; anything else as it stands."""
    if not _all_named(items):
        return items
    return tuple(sorted(items, key=lambda item: item.name if isinstance(item, Assignment) else ""))


def _assignments(left: Answer, right: Answer, lenient: bool) -> bool | None:
    """`x = 5` against `5`, `x = 5`, or the same equation written otherwise."""
    if isinstance(left, Assignment) and isinstance(right, Assignment):
        if left.name == right.name and (verdict := same(left.value, right.value, lenient=lenient)):
            return verdict
        one, other = _as_equation(left), _as_equation(right)
        return _relations(one, other) if one and other else left.name == right.name and None
    assignment, other_side = (left, right) if isinstance(left, Assignment) else (right, left)
    if isinstance(other_side, Relation) and isinstance(assignment, Assignment) and _is_set(assignment.value):
        # x in [2, 7] and 2 <= x <= 7
        names = set().union(*map(values.variables, other_side.sides))
        return names == {assignment.name} and bool(regions.equal(assignment.value, other_side))
    if isinstance(other_side, Relation):
        equation = _as_equation(assignment)  # type: ignore[arg-type]
        return _relations(equation, other_side) if equation else False
    if isinstance(left, Assignment):
        return same(left.value, right, lenient=lenient)
    return same(left, right.value, lenient=lenient)  # type: ignore[union-attr]


def _is_set(answer: Answer) -> bool:
    return isinstance(answer, (Group, Union, Difference)) or (isinstance(answer, Listing) and answer.kind == "set")


def _as_equation(assignment: Assignment) -> Relation | None:
    if len(assignment.name) != 1 or not isinstance(assignment.value, Scalar):
        return None
    return Relation((Symbol(assignment.name), assignment.value.expression), ("=",))


def _relations(left: Relation, right: Relation) -> bool | None:
    if len(left.operators) != len(right.operators):
        # -3 < x < 3 and |x| < 3
        one_name = (
            len(
                values.variables(left.sides[0])
                | values.variables(left.sides[1])
                | values.variables(right.sides[0])
                | values.variables(right.sides[1])
            )
            == 1
        )
        return one_name and bool(regions.equal(left, right))
    forward = _chain(left, right)
    if forward or len(left.operators) == 1:
        return forward
    flipped = Relation(tuple(reversed(left.sides)), tuple(FLIPPED[o] for o in reversed(left.operators)))
    return _chain(flipped, right)


def _chain(left: Relation, right: Relation) -> bool | None:
    verdicts = []
    for index, (here, there) in enumerate(zip(left.operators, right.operators, strict=True)):
        a = _difference(left.sides[index], left.sides[index + 1])
        b = _difference(right.sides[index], right.sides[index + 1])
        if here != there:
            if FLIPPED[here] != there:
                return False
            a = Call("neg", (a,))
        verdicts.append(proportional(a, b, positive=there not in ("=", "!=")))
    return _all(verdicts)


def _difference(left: Expression, right: Expression) -> Expression:
    return Call("add", (left, Call("neg", (right,))))


def _ratios(left: Ratio, right: Ratio) -> bool | None:
    if len(left.terms) != len(right.terms):
        return False
    if any(map(_is_zero, (*left.terms, *right.terms))):
        # 1:0 and 2:0 are proportional and say different things.
        return _all(map(expressions_equal, left.terms, right.terms))
    first = (left.terms[0], right.terms[0])
    return _all(
        expressions_equal(Call("mul", (a, first[1])), Call("mul", (b, first[0])))
        for a, b in zip(left.terms[1:], right.terms[1:], strict=True)
    )


def _is_zero(term: Expression) -> bool:
    return bool(expressions_equal(term, Number(Fraction(0))))


def _all(verdicts: object) -> bool | None:
    undecided = False
    for verdict in verdicts:  # type: ignore[attr-defined]
        if verdict is False:
            return False
        undecided |= verdict is None
    return None if undecided else True


def _ordered(left: Sequence[Answer], right: Sequence[Answer], lenient: bool) -> bool | None:
    if len(left) != len(right):
        return False
    return _all(same(a, b, lenient=lenient) for a, b in zip(left, right, strict=True))


def _unordered(left: Sequence[Answer], right: Sequence[Answer], lenient: bool) -> bool | None:
    """Whether every item has a partner: repeated items count, so 2, 2, 3 is not 2, 3."""
    if len(left) != len(right):
        return False
    if len(left) > _LONGEST_LIST:
        return _ordered(left, right, lenient)
    remaining = list(right)
    for item in left:
        partner = next((i for i, other in enumerate(remaining) if same(item, other, lenient=lenient)), None)
        if partner is None:
            return False
        del remaining[partner]
    return True

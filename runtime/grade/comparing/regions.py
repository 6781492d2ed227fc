"""Sets of real numbers: intervals, finite sets, inequalities and unions, brought to one form.

A region is a sorted list of disjoint pieces, so that `[1,2] \\cup [2,3]`, `1 \\le x \\le 3` and `[1,3]` are one thing.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from runtime.grade.comparing import values
from runtime.grade.reading.nodes import (
    INFINITY,
    MINUS_INFINITY,
    Answer,
    Call,
    Difference,
    Expression,
    Group,
    Listing,
    Relation,
    Scalar,
    Symbol,
    Union,
)

FLIPPED = {"<": ">", "<=": ">=", ">": "<", ">=": "<=", "=": "=", "!=": "!="}


@dataclass(frozen=True, slots=True)
class Interval:
    """Everything between two bounds, each within or not; a point has equal bounds, both within."""

    low: Any
    low_in: bool
    high: Any
    high_in: bool


Region = list[Interval]


def equal(left: Answer, right: Answer) -> bool | None:
    """Whether two answers are the same set of real numbers; None where that cannot be computed."""
    try:
        one, other = _region(left), _region(right)
    except (values.Undefined, values.TooBig):
        return None
    if one is None or other is None:
        return None
    return len(one) == len(other) and all(
        a.low_in == b.low_in and a.high_in == b.high_in and _same(a.low, b.low) and _same(a.high, b.high)
        for a, b in zip(one, other, strict=True)
    )


def _region(answer: Answer) -> Region | None:
    if isinstance(answer, Relation):
        interval = solved(answer)
        return _region(interval) if interval is not None else _within_distance(answer)
    if isinstance(answer, Group):
        return _interval(answer)
    if isinstance(answer, Difference):
        left, right = _region(answer.left), _region(answer.right)
        return None if left is None or right is None else _intersection([left, _complement(right)])
    if isinstance(answer, Union):
        return _combined(_union, answer.parts)
    if not isinstance(answer, Listing):
        return None
    if answer.kind == "set":
        points = [_number(item) for item in answer.items]
        return None if None in points else _union([[Interval(point, True, point, True)] for point in points])
    if not answer.items or not all(isinstance(item, Relation) for item in answer.items):
        return None
    if len({name for item in answer.items if isinstance(item, Relation) for name in _names(item)}) != 1:
        return None
    # `x < 1 or x > 3` joins; `x > -1 and x < 1` narrows, and so does `x \ne 1, x \ne 2`.
    excluded = all(isinstance(item, Relation) and item.operators == ("!=",) for item in answer.items)
    return _combined(_intersection if answer.kind == "both" or excluded else _union, answer.items)


def _names(relation: Relation) -> set[str]:
    return set().union(*map(values.variables, relation.sides))


def _combined(how: Callable[[list[Region]], Region], parts: Iterable[Answer]) -> Region | None:
    regions = [_region(part) for part in parts]
    return None if None in regions else how([region for region in regions if region is not None])


def _interval(group: Group) -> Region | None:
    if len(group.items) != 2:
        return None
    low, high = map(_number, group.items)
    if low is None or high is None or low > high or _same(low, high):
        return None
    infinite = values.context().isinf
    return [Interval(low, group.left == "[" and not infinite(low), high, group.right == "]" and not infinite(high))]


def _number(item: Answer) -> Any:
    """The value of a real constant, or None."""
    if not isinstance(item, Scalar) or item.unit or item.percent or values.variables(item.expression):
        return None
    value = values.evaluate(item.expression, {})
    return values.approximate(value) if values.is_real(value) else None


def _same(left: Any, right: Any) -> bool:
    return values.close(left, right)


def _union(regions: list[Region]) -> Region:
    pieces = [piece for region in regions for piece in region]
    pieces.sort(key=functools.cmp_to_key(lambda a, b: -1 if a.low < b.low else int(a.low > b.low)))
    merged: Region = []
    for piece in pieces:
        last = merged[-1] if merged else None
        if last is None or not (
            (_same(piece.low, last.high) and (piece.low_in or last.high_in))
            or (piece.low < last.high and not _same(piece.low, last.high))
        ):
            # Two pieces that begin at one number: only the bound may differ.
            if last is not None and _same(piece.low, last.low) and _same(last.low, last.high):
                merged[-1] = Interval(last.low, last.low_in or piece.low_in, piece.high, piece.high_in)
            else:
                merged.append(piece)
            continue
        low_in = last.low_in or (piece.low_in and _same(piece.low, last.low))
        if _same(piece.high, last.high):
            merged[-1] = Interval(last.low, low_in, last.high, last.high_in or piece.high_in)
        elif piece.high > last.high:
            merged[-1] = Interval(last.low, low_in, piece.high, piece.high_in)
        else:
            merged[-1] = Interval(last.low, low_in, last.high, last.high_in)
    return merged


def _complement(region: Region) -> Region:
    infinity = values.context().inf
    result, low, low_in = [], -infinity, False
    for piece in region:
        if low < piece.low and not _same(low, piece.low):
            result.append(Interval(low, low_in, piece.low, not piece.low_in))
        elif _same(low, piece.low) and low_in and not piece.low_in and not values.context().isinf(low):
            result.append(Interval(low, True, low, True))
        low, low_in = piece.high, not piece.high_in
    if low < infinity:
        result.append(Interval(low, low_in, infinity, False))
    return result


def _intersection(regions: list[Region]) -> Region:
    return _complement(_union([_complement(region) for region in regions]))


def solved(relation: Answer) -> Answer | None:
    """The interval that an inequality in one variable describes, or None."""
    if not isinstance(relation, Relation) or len(relation.sides) > 3:
        return None
    sides, operators = relation.sides, relation.operators
    if len(sides) == 2:
        if not isinstance(sides[0], Symbol):
            sides, operators = (sides[1], sides[0]), (FLIPPED[operators[0]],)
        if not isinstance(sides[0], Symbol) or values.variables(sides[1]):
            return None
        bound, operator = Scalar(sides[1]), operators[0]
        if operator == "!=":
            return Union((Group("(", ")", (MINUS_INFINITY, bound)), Group("(", ")", (bound, INFINITY))))
        if operator == "=":
            return None
        if operator[0] == "<":
            return Group("(", "]" if operator == "<=" else ")", (MINUS_INFINITY, bound))
        return Group("[" if operator == ">=" else "(", ")", (bound, INFINITY))
    if operators[0][0] == operators[1][0] == ">":
        sides, operators = tuple(reversed(sides)), tuple(FLIPPED[operator] for operator in reversed(operators))
    if operators[0][0] != "<" or operators[1][0] != "<" or not isinstance(sides[1], Symbol):
        return None
    return Group(
        "[" if operators[0] == "<=" else "(",
        "]" if operators[1] == "<=" else ")",
        (Scalar(sides[0]), Scalar(sides[2])),
    )


def _within_distance(relation: Relation) -> Region | None:
    """What `|x - a| < b` describes, also with something linear inside; None where it is not that."""
    sides, operators = relation.sides, relation.operators
    if len(sides) != 2 or operators[0] in ("=", "!="):
        return None
    if not _is_distance(sides[0]):
        sides, operators = (sides[1], sides[0]), (FLIPPED[operators[0]],)
    distance, bound = sides
    names = values.variables(distance)
    if not isinstance(distance, Call) or not _is_distance(distance) or values.variables(bound) or len(names) != 1:
        return None
    (name,) = names
    inside = [values.evaluate(distance.arguments[0], {name: Fraction(x)}) for x in (0, 1, 2, 5)]
    slope, limit = inside[1] - inside[0], values.evaluate(bound, {})
    linear = all(values.close(inside[n], inside[0] + x * slope) for n, x in ((2, 2), (3, 5)))
    if not linear or not all(map(values.is_real, (*inside, limit))) or slope == 0 or limit <= 0:
        return None
    centre, half = values.approximate(-inside[0] / slope), values.approximate(limit / abs(slope))
    closed = operators[0].endswith("=")
    near = [Interval(centre - half, closed, centre + half, closed)]
    # At least as far away as the bound is what is not nearer.
    far = _complement([Interval(centre - half, not closed, centre + half, not closed)])
    return near if operators[0][0] == "<" else far


def _is_distance(side: Expression) -> bool:
    return isinstance(side, Call) and side.name == "abs"

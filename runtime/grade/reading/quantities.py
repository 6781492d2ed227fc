"""Numbers with what stands around them: currencies, percent signs, units, and sums of these."""

from __future__ import annotations

import re
from fractions import Fraction

from runtime.grade.reading.expression import ExpressionParser
from runtime.grade.reading.nodes import Answer, Call, Number, Scalar, Unreadable
from runtime.grade.reading.tokens import Token
from runtime.grade.reading.units import MAGNITUDES, SHORT, canonical_unit, conversion

_CURRENCIES = {r"\usd": "usd", r"\eur": "eur", r"\gbp": "gbp", r"\inr": "inr", r"\jpy": "jpy"}


def compound(items: tuple[Answer, ...]) -> Scalar | None:
    """The sum of quantities whose units shrink from one to the next; None where they are something else."""
    total: Scalar | None = None
    for item in items:
        if not isinstance(item, Scalar) or not item.unit or item.percent:
            return None
        if total is None:
            total = item
            continue
        factor = conversion(total.unit, item.unit)
        if factor is None or factor <= 1:
            return None
        total = Scalar(Call("add", (Call("mul", (Number(factor), total.expression)), item.expression)), item.unit)
    return total


def quantities(tokens: list[Token]) -> list[list[Token]]:
    """`1 hour 30 minutes` cut before each numeral; one part where it is no such thing."""
    parts: list[list[Token]] = []
    for index, token in enumerate(tokens):
        if token.kind == "number" and (index == 0 or tokens[index - 1].kind in ("name", "text", "function")):
            parts.append([])
        elif token.kind not in ("name", "text", "function") or not parts:
            return [tokens]
        parts[-1].append(token)
    return parts if all(len(part) == 2 for part in parts) else [tokens]


def read_scalar(tokens: list[Token]) -> Scalar:
    """An expression with the currency, unit or percent sign around it."""
    unit = ""
    money = [index for index, token in enumerate(tokens) if token.kind == "operator" and token.text in _CURRENCIES]
    if money:
        if len(money) > 1 or (money[0] > 1 and money[0] != len(tokens) - 1):
            raise Unreadable
        unit = _CURRENCIES[tokens[money[0]].text]
        tokens = tokens[: money[0]] + tokens[money[0] + 1 :]
    if len(tokens) > 1 and tokens[-1].kind == "operator" and tokens[-1].text == "%":
        return Scalar(ExpressionParser(tokens[:-1]).finish(), unit, percent=True)
    if len(tokens) > 1 and tokens[-1].kind == "operator" and tokens[-1].text == r"\deg" and _no_function(tokens):
        return Scalar(ExpressionParser(tokens[:-1]).finish(), unit="degree")
    start = _unit_start(tokens)
    if start is None:
        return Scalar(ExpressionParser(tokens).finish(), unit)
    found = canonical_unit("".join((" " if token.spaced else "") + token.text for token in tokens[start:]))
    expression = ExpressionParser(tokens[:start]).finish()
    for word, size in MAGNITUDES.items():
        if found.startswith(word):
            expression, found = Call("mul", (expression, Number(Fraction(size), 0, 1))), found[len(word) :]
    if unit and found not in (unit, ""):
        raise Unreadable
    if found == "percent":
        return Scalar(expression, percent=True)
    return Scalar(expression, found or unit)


def _no_function(tokens: list[Token]) -> bool:
    # In `\\cos 60^\\circ` the degrees belong to the angle; in `60^\\circ` they are the unit of the answer.
    return all(token.kind != "function" or token.text == "sqrt" for token in tokens)


def _unit_start(tokens: list[Token]) -> int | None:
    """Where a trailing unit begins: text set as text, a known unit, or plain words after a number."""
    for index, token in enumerate(tokens):
        word = token.kind == "name" and (token.text in SHORT or len(token.text) > 3)
        # Words behind a word are prose: `one half`, `no solution`.
        if index and tokens[index - 1].kind == "name" and len(tokens[index - 1].text) > 1 and token.kind == "name":
            return None
        # `5 min` and `5 sec` end in what elsewhere is a function.
        if index and (token.kind == "text" or word or (token.kind == "function" and index == len(tokens) - 1)):
            rest = tokens[index:]
            following = all(
                later.kind in ("name", "text")
                or (later.kind == "operator" and later.text in ("/", "^", "{", "}", ".", "-", "(", ")"))
                # `in2` is a unit, `1 in 2` is none.
                or (later.kind == "number" and later.text in "23" and not later.spaced)
                for later in rest
            )
            # Words that join two quantities make a list, not a unit.
            joined = any(re.search(r"\b(and|or|of|at|is|to)\b", later.text) for later in rest)
            return index if following and not joined and len(rest) <= 8 else None
    return None

"""GSM8K's solutions with calculator marks (`48/2 = <<48/2=24>>24`) as text, code and executions.

A mark is a tool call written into a sentence: the text up to it becomes a text block, its left side a cell, and the
sentence goes on after the execution. The last cell has to give the gold answer. Where the last mark does not, the
answer is looked for in what the solution itself says: an earlier mark, an equation that was left unmarked, a rounding
or a percentage that the text names. A solution that offers none of these is left out by the caller.
"""

from __future__ import annotations

import ast
import itertools
import operator
import re
from collections.abc import Callable, Iterator, Mapping
from fractions import Fraction
from typing import Any

from recipes.data.records import Dialogue, FormatError, gold_in, question_in, solution_in
from runtime.grade.strict import plain_number
from runtime.lce import Block

_MARK = re.compile(r"<<([^<>]*)>>")
_FINAL = re.compile(r"\n?#{3,4}[ \t]*(.+?)\s*$")
_ARITHMETIC_BEFORE = re.compile(r"(?:[\d.,$%()\s+\-*/x×÷]|\\times)+$")
_LEFT_OVER = re.compile(r"^(?:[\s,)%]|\.(?!\d))+")
_NUMBER_AFTER = re.compile(r"\s*\$?\s*-?[\d,]*\.?\d")
_LONGEST_EQUATION = 120
_OPERATORS: dict[type[ast.AST], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: operator.pow,
}
_ROUNDED = re.compile(r"\b(?:round|about|approximately|nearest|whole|around|at least|up to|almost|roughly)", re.I)


def read(value: Mapping[str, Any]) -> Dialogue:
    """A record with `question` and a marked solution; its executions are still to be made.

    Raises:
        FormatError: no gold answer, or nothing in the solution computes it.
    """
    question, solution, gold = parts_of(value)
    body = _FINAL.sub("", solution)
    return Dialogue(((question, tuple(blocks_of(body, gold))),), gold=gold, checked=True)


def parts_of(value: Mapping[str, Any]) -> tuple[str, str, str]:
    """Question, marked solution and gold answer of a record.

    Raises:
        FormatError: one of them is missing.
    """
    question, solution = question_in(value), solution_in(value)
    if question is None or solution is None:
        raise FormatError("no question or no solution")
    gold = gold_in(value) or final_in(solution)
    if gold is None or plain_number(gold) is None:
        raise FormatError("no gold answer: neither `gold` nor a line `#### NUMBER`")
    return question, solution, gold


def final_in(solution: str) -> str | None:
    """What the line `#### NUMBER` at the end says, None where there is none."""
    final = _FINAL.search(solution)
    return final.group(1).strip() if final else None


def marks_of(solution: str) -> Iterator[tuple[str, Fraction, str]]:
    """For each mark that is arithmetic: its left side as Python, its value, and the text behind it."""
    for mark in _MARK.finditer(solution):
        expression = python_of(mark.group(1).rpartition("=")[0])
        result = value_of(expression) if expression is not None else None
        if expression is not None and result is not None:
            yield expression, result, solution[mark.end() :]


def blocks_of(solution: str, gold: str) -> list[Block]:
    """Text and code blocks of a marked solution, the last cell giving `gold` by our own arithmetic.

    Raises:
        FormatError: nothing in the solution computes `gold`.
    """
    target = Fraction(str(plain_number(gold)))
    blocks: list[Block] = []
    values: list[Fraction] = []
    position = 0
    pending = ""
    for mark in _MARK.finditer(solution):
        expression = python_of(mark.group(1).rpartition("=")[0])
        result = value_of(expression) if expression is not None else None
        pending += solution[position : mark.start()]
        position = mark.end()
        if expression is None or result is None:
            # Not readable as arithmetic (a unit in it, a slip of the pen): the sentence stays a sentence.
            continue
        _say(blocks, pending)
        pending = ""
        values.append(result)
        blocks.append(Block("code", f"step{len(values)} = {expression}\nstep{len(values)}"))
    rest = pending + solution[position:]
    closing = _closing_cell(values, target, _MARK.sub("", solution))
    if closing is None:
        raise FormatError("no step gives the gold answer")
    if closing:
        _say(blocks, rest)
        blocks.append(Block("code", closing))
        rest = ""
    answer = gold.replace(",", "").strip()
    _say(blocks, f"{rest.strip()}\n\nThe answer is \\boxed{{{answer}}}.")
    return [*blocks, Block("text", answer)]


def _say(blocks: list[Block], text: str) -> None:
    if text.strip():
        blocks.append(Block("text", text.strip()))


def _closing_cell(values: list[Fraction], target: Fraction, text: str) -> str | None:
    """The cell that makes the last execution the answer; "" where none is needed, None for no way."""
    if values and _near(values[-1], target):
        return ""
    for number in range(len(values) - 1, 0, -1):
        if _near(values[number - 1], target):
            return f"step{number}"
    for expression in _unmarked(text):
        result = value_of(expression)
        if result is not None and _near(result, target):
            return expression
    for number in range(len(values), 0, -1):
        value = values[number - 1]
        if "%" in text and _near(value * 100, target):
            return f"step{number} * 100"
        if "cent" in text.lower() and _near(value * 100, target):
            return f"step{number} * 100"
        if target.denominator == 1 and abs(value - target) < 1 and _ROUNDED.search(text):
            if Fraction(round(value)) == target:
                return f"round(step{number})"
            name = "ceil" if target > value else "floor"
            return f"import math\n\nmath.{name}(step{number})"
    return None


def _unmarked(text: str) -> Iterator[str]:
    """Left sides of equations between plain numbers in `text`, the last one first."""
    parts = text.split("=")
    for left, right in reversed(list(itertools.pairwise(parts))):
        # Cut before it is searched: the pattern is tried from every position of what it is given.
        found = _ARITHMETIC_BEFORE.search(left[-_LONGEST_EQUATION:])
        # What the end of the sentence before left over is no part of the equation.
        arithmetic = _LEFT_OVER.sub("", found.group()) if found and _NUMBER_AFTER.match(right) else ""
        expression = python_of(arithmetic)
        if expression is not None and any(sign in expression for sign in "+-*/"):
            yield expression


def _near(value: Fraction, target: Fraction) -> bool:
    return abs(value - target) < Fraction(1, 10**6)


def python_of(text: str) -> str | None:
    """The left side of a mark as a Python expression of numbers and operators, None where it is none."""
    text = " ".join(text.split()).strip("=").replace("\\times", "*")
    text = re.sub(r"(?<=\d),(?=\d{3})", "", text).replace("$", "").replace("¢", "")
    text = re.sub(r"(?<=[\d.)%\s])[xX×](?=[\s\d.(-])", "*", text).replace("÷", "/").replace("–", "-").replace("−", "-")
    text = text.translate(str.maketrans("[]{}", "()()")).replace("^", "**")
    # A mixed number: 1 1/2 is one and a half.
    text = re.sub(r"(?<![\d./])(\d+)\s+(\d+/\d+)(?![\d.])", r"(\1 + \2)", text)
    text = re.sub(r"(?<!\d)(\d+(?:\.\d*)?|\.\d+)\s*%", r"(\1 / 100)", text)
    text = re.sub(r"(?<![\d.])0+(?=\d)", "", text)
    text = re.sub(r"\)\s*(?=[\d(])", ")*", text)
    text = re.sub(r"(?<=\d)\s*(?=\()", "*", text)
    text = re.sub(r"\s*(\*\*|//|[-+*/])\s*", r" \1 ", text).strip()
    text = re.sub(r"(^|[(*/+-] ?)- (?=[\d(.])", r"\1-", text)
    if not text or not re.fullmatch(r"[\d.+\-*/()\s]+", text) or not any(char.isdigit() for char in text):
        return None
    try:
        ast.parse(text, mode="eval")
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        return None
    return text


def value_of(expression: str) -> Fraction | None:
    """The exact value of such an expression, None where it has none or is not worth computing."""
    try:
        return _value(ast.parse(expression, mode="eval").body)
    except (SyntaxError, ValueError, ZeroDivisionError, OverflowError, RecursionError, TypeError):
        return None


def _value(node: ast.expr) -> Fraction:
    if isinstance(node, ast.Constant) and isinstance(node.value, int | float):
        return Fraction(str(node.value))
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub | ast.UAdd):
        inner = _value(node.operand)
        return -inner if isinstance(node.op, ast.USub) else inner
    if isinstance(node, ast.BinOp) and type(node.op) in _OPERATORS:
        left, right = _value(node.left), _value(node.right)
        if isinstance(node.op, ast.Pow) and (abs(right) > 64 or abs(left) > 10**6):
            raise ValueError("too large a power")
        return Fraction(_OPERATORS[type(node.op)](left, right))
    raise ValueError(f"{type(node).__name__} is not arithmetic")

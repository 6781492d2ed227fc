"""Question, equation, answer (MAWPS, ASDiv-A, SVAMP, ...) as text, code and an execution.

The equation is in prefix (`- + 3 4 2`) or infix notation (`(3 + 4) - 2`, `x = 3 + 4 - 2`). Each number of it gets the
name of the noun that follows it in the question, where there is one; the text says what is computed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from fractions import Fraction
from typing import Any

from recipes.data.gsm8k import python_of, value_of
from recipes.data.records import Dialogue, FormatError, gold_in, question_in
from runtime.grade.strict import plain_number
from runtime.lce import Block

KEYS = ("equation", "Equation", "formula", "lEquations")
_OPERATORS = "+-*/"
_NUMBER = r"\d+(?:\.\d+)?"
_SKIPPED = frozenset(
    "more of the a an another other each every her his their its them how many much and or is are was were to in on "
    "for at by from with that if he she they it will would did do does has have had than as dollars dollar".split()
)
_MOST_NAMED = 3


def read(value: Mapping[str, Any]) -> Dialogue:
    """A record with a question, an equation and its answer; the execution is still to be made.

    Raises:
        FormatError: no equation that can be read, or one that does not give the answer.
    """
    question, gold, equation = question_in(value), gold_in(value), equation_in(value)
    if question is None or equation is None:
        raise FormatError("no question or no equation")
    expression = infix_of(equation)
    if expression is None:
        raise FormatError(f"an equation that is not arithmetic: {equation!r}")
    result = value_of(expression)
    if result is None:
        raise FormatError(f"an equation without a value: {equation!r}")
    if gold is not None and ((number := plain_number(gold)) is None or not _near(result, Fraction(str(number)))):
        raise FormatError(f"the equation gives another answer: {float(result):g} for {gold!r}")
    code, how = _code(question, expression)
    answer = _written(result)
    blocks = (Block("text", how), Block("code", code), Block("text", f"The answer is \\boxed{{{answer}}}."))
    return Dialogue(((question, blocks),), gold=answer, checked=True)


def equation_in(value: Mapping[str, Any]) -> str | None:
    """The equation of a record, None where it has none."""
    found = next((value[key] for key in KEYS if value.get(key)), None)
    if isinstance(found, list) and len(found) == 1:
        found = found[0]
    return found if isinstance(found, str) else None


def infix_of(equation: str) -> str | None:
    """The equation as a Python expression of numbers, None where it is not one."""
    sides = [side.strip() for side in equation.split("=")]
    # `x = 3 + 4`, `3 + 4 = x`, `3 + 4 = 7`: the side with the arithmetic is the one wanted.
    text = max((s for s in sides if not re.search(r"[A-Za-z]", s)), key=len, default="")
    parts = text.split()
    if parts and parts[0] in _OPERATORS:
        return _from_prefix(parts)
    return python_of(text)


def _from_prefix(parts: list[str]) -> str | None:
    stack: list[tuple[str, int]] = []
    for part in reversed(parts):
        if part not in _OPERATORS:
            if not re.fullmatch(_NUMBER, part):
                return None
            stack.append((part.removesuffix(".0"), 3))
            continue
        if len(stack) < 2:
            return None
        (left, left_rank), (right, right_rank) = stack.pop(), stack.pop()
        rank = 1 if part in "+-" else 2
        left = f"({left})" if left_rank < rank else left
        right = f"({right})" if right_rank < rank or (right_rank == rank and part in "-/") else right
        stack.append((f"{left} {part} {right}", rank))
    return stack[0][0] if len(stack) == 1 else None


def _code(question: str, expression: str) -> tuple[str, str]:
    """Code with a name for every number, and the sentence that says what is computed."""
    names: list[str] = []
    lines: list[str] = []
    named: list[str] = []

    def name(found: re.Match[str]) -> str:
        number = found.group()
        words = _noun_after(question, number)
        wanted = "_".join(words) or "number"
        again = 2
        while wanted in names:
            wanted = f"{'_'.join(words) or 'number'}_{again}"
            again += 1
        names.append(wanted)
        lines.append(f"{wanted} = {number}")
        named.append(f"{number} {' '.join(words)}".strip())
        return wanted

    spelled = re.sub(_NUMBER, name, expression)
    verbs = {"+": "add", "-": "subtract", "*": "multiply", "/": "divide"}
    steps = [verbs[sign] for sign in dict.fromkeys(c for c in expression if c in verbs)]
    does = " and ".join(steps) if steps else "take it as it stands"
    how = f"From {', '.join(named[:-1])} and {named[-1]}: {does}." if len(named) > 1 else f"From {named[0]}: {does}."
    return "\n".join([*lines, spelled]), how


def _noun_after(question: str, number: str) -> list[str]:
    """Up to three words that follow `number` in the question, as the parts of a name."""
    found = re.search(rf"(?<![\d.])\$?{re.escape(number)}(?:\.0)?(?![\d.]*\d)\s+((?:[A-Za-z'-]+\s*){{1,5}})", question)
    if found is None:
        return ["dollars"] if f"${number}" in question else []
    words: list[str] = []
    for word in re.findall(r"[a-z]+", found.group(1).lower()):
        if word in _SKIPPED:
            if words:
                break
            continue
        words.append(word)
        if len(words) == _MOST_NAMED or word.endswith("s"):
            break
    return words


def _near(value: Fraction, target: Fraction) -> bool:
    return abs(value - target) <= Fraction(1, 10**4) * max(Fraction(1), abs(target))


def _written(value: Fraction) -> str:
    return str(value.numerator) if value.denominator == 1 else f"{float(value):.6g}"

"""GSM8K's marked solutions as one program: a line a step, named by what the solution computes.

A solution in several cells (`recipes.data.gsm8k`) lets a model read each result before it goes on. A model of a hundred
million parameters gets lost between them; one cell that it writes in one go, from a sentence that names the steps, is
also the form of the generated stories and of rows with an equation.
"""

from __future__ import annotations

import keyword
import re
from collections.abc import Mapping
from fractions import Fraction
from typing import Any

from recipes.data.gsm8k import marks_of, parts_of
from recipes.data.records import Dialogue, FormatError
from runtime.grade.strict import plain_number
from runtime.lce import Block

_NUMBER = re.compile(r"(?<![\w.])\d+(?:\.\d+)?(?![\w.])")
_AFTER_RESULT = re.compile(r"[$€£]?[\d.,/]*\d%?\s+((?:[A-Za-z'-]+\s*){1,9})")
_SMALL = frozenset(
    "a an the of and or is are was were has have had to that this it he she they his her their its them him each every "
    "with so which who will would can be been on at by as than then more in for from per during".split()
)
_MOST_NAMED = 4
_VERBS = {"+": "add", "-": "subtract", "*": "multiply", "/": "divide"}


def read(value: Mapping[str, Any]) -> Dialogue:
    """A record with `question` and a marked solution, as text, one cell and the answer.

    Raises:
        FormatError: no gold answer, or no step that computes it.
    """
    question, solution, gold = parts_of(value)
    answer = gold.replace(",", "").strip()
    plan, code = program_of(question, solution, Fraction(str(plain_number(gold))))
    blocks = (Block("text", plan), Block("code", code), Block("text", f"The answer is \\boxed{{{answer}}}."))
    return Dialogue(((question, blocks),), gold=gold, checked=True)


def program_of(question: str, solution: str, target: Fraction) -> tuple[str, str]:
    """The sentence that names the steps, and the program; its last line has the value `target`.

    Raises:
        FormatError: no step has that value.
    """
    steps = [(expression, value, _words_after(rest)) for expression, value, rest in marks_of(solution)]
    last = next((n for n in range(len(steps), 0, -1) if steps[n - 1][1] == target), None)
    if last is None:
        raise FormatError("no step gives the gold answer")
    told = {Fraction(number) for number in _NUMBER.findall(question.replace(",", ""))}
    names: dict[Fraction, str] = {}
    lines: list[str] = []
    plan: list[str] = []
    for number, (expression, value, words) in enumerate(steps[:last], 1):
        # A number that the question gives is that number, also where a step happens to give it as well.
        spelled = _NUMBER.sub(lambda found: _named(found.group(), names, told), expression)
        name = _free("_".join(words) or f"step{number}", set(names.values()))
        verbs = " and ".join(_VERBS[sign] for sign in dict.fromkeys(c for c in expression if c in _VERBS)) or "take"
        plan.append(f"{' '.join(words)}: {verbs}" if words else verbs)
        lines.append(spelled if number == last else f"{name} = {spelled}")
        names[value] = name
    sentence = "; then ".join(plan) + "."
    return sentence[0].upper() + sentence[1:], "\n".join(lines)


def _named(number: str, names: Mapping[Fraction, str], told: set[Fraction]) -> str:
    value = Fraction(number)
    return number if value in told else names.get(value, number)


def _words_after(rest: str) -> list[str]:
    """What the result is called in the sentence that goes on behind it, as the parts of a name."""
    found = _AFTER_RESULT.match(rest.lstrip())
    words = re.findall(r"[a-z]+", found.group(1).lower()) if found else []
    return [word for word in words if word not in _SMALL][:_MOST_NAMED]


def _free(name: str, taken: set[str]) -> str:
    name = f"{name}_" if keyword.iskeyword(name) else name
    number = 2
    while name in taken:
        name, number = f"{name.removesuffix(f'_{number - 1}')}_{number}", number + 1
    return name

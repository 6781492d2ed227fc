"""Problems drawn from the families: for the base's corpus, for fine-tuning, and held out."""

from __future__ import annotations

import ast
import random
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Literal

from recipes.nano.families import FAMILIES
from recipes.nano.family import UNIT_NUMBERS, Family, Stage, fill, fill_code, is_held_out_number, slots
from recipes.nano.words import HELD_OUT_NAMES, NAMES, WORDS
from runtime.lce import Block, conversation

HeldOutKind = Literal["numbers", "wording", "families", "never"]
Executor = Callable[[list[str]], list[str]]
"""Runs the code blocks of one solution in one session and returns their outputs."""

WORN_SHARE = 0.35
"""Share of training questions that lose some words, so that no single word of a wording becomes the only clue to its
family or to the role of a number."""

_INTEGER = re.compile(r"\d+")


@dataclass(frozen=True, slots=True)
class Problem:
    """One drawn problem, not yet executed: what stands in each block that does not depend on an output."""

    family: Family
    question: str
    gold: str
    values: dict[str, Any]
    seed: int

    @property
    def codes(self) -> list[str]:
        """The code blocks."""
        return [fill_code(step.code, self.values) for step in self.family.steps]

    def blocks(self, execute: Executor) -> list[Block]:
        """The whole solution, every execution produced by `execute`."""
        rng = random.Random(self.seed)
        codes = self.codes
        outputs = execute(codes)
        values = dict(self.values)
        result: list[Block] = []
        for number, (step, code, output) in enumerate(zip(self.family.steps, codes, outputs, strict=True), start=1):
            result.append(Block("text", fill(rng.choice(step.texts), values, rng)))
            result += [Block("code", code), Block("execution", output)]
            values[f"out{number}"] = output
        values["result"] = outputs[-1]
        closing = fill(rng.choice(self.family.closings), values, rng)
        return [*result, Block("text", closing), Block("text", outputs[-1])]

    def row_of(self, blocks: list[Block]) -> dict[str, Any]:
        """The problem and its solution in the hub schema."""
        return {"messages": conversation(self.question, blocks)}


def draw(family: Family, rng: random.Random, *, held_out: bool, unseen_wording: bool = False) -> Problem:
    """One problem of `family`.

    Args:
        family: the family.
        rng: where all choices come from.
        held_out: numbers and names of the evaluation side; otherwise of the training side, in question and code alike.
        unseen_wording: a wording that no training stage sees.
    """
    names = HELD_OUT_NAMES if held_out else NAMES
    template = rng.choice(family.unseen_wordings if unseen_wording else family.wordings)
    used = set().union(
        slots(template), *(slots(text) for step in family.steps for text in (*step.texts, step.code))
    ) | {slot for closing in family.closings for slot in slots(closing)}
    for _ in range(200_000):
        values: dict[str, Any] = {
            slot: _draw_number(low, high, rng, held_out=held_out) for slot, (low, high) in family.numbers.items()
        }
        if not family.accept(values):
            continue
        values |= family.derive(values)
        drawn_names = iter(rng.sample(names, 6))
        for slot in sorted(used - values.keys()):
            kind = family.words.get(slot, slot.rstrip("0123456789"))
            if kind == "name":
                values[slot] = next(drawn_names)
            elif kind in WORDS:
                taken = set(values.values()) if slot != kind else set()
                values[slot] = rng.choice([word for word in WORDS[kind] if word not in taken])
        question = fill(template, values, rng)
        numbers = [int(number) for number in _INTEGER.findall(question)]
        free = [number for number in numbers if number >= 11 and number not in UNIT_NUMBERS]
        if all(is_held_out_number(number) is held_out for number in free):
            return Problem(family, question, str(family.answer(values)), values, rng.getrandbits(32))
    raise ValueError(f"{family.name}: no values found on the {'held-out' if held_out else 'training'} side")


def _draw_number(low: int, high: int, rng: random.Random, *, held_out: bool) -> int:
    while True:
        number = rng.randint(low, high)
        if is_held_out_number(number) is held_out and number not in UNIT_NUMBERS:
            return number


def mentions_held_out_number(question: str, blocks: Iterable[Block]) -> bool:
    """Whether any number of evaluation's side stands anywhere in a question or its solution."""
    texts = [question, *(block.content for block in blocks)]
    return any(is_held_out_number(int(number)) for text in texts for number in _INTEGER.findall(text))


def training_problems(n: int, seed: int) -> Iterator[Problem]:
    """`n` problems of training's numbers, names and wordings, families in turn; some are worn."""
    rng = random.Random(f"nano training {seed}")
    families = [family for family in FAMILIES.values() if family.stage == "fine_tuning"]
    for index in range(n):
        problem = draw(families[index % len(families)], rng, held_out=False)
        yield replace(problem, question=worn(problem.question, rng)) if rng.random() < WORN_SHARE else problem


def worn(question: str, rng: random.Random) -> str:
    """The question with one in ten of its words left out.

    Words with a number in them, or beside one, stay.
    """
    words = question.split(" ")
    near = {j for i, word in enumerate(words) if any(map(str.isdigit, word)) for j in (i - 1, i, i + 1)}
    return " ".join(word for i, word in enumerate(words) if i in near or rng.random() > 0.1)


def held_out(kind: HeldOutKind, n: int, seed: int = 0) -> list[Problem]:
    """`n` problems for evaluation, the families in turn, all with numbers and names of no training stage.

    Args:
        kind: `numbers`: families and wordings of fine-tuning; `wording`: wordings of no stage; `families`: families
            that only the base's plain corpus held, never fine-tuning; `never`: families of no stage.
        n: how many.
        seed: which ones.
    """
    rng = random.Random(f"nano held out {kind} {seed}")
    stage: Stage = {"families": "base_only", "never": "never"}.get(kind, "fine_tuning")  # type: ignore[assignment]
    families = [family for family in FAMILIES.values() if family.stage == stage]
    rng.shuffle(families)
    return [
        draw(families[index % len(families)], rng, held_out=True, unseen_wording=kind == "wording")
        for index in range(n)
    ]


def run_trusted(codes: list[str]) -> list[str]:
    """Outputs of our own template code, in this process: a bare last expression is echoed as its `repr`.

    For the base's corpus of several hundred thousand documents. Model-written code never comes here, and fine-tuning
    rows take their executions from the sandbox; a test holds the two equal.
    """
    namespace: dict[str, Any] = {}
    outputs = []
    for code in codes:
        tree = ast.parse(code)
        last = tree.body.pop()
        if not isinstance(last, ast.Expr):
            raise ValueError(f"template code must end in an expression: {code!r}")
        exec(compile(tree, "<template>", "exec"), namespace)
        outputs.append(repr(eval(compile(ast.Expression(last.value), "<template>", "eval"), namespace)))
    return outputs

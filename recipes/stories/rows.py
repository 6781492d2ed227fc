"""Rows from the worlds: a question, with or without idle facts, and its solution with executed code."""

from __future__ import annotations

import json
import math
import random
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import Any

from recipes.data.gsm8k import value_of
from recipes.stories import amounts, change, everyday, groups, quantities, tasks  # noqa: F401 - each makes its worlds known
from recipes.stories.world import KINDS, MAKERS, Ask, Draw, World, variable
from runtime.errors import DataError
from runtime.grade.strict import plain_number
from runtime.lce import Block, conversation

LOWER, CONDITION, EXTRA, OPENING, SIGN, IDLE, SIBLING = 0.12, 0.3, 0.65, 0.15, 0.35, 0.3, 0.7
"""Shares: of questions in small letters, of last facts told as a condition, of facts told though they do not matter, of
questions with an opening sentence, of questions with a dollar sign, of stories with a number about something else, and
of texts that are told again with another question where they have one."""
_OPENINGS = (
    "It was a rainy day.", "At the school fair there was a lot to do.", "Here is a problem from class.",
    "The weather was fine that day.", "The whole family was at home.", "It was time to clean up.", "The shop was open.",
    "There was a big party in town.", "School was out early.", "The summer holidays had begun.",
)  # fmt: skip


@dataclass(frozen=True)
class Story:
    """A question, and its solution but for the execution."""

    question: str
    text: str
    code: str
    gold: str


def stories(seed: int, kinds: Sequence[str] = KINDS) -> Iterator[Story]:
    """Stories without end, no question twice; the same for the same seed and kinds."""
    makers = [maker for maker in MAKERS if maker.__module__.rsplit(".", 1)[1] in kinds]
    rng = random.Random(seed)
    seen: set[str] = set()
    while True:
        draw = Draw(rng)
        made = rng.choice(makers)(draw)
        for story in _tellings(made, draw, rng):
            if story.question not in seen:
                seen.add(story.question)
                yield story


def _tellings(world: World, draw: Draw, rng: random.Random) -> Iterator[Story]:
    """A story, and often another one: the same facts with another question."""
    ask = rng.choice(world.asks)
    told = [(fact, rng.choice(world.facts[fact])) for fact in ask.needs.split()]
    for fact in ask.extra.split():
        if rng.random() < EXTRA:
            chosen = rng.choice(world.facts[fact])
            told.insert(rng.randint(1 if _refers(chosen) else 0, len(told)), (fact, chosen))
    if _refers(told[0][1]):
        return
    if rng.random() < IDLE:
        about_somebody = rng.random() < 0.6
        told.insert(0 if about_somebody else len(told), ("", _idle(draw, about_somebody)))
    names = {fact for fact, _ in told if fact}
    alike = [
        other
        for other in world.asks
        if other is not ask and set(other.needs.split()) <= names <= {*other.needs.split(), *other.extra.split()}
    ]
    chosen_asks = [ask, *(rng.sample(alike, 1) if alike and rng.random() < SIBLING else [])]
    for one in chosen_asks:
        story = _told([sentence for _, sentence in told], one, rng)
        if story is not None:
            yield story


def _idle(draw: Draw, about_somebody: bool) -> str:
    """A sentence with a number that plays no part in any question."""
    thing, number = draw.thing(), draw.number()
    if about_somebody:
        name = draw.person().name
        return draw.pick(
            f"{name} has {number} {thing.many}.", f"{name} is {number % 60 + 5} years old.",
            f"{name} bought {number} {thing.many} last week.", f"Yesterday {name} counted {number} {thing.many}.",
        )  # fmt: skip
    return draw.pick(
        f"{thing.many.capitalize()} cost {number % 20 + 2} dollars each.", f"It all took {number % 50 + 5} minutes.",
        f"{number} {thing.many} lie in another room.", f"The way home is {number % 40 + 2} miles long.",
    )  # fmt: skip


def _told(told: list[str], ask: Ask, rng: random.Random) -> Story | None:
    names = {name: variable(name) for name, _ in ask.values}
    if len(set(names.values())) < len(names):
        return None
    by_name = {names[name]: value for name, value in ask.values}
    expression = ask.expression
    # The longest name first: `pens` also stands in `pens left`.
    for position, name in enumerate(sorted(names, key=len, reverse=True)):
        expression = re.sub(rf"(?<![\w]){re.escape(name)}(?![\w])", f"\x00{position}\x00", expression)
    for position, name in enumerate(sorted(names, key=len, reverse=True)):
        expression = expression.replace(f"\x00{position}\x00", names[name])
    numbers = re.sub(r"[a-z_]\w*", lambda found: str(by_name[found.group()]), expression)
    gold = value_of(numbers)
    decimal = any(isinstance(value, Decimal) for value in by_name.values())
    if gold is not None and ask.whole:
        gold = Fraction(math.ceil(gold) if ask.whole == "up" else math.floor(gold))
    if gold is None or gold <= 0 or (gold * 100 if decimal else gold).denominator != 1:
        return None
    question = rng.choice(ask.texts)
    if rng.random() < CONDITION and len(told) > 1 and question.startswith("How ") and ". " not in told[-1]:
        last = told.pop().rstrip(".")
        if last.split(" ", 1)[0] in _SMALL:
            last = re.sub(r"^(then|now) ", "", last[0].lower() + last[1:])
        comma = "," if rng.random() < 0.8 else ""
        question = f"If {last}{comma} {question[0].lower()}{question[1:]}"
    if rng.random() < OPENING:
        told.insert(0, rng.choice(_OPENINGS))
    text = " ".join(f"{sentence[0].upper()}{sentence[1:]}" for sentence in [*told, question])
    if rng.random() < SIGN:
        text = re.sub(r"\b(\d+(?:\.\d+)?) dollars\b", r"$\1", text)
    if rng.random() < LOWER:
        text = text.lower()
    if decimal or ask.whole:
        expression = {"up": "math.ceil({})", "down": "int({})", "": "round({}, 2)"}[ask.whole].format(expression)
    lines = [*(["import math"] if ask.whole == "up" else []), *(f"{name} = {value}" for name, value in by_name.items())]
    return Story(text, ask.how, "\n".join([*lines, expression]), f"{float(gold):.12g}" if decimal else str(gold))


_BACK = frozenset("He She It That Then Now After Among They His Her Its In".split())
"""Words that begin a sentence which speaks of what came before it."""
_SMALL = frozenset("He She There Each Every It They Now Then In On The After Some Of Today Yesterday Last This".split())


def _refers(sentence: str) -> bool:
    """Whether a sentence cannot be the first one."""
    return sentence.split(" ", 1)[0] in _BACK or bool(
        re.search(r"\b(also|too|as well|more|them|him|her|his)\b", sentence)
    )


def blocks_of(story: Story, output: str) -> list[Block]:
    """The solution with the output that its code had."""
    answer = Block("text", f"The answer is \\boxed{{{story.gold}}}.")
    return [Block("text", story.text), Block("code", story.code), Block("execution", output), answer]


def write_rows(
    target: Path,
    count: int,
    seed: int,
    *,
    kinds: Sequence[str] = KINDS,
    sessions: int = 2,
    on_row: Callable[[int], None] | None = None,
) -> None:
    """Write `count` rows in the hub schema, the code of each run in the sandbox.

    Raises:
        DataError: code that does not give the right answer.
        SandboxError: code cannot be isolated here.
    """
    from concurrent.futures import ThreadPoolExecutor

    from runtime.files import atomic_path
    from runtime.sandbox import Limits, Sandbox

    def run(chunk: list[Story]) -> list[dict[str, Any]]:
        rows = []
        # Cells assign every name they read, so that stories can share a session.
        with Sandbox(Limits(cell_seconds=60.0)) as sandbox:
            for story in chunk:
                output = sandbox.run(story.code).output
                if plain_number(output) != plain_number(story.gold):
                    raise DataError(
                        f"{story.code!r} gives {output!r}, right is {story.gold}", "no rows were written", "report this"
                    )
                rows.append({"messages": conversation(story.question, blocks_of(story, output))})
        return rows

    source = islice(stories(seed, kinds), count)
    chunks = iter(lambda: list(islice(source, 64)), [])
    done = 0
    with (
        atomic_path(target) as temporary,
        ThreadPoolExecutor(sessions) as threads,
        open(temporary, "w", encoding="utf-8") as handle,
    ):
        for rows in threads.map(run, list(chunks)):
            handle.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
            done += len(rows)
            if on_row is not None:
                on_row(done)

"""The base's corpus: problems as plain text and code, and small Python sessions. The block format is not in it."""

from __future__ import annotations

import random
from collections.abc import Iterator

from recipes.nano.families import FAMILIES
from recipes.nano.family import UNIT_NUMBERS, is_held_out_number
from recipes.nano.problems import draw, mentions_held_out_number, run_trusted
from runtime.lce import Block

SESSION_SHARE = 0.12
"""Share of documents that are random Python sessions: they teach copying of any number into any variable."""

WORN_SHARE = 0.35
"""Share of questions that lose some words, so that no single word of a wording becomes the only clue to its family."""

_SESSION_NAMES = (
    "a b c n m x y total count price rate hours speed length width height first second third start end weight size "
    "score value distance age days part whole left right top bottom number base limit"
).split()


def documents(seed: int) -> Iterator[str]:
    """An endless stream of documents, the same for the same seed."""
    rng = random.Random(f"nano corpus {seed}")
    families = [family for family in FAMILIES.values() if family.stage != "never"]
    while True:
        rng.shuffle(families)
        for family in families:
            if rng.random() < SESSION_SHARE:
                yield _session(rng)
            problem = draw(family, rng, held_out=False)
            blocks = problem.blocks(run_trusted)
            question = _worn(problem.question, rng) if rng.random() < WORN_SHARE else problem.question
            # The claim "numbers used in neither stage of training" is about outputs as well as questions.
            if not mentions_held_out_number(question, blocks):
                yield rng.choice(_STYLES)(question, blocks)


def _worn(question: str, rng: random.Random) -> str:
    """The question with one in ten of its words left out; words with a number in them, or beside one, stay."""
    words = question.split(" ")
    near = {j for i, word in enumerate(words) if any(map(str.isdigit, word)) for j in (i - 1, i, i + 1)}
    return " ".join(word for i, word in enumerate(words) if i in near or rng.random() > 0.1)


def _markdown(question: str, blocks: list[Block]) -> str:
    form = {"text": "{}\n\n", "code": "```python\n{}\n```\n", "execution": "Output:\n{}\n\n"}
    return f"## Problem\n{question}\n\n## Solution\n" + "".join(
        form[block.type].format(block.content) for block in blocks
    )


def _script(question: str, blocks: list[Block]) -> str:
    form = {"text": "# {}\n", "code": "{}\n", "execution": "# -> {}\n"}
    return f'"""{question}"""\n' + "".join(form[block.type].format(block.content) for block in blocks)


def _notebook(question: str, blocks: list[Block]) -> str:
    lines = [question]
    cell = 0
    for block in blocks:
        if block.type == "code":
            cell += 1
            lines.append(f"In [{cell}]:\n{block.content}")
        elif block.type == "execution":
            lines.append(f"Out[{cell}]: {block.content}")
        else:
            lines.append(block.content)
    return "\n".join(lines) + "\n"


def _forum(question: str, blocks: list[Block]) -> str:
    form = {"text": "{}\n", "code": "<code>\n{}\n</code>\n", "execution": "It prints {}\n"}
    return f"Q: {question}\nA: " + "".join(form[block.type].format(block.content) for block in blocks)


_STYLES = (_markdown, _script, _notebook, _forum)


def _session(rng: random.Random) -> str:
    """Variables introduced in prose, assigned in code, combined, printed and repeated."""
    names = rng.sample(_SESSION_NAMES, rng.randint(2, 4))
    values = [_session_number(rng) for _ in names]
    pairs = list(zip(names, values, strict=True))
    told = rng.sample(pairs, len(pairs))
    prose = ", ".join(rng.choice(("{} is {}", "{} = {}", "{}: {}")).format(name, value) for name, value in told)
    expression = f" {rng.choice('+-*')} ".join(names)
    code = "\n".join(f"{name} = {value}" for name, value in pairs)
    output = run_trusted([f"{code}\n{expression}"])[0]
    if mentions_held_out_number(output, []):
        return _session(rng)
    return (
        f"{prose}\n{code}\n{expression}\n{output}\n{rng.choice(('The result is', 'So we get', 'Answer:'))} {output}\n"
    )


def _session_number(rng: random.Random) -> int:
    while True:
        number = rng.randint(0, 10 ** rng.randint(1, 5))
        if not is_held_out_number(number) and number not in UNIT_NUMBERS:
            return number

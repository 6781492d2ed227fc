"""The base's corpus: problems as plain text and code, small Python sessions, no block format."""

from __future__ import annotations

import random
from collections.abc import Iterator

from recipes.nano.families import FAMILIES
from recipes.nano.family import UNIT_NUMBERS, is_held_out_number
from recipes.nano.problems import WORN_SHARE, draw, mentions_held_out_number, run_trusted, worn
from recipes.nano.words import NAMES
from runtime.lce import Block

SESSION_SHARE = 0.3
"""Sessions per problem: they teach to copy any number to the variable it was told for, whatever the wording."""

_SESSION_NAMES = (
    "a b c n m x y total count price rate hours speed length width height first second third start end weight size "
    "score value distance age days part whole left right top bottom number base limit hats shirts shoes adult child "
    "people people2 speed1 speed2 hours1 hours2 price1 price2 count1 count2 red blue green brown black white yellow "
    "pink goal percent principal years months weeks minutes seconds boys girls men women rows seats boxes bags crates "
    "loose inner outer step power modulus exponent percent2 friends tip wage sold bought saved spent weight1 weight2 "
    "cows ducks legs heads buses pupils pens books cups lamps coins toys apples bread milk team players points"
).split()
"""Names of variables, nearly all of them words of the problems."""

_TOLD = (
    *("{n} is {v}", "{n} = {v}", "{n}: {v}", "{v} {n}", "{v} is the {n}", "the {n} is {v}", "{v} for {n}"),
    *("one of {v} {n}", "{v} per {n}", "each {n} costs {v} dollars", "{v} dollars per {n}", "{v} dollars for each {n}"),
    *("a {n} of {v}", "the {n} has {v}", "{v} of them {n}", "{n} {v}", "there are {v} {n}", "{v} km per hour for {n}"),
    *("{n} with {v}", "{v} different {n}", "{v} hours of {n}", "{v} dollars are {n}", "{n} takes {v} hours"),
)
"""Ways in which a sentence ties a value `{v}` to a name `{n}`."""

_BETWEEN = (", ", ", ", "; ", ". ", " and ", ", and ")


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
            question = worn(problem.question, rng) if rng.random() < WORN_SHARE else problem.question
            # The claim "numbers used in neither stage of training" is about outputs as well as questions.
            if not mentions_held_out_number(question, blocks):
                yield rng.choice(_STYLES)(question, blocks)


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
    pairs = [(name, _session_number(rng)) for name in names]
    # Either one form for all, where only the neighbouring word tells values apart, or a form for each.
    forms = rng.choices(_TOLD, k=len(pairs)) if rng.random() < 0.5 else [rng.choice(_TOLD)] * len(pairs)
    told = [form.format(n=n, v=v) for form, (n, v) in zip(forms, rng.sample(pairs, len(pairs)), strict=True)]
    prose = told[0] + "".join(rng.choice(_BETWEEN) + each for each in told[1:])
    if rng.random() < 0.5:
        prose = f"{rng.choice(NAMES)} {rng.choice(('has', 'knows', 'sees', 'wants', 'reads'))} {prose}."
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

"""Generated word problems: right, varied, the same for the same seed, with numbers that do not matter."""

from __future__ import annotations

import json
import math
import re
from fractions import Fraction
from itertools import islice
from pathlib import Path

from recipes.cli import main
from recipes.data.gsm8k import value_of
from recipes.stories.rows import Story, stories
from recipes.stories.world import KINDS, MAKERS

SOME: list[Story] = list(islice(stories(5), 3000))


def test_the_same_seed_gives_the_same_stories_and_another_one_others() -> None:
    assert list(islice(stories(5), 50)) == SOME[:50]
    assert not {story.question for story in islice(stories(6), 50)} & {story.question for story in SOME[:50]}


def test_the_code_gives_the_answer_and_names_every_number() -> None:
    for story in SOME:
        *assignments, expression = story.code.removeprefix("import math\n").split("\n")
        values = dict(line.split(" = ") for line in assignments)
        wrapped = re.fullmatch(r"(math\.ceil|int|round)\((.*?)(, 2)?\)", expression)
        inner = wrapped[2] if wrapped else expression
        for name in sorted(values, key=len, reverse=True):
            inner = re.sub(rf"\b{name}\b", values[name], inner)
        exact = value_of(inner)
        assert exact is not None
        right = {"math.ceil": math.ceil, "int": math.floor}.get(wrapped[1] if wrapped else "", Fraction)(exact)
        assert right == Fraction(story.gold), story
        words = "twice|half|a third|a quarter|a fifth|a sixth"
        assert all(re.search(rf"\b{value}\b|{words}", story.question) for value in values.values()), story


def test_decimals_and_rounding_are_among_them() -> None:
    assert sum("round(" in story.code for story in SOME) > 0.03 * len(SOME)
    assert sum("math.ceil(" in story.code for story in SOME) > 0.005 * len(SOME)
    assert sum("int(" in story.code for story in SOME) > 0.005 * len(SOME)
    assert not [story for story in SOME if re.search(r"\.0*$", story.gold)]


def test_every_sentence_begins_with_a_capital_unless_all_is_small() -> None:
    assert not [
        story.question
        for story in SOME
        if re.search(r"[a-z0-9]\. [a-z]", story.question) and story.question != story.question.lower()
    ]


def test_a_kind_can_be_asked_for() -> None:
    chosen = [story.code for story in islice(stories(5, ["quantities"]), 200)]
    assert sum("round(" in code or "math.ceil(" in code or "int(" in code for code in chosen) > 60


def test_many_questions_tell_a_number_that_does_not_matter() -> None:
    with_more = sum(
        len(re.findall(r"\b\d+\b", story.question)) > len(re.findall(r" = \d", story.code)) for story in SOME
    )
    assert with_more > 0.3 * len(SOME)


def test_no_question_begins_with_somebody_who_was_not_named() -> None:
    assert not [story for story in SOME if re.match(r"(he|she|they|then|now|his|her)\b", story.question, re.IGNORECASE)]


def test_no_sentence_speaks_of_somebody_whom_only_an_idle_sentence_named() -> None:
    idle = r"(yesterday \w+ counted \d+ [\w ]+|bought \d+ [\w ]+ last week)\. (he|she|they|then|now)\b"
    assert not [story.question for story in SOME if re.match(rf"(\w+ )?{idle}", story.question, re.IGNORECASE)]


def test_every_module_of_worlds_is_a_kind() -> None:
    assert {maker.__module__.rsplit(".", 1)[1] for maker in MAKERS} == set(KINDS)


def test_one_text_has_several_questions() -> None:
    bodies: dict[str, set[str]] = {}
    for story in SOME:
        shape = re.sub(r"\d+", "#", story.code.split("\n")[-1])
        bodies.setdefault(story.question.rsplit(". ", 1)[-1][:12], set()).add(re.sub(r"[a-z_]\w*", "n", shape))
    assert len(bodies["How many mor"]) >= 3


def test_the_same_facts_are_told_with_two_questions() -> None:
    told = [re.split(r"(?<=[.]) ", story.question)[:-1] for story in SOME]
    pairs = [(a, b) for a, b, x, y in zip(SOME, SOME[1:], told, told[1:], strict=False) if x and x == y]
    assert len(pairs) > 0.03 * len(SOME)
    assert sum(a.code.split("\n")[-1] != b.code.split("\n")[-1] for a, b in pairs) > 0.9 * len(pairs)


def test_rows_are_written_with_executed_code(tmp_path: Path) -> None:
    out = tmp_path / "stories.jsonl"
    assert main(["data", "stories", "--rows", "12", "--seed", "5", "--out", str(out)]) == 0
    rows = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
    for story, row in zip(SOME, rows, strict=False):
        question, solution = row["messages"][1]["content"][0]["content"], row["messages"][2]["content"]
        assert question == story.question
        assert [block["type"] for block in solution] == ["text", "code", "execution", "text"]
        assert float(solution[2]["content"]) == float(story.gold)
    assert len(rows) == 12

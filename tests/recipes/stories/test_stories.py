"""Generated word problems: right, varied, the same for the same seed, with numbers that do not matter."""

from __future__ import annotations

import json
import re
from itertools import islice
from pathlib import Path

from recipes.cli import main
from recipes.data.gsm8k import value_of
from recipes.stories.rows import Story, stories

SOME: list[Story] = list(islice(stories(5), 3000))


def test_the_same_seed_gives_the_same_stories_and_another_one_others() -> None:
    assert list(islice(stories(5), 50)) == SOME[:50]
    assert not {story.question for story in islice(stories(6), 50)} & {story.question for story in SOME[:50]}


def test_the_code_gives_the_answer_and_names_every_number() -> None:
    for story in SOME:
        *assignments, expression = story.code.split("\n")
        values = dict(line.split(" = ") for line in assignments)
        for name in sorted(values, key=len, reverse=True):
            expression = re.sub(rf"\b{name}\b", values[name], expression)
        assert value_of(expression) == int(story.gold), story
        assert all(re.search(rf"\b{value}\b|twice", story.question) for value in values.values()), story


def test_many_questions_tell_a_number_that_does_not_matter() -> None:
    with_more = sum(
        len(re.findall(r"\b\d+\b", story.question)) > len(re.findall(r" = \d", story.code)) for story in SOME
    )
    assert with_more > 0.3 * len(SOME)


def test_no_question_begins_with_somebody_who_was_not_named() -> None:
    assert not [story for story in SOME if re.match(r"(he|she|they|then|now|his|her)\b", story.question, re.IGNORECASE)]


def test_one_text_has_several_questions() -> None:
    bodies: dict[str, set[str]] = {}
    for story in SOME:
        shape = re.sub(r"\d+", "#", story.code.split("\n")[-1])
        bodies.setdefault(story.question.rsplit(". ", 1)[-1][:12], set()).add(re.sub(r"[a-z_]\w*", "n", shape))
    assert len(bodies["How many mor"]) >= 3


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

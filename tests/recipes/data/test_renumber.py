"""Copies of questions with other numbers keep what the question says true."""

from __future__ import annotations

import json
import random
import re
from fractions import Fraction
from pathlib import Path

import pytest

from recipes.data.convert import convert
from recipes.data.equations import infix_of
from recipes.data.gsm8k import value_of
from recipes.data.renumber import renumbered

QUESTIONS = [
    ("Mia had 17 figs and ate 3 of them. How many figs are left?", "- 17 3"),
    ("A shelf holds 8 jars and there are 96 jars. How many shelves are full?", "96 / 8"),
    ("Tom paid $12.50 for each of 4 tickets. How much is that?", "x = 12.5 * 4"),
    ("There are 30 plums, 12 of them green. Half a crate of 6 goes bad. How many plums are good?", "30 - 6"),
]


@pytest.mark.parametrize(("question", "equation"), QUESTIONS)
def test_a_copy_has_other_numbers_in_question_and_equation_and_as_sound_a_result(question: str, equation: str) -> None:
    old = value_of(infix_of(equation) or "")
    assert old is not None
    for seed in range(40):
        made = renumbered({"question": question, "equation": equation, "gold": str(old)}, random.Random(seed))
        assert made is not None
        assert "gold" not in made
        new = value_of(infix_of(made["equation"]) or "")
        assert new is not None
        assert new > 0
        assert (old.denominator == 1) <= (new.denominator == 1)
        told = re.findall(r"\d+(?:\.\d+)?", made["question"])
        assert set(re.findall(r"\d+(?:\.\d+)?", made["equation"])) <= set(told)
        before = [Fraction(n) for n in re.findall(r"\d+(?:\.\d+)?", question)]
        after = [Fraction(n) for n in told]
        order = [a < b for a in before for b in before]
        assert order == [a < b for a in after for b in after]


def test_numbers_that_are_part_of_a_word_a_share_a_time_or_a_date_stay() -> None:
    question = "On 3/4 at 9:30 the 2nd class of 25 children lost 20% of its 1,200 cards and 5 pens. How many come?"
    made = renumbered({"question": question, "equation": "25 - 5"}, random.Random(0))
    assert made is not None
    for kept in ("3/4", "9:30", "2nd", "20%", "1,200"):
        assert kept in made["question"]


def test_a_record_without_an_equation_over_its_own_numbers_has_no_copy() -> None:
    assert renumbered({"question": "How many days are in a week?", "equation": "7"}, random.Random(0)) is None
    assert renumbered({"question": "How many of 5?"}, random.Random(0)) is None


def test_convert_writes_the_copies_behind_their_original_and_the_same_ones_again(tmp_path: Path) -> None:
    source = tmp_path / "q.jsonl"
    source.write_text("".join(json.dumps({"question": q, "equation": e}) + "\n" for q, e in QUESTIONS))
    for name in ("a", "b"):
        report = convert(str(source), tmp_path / name, copies=2, fresh=True)
        assert report.written == 3 * len(QUESTIONS)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    rows = [json.loads(line)["messages"][1]["content"][0]["content"] for line in (tmp_path / "a").open()]
    assert rows[0] == QUESTIONS[0][0]
    assert len(set(rows)) == len(rows)

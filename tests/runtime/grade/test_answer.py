"""Which part of a solution is its answer, and strict numeric grading."""

from __future__ import annotations

import pytest

from runtime.grade import final_answer, last_boxed, strict_equal
from runtime.lce import Block, conversation, render

LONG = "We add the two numbers and find, after some more words than sixty characters, that "


def test_a_short_last_text_is_the_answer_as_it_stands() -> None:
    assert final_answer([Block("text", "Let us see."), Block("text", r" \frac{1}{2} ")]) == r"\frac{1}{2}"
    assert final_answer([Block("text", "x" * 60)]) == "x" * 60


def test_a_long_last_text_answers_with_its_last_box() -> None:
    assert final_answer([Block("text", LONG + r"\boxed{3}, no, \boxed{\frac{1}{\sqrt{2}}}.")]) == r"\frac{1}{\sqrt{2}}"


def test_a_long_last_text_that_states_no_value_answers_nothing() -> None:
    assert final_answer([Block("text", LONG + "the numbers are large.")]) is None
    assert final_answer([Block("text", LONG + "it is 12.")]) == "12"


def test_what_stands_only_in_an_execution_is_no_answer() -> None:
    assert final_answer([Block("text", "a"), Block("code", "12"), Block("execution", "12")]) is None
    assert final_answer([Block("text", r"\boxed{12}"), Block("code", "12")]) is None
    assert final_answer([]) is None


def test_a_rendered_solution_answers_like_its_blocks() -> None:
    blocks = [Block("text", "Compute."), Block("code", "6*7"), Block("execution", "42"), Block("text", "42")]
    assert final_answer(render(conversation("What is 6*7?", blocks))) == "42"


def test_an_unclosed_rendered_block_is_unfinished() -> None:
    assert final_answer("<|text|>42") is None
    assert final_answer("<|text|>42<|endofblock|>") == "42"


def test_plain_text_is_read_as_a_last_block() -> None:
    assert final_answer(" 42 ") == "42"
    assert final_answer("") is None
    assert final_answer(LONG + r"\boxed{42}") == "42"


@pytest.mark.parametrize(
    ("text", "content"),
    [
        (r"\boxed{1} and \boxed{2}", "2"),
        (r"\boxed{\{1, 2\}}", r"\{1, 2\}"),
        (r"\boxed{a} then \boxed{b", "a"),
        (r"\fbox{1} \boxed {7}", "7"),
        (r"\boxed{}", None),
        ("no box", None),
    ],
)
def test_the_last_box_whose_braces_balance_counts(text: str, content: str | None) -> None:
    assert last_boxed(text) == content


@pytest.mark.parametrize(
    ("prediction", "gold", "equal"),
    [
        ("51", 51.0, True),
        (r"\$1,000", "1000", True),
        ("0.9000004", "0.9", True),
        ("0.900002", "0.9", False),
        ("-3.0", "-3", True),
        ("1e3", "1000", True),
        ("1/2", "0.5", False),
        ("18 dollars", "18", False),
        ("1_000", "1000", False),
        ("nan", "nan", False),
        ("infinity", "inf", False),
        ("1e999", "1e999", False),
        (None, "3", False),
        (True, "1", False),
        ("", "", False),
    ],
)
def test_strict_grading_knows_plain_numbers_alone(prediction: object, gold: object, equal: bool) -> None:
    assert strict_equal(prediction, gold) is equal


def test_a_number_too_long_to_print_is_no_plain_number() -> None:
    assert strict_equal(10**5000, "1") is False

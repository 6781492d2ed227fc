"""Numbers in words, labels in front of numbers, and negative numerals with a base."""

from __future__ import annotations

import pytest

from runtime.grade import equivalent
from runtime.grade.rules import is_readable


@pytest.mark.parametrize(
    ("words", "number"),
    [
        ("three", "3"),
        (r"\boxed{\text{Twenty-five}}", "25"),
        ("The answer is one hundred and six.", "106"),
        ("one thousand two hundred and six", "1206"),
        ("a hundred", "100"),
        ("twelve thousand three hundred forty-five", "12,345"),
        ("one million two thousand and three", "1002003"),
        ("minus four", "-4"),
        ("zero", "0"),
    ],
)
def test_a_number_in_words_is_that_number(words: str, number: str) -> None:
    assert equivalent(words, number)
    assert equivalent(number, words)
    assert not equivalent(words, f"{number}1")


@pytest.mark.parametrize(
    "words",
    ["one two", "hundred", "twenty twelve", "three hundred and", "one thousand million", "and three", "ten ten"],
)
def test_words_that_spell_no_number_are_none(words: str) -> None:
    assert not any(equivalent(words, str(number)) for number in (1, 2, 3, 10, 12, 20, 32, 100, 102, 300, 1000, 10**9))


def test_a_label_in_front_of_a_number_is_no_part_of_it() -> None:
    assert equivalent("A: 391", "391")
    assert not equivalent("A: 391", "392")
    assert not equivalent("a:3", "3"), "a ratio"
    assert not equivalent("A: 3, B: 4", "3")


def test_a_negative_numeral_with_a_base_is_read_and_is_not_the_positive_one() -> None:
    assert is_readable("-221_3")
    assert equivalent(r"$-221_{3}$", "-221_3")
    assert not equivalent("221_3", "-221_3")
    assert not equivalent("-221_4", "-221_3")

"""The default grader on labelled pairs: labels were written before the grader ran on them."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from runtime.grade import equivalent, verdicts

PAIRS: list[dict[str, Any]] = [
    json.loads(line) for line in (Path(__file__).parent / "data" / "graded_pairs.jsonl").read_text("utf-8").splitlines()
]


def test_there_are_enough_pairs_and_half_of_them_are_drawn() -> None:
    assert len(PAIRS) >= 400
    assert sum(pair["from"] == "traces" for pair in PAIRS) * 2 >= len(PAIRS)
    assert len({(pair["prediction"], pair["gold"]) for pair in PAIRS}) == len(PAIRS)


def test_no_pair_is_falsely_called_equal() -> None:
    false = [pair for pair in PAIRS if not pair["equal"] and equivalent(pair["prediction"], pair["gold"])]
    assert false == []


def test_at_least_99_percent_of_the_true_equals_are_found() -> None:
    true = [pair for pair in PAIRS if pair["equal"]]
    missed = [pair for pair in true if not equivalent(pair["prediction"], pair["gold"])]
    assert len(true) > 200
    assert len(missed) <= len(true) // 100, missed


def test_lenient_grading_accepts_all_that_the_default_accepts() -> None:
    for pair in PAIRS:
        if equivalent(pair["prediction"], pair["gold"]):
            assert equivalent(pair["prediction"], pair["gold"], lenient=True), pair


@pytest.mark.parametrize("pair", [pair for pair in PAIRS if "lenient" in pair], ids=lambda pair: pair["prediction"])
def test_a_percent_sign_on_one_side_is_forgiven_in_lenient_mode_alone(pair: dict[str, Any]) -> None:
    assert equivalent(pair["prediction"], pair["gold"]) is pair["equal"]
    assert equivalent(pair["prediction"], pair["gold"], lenient=True) is pair["lenient"]


def test_equality_of_numbers_is_symmetric() -> None:
    numeric = re.compile(r"[-\d./%$,\\fracsqrt{} ]+")
    checked = 0
    for pair in PAIRS:
        left, right = pair["prediction"], pair["gold"]
        # A prediction may be finer than a rounded gold, never the other way round.
        rounded = any(re.fullmatch(r"-?\d*\.\d{3,}", side) for side in (left, right))
        if numeric.fullmatch(left) and numeric.fullmatch(right) and not rounded:
            assert equivalent(left, right) == equivalent(right, left), pair
            checked += 1
    assert checked > 150


@pytest.mark.parametrize(
    ("prediction", "gold", "equal"),
    [
        # A prediction may be finer than a rounded gold, never coarser.
        (r"\frac{2}{3}", "0.6667", True),
        ("0.6667", r"\frac{2}{3}", False),
        ("583.33", "583.3333", False),
        ("0.333333", r"\frac{1}{3}", True),
        ("0.000001", r"\frac{1}{700000}", False),
        # Units: one side may leave them out; two that differ must convert.
        ("5 km/h", "5 kilometers per hour", True),
        ("60 minutes", "1 hour", True),
        ("60 minutes", "60", True),
        ("60 minutes", "60 hours", False),
        ("25 cents", r"\$0.25", True),
        ("5 €", "€5", True),
        ("5 euros", "5 dollars", False),
        ("12 in", "12 inches", True),
        # Order counts in tuples and rows, not in lists and sets; repeated items count.
        ("(1,2),(3,4)", "(3,4),(1,2)", True),
        ("7 1 -1", "7,1,-1", True),
        ("1,7,-1", "7 1 -1", False),
        ("2,2,3", "2,3", False),
        (r"\{1,2\}", "{2,1}", True),
        (r"\{1,2\}", "(1,2)", False),
        # Readings: a thousands separator, or two angles.
        ("45, 135", "45,135", True),
        ("45135", "45,135", True),
        ("(1,234)", "1234", False),
        # Inequalities and intervals.
        ("x > 3 or x < 1", r"(-\infty,1)\cup(3,\infty)", True),
        (r"x \ne 3", r"(-\infty,3)\cup(3,\infty)", True),
        ("-x < -3", "x > 3", True),
        ("x < 3", "x > 3", False),
        (r"\begin{vmatrix}1&2\\3&4\end{vmatrix}", r"\begin{pmatrix}1&2\\3&4\end{pmatrix}", False),
        ("[[1,2],[3,4]]", r"\begin{pmatrix}1&2\\3&4\end{pmatrix}", True),
        # Functions.
        (r"\log(2)", r"\ln 2", False),
        (r"\log_3 9", "2", True),
        (r"\tan^{-1} 1", r"\pi/4", True),
        (r"\cos^2 x", r"\cos x^2", False),
        (r"0.\overline{3}", r"\frac{1}{3}", True),
        (r"0.1\overline{6}", r"\frac{1}{6}", True),
        ("The answer is 7", "7", True),
        ("7 is not the answer", "7", False),
    ],
)
def test_rules_of_the_default_grader(prediction: str, gold: str, equal: bool) -> None:
    assert equivalent(prediction, gold) is equal


@pytest.mark.parametrize(
    ("prediction", "gold"),
    [("3:2", r"\frac{3}{2}"), ("0.333", r"\frac{1}{3}"), ("(1,2)", r"\begin{pmatrix}1\\2\end{pmatrix}")],
)
def test_lenient_grading_forgives_notation(prediction: str, gold: str) -> None:
    assert not equivalent(prediction, gold)
    assert equivalent(prediction, gold, lenient=True)


def test_the_three_verdicts_are_given_together() -> None:
    assert verdicts("12%", "12") == {"strict": False, "correct": False, "lenient": True}
    assert verdicts("12.0", "12") == {"strict": True, "correct": True, "lenient": True}
    assert verdicts(None, "12") == {"strict": False, "correct": False, "lenient": False}


@pytest.mark.parametrize(
    ("one", "other", "equal"),
    [
        # Sets of real numbers are compared as sets, however they are put together.
        (r"[1,2]\cup[2,3]", "[1,3]", True),
        (r"(1,2)\cup(2,3)", "(1,3)", False),
        (r"(0,1)\cup\{1\}", "(0,1]", True),
        (r"\mathbb{R}\setminus[0,\infty)", "x<0", True),
        ("x < 1 or x > 3", r"x > 3 \text{ or } x < 1", True),
        (r"x < 3 \text{ and } x > 1", r"(1,3)", True),
        (r"x < 1 \text{ and } x > 3", r"(-\infty,1)\cup(3,\infty)", False),
        ("|2x-1| \\le 3", "[-1,2]", True),
        ("|x| > 2", r"(-\infty,-2)\cup(2,\infty)", True),
        ("|x| > -1", r"(-\infty,\infty)", False),
        # Names say which is which, in a list too.
        ("a=4, b=3", "3,4", False),
        ("b=4, a=3", "3,4", True),
        ("width = 3, length = 5", "3,5", True),
        ("x=3, x=1", "1,3", True),
        # Quantities in several units, and words that multiply.
        ("2 hours and 30 minutes", "2.5 hours", True),
        ("5 apples and 2 pears", "7 apples", False),
        ("1.5 million", "1.5", False),
        # Values of functions are no products.
        ("f(3)=7", "7", True),
        ("f(3)", "3f(1)", False),
        # Sums with numerals as bounds are read, others are not ours.
        (r"\sum_{k=1}^{4} k", "10", True),
        (r"\sum_{k=1}^{4} k", "11", False),
        # Identities hold for factorials of variables, numbers between the natural ones have none that counts.
        (r"\binom{n}{k}", r"\frac{n!}{k!(n-k)!}", True),
        (r"\binom{n}{2}", r"\frac{n^2}{2}", False),
    ],
)
def test_answers_are_compared_by_meaning(one: str, other: str, equal: bool) -> None:
    assert equivalent(one, other) is equal
    assert equivalent(other, one) is equal


EXACT = r"\frac{%d}{%d}"


@pytest.mark.parametrize(
    ("prediction", "gold", "equal"),
    [
        # Half a unit of a gold's last digit, on either side of it.
        (EXACT % (66674, 10**5), "0.6667", True),
        (EXACT % (66666, 10**5), "0.6667", True),
        (EXACT % (66676, 10**5), "0.6667", False),
        (EXACT % (66664, 10**5), "0.6667", False),
        # At least four digits, two of them decimals.
        (EXACT % (6666, 10**4), "0.667", False),
        (EXACT % (12347, 10**3), "12.35", True),
        (EXACT % (12347, 10**2), "123.5", False),
        # A finer decimal has at least four digits more.
        ("0.66666667", "0.6667", True),
        ("0.6666667", "0.6667", False),
        # Six digits and six decimals stand for the exact value that they round, five do not.
        ("0.333333", EXACT % (3333334, 10**7), True),
        ("0.333333", EXACT % (3333336, 10**7), False),
        ("0.33333", r"\frac13", False),
        ("33.33333", r"\frac{100}{3}", False),
        ("33.333333", r"\frac{100}{3}", True),
        # Nine digits, six of them decimals, were printed from a float.
        ("1.33333333", "1.33333333333333", True),
        ("1.3333333", "1.33333333333333", False),
        ("1.33333334", "1.33333333333333", False),
        ("1234567.89", "1234567.891", False),
        # What float arithmetic leaves behind, up to twelve digits.
        ("0.30000000000000004", "0.3", True),
        ("0.3000000000001", "0.3", True),
        ("0.300000000001", "0.3", False),
    ],
)
def test_a_decimal_rounds_at_its_last_digit_and_nowhere_else(prediction: str, gold: str, equal: bool) -> None:
    assert equivalent(prediction, gold) is equal


@pytest.mark.parametrize(
    ("prediction", "gold", "equal"),
    [
        ("0.333", r"\frac13", True),
        ("0.33", r"\frac13", False),
        ("0.334", r"\frac13", False),
        ("0.3334", r"\frac13", False),
        (r"\frac23", "0.667", True),
        (r"\frac23", "0.666", False),
    ],
)
def test_lenient_rounding_needs_three_digits_and_rounds_at_the_last(prediction: str, gold: str, equal: bool) -> None:
    assert equivalent(prediction, gold, lenient=True) is equal

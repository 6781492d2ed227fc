"""The grader on hostile input: it never raises, never runs code, and always comes back."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime.grade import equivalent, final_answer, last_boxed, strict_equal, verdicts
from runtime.grade.comparing.shapes import same
from runtime.grade.reading.reader import read
from runtime.grade.reading.spelling import clean

LIMIT_SECONDS = 2.0
SLACK = 3
"""Limits are stated for an idle machine; tests allow three times the value."""

NASTY = [
    r"9^{9^9}", r"9^{9^{9^9}}", "2^{2^{2^{2^2}}}", "10000!", "3000!!!", r"\binom{100000}{50000}", r"\sin(10^{1000000})",
    "1e999999999", "(" * 900, r"\frac" * 190, r"\sqrt" * 190, "{" * 900, "-" * 900 + "1", "9" * 990, "1," * 400,
    "|" * 600,
    r"\begin{pmatrix}1&" * 40, r"\pm 1 " * 100, "x^" * 300, "x_" * 300, "=" * 300, r"\cup" * 200, r"\frac{1}{0}",
    r"\infty-\infty", "\x00", "\ud800", "\\", "$", "", " ", "nan", r"\log_1 5", r"\sqrt[1000]{2}", "1_{999999999999}",
]  # fmt: skip
CODE = [
    "__import__('os').system('touch {path}')",
    "open('{path}','w')",
    r"\text{{__import__('os').system('touch {path}')}}",
    "exec(\"open('{path}','w')\")",
    "(lambda: open('{path}','w'))()",
    r"\frac{{open('{path}','w')}}{{1}}",
]


@pytest.mark.parametrize("text", NASTY, ids=lambda text: repr(text[:16]))
def test_hostile_text_gets_a_verdict_in_bounded_time(text: str) -> None:
    for other in ("1", r"\sqrt{x}+1", "(1,2)"):
        for pair in ((text, other), (other, text)):
            started = time.monotonic()
            assert equivalent(*pair) is False
            assert time.monotonic() - started < LIMIT_SECONDS * SLACK


@pytest.mark.parametrize("template", CODE)
def test_an_answer_is_never_run_as_code(template: str, tmp_path: Path) -> None:
    target = tmp_path / "ran"
    answer = template.format(path=target)
    for gold in ("0", "1", r"x^2", answer.replace("ran", "other")):
        assert equivalent(answer, gold) is False
    assert not target.exists()


@pytest.mark.parametrize("value", [None, 5, 5.0, b"5", [5], {}, float("nan"), True])
def test_values_that_are_no_text_get_a_verdict(value: object) -> None:
    assert isinstance(equivalent(value, "5"), bool)
    assert isinstance(equivalent("5", value), bool)


class _Broken:
    def __str__(self) -> str:
        raise RuntimeError("no text")


def test_a_value_without_text_equals_nothing() -> None:
    assert equivalent(_Broken(), "5") is False
    assert equivalent(10**5000, "5") is False


@settings(max_examples=250, deadline=None)
@given(st.text(alphabet=r"0123456789+-*/^_=<>()[]{}|\,.:;!%$& abixyπ√½\n", max_size=40))
def test_no_text_makes_the_reader_raise_or_differ_from_itself(text: str) -> None:
    read(clean(text))
    final_answer(text)
    if clean(text):
        assert equivalent(text, text)


@settings(max_examples=250, deadline=None)
@given(*[st.text(alphabet=r"0123456789+-*/^_=<>()[]{}|\,.:;!%$& abixyπ√½", max_size=30)] * 2)
def test_no_two_readings_make_the_comparison_raise(one: str, other: str) -> None:
    for left in read(clean(one)):
        for right in read(clean(other)):
            assert same(left, right) in (True, False, None)


def test_threads_get_the_same_verdicts_side_by_side() -> None:
    assert threading.current_thread() is threading.main_thread()
    pairs = [(rf"\frac{{{n}}}{{4}}", str(n / 4)) for n in range(40)]
    pairs += [(rf"\sqrt{{{n}}}", str(n)) for n in range(2, 40)]
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda pair: equivalent(*pair), pairs * 3))
    assert found == ([True] * 40 + [False] * 38) * 3


@pytest.mark.parametrize(
    "text",
    [r"\boxed{" * 15_000, "{" * 100_000, "{" + " " * 990 + r"\choose", r"\frac{" * 160, r"\text{" * 160],
    ids=["boxes", "braces", "choose", "fractions", "texts"],
)
def test_reading_an_unfinished_text_takes_no_more_time_than_its_length(text: str) -> None:
    started = time.process_time()
    final_answer("x" * 61 + text)
    clean(text[:1000])
    assert equivalent(text, "1") is False
    assert time.process_time() - started < 1.0


SEEDS = [
    "{", "}", "$", "\\(", "\\[", "*", "**", "`", "_", "__", "#", "####", "#### ", "\n", " ", "\t", ".", ". ", "?", ",",
    "= ", "\\boxed{", "\\boxed ", "\\fbox[", "\\text{", "\\color{", "\\textcolor{red}{", "\\mathbf{", "<b>", "answer ",
    "the answer is ", "is 5 ", "5 ", "and ", "so ", "3+", "9", "1,", "1,000", "1 000 ", "\\, ", "(", "[", "|", "!", "^",
    "^{", "x_", "-", "\\frac", "\\frac{", "\\sqrt", "\\sqrt{", "\\sqrt[", "\\sum_{k=1}^{9}", "\\begin{matrix}", "\\pm ",
    "1:", "1-", "1/", "\\cup ", "\\in ", "=", "<", "\\pi ", "sin ", "e^", "1!", "\\circ ", "½", "²", "٣", "x'", "(0)",
]  # fmt: skip
"""What a text may be made of that a reader could stumble over."""


def _seconds(read_text: Callable[[str], object], text: str) -> float:
    started = time.process_time()
    read_text(text)
    return time.process_time() - started


def _any(text: str) -> None:
    final_answer(text)
    final_answer("Let us see. " + text + " The answer is " + text)
    last_boxed(text)
    strict_equal(text, "1")
    verdicts(text, "1")
    verdicts(text, text + "1")


@pytest.mark.parametrize("seed", SEEDS, ids=repr)
def test_a_text_twice_as_long_takes_about_twice_the_time(seed: str) -> None:
    size = 40_000
    short, long = (seed * (n // len(seed)) for n in (size, 2 * size))
    # The machine may be busy in one of them: the best of three counts, and what takes no time has no ratio.
    once, twice = (min(_seconds(_any, text) for _ in range(3)) for text in (short, long))
    assert twice < max(3.5 * once, 0.05)
    assert twice < 1.0


@pytest.mark.parametrize("seed", SEEDS, ids=repr)
def test_the_longest_answer_that_is_read_is_read_at_once(seed: str) -> None:
    for length in (120, 400, 999):
        text = (seed * length)[:length]
        for other in ("1", "x^2+1", text[1:] or "2", text + "1"):
            assert _seconds(lambda answer, other=other: verdicts(answer, other), text) < LIMIT_SECONDS


@pytest.mark.parametrize(
    "opened", ["(", "[", "{", r"\{", "|", r"\sqrt{", r"\frac{1}{", "x^{", r"\sqrt", r"\frac1", "sin ", "(1,"]
)
@pytest.mark.parametrize("depth", [5, 25, 100, 190])
def test_deep_nesting_ends_in_a_verdict_wherever_it_is_asked_for(opened: str, depth: int) -> None:
    closed = {"(": ")", "[": "]", "|": "|"}.get(opened[0], "}" * ("{" in opened))
    if opened == r"\{":
        closed = r"\}"
    text = opened * depth + "2" + closed * depth

    def called_from(levels: int) -> bool:
        return called_from(levels - 1) if levels else equivalent(text, text + "+1")

    assert called_from(0) is False
    assert read(clean(text)) is not None
    # A caller deep in its own work gets the same verdict.
    assert called_from(300) is False


def test_sums_within_sums_are_bounded() -> None:
    text = r"\sum_{i=1}^{99}\sum_{j=1}^{99}\sum_{k=1}^{99} 1"
    assert _seconds(lambda answer: equivalent(answer, "970299"), text) < LIMIT_SECONDS
    assert equivalent(r"\sum_{i=1}^{3}\sum_{j=1}^{3} ij", "36")

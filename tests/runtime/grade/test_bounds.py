"""The grader on hostile input: it never raises, never runs code, and always comes back."""

from __future__ import annotations

import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime.grade import algebra, equivalent, final_answer
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


@pytest.fixture(scope="module", autouse=True)
def loaded_worker() -> None:
    assert algebra.warm_up(60), "the algebra worker did not start"


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
        # The worker itself, past the rules that would not have asked it.
        assert not algebra.equal(answer, gold, seconds=LIMIT_SECONDS * SLACK)
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


def test_algebra_finds_what_our_rules_cannot_read() -> None:
    assert algebra.equal(r"\sum_{k=1}^{3} k", "6", seconds=20)
    assert algebra.equal(r"\sum_{k=1}^{3} k", "7", seconds=20) is False
    assert equivalent(r"\sum_{k=1}^{4} k^2", "30")


def test_numbers_overrule_a_symbolic_equality() -> None:
    import sympy

    from runtime.grade.worker import numbers_disagree

    e, x = sympy.E, sympy.Symbol("x")
    assert numbers_disagree(1 - 1 / e, 1 + 1 / e)
    assert numbers_disagree(sympy.Rational(1, 2**99), sympy.Rational(1, 2**98))
    assert numbers_disagree(x**2, x**2 + sympy.Rational(1, 10**6))
    assert not numbers_disagree((x + 1) ** 2, x**2 + 2 * x + 1)


def test_a_worker_that_hangs_is_killed_and_replaced() -> None:
    worker = algebra.Worker()
    try:
        assert worker.wait_ready(time.monotonic() + 60)
        started = time.monotonic()
        assert worker.ask(r"\sum_{k=1}^{10^{10}} k^{k}", "1", time.monotonic() + 0.5) is None
        assert time.monotonic() - started < 2
    finally:
        worker.kill()
    assert worker._process.poll() is not None
    assert algebra.equal(r"\sum_{k=1}^{10^{10}} k^{k}", "1", seconds=0.5) is None
    assert algebra.equal("x+x", "2x", seconds=60) is True


def test_threads_get_the_same_verdicts_side_by_side() -> None:
    assert threading.current_thread() is threading.main_thread()
    pairs = [(rf"\frac{{{n}}}{{4}}", str(n / 4)) for n in range(40)]
    pairs += [(rf"\sqrt{{{n}}}", str(n)) for n in range(2, 40)]
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda pair: equivalent(*pair), pairs * 3))
    assert found == ([True] * 40 + [False] * 38) * 3


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_does_not_talk_to_its_parents_worker() -> None:
    import multiprocessing

    context = multiprocessing.get_context("fork")
    with context.Pool(1) as pool:
        assert pool.apply(algebra.equal, ("x+x", "2x"), {"seconds": 60}) is True
    assert algebra.equal("y+y", "2y", seconds=60) is True


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


def test_a_worker_that_was_killed_has_a_successor_before_it_is_asked_for() -> None:
    assert algebra.equal(r"\sum_{k=1}^{10^{10}} k^{k}", "1", seconds=0.3) is None
    assert len(algebra._idle) == algebra._alive >= 1

"""Intervals and tests against published values, scipy, and simulation."""

from __future__ import annotations

import math
import random

import pytest

from runtime.evaluate.stats import clustered, mcnemar, paired_difference, wilson


def test_wilson_reproduces_newcombes_published_examples() -> None:
    # R. G. Newcombe, Statistics in Medicine 17 (1998) 857-872, table I, method 3.
    for successes, n, low, high in [
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ]:
        interval = wilson(successes, n)
        assert interval.low == pytest.approx(low, abs=6e-5)
        assert interval.high == pytest.approx(high, abs=6e-5)


def test_an_interval_of_nothing_is_everything() -> None:
    assert (wilson(0, 0).low, wilson(0, 0).high) == (0.0, 1.0)
    assert wilson(0, 0).percent() == "-"


def test_more_successes_than_trials_are_refused() -> None:
    with pytest.raises(ValueError, match="5 successes of 4"):
        wilson(5, 4)


def test_clustered_is_wilson_where_every_question_has_one_sample() -> None:
    shares = [1.0] * 30 + [0.0] * 12
    ours, plain = clustered(shares), wilson(30, 42)
    assert (ours.value, ours.low, ours.high) == pytest.approx((plain.value, plain.low, plain.high))


def test_samples_of_one_question_narrow_the_interval_only_as_far_as_they_differ() -> None:
    same = clustered([1.0, 0.0] * 20)
    mixed = clustered([0.5] * 20 + [0.75, 0.25] * 10)
    assert mixed.high - mixed.low < same.high - same.low
    # All alike tells nothing beyond the number of questions.
    alike = clustered([0.5] * 40)
    assert (alike.low, alike.high) == pytest.approx((wilson(20, 40).low, wilson(20, 40).high))


def test_paired_difference_reproduces_newcombes_published_example() -> None:
    # R. G. Newcombe, Statistics in Medicine 17 (1998) 2635-2650, table II, method 10, for 36, 12, 2, 0.
    first = [True] * 36 + [False] * 2 + [True] * 12
    second = [True] * 36 + [True] * 2 + [False] * 12
    found = paired_difference(second, first)
    assert found.difference == pytest.approx(0.2)
    assert (found.low, found.high) == pytest.approx((0.0569, 0.3404), abs=5e-5)
    assert (found.only_first, found.only_second) == (2, 12)


def test_the_paired_interval_holds_the_truth_about_19_times_in_20() -> None:
    rng = random.Random(5)
    held = 0
    for _ in range(600):
        base = [rng.random() < 0.6 for _ in range(80)]
        first = [b if rng.random() < 0.8 else rng.random() < 0.5 for b in base]
        second = [b if rng.random() < 0.8 else rng.random() < 0.5 for b in base]
        found = paired_difference(first, second)
        held += found.low <= 0 <= found.high
    assert 0.92 <= held / 600 <= 0.99


def test_mcnemar_is_the_binomial_test_on_discordant_pairs() -> None:
    assert mcnemar(0, 0) == mcnemar(5, 5) == 1.0
    assert mcnemar(1, 9) == 2 * (1 + 10) / 2**10
    assert mcnemar(12, 2) == 2 * (1 + 14 + 91) / 2**14
    # Where the normal approximation holds, with continuity correction, they agree; and large counts do not overflow.
    z = (100 - 1) / math.sqrt(4100)
    assert mcnemar(2000, 2100) == pytest.approx(math.erfc(z / math.sqrt(2)), rel=1e-3)


def test_swapping_two_runs_turns_the_difference_around() -> None:
    rng = random.Random(1)
    first = [rng.random() < 0.4 for _ in range(50)]
    second = [rng.random() < 0.6 for _ in range(50)]
    one, other = paired_difference(first, second), paired_difference(second, first)
    assert (one.difference, one.low, one.high) == pytest.approx((-other.difference, -other.high, -other.low))
    assert one.p_value == other.p_value


def test_outcomes_that_are_no_pairs_are_refused() -> None:
    with pytest.raises(ValueError, match="are not pairs"):
        paired_difference([True], [True, False])


def test_no_questions_give_no_difference() -> None:
    empty = paired_difference([], [])
    assert (empty.n, empty.p_value) == (0, 1.0)
    assert math.isclose(empty.low, -1.0)

"""Intervals and tests for counts of solved problems.

Formulas carry their source; nothing here needs scipy.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

Z95 = 1.959963984540054
"""Two-sided 95 % quantile of the normal distribution."""


@dataclass(frozen=True, slots=True)
class Proportion:
    """A share and its interval, each between 0 and 1."""

    value: float
    low: float
    high: float
    n: int

    def percent(self) -> str:
        """`64.22 [61.59, 66.76]`."""
        if not self.n:
            return "-"
        return f"{100 * self.value:.2f} [{100 * self.low:.2f}, {100 * self.high:.2f}]"


def wilson(successes: float, n: float, z: float = Z95) -> Proportion:
    """Wilson's score interval (E. B. Wilson, JASA 22, 1927) for `successes` of `n`.

    `n` may be an effective number of independent trials and `successes` a sum of shares. With n = 0 the interval is
    everything.
    """
    if n <= 0:
        return Proportion(0.0, 0.0, 1.0, 0)
    if not 0 <= successes <= n:
        raise ValueError(f"{successes} successes of {n}")
    share = successes / n
    centre = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    # The bounds at the ends are exact; without this, rounding leaves 1e-17 in their place.
    low = 0.0 if successes == 0 else max(0.0, centre - half)
    high = 1.0 if successes == n else min(1.0, centre + half)
    return Proportion(share, low, high, round(n))


def clustered(shares: Sequence[float], z: float = Z95) -> Proportion:
    """Mean of per-question shares (pass@1 over several samples) with an interval over questions.

    Samples of one question are not independent, so the questions are what is counted: Wilson's interval with the
    effective number of trials share * (1 - share) / variance of the mean. With one sample a question it is `wilson`.
    """
    n = len(shares)
    if n == 0:
        return wilson(0, 0)
    mean = math.fsum(shares) / n
    spread = math.fsum((share - mean) ** 2 for share in shares) / n
    effective = n if spread == 0 else max(float(n), n * mean * (1 - mean) / spread)
    # All questions alike: nothing is known about the samples' own scatter, so the questions alone count.
    bounded = wilson(mean * effective, effective, z)
    return Proportion(mean, bounded.low, bounded.high, n)


@dataclass(frozen=True, slots=True)
class PairedDifference:
    """Two runs on the same questions.

    Attributes:
        n: questions in both.
        only_first, only_second: questions that one run alone solved.
        difference: share of the second minus share of the first.
        low, high: its 95 % interval.
        p_value: exact two-sided McNemar test.
    """

    n: int
    first: float
    second: float
    only_first: int
    only_second: int
    difference: float
    low: float
    high: float
    p_value: float


def paired_difference(first: Sequence[bool], second: Sequence[bool], z: float = Z95) -> PairedDifference:
    """The difference of two paired proportions, with its interval and McNemar's exact test.

    The interval is Newcombe's square-and-add method 10 (R. G. Newcombe, Statistics in Medicine 17, 1998), which stays
    inside [-1, 1] and does not collapse where all or none are solved; the test is the binomial one on the discordant
    pairs (Q. McNemar, Psychometrika 12, 1947).
    """
    if len(first) != len(second):
        raise ValueError(f"{len(first)} and {len(second)} outcomes are not pairs")
    n = len(first)
    if n == 0:
        return PairedDifference(0, 0.0, 0.0, 0, 0, 0.0, -1.0, 1.0, 1.0)
    both = sum(a and b for a, b in zip(first, second, strict=True))
    only_first = sum(a and not b for a, b in zip(first, second, strict=True))
    only_second = sum(b and not a for a, b in zip(first, second, strict=True))
    neither = n - both - only_first - only_second
    one, two = wilson(both + only_first, n, z), wilson(both + only_second, n, z)
    phi = _phi(both, only_first, only_second, neither)
    difference = two.value - one.value
    down, up = two.value - two.low, one.high - one.value
    low = difference - math.sqrt(max(0.0, down * down - 2 * phi * down * up + up * up))
    up, down = two.high - two.value, one.value - one.low
    high = difference + math.sqrt(max(0.0, up * up - 2 * phi * up * down + down * down))
    return PairedDifference(
        n,
        one.value,
        two.value,
        only_first,
        only_second,
        difference,
        max(-1.0, low),
        min(1.0, high),
        mcnemar(only_first, only_second),
    )


@dataclass(frozen=True, slots=True)
class MeanDifference:
    """A mean of paired differences and its 95 % interval.

    Attributes:
        n: questions.
        runs: pairs of runs (seeds).
    """

    value: float
    low: float
    high: float
    n: int
    runs: int


def clustered_difference(differences: Sequence[Sequence[float]], z: float = Z95) -> MeanDifference:
    """Mean of paired differences over several pairs of runs (seeds), clustered by question and pair.

    Outcomes of one question are alike in all runs, and outcomes of one run share its training. The variance of the mean
    is that of the question clusters plus that of the run clusters minus that of single outcomes (A. C. Cameron,
    J. B. Gelbach and D. L. Miller, JBES 29, 2011), with the factor G/(G-1) for each kind of cluster, and never less
    than that of the question clusters. With one run it says nothing of training's own scatter. Where all differences
    are the same they say nothing of theirs: then as many other ones may be behind them as Wilson's interval allows.

    Args:
        differences: one sequence a run, each with one difference a question, in one order.
    """
    runs, n = len(differences), len(differences[0]) if differences else 0
    if any(len(row) != n for row in differences):
        raise ValueError("the runs have different numbers of questions")
    if n == 0:
        return MeanDifference(0.0, -1.0, 1.0, 0, runs)
    mean = math.fsum(map(math.fsum, differences)) / (runs * n)
    errors = [[value - mean for value in row] for row in differences]
    by_question = math.fsum(math.fsum(column) ** 2 for column in zip(*errors, strict=True)) * (n / max(1, n - 1))
    variance = by_question
    if runs > 1:
        by_run = math.fsum(math.fsum(row) ** 2 for row in errors) * runs / (runs - 1)
        single = math.fsum(value * value for row in errors for value in row)
        variance = max(by_question, by_question + by_run - single)
    half = z * math.sqrt(variance) / (runs * n)
    if variance == 0:
        half = wilson(0, n, z).high
    return MeanDifference(mean, max(-1.0, mean - half), min(1.0, mean + half), n, runs)


def _phi(both: int, only_first: int, only_second: int, neither: int) -> float:
    """Correlation of the pairs, with Newcombe's continuity correction where it is positive."""
    margins = (both + only_first) * (only_second + neither) * (both + only_second) * (only_first + neither)
    if margins == 0:
        return 0.0
    n = both + only_first + only_second + neither
    cross = both * neither - only_first * only_second
    if cross > 0:
        cross = max(cross - n / 2, 0)  # type: ignore[assignment]
    return cross / math.sqrt(margins)


def mcnemar(only_first: int, only_second: int) -> float:
    """Exact two-sided p-value: how often a fair coin splits the discordant pairs this unevenly."""
    n = only_first + only_second
    if n == 0:
        return 1.0
    tail, term = 0, 1
    for k in range(min(only_first, only_second) + 1):
        tail += term
        term = term * (n - k) // (k + 1)  # the next binomial coefficient, without its factorials
    # Integers of any size divide to the nearest float; 2.0**n would overflow.
    return min(1.0, 2 * tail / 2**n)

"""Equality of answers: text first, then our own reading, then the algebra library in a process that can be killed."""

from __future__ import annotations

import functools
import re

from runtime.grade import algebra
from runtime.grade.comparing.shapes import same
from runtime.grade.reading.nodes import Answer, Words
from runtime.grade.reading.reader import read
from runtime.grade.reading.spelling import canonical, clean
from runtime.grade.strict import strict_equal

LONGEST_ANSWER = 1000
"""Characters. Longer texts are compared as they stand."""
_BUDGET_SECONDS = 1.6


def equivalent(prediction: object, gold: object, *, lenient: bool = False) -> bool:
    r"""Whether `prediction` answers what `gold` says: numbers, lists, intervals, matrices, equations, units, LaTeX.

    The verdict of three steps, the first that decides: the same text; the same value by our own reading (exact
    arithmetic, fixed evaluation points); the same by `math-verify` in a worker process with a time and memory limit.

    Args:
        prediction: an answer, as `final_answer` finds it. None is no answer and equals nothing.
        gold: the reference. Numbers are accepted, as some data sets store them.
        lenient: also accept `50\%` for 50, a decimal of three or more digits for what it rounds, a ratio for its
            fraction and a column for its tuple.

    Returns:
        The verdict; False for whatever cannot be read. Never raises, never evaluates code, and answers within two
        seconds on an idle machine whatever the input.
    """
    if prediction is None or gold is None:
        return False
    try:
        left, right = _text(prediction), _text(gold)
    except Exception:
        return False
    try:
        return _equivalent(left, right, lenient)
    except _NoVerdict:
        return False


def _text(value: object) -> str:
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


class _NoVerdict(Exception):  # noqa: N818 - keeps a missed deadline out of the cache
    pass


_missed: set[tuple[str, str]] = set()


@functools.lru_cache(maxsize=16384)
def _equivalent(prediction: str, gold: str, lenient: bool) -> bool:
    try:
        return _decide(prediction, gold, lenient)
    except _NoVerdict:
        raise
    except Exception:  # The contract is a verdict for every pair of strings; an unread answer is a wrong one.
        return False


def _decide(prediction: str, gold: str, lenient: bool) -> bool:
    if len(prediction) > LONGEST_ANSWER or len(gold) > LONGEST_ANSWER:
        return bool(prediction.strip()) and prediction.split() == gold.split()
    left, right = clean(prediction), clean(gold)
    if not left or not right:
        return False
    if canonical(left) == canonical(right) or prediction.strip() == gold.strip():
        return True
    ours = _readings_equal(_cached_read(left), _cached_read(right), lenient)
    if ours is not None:
        return ours
    if not _worth_asking(left, right):
        return False
    theirs = algebra.equal(left, right, seconds=_BUDGET_SECONDS)
    if theirs is None and (left, right) not in _missed:
        # The machine may have been busy: the pair gets a second chance, and only one.
        _missed.add((left, right))
        raise _NoVerdict
    return bool(theirs)


@functools.lru_cache(maxsize=8192)
def _cached_read(text: str) -> tuple[Answer, ...]:
    return tuple(read(text))


def _readings_equal(left: tuple[Answer, ...], right: tuple[Answer, ...], lenient: bool) -> bool | None:
    """Whether any two readings agree; None where our rules cannot tell."""
    if not left or not right:
        # A word is not what a formula that we cannot read comes to.
        return False if any(isinstance(reading, Words) for reading in left or right) else None
    undecided = False
    for one in left:
        for two in right:
            verdict = same(one, two, lenient=lenient)
            if verdict:
                return True
            undecided |= verdict is None
    return None if undecided else False


_COMMAND = re.compile(r"\\[A-Za-z]|\^")
_PROSE = re.compile(r"[A-Za-z]{3,}[ .,'-]+[A-Za-z]{2,}[ .,'-]+[A-Za-z]{2,}|[A-Za-z]{12,}")
_LONGEST_ALGEBRA = 160


def _worth_asking(left: str, right: str) -> bool:
    """Whether a pair that our rules leave open is one for the algebra library: short, notation on a side, no prose."""
    if max(len(left), len(right)) > _LONGEST_ALGEBRA or not (_COMMAND.search(left) or _COMMAND.search(right)):
        return False
    # A subscript under a number is a base; math-verify drops it.
    if any(re.search(r"\d\s*_", side) for side in (left, right)):
        return False
    return not any(r"\text" in side or _PROSE.search(re.sub(r"\\[A-Za-z]+", " ", side)) for side in (left, right))


def verdicts(prediction: str | None, gold: object) -> dict[str, bool]:
    """All three verdicts on one answer: `strict`, `correct` (the default) and `lenient`."""
    return {
        "strict": strict_equal(prediction, gold),
        "correct": equivalent(prediction, gold),
        "lenient": equivalent(prediction, gold, lenient=True),
    }

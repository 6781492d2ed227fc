"""Equality of answers: the same text, or the same value by our own reading."""

from __future__ import annotations

import functools

from runtime.grade.comparing.shapes import same
from runtime.grade.reading.nodes import Answer
from runtime.grade.reading.reader import read
from runtime.grade.reading.sentences import stated
from runtime.grade.reading.spelling import canonical, clean
from runtime.grade.strict import strict_equal

LONGEST_ANSWER = 1000
"""Characters. Longer texts are compared as they stand."""


def equivalent(prediction: object, gold: object, *, lenient: bool = False) -> bool:
    r"""Whether `prediction` answers what `gold` says: numbers, lists, matrices, equations, units, LaTeX.

    The verdict of two steps, the first that decides: the same text; the same value by our own reading (exact
    arithmetic, 120 digits, fixed evaluation points).

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
    return _equivalent(left, right, lenient)


def _text(value: object) -> str:
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


@functools.lru_cache(maxsize=16384)
def _equivalent(prediction: str, gold: str, lenient: bool) -> bool:
    try:
        return _decide(prediction, gold, lenient)
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
    if any(same(one, other, lenient=lenient) for one in _cached_read(left) for other in _cached_read(right)):
        return True
    # A prediction may be the sentence that states it.
    value = stated(prediction)
    return value is not None and value != prediction and clean(value) != left and _decide(value, gold, lenient)


@functools.lru_cache(maxsize=8192)
def _cached_read(text: str) -> tuple[Answer, ...]:
    return tuple(read(text))


def verdicts(prediction: str | None, gold: object) -> dict[str, bool]:
    """All three verdicts on one answer: `strict`, `correct` (the default) and `lenient`."""
    return {
        "strict": strict_equal(prediction, gold),
        "correct": equivalent(prediction, gold),
        "lenient": equivalent(prediction, gold, lenient=True),
    }

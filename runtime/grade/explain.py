"""Why the default grader and strict numeric grading differ on a pair."""

from __future__ import annotations

from runtime.grade.compare import LONGEST_ANSWER
from runtime.grade.comparing.values import variables
from runtime.grade.reading.nodes import Answer, Assignment, Group, Listing, Matrix, Scalar, Union, Words
from runtime.grade.reading.reader import read
from runtime.grade.reading.spelling import clean
from runtime.grade.strict import plain_number


def difference(prediction: str | None, gold: str) -> str:
    """One phrase that says what strict grading does not see in this pair, or sees and should not."""
    if prediction is None:
        return "the number stands only in an execution: the solution never states an answer"
    if plain_number(prediction) is not None and plain_number(gold) is not None:
        return "within 1e-6 of the gold but another number"
    if max(len(prediction), len(gold)) > LONGEST_ANSWER:
        return "the answer is too long to be one"
    answers = [reading[0] if (reading := read(clean(side))) else None for side in (prediction, gold)]
    for side, answer in zip(("answer", "gold"), answers, strict=True):
        phrase = _notation(answer)
        if phrase:
            return f"the {side} is {phrase}"
    return "the answer is the same text in another notation"


def _notation(answer: Answer | None) -> str:
    if isinstance(answer, Scalar):
        return _scalar(answer)
    names = {
        Listing: "a list",
        Group: "a list, tuple or interval",
        Union: "a union",
        Matrix: "a matrix",
        Words: "words",
    }
    if isinstance(answer, Assignment):
        return "an equation that names its value"
    return names.get(type(answer), "") if answer is not None else ""


def _scalar(answer: Scalar) -> str:
    if answer.unit:
        return f"a number with a unit ({answer.unit})"
    if answer.percent:
        return "a percentage"
    if variables(answer.expression):
        return "an expression with variables"
    name = getattr(answer.expression, "name", "")
    while name == "neg":
        name = getattr(answer.expression.arguments[0], "name", "")  # type: ignore[union-attr]
        break
    return {"div": "a fraction", "": ""}.get(name, "an exact expression")

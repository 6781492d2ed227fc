"""The problems that nano is said to solve."""

from __future__ import annotations

from recipes.nano.examples import EXAMPLES
from recipes.places import PACKAGED_MODEL
from runtime.engine import load
from runtime.grade import equivalent
from runtime.settings import SolverSettings
from runtime.solver.batch import Item, solve_batch


def test_the_packaged_model_solves_every_problem_it_is_said_to_solve() -> None:
    engine = load(PACKAGED_MODEL)
    items = [Item(str(index), index, question) for index, question in enumerate(EXAMPLES)]
    golds = list(EXAMPLES.values())
    try:
        answers = {item.index: solution.answer for item, solution in solve_batch(engine, items, SolverSettings())}
    finally:
        engine.close()
    given = [answers[index] or "" for index in range(len(items))]
    wrong = [(told, gold) for told, gold in zip(given, golds, strict=True) if not equivalent(told, gold)]
    assert wrong == []

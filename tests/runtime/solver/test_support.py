"""Which answers are marked as shown by no executed result."""

from __future__ import annotations

import pytest

from runtime.engine.scripted import ReplayEngine
from runtime.lce import Block
from runtime.sandbox import CellResult, Sandbox
from runtime.settings import SolverSettings
from runtime.solver import Solution, Solver
from runtime.solver.batch import Item, solve_batch
from runtime.solver.support import is_supported


@pytest.mark.parametrize(
    ("answer", "output", "supported"),
    [
        ("12", "12", True),
        ("12", "13", False),
        ("12", "[3, 12, 7]", True),
        ("12 apples and 7 pears", "{'apples': 12, 'pears': 7}", True),
        ("12 apples and 8 pears", "{'apples': 12, 'pears': 7}", False),
        ("0.33", "0.3333333333333333", True),
        ("0.36", "0.3333333333333333", False),
        (r"\frac{3}{4}", "0.75", True),
        (r"\frac{1}{3}", "0.75", False),
        (r"2\sqrt{3}", "3.4641016151377544\n2*sqrt(3)", True),
        ("40\\%", "0.4", True),
        ("1,204", "1204", True),
        ("x = 3, y = -2", "{x: 3, y: -2}", True),
        ("Tuesday", "the day is Tuesday", True),
        ("Tuesday", "the day is Monday", False),
        ("yes", "True", True),
        ("12", "NameError: name 'x' is not defined", False),
    ],
)
def test_an_answer_is_supported_where_an_execution_shows_it(answer: str, output: str, supported: bool) -> None:
    blocks = [
        Block("text", f"Surely {answer}."),
        Block("code", "f()"),
        Block("execution", output),
        Block("text", answer),
    ]
    assert is_supported(answer, blocks) is supported


def test_without_an_execution_nothing_is_supported() -> None:
    assert not is_supported("12", [Block("text", "We think: 12."), Block("text", "12")])


@pytest.fixture
def cells(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every cell shows 12."""
    monkeypatch.setattr(Sandbox, "run", lambda *_: CellResult("12", "ok", 0.0))


@pytest.mark.usefixtures("cells")
def test_solver_and_batch_tell_whether_the_answer_was_computed() -> None:
    def script(question: str) -> list[Block]:
        return [Block("code", "f()"), Block("text", question)] if question != "1" else [Block("text", question)]

    def solved(settings: SolverSettings) -> list[bool | None]:
        engine = ReplayEngine(script)
        items = [Item(text, n, text) for n, text in enumerate(("12", "13", "1"))]
        together = {item.id: solution for item, solution in solve_batch(engine, items, settings)}
        sandbox = Sandbox() if settings.runs_cells else None
        alone = [Solver(engine, sandbox, settings).solve(item.question) for item in items]
        assert [together[item.id].is_supported for item in items] == [solution.is_supported for solution in alone]
        return [solution.is_supported for solution in alone]

    assert solved(SolverSettings()) == [True, False, False]
    assert solved(SolverSettings(code_execution=False)) == [None, None, None]
    assert Solution([], None, "no_answer", runs_cells=True).is_supported is None

"""What a solution says of its drawing: tokens, places, log-probabilities; adapters exchanged."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from runtime.engine import load
from runtime.engine.llama.engine import LlamaEngine
from runtime.engine.trajectory import Trajectory
from runtime.errors import InputError, ModelError
from runtime.settings import SolverSettings
from runtime.solver import Solution, Solver
from runtime.solver.batch import Item, solve_batch

MODEL = Path(__file__).parents[3] / "recipes" / "nano" / "nano-q8_0.gguf"
SETTINGS = SolverSettings(temperature=1.0, code_execution=False, max_tokens=60, seed=3)


@pytest.fixture(scope="module")
def engine() -> Iterator[LlamaEngine]:
    """The packaged model."""
    made = load(MODEL, threads=1)
    assert isinstance(made, LlamaEngine)
    yield made
    made.close()


def _solve(engine: LlamaEngine, *, trajectories: bool = True) -> list[Solution]:
    items = [Item(str(n), n, f"What is {n + 3} times 14?") for n in range(3)]
    found = {item.index: s for item, s in solve_batch(engine, items, SETTINGS, slots=2, trajectories=trajectories)}
    return [found[n] for n in range(3)]


def test_log_mu_is_the_log_probability_among_the_tokens_that_were_allowed(engine: LlamaEngine) -> None:
    kinds = set()
    for solution in _solve(engine):
        drawn = solution.trajectory
        assert drawn is not None
        assert len(drawn.places) == len(drawn.log_mu) == len(drawn.kinds) == solution.tokens["generated"]
        logits = engine.logits(drawn.ids).astype(np.float64)
        for place, log_mu, kind in zip(drawn.places, drawn.log_mu, drawn.kinds, strict=True):
            only, forbidden = drawn.sets[kind]
            allowed = sorted(only) if only is not None else sorted(set(range(logits.shape[1])) - forbidden)
            kinds.add(only is None)
            assert drawn.ids[place] in allowed
            row = logits[place - 1]
            expected = row[drawn.ids[place]] - np.log(np.exp(row[allowed]).sum())
            assert log_mu == pytest.approx(expected, abs=2e-3)
    assert kinds == {True, False}, "choices between blocks and tokens inside of them"


def test_what_the_runtime_put_into_the_sequence_is_not_drawn(engine: LlamaEngine) -> None:
    solutions = _solve(engine)
    assert any(solution.tokens["execution"] for solution in solutions)
    for solution in solutions:
        assert solution.trajectory is not None
        assert solution.trajectory.places[0] == solution.tokens["prompt"]
        fed = len(solution.trajectory.ids) - solution.tokens["prompt"] - len(solution.trajectory.places)
        assert fed == solution.tokens["execution"]


def test_the_record_changes_nothing_that_is_drawn_and_survives_json(engine: LlamaEngine) -> None:
    with_record, without = _solve(engine), _solve(engine, trajectories=False)
    assert [s.blocks for s in with_record] == [s.blocks for s in without]
    assert all(s.trajectory is None for s in without)
    assert all(Trajectory.from_dict(s.trajectory.as_dict()) == s.trajectory for s in with_record if s.trajectory)


def test_the_solver_keeps_a_trajectory_on_request(engine: LlamaEngine) -> None:
    solver = Solver(engine, None, SETTINGS)
    kept, left = solver.solve("What is 3 times 14?", trajectory=True), solver.solve("What is 3 times 14?")
    solver.close()
    assert kept.trajectory is not None
    assert left.trajectory is None
    assert kept.blocks == left.blocks


def test_an_adapter_that_cannot_be_used_leaves_the_engine_as_it_was(engine: LlamaEngine, tmp_path: Path) -> None:
    before = engine.logits([5, 6, 7])
    with pytest.raises(InputError, match="no adapter file"):
        engine.use_adapter(tmp_path / "none.gguf")
    wrong = tmp_path / "wrong.gguf"
    wrong.write_bytes(b"GGUF" + bytes(40))
    with pytest.raises(ModelError, match="does not fit"):
        engine.use_adapter(wrong)
    assert (engine.logits([5, 6, 7]) == before).all()

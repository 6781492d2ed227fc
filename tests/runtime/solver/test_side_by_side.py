"""Several decoders that share the questions: the same solutions, and one end for all."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from runtime.engine.llama.engine import LlamaEngine
from runtime.errors import EngineError
from runtime.settings import EngineSettings, SolverSettings
from runtime.solver.batch import Batch, solve_batch
from runtime.solver.item import Item
from runtime.solver.side_by_side import solve_side_by_side

MODEL = Path(__file__).parents[3] / "recipes" / "nano" / "nano-q8_0.gguf"
ITEMS = [Item(str(n), n, f"Write {n + 70} in base {2 + n % 3}.") for n in range(6)]
SETTINGS = SolverSettings(max_tokens=80, code_execution=False)


@pytest.fixture(scope="module")
def engine() -> Iterator[LlamaEngine]:
    with LlamaEngine(MODEL, EngineSettings(threads=1, n_ctx=512)) as made:
        yield made


def decoders() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "decoder"]


def test_several_decoders_write_what_one_writes(engine: LlamaEngine) -> None:
    settings = SETTINGS.model_copy(update={"temperature": 1.0})
    alone = {item.index: s for item, s in solve_batch(engine, ITEMS, settings, slots=4, trajectories=True)}
    used = set()
    shared = {}
    for item, solution in solve_side_by_side(engine, ITEMS, settings, slots=4, decoders=2, trajectories=True):
        used |= {thread.ident for thread in decoders()}
        shared[item.index] = solution
    assert len(used) == 2
    assert sorted(shared) == sorted(alone) == list(range(6))
    for number, solution in shared.items():
        assert solution.blocks == alone[number].blocks
        assert solution.trajectory == alone[number].trajectory
    assert not decoders()


def test_what_one_decoder_raises_ends_them_all(engine: LlamaEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    turns = []
    original = Batch.turn

    def failing(batch: Batch) -> object:
        turns.append(1)
        if len(turns) == 9:
            raise EngineError("llama_decode failed", "", "")
        return original(batch)

    monkeypatch.setattr(Batch, "turn", failing)
    with pytest.raises(EngineError, match="llama_decode failed"):
        list(solve_side_by_side(engine, ITEMS, SETTINGS, slots=4, decoders=2))
    assert not decoders()
    monkeypatch.undo()
    assert len(list(solve_side_by_side(engine, ITEMS[:2], SETTINGS, slots=2, decoders=2))) == 2, "it can go on"


def test_a_stop_or_a_caller_that_goes_ends_all_threads(engine: LlamaEngine) -> None:
    solutions = solve_side_by_side(engine, ITEMS, SETTINGS, slots=2, decoders=2)
    next(solutions)
    engine.stop_flag.set()
    with pytest.raises(KeyboardInterrupt):
        list(solutions)
    assert not decoders()
    solutions = solve_side_by_side(engine, ITEMS, SETTINGS, slots=2, decoders=2)
    next(solutions)
    solutions.close()  # type: ignore[attr-defined]
    assert not decoders()
    assert not engine.stop_flag.is_set()

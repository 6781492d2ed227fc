"""Continuous batching: every item exactly once, nothing shared by accident, cells beside the decoding."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from gguf_factory import write_model

from runtime.engine import Decoder, Drawn, SequenceError, TokenSequence
from runtime.engine.llama.engine import LlamaDecoder, LlamaEngine
from runtime.engine.scripted import ReplayEngine
from runtime.errors import CellNotRunError, ModelError, SandboxError
from runtime.lce import Block
from runtime.sandbox import CellResult, Limits, Sandbox
from runtime.settings import EngineSettings, SolverSettings
from runtime.solver import BlockEnded, Event, Solution, Solver
from runtime.solver import batch as batch_module
from runtime.solver.batch import Item, solve_batch, with_samples
from runtime.solver.cells import Lane
from runtime.solver.vote import vote


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("model") / "tiny.gguf", loud_control=12.0, seed=5)


@pytest.fixture
def fake_cells(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Cells are answered with their own length, without a process."""
    ran: list[str] = []

    def run(_: Sandbox, code: str) -> CellResult:
        ran.append(code)
        return CellResult(str(len(code)), "ok", 0.0)

    monkeypatch.setattr(Sandbox, "run", run)
    return ran


def items(count: int) -> list[Item]:
    return [Item(str(n), n, f"What is {n} + 1?") for n in range(count)]


def counting(question: str) -> list[Block]:
    number = question.split()[2]
    return [Block("text", "We add."), Block("code", f"{number} + 1"), Block("text", str(int(number) + 1))]


def everything(batch: Iterator[tuple[Item, Solution]]) -> dict[tuple[str, int], Solution]:
    result = {}
    for item, solution in batch:
        assert (item.id, item.sample) not in result, "an item came twice"
        result[item.id, item.sample] = solution
    return result


# The loop


def test_every_item_comes_out_once_with_its_own_answer() -> None:
    done = everything(solve_batch(ReplayEngine(counting), items(12), slots=4))
    assert {key: s.answer for key, s in done.items()} == {(str(n), 0): str(n + 1) for n in range(12)}
    assert all(s.blocks[2] == Block("execution", s.answer) for s in done.values())


def test_items_may_come_from_a_generator_and_are_taken_one_by_one(fake_cells: list[str]) -> None:
    taken = []

    def endless() -> Iterator[Item]:
        n = 0
        while True:
            taken.append(n)
            yield Item(str(n), n, f"What is {n} + 1?")
            n += 1

    batch = solve_batch(ReplayEngine(counting), endless(), slots=3)
    for _ in range(5):
        next(batch)
    batch.close()
    assert len(taken) <= 5 + 2 * 3
    assert fake_cells


def test_sessions_of_different_items_do_not_see_each_other() -> None:
    def script(question: str) -> list[Block]:
        code = f"shared = {question.split()[2]}" if question.split()[2] == "0" else "shared"
        return [Block("code", code), Block("text", "done")]

    done = everything(solve_batch(ReplayEngine(script), items(6), slots=3))
    assert done["0", 0].failed_cells == 0
    assert all("NameError" in done[str(n), 0].blocks[1].content for n in range(1, 6))


def test_sequences_write_on_while_a_cell_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first item's cell ends only when the ten others are finished."""
    others_done = threading.Event()

    def run(_: Sandbox, code: str) -> CellResult:
        if code.startswith("0 "):
            assert others_done.wait(30)
        return CellResult("2", "ok", 0.0)

    monkeypatch.setattr(Sandbox, "run", run)
    order = []
    for item, _ in solve_batch(ReplayEngine(counting), items(11), slots=4):
        order.append(item.id)
        if len(order) == 10:
            others_done.set()
    assert order[-1] == "0"


def test_events_name_the_item_they_belong_to() -> None:
    told: list[tuple[str, Event]] = []
    done = everything(
        solve_batch(ReplayEngine(counting), items(5), slots=3, on_event=lambda item, e: told.append((item.id, e)))
    )
    for (id_, _), solution in done.items():
        assert [e.block for i, e in told if i == id_ and isinstance(e, BlockEnded)] == solution.blocks


def test_with_execution_off_no_cell_runs(fake_cells: list[str]) -> None:
    done = everything(solve_batch(ReplayEngine(counting), items(4), SolverSettings(code_execution=False)))
    assert not fake_cells
    assert all(s.blocks[2].content == "<execution disabled>" for s in done.values())
    assert Counter(s.status for s in done.values()) == {"answered": 4}


@pytest.mark.usefixtures("fake_cells")
def test_a_hook_may_replace_what_the_model_reads() -> None:
    done = everything(solve_batch(ReplayEngine(counting), items(3), on_execution=lambda code, output: "wrong"))
    assert all(s.blocks[2] == Block("execution", "wrong") for s in done.values())


# What fails, fails alone


@pytest.mark.usefixtures("fake_cells")
def test_a_bad_item_is_an_error_and_the_others_go_on() -> None:
    wanted = [*items(3), Item("empty", 3, " "), Item("huge", 4, "x" * 200_000), *items(5)[3:]]
    done = everything(solve_batch(ReplayEngine(counting), wanted, slots=2))
    assert {key[0] for key, s in done.items() if s.status == "error"} == {"empty", "huge"}
    assert sum(s.status == "answered" for s in done.values()) == 5
    assert "empty" in done["empty", 0].detail


@pytest.mark.usefixtures("fake_cells")
def test_a_sequence_that_fails_in_the_middle_fails_alone() -> None:
    def script(question: str) -> list[Block]:
        blocks = counting(question)
        return [Block("execution", "")] if question.split()[2] == "2" else blocks

    engine = ReplayEngine(script, end=False)
    done = everything(solve_batch(engine, items(5), slots=5))
    assert {s.status for s in done.values()} == {"error"}
    assert len(done["2", 0].blocks) == 0
    assert len(done["1", 0].blocks) == 4


def test_a_sandbox_that_breaks_is_that_items_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def run(_: Sandbox, code: str) -> CellResult:
        if code.startswith("3"):
            raise OSError("no space left on device")
        return CellResult("2", "ok", 0.0)

    monkeypatch.setattr(Sandbox, "run", run)
    done = everything(solve_batch(ReplayEngine(counting), items(6), slots=3))
    assert {key[0] for key, s in done.items() if s.status == "error"} == {"3"}
    assert "no space" in done["3", 0].detail


def test_a_session_that_dies_while_it_starts_is_tried_again_and_only_a_lasting_failure_is_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tries: Counter[str] = Counter()

    def run(_: Sandbox, code: str) -> CellResult:
        tries[code] += 1
        if code.startswith("1") or (code.startswith("2") and tries[code] < 3):
            raise SandboxError("a new sandbox session ended at once", "the cell was not run")
        return CellResult("2", "ok", 0.0)

    monkeypatch.setattr(Sandbox, "run", run)
    done = everything(solve_batch(ReplayEngine(counting), items(4), slots=2))
    assert {key[0]: s.status for key, s in done.items()} == {
        "0": "answered",
        "1": "error",
        "2": "answered",
        "3": "answered",
    }
    assert tries == {"0 + 1": 1, "1 + 1": 3, "2 + 1": 3, "3 + 1": 1}


def test_a_cell_whose_variables_are_gone_is_not_tried_again_in_an_empty_session(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tries: Counter[str] = Counter()

    def run(_: Sandbox, code: str) -> CellResult:
        tries[code] += 1
        if code.startswith("1"):
            raise CellNotRunError("the sandbox session was ended from outside", lost=True)
        return CellResult("2", "ok", 0.0)

    monkeypatch.setattr(Sandbox, "run", run)
    done = everything(solve_batch(ReplayEngine(counting), items(2), slots=2))
    assert {key[0]: s.status for key, s in done.items()} == {"0": "answered", "1": "error"}
    assert tries == {"0 + 1": 1, "1 + 1": 1}


def test_a_worker_killed_under_a_cell_costs_no_result() -> None:
    def script(question: str) -> list[Block]:
        suicide = int(question.split()[2]) % 3 == 0
        code = "import os; os.kill(os.getpid(), 9)" if suicide else question.split()[2]
        return [Block("code", code), Block("text", "done")]

    done = everything(solve_batch(ReplayEngine(script), items(9), slots=3))
    assert len(done) == 9
    assert all(s.status == "answered" for s in done.values())
    assert {key[0] for key, s in done.items() if s.failed_cells} == {"0", "3", "6"}


@pytest.mark.usefixtures("fake_cells")
def test_ctrl_c_ends_a_batch_and_what_was_yielded_stands() -> None:
    engine = ReplayEngine(counting)
    batch = solve_batch(engine, items(50), slots=2)
    assert next(batch)[1].status == "answered"
    engine.stop_flag.set()
    with pytest.raises(KeyboardInterrupt):
        list(batch)
    assert threading.active_count() < 20


def interrupted_when_finished(monkeypatch: pytest.MonkeyPatch) -> ReplayEngine:
    """An engine for which Ctrl-C comes in the turn that finishes an item."""
    engine = ReplayEngine(counting)
    finish = batch_module.Batch.finish

    def interrupted(self: batch_module.Batch, lane: Lane) -> None:
        finish(self, lane)
        engine.stop_flag.set()

    monkeypatch.setattr(batch_module.Batch, "finish", interrupted)
    return engine


@pytest.mark.usefixtures("fake_cells")
def test_what_is_finished_when_ctrl_c_comes_is_still_yielded(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = interrupted_when_finished(monkeypatch)
    batch = solve_batch(engine, items(6), slots=2)
    assert next(batch)[1].status == "answered"
    with pytest.raises(KeyboardInterrupt):
        list(batch)


@pytest.mark.usefixtures("fake_cells")
def test_a_request_given_up_because_of_ctrl_c_is_no_result(monkeypatch: pytest.MonkeyPatch) -> None:
    """It would be recorded as that item's error, and never be solved again."""
    engine = ReplayEngine(counting)
    decoder_type = type(engine.open(1))

    def step(_: Decoder, sequences: list[TokenSequence]) -> list[Drawn]:
        engine.stop_flag.set()
        raise SequenceError(sequences[0], "the server is busy", "", "")

    monkeypatch.setattr(decoder_type, "step", step)
    with pytest.raises(KeyboardInterrupt):
        next(solve_batch(engine, items(6), slots=2))


def test_a_cell_that_fails_while_ctrl_c_ends_the_batch_is_no_result(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = ReplayEngine(counting)

    def run(_: Sandbox, _code: str) -> CellResult:
        time.sleep(0.1)  # Until the loop waits for this cell.
        engine.stop_flag.set()
        raise RuntimeError("the session was killed")

    monkeypatch.setattr(Sandbox, "run", run)
    with pytest.raises(KeyboardInterrupt):
        next(solve_batch(engine, items(1), slots=1))


@pytest.mark.usefixtures("fake_cells")
def test_ctrl_c_is_heeded_although_the_consumer_uses_the_engine_too(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = interrupted_when_finished(monkeypatch)
    batch = solve_batch(engine, items(1), slots=2)
    assert next(batch)
    engine.stop_flag.clear()
    with pytest.raises(KeyboardInterrupt):
        next(batch)


def test_a_model_without_the_dialect_is_refused_before_the_first_item(tmp_path: Path) -> None:
    plain = write_model(tmp_path / "plain.gguf", control=())
    with LlamaEngine(plain, EngineSettings(threads=1)) as engine, pytest.raises(ModelError, match="control token"):
        next(solve_batch(engine, items(1), SolverSettings(dialect="lce")))


# With llama.cpp


@pytest.mark.usefixtures("fake_cells")
def test_a_batch_gives_the_sequential_solutions_at_temperature_zero(model: Path) -> None:
    settings = SolverSettings(max_tokens=150)
    with LlamaEngine(model, EngineSettings(threads=1)) as engine:
        together = everything(solve_batch(engine, items(12), settings, slots=5))
        solver = Solver(engine, Sandbox(), settings)
        for item in items(12):
            alone = solver.solve(item.question)
            assert together[item.id, 0].blocks == alone.blocks
            assert together[item.id, 0].tokens == alone.tokens


@pytest.mark.usefixtures("fake_cells")
def test_sampled_solutions_depend_on_their_seed_and_not_on_their_neighbours(model: Path) -> None:
    settings = SolverSettings(temperature=1.0, max_tokens=150)
    with LlamaEngine(model, EngineSettings(threads=1)) as engine:
        few = everything(solve_batch(engine, with_samples(items(6), 2), settings, slots=2))
        many = everything(solve_batch(engine, with_samples(items(6), 2), settings, slots=12))
    assert {key: s.blocks for key, s in few.items()} == {key: s.blocks for key, s in many.items()}
    assert len({s.seed for s in few.values()}) == 12


@pytest.mark.usefixtures("fake_cells")
def test_each_token_is_evaluated_once_and_a_shared_prompt_only_for_its_first_sample(model: Path) -> None:
    settings = SolverSettings(temperature=1.0, max_tokens=100)
    with LlamaEngine(model, EngineSettings(threads=1)) as engine:
        done = everything(solve_batch(engine, with_samples(items(3), 4), settings, slots=4))
    for (_, sample), solution in done.items():
        assert solution.evaluated + solution.reused == sum(solution.tokens.values()) - 1
        if sample:
            assert solution.reused >= solution.tokens["prompt"] - 1
    assert max(s.reused for s in done.values()) > 0


@pytest.mark.usefixtures("fake_cells")
def test_a_context_that_cannot_hold_all_slots_parks_sequences_and_loses_nothing(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = SolverSettings(max_tokens=150, temperature=1.0)
    with LlamaEngine(model, EngineSettings(threads=1, n_ctx=512)) as engine:
        roomy = everything(solve_batch(engine, items(10), settings, slots=5))
        monkeypatch.setattr(LlamaEngine, "cells", lambda self, slots: 512)
        tight = everything(solve_batch(engine, items(10), settings, slots=5))
    assert sum(s.repeats for s in tight.values()) > 0, "nothing was parked: the test tests nothing"
    assert {k: (s.status, s.blocks) for k, s in tight.items()} == {k: (s.status, s.blocks) for k, s in roomy.items()}


@pytest.mark.usefixtures("fake_cells")
def test_a_question_larger_than_the_context_is_told_so_and_the_others_go_on(model: Path) -> None:
    with LlamaEngine(model, EngineSettings(threads=1, n_ctx=256)) as engine:
        wanted = [Item("long", 0, "x" * 400), *items(3)]
        done = everything(solve_batch(engine, wanted, SolverSettings(max_tokens=40), slots=2))
    assert done["long", 0].status == "context_full"
    assert "256" in done["long", 0].detail
    assert all(done[str(n), 0].blocks for n in range(3))


@pytest.mark.usefixtures("fake_cells")
def test_no_python_list_of_the_vocabulary_is_made_while_drawing(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The usual token touches no logits in Python; only a draw the format forbids does."""
    masked = []
    original = LlamaDecoder.draw_masked
    monkeypatch.setattr(LlamaDecoder, "draw_masked", lambda *a: masked.append(a) or original(*a))
    with LlamaEngine(model, EngineSettings(threads=1)) as engine:
        done = everything(solve_batch(engine, items(6), SolverSettings(max_tokens=100, temperature=1.0), slots=3))
    assert len(masked) < sum(s.tokens["generated"] for s in done.values())


def test_limits_reach_the_sessions() -> None:
    script = [Block("code", "import time; time.sleep(30)"), Block("text", "done")]
    begun = time.monotonic()
    done = everything(solve_batch(ReplayEngine(lambda _: script), items(1), limits=Limits(cell_seconds=0.5), slots=1))
    assert time.monotonic() - begun < 15
    assert done["0", 0].failed_cells == 1


# Votes


def answered(answer: str | None, executed: str = "", status: str = "answered") -> Solution:
    return Solution([Block("execution", executed), Block("text", str(answer))], answer, status)  # type: ignore[arg-type]


def test_the_answer_most_samples_agree_on_wins() -> None:
    outcome = vote([answered("3"), answered("4"), answered("4.0"), answered("5")])
    assert (outcome.answer, outcome.votes, outcome.members) == ("4", 2, (1, 2))
    assert outcome.groups[0] == ("4", 2)


def test_a_tie_goes_to_the_answer_more_samples_computed() -> None:
    outcome = vote([answered("3", "7"), answered("4", "4"), answered(None, "4", "no_answer")])
    assert outcome.answer == "4"


def test_a_tie_without_executions_goes_to_the_first_sample() -> None:
    assert vote([answered("9"), answered("8")]).answer == "9"


def test_unfinished_samples_vote_only_where_none_finished() -> None:
    cut = answered("5", status="token_limit")
    assert vote([cut, cut, answered("6")]).answer == "6"
    assert vote([cut, cut]).answer == "5"
    assert vote([answered(None, status="no_answer")]).answer is None

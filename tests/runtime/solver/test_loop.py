"""The solve loop: statuses, budgets, events, and the border between data and control."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest
from gguf_factory import write_model
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime.engine import load
from runtime.engine.llama.engine import LlamaDecoder, LlamaEngine
from runtime.engine.scripted import ByteVocabulary, ReplayEngine, Script
from runtime.errors import CellNotRunError, InputError, ModelError, SandboxError
from runtime.lce import CONTROL_TOKENS, DEFAULT_SYSTEM, EMPTY_EXECUTION, Block, conversation, segments
from runtime.sandbox import CellResult, Sandbox
from runtime.settings import EngineSettings, SamplingSettings, SolverSettings
from runtime.solver import (
    EXECUTION_DISABLED,
    BlockEnded,
    BlockStarted,
    Event,
    Execution,
    Solution,
    Solver,
    TextPiece,
    check_question,
    cleaned,
)


class FakeSandbox:
    """Answers cells from a function, so that the loop is tested without a process."""

    def __init__(self, answer: Callable[[str], CellResult | str]) -> None:
        self.answer = answer
        self.codes: list[str] = []
        self.resets = 0

    def run(self, code: str) -> CellResult:
        self.codes.append(code)
        result = self.answer(code)
        return CellResult(result, "ok", 0.0) if isinstance(result, str) else result

    def reset(self) -> None:
        self.resets += 1

    def interrupt(self) -> None:
        pass


def scripted(blocks: Iterable[Block] | Script, *, n_ctx: int = 65536, end: bool = True) -> ReplayEngine:
    script = blocks if callable(blocks) else (lambda _: blocks)
    return ReplayEngine(script, n_ctx=n_ctx, end=end)


def solve(
    engine: ReplayEngine,
    answer: Callable[[str], CellResult | str] = lambda code: "2",
    question: str = "What is 1+1?",
    on_event: Callable[[Event], None] | None = None,
    **changes: object,
) -> tuple[Solution, FakeSandbox]:
    sandbox = FakeSandbox(answer)
    solver = Solver(engine, sandbox, SolverSettings(**changes))  # type: ignore[arg-type]
    return solver.solve(question, on_event=on_event), sandbox


TEXT, CODE, LAST = Block("text", "Let us compute."), Block("code", "1+1"), Block("text", "2")
RESULT = Block("execution", "2")


# The loop


def test_a_solution_is_text_code_execution_text_and_an_answer() -> None:
    solution, sandbox = solve(scripted([TEXT, CODE, LAST]))
    assert solution.blocks == [TEXT, CODE, RESULT, LAST]
    assert (solution.status, solution.answer, solution.cells, solution.failed_cells) == ("answered", "2", 1, 0)
    assert sandbox.codes == ["1+1"]


def test_every_token_is_evaluated_once() -> None:
    solution, _ = solve(scripted([TEXT, CODE, TEXT, CODE, LAST]))
    words = ByteVocabulary()
    asked = segments(conversation("What is 1+1?"), generation_prompt=True)
    assert solution.tokens["prompt"] == sum(1 if s.is_control else len(words.encode(s.text)) for s in asked)
    assert solution.tokens["execution"] == 2 * len("[2]")
    assert solution.evaluated == sum(solution.tokens.values()) - 1


def test_the_result_is_json() -> None:
    solution, _ = solve(scripted([TEXT, CODE, LAST]))
    told = json.loads(json.dumps(solution.as_dict()))
    assert told["blocks"][2] == {"type": "execution", "content": "2"}
    assert set(told["tokens"]) == {"prompt", "generated", "execution"}
    assert told["ms"]["wall"] >= told["ms"]["decode"] >= 0


def test_an_empty_execution_is_written_as_the_training_rows_have_it() -> None:
    solution, _ = solve(scripted([CODE, LAST]), answer=lambda code: "")
    assert solution.blocks[1] == Block("execution", EMPTY_EXECUTION)


def test_each_question_starts_with_a_fresh_session() -> None:
    sandbox = FakeSandbox(lambda code: "2")
    solver = Solver(scripted([CODE, LAST]), sandbox)
    solver.solve("one")
    assert sandbox.resets == 0
    solver.solve("two")
    assert sandbox.resets == 1
    solver.solve("three", keep_session=True)
    assert sandbox.resets == 1


def test_names_live_through_a_solution_in_the_real_sandbox() -> None:
    blocks = [Block("code", "x = 6"), Block("code", "x * 7"), Block("text", "42")]
    with Sandbox() as sandbox:
        solution = Solver(scripted(blocks), sandbox).solve("What is six times seven?")
    assert [b.content for b in solution.blocks if b.type == "execution"] == [EMPTY_EXECUTION, "42"]
    assert solution.answer == "42"


def test_with_execution_off_no_cell_runs_and_the_block_says_so() -> None:
    solution, sandbox = solve(scripted([CODE, LAST]), code_execution=False)
    assert sandbox.codes == []
    assert solution.blocks[1] == Block("execution", EXECUTION_DISABLED)
    assert (solution.cells, solution.status) == (0, "answered")
    assert Solver(scripted([LAST]), None, SolverSettings(code_execution=False)).solve("q").answer == "2"


def test_a_solver_that_runs_cells_needs_a_sandbox() -> None:
    with pytest.raises(InputError, match="sandbox"):
        Solver(scripted([LAST]))


def test_a_hook_may_replace_what_the_model_reads() -> None:
    seen = []

    def hook(code: str, output: str) -> str:
        seen.append((code, output))
        return "3"

    solver = Solver(scripted([CODE, LAST]), FakeSandbox(lambda code: "2"), on_execution=hook)
    solution = solver.solve("q")
    assert seen == [("1+1", "2")]
    assert solution.blocks[1] == Block("execution", "3")
    assert solution.tokens["execution"] == len("[3]")


# How it ends


def test_a_solution_without_an_answer_says_so() -> None:
    solution, _ = solve(scripted([TEXT, CODE]))
    assert (solution.status, solution.answer) == ("no_answer", None)


def test_the_block_limit_keeps_the_best_answer_so_far() -> None:
    boxed = Block("text", "so far \\boxed{7}")
    solution, _ = solve(scripted([boxed, CODE] * 40), max_blocks=5)
    assert (solution.status, solution.answer) == ("block_limit", "7")
    assert sum(b.type != "execution" for b in solution.blocks) == 5


def test_a_solution_of_exactly_the_block_limit_is_finished() -> None:
    solution, _ = solve(scripted([TEXT, CODE, LAST]), max_blocks=3)
    assert solution.status == "answered"


def test_the_token_limits_of_a_block_and_of_a_solution_end_it() -> None:
    solution, _ = solve(scripted([Block("text", "x" * 100)]), max_block_tokens=50)
    assert (solution.status, solution.blocks) == ("token_limit", [Block("text", "x" * 50)])
    solution, _ = solve(scripted([Block("text", "x" * 30)] * 10), max_tokens=100)
    assert (solution.status, solution.tokens["generated"]) == ("token_limit", 100)


def test_the_time_limit_counts_executions() -> None:
    solution, _ = solve(scripted([CODE, LAST]), answer=lambda _: time.sleep(0.3) or "2", max_seconds=0.2)
    assert solution.status == "time_limit"
    assert solution.ms["execution"] >= 300


def test_a_full_context_ends_a_solution_but_keeps_it() -> None:
    solution, _ = solve(scripted([Block("text", "\\boxed{7} " * 50)], n_ctx=300))
    assert (solution.status, solution.answer) == ("context_full", "7")
    assert sum(solution.tokens.values()) == 300


def test_an_execution_too_long_for_the_context_ends_the_solution() -> None:
    solution, _ = solve(scripted([CODE, LAST], n_ctx=300), answer=lambda code: "9" * 500, max_execution_tokens=400)
    assert solution.status == "context_full"
    assert [b.type for b in solution.blocks] == ["code", "execution"]


def test_a_long_execution_loses_its_middle_before_the_model_reads_it() -> None:
    output = "head" + "9" * 5000 + "tail"
    solution, _ = solve(scripted([CODE, LAST]), answer=lambda code: output, max_execution_tokens=200)
    shown = solution.blocks[1].content
    assert shown.startswith("head")
    assert shown.endswith("tail")
    assert "left out" in shown
    assert solution.tokens["execution"] <= 200 + 2


def test_the_same_cell_failing_in_the_same_way_ends_the_solution() -> None:
    error = CellResult("ZeroDivisionError: division by zero", "error", 0.0)
    solution, sandbox = solve(scripted([TEXT, CODE] * 10), answer=lambda code: error, max_repeated_errors=3)
    assert (solution.status, solution.failed_cells, len(sandbox.codes)) == ("repeated_error", 3, 3)


def test_different_errors_are_not_repeated_ones() -> None:
    codes = iter(range(20))
    blocks = [Block("code", f"1/0 # {n}") for n in range(10)] + [LAST]
    solution, _ = solve(scripted(blocks), answer=lambda code: CellResult(f"error {next(codes)}", "error", 0.0))
    assert (solution.status, solution.failed_cells) == ("answered", 10)


def test_a_stop_request_from_another_thread_ends_the_solution() -> None:
    solver = Solver(
        scripted([Block("text", "x" * 10)] * 100), FakeSandbox(lambda code: ""), SolverSettings(max_blocks=200)
    )
    events: list[Event] = []

    def watch(event: Event) -> None:
        events.append(event)
        if len(events) == 50:
            other = threading.Thread(target=solver.interrupt)
            other.start()
            other.join()

    solution = solver.solve("q", on_event=watch)
    assert solution.status == "interrupted"
    assert 0 < len(solution.blocks) < 10


def test_a_stop_request_interrupts_a_running_cell_and_the_session_lives_on() -> None:
    with Sandbox() as sandbox:
        sandbox.run("x = 5")
        solver = Solver(scripted([Block("code", "import time; time.sleep(60)"), LAST]), sandbox)
        threading.Timer(1.0, solver.interrupt).start()
        begun = time.monotonic()
        solution = solver.solve("q", keep_session=True)
        assert time.monotonic() - begun < 5
        assert solution.status == "interrupted"
        assert sandbox.run("x").output == "5"


def test_an_engine_that_fails_in_the_middle_is_status_error_with_the_blocks_so_far() -> None:
    solution, _ = solve(scripted([TEXT], end=False))
    assert (solution.status, solution.blocks) == ("error", [TEXT])
    assert "script has ended" in solution.detail


def test_a_question_that_does_not_fit_is_context_full_with_the_numbers() -> None:
    solution, _ = solve(scripted([LAST], n_ctx=256), question="x" * 1000)
    assert solution.status == "context_full"
    assert "256" in solution.detail


@pytest.mark.parametrize(
    ("question", "reason"), [("", "is empty"), (" \n\t", "is empty"), ("x" * 100_001, "100,001 characters")]
)
def test_a_question_that_cannot_be_asked_is_a_wrong_call(question: str, reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        check_question(question)
    with pytest.raises(InputError, match=reason):
        solve(scripted([LAST]), question=question)


# Events


def test_events_tell_the_whole_story_in_order() -> None:
    events: list[Event] = []
    solve(scripted([Block("text", "aé→"), CODE, LAST]), on_event=events.append)
    kinds = [type(e).__name__ for e in events if not isinstance(e, TextPiece)]
    assert kinds == [
        *["BlockStarted", "BlockEnded"] * 2,
        *["BlockStarted", "Execution", "BlockEnded"],
        *["BlockStarted", "BlockEnded"],
    ]
    started = [e.type for e in events if isinstance(e, BlockStarted)]
    ended = [e.block for e in events if isinstance(e, BlockEnded)]
    assert started == ["text", "code", "execution", "text"]
    assert ended == [Block("text", "aé→"), CODE, RESULT, LAST]
    assert "".join(e.text for e in events if isinstance(e, TextPiece)) == "aé→1+12"
    assert [(e.code, e.output, e.status) for e in events if isinstance(e, Execution)] == [("1+1", "2", "ok")]


def test_characters_are_never_streamed_in_parts() -> None:
    events: list[Event] = []
    solve(scripted([Block("text", "naïve → 😀")]), on_event=events.append)
    pieces = [e.text for e in events if isinstance(e, TextPiece)]
    assert "😀" in pieces
    assert "".join(pieces) == "naïve → 😀"


# Data is never control


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from([*CONTROL_TOKENS, "a", " ", "\n", "</s>"]), min_size=1, max_size=8).map("".join))
def test_what_a_cell_prints_or_a_user_asks_never_becomes_a_control_token(text: str) -> None:
    if not text.strip():
        return
    prompts: list[list[int]] = []

    class Watching(ReplayEngine):
        def open(self, slots: int = 1):  # type: ignore[no-untyped-def]
            decoder = super().open(slots)
            step = decoder.step

            def record(sequences):  # type: ignore[no-untyped-def]
                prompts.append(list(sequences[0].ids))
                return step(sequences)

            decoder.step = record  # type: ignore[method-assign]
            return decoder

    engine = Watching(lambda _: [CODE, LAST])
    solution = Solver(engine, FakeSandbox(lambda code: text)).solve(text)
    assert solution.blocks[1].content == (text if text.strip() else EMPTY_EXECUTION)
    control = [token for token in prompts[-1] if token >= 256]
    plain = Solver(Watching(lambda _: [CODE, LAST]), FakeSandbox(lambda code: "x"))
    prompts.clear()
    plain.solve("x")
    assert control == [token for token in prompts[-1] if token >= 256]


def test_zero_width_and_nul_characters_are_taken_out_of_executions() -> None:
    assert cleaned("4\u200b2\0\ufeff") == "42"
    assert cleaned("\u200b") == EMPTY_EXECUTION
    assert cleaned("a\n\tb ") == "a\n\tb "


def test_the_model_cannot_write_an_execution_block() -> None:
    """A script that tries is stopped by the constraint every engine enforces.

    See also the engine's own test.
    """
    words = ByteVocabulary()
    engine = scripted([])
    solver = Solver(engine, FakeSandbox(lambda code: ""))
    decoder = engine.open(1)
    attempted = words.control_id("<|execution|>")
    start = decoder.start

    def cheat(*args, **kwargs):  # type: ignore[no-untyped-def]
        sequence = start(*args, **kwargs)
        sequence.script = iter([attempted])
        return sequence

    decoder.start = cheat  # type: ignore[method-assign]
    solver._decoder = decoder
    solution = solver.solve("q")
    assert solution.status == "error"
    assert solution.blocks == []


# With llama.cpp


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("model") / "tiny.gguf", loud_control=12.0, seed=5)


@pytest.fixture
def engine(model: Path) -> Iterator[LlamaEngine]:
    with LlamaEngine(model, EngineSettings(threads=1)) as engine:
        yield engine


def test_even_a_random_model_writes_only_well_formed_blocks_and_no_execution_of_its_own(engine: LlamaEngine) -> None:
    sandbox = FakeSandbox(lambda code: "<|endofblock|><|endofmessage|>")
    solver = Solver(engine, sandbox, SolverSettings(temperature=1.0, max_tokens=400))
    written = 0
    for seed in range(1, 9):
        solution = solver.solve("q", seed=seed)
        types = [block.type for block in solution.blocks]
        assert types.count("execution") == solution.cells
        assert all(types[i - 1] == "code" for i, t in enumerate(types) if t == "execution")
        written += len(types)
        if solution.status != "context_full":
            assert solution.evaluated + solution.reused == sum(solution.tokens.values()) - 1
    assert written > 10


def test_greedy_solutions_repeat_to_the_letter_and_seeds_tell_samples_apart(engine: LlamaEngine) -> None:
    def run(seed: int, temperature: float) -> list[Block]:
        chosen = SolverSettings(temperature=temperature, max_tokens=120)
        solver = Solver(engine, FakeSandbox(lambda code: "2"), chosen)
        return solver.solve("What is 1+1?", seed=seed).blocks

    assert run(1, 0.0) == run(2, 0.0)
    assert run(1, 1.5) == run(1, 1.5)
    assert run(1, 1.5) != run(2, 1.5)


def test_one_sampler_serves_the_whole_solution(engine: LlamaEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    """A new one per block would start its random numbers and its penalties again."""
    seeds = []
    original = LlamaDecoder.new_sampler

    def counted(self: LlamaDecoder, sampling: SamplingSettings, seed: int) -> object:
        seeds.append(seed)
        return original(self, sampling, seed)

    monkeypatch.setattr(LlamaDecoder, "new_sampler", counted)
    solver = Solver(engine, FakeSandbox(lambda code: "2"), SolverSettings(temperature=1.0, max_tokens=400))
    solutions = [solver.solve("q", seed=seed) for seed in range(1, 9)]
    assert max(len(solution.blocks) for solution in solutions) > 3
    assert seeds == list(range(1, 9))


def test_a_conversation_continues_from_the_cache(engine: LlamaEngine) -> None:
    solver = Solver(engine, FakeSandbox(lambda code: "2"), SolverSettings(max_tokens=20))
    first = solver.solve("What is 1+1?")
    second = solver.solve("And 2+2?", history=[("What is 1+1?", first.blocks)])
    assert second.reused > first.tokens["prompt"] - 2
    assert second.evaluated + second.reused == sum(second.tokens.values()) - 1


def test_the_block_format_is_refused_where_the_model_lacks_its_tokens_with_a_dialect_that_fits(tmp_path: Path) -> None:
    chatml = write_model(tmp_path / "chatml.gguf", control=("<|im_start|>", "<|im_end|>"))
    asked = SolverSettings(code_execution=False, dialect="lce")
    with load(chatml, threads=1) as engine, pytest.raises(ModelError, match="--dialect qwen-math"):  # type: ignore[attr-defined]
        Solver(engine, None, asked)
    with load(chatml, threads=1) as engine:  # type: ignore[attr-defined]
        assert Solver(engine, None, SolverSettings(code_execution=False)).dialect.name == "generic"


def test_the_system_text_of_the_training_runs_is_the_default() -> None:
    assert SolverSettings().system == DEFAULT_SYSTEM


def test_settings_refuse_unknown_keys() -> None:
    with pytest.raises(ValueError, match="max_token"):
        SolverSettings(max_token=5)  # type: ignore[call-arg]


def test_what_the_machine_keeps_from_running_is_an_error_and_no_output_of_the_models_cell() -> None:
    def fails(_: str) -> CellResult:
        raise CellNotRunError("the process that runs cells does not start: no descriptors")

    engine = scripted([Block("text", "We add."), Block("code", "1 + 1"), Block("text", "\\boxed{2}")])
    solution = Solver(engine, FakeSandbox(fails)).solve("What is 1 + 1?")  # type: ignore[arg-type]
    assert (solution.status, solution.answer, solution.cells) == ("error", None, 0)
    assert "no descriptors" in solution.detail
    assert [block.type for block in solution.blocks] == ["text", "code"]


def test_code_that_cannot_be_isolated_at_all_is_refused_by_an_error() -> None:
    def fails(_: str) -> CellResult:
        raise SandboxError("no isolation for model-written code works here")

    engine = scripted([Block("code", "1 + 1"), Block("text", "2")])
    with pytest.raises(SandboxError, match="no isolation"):
        Solver(engine, FakeSandbox(fails)).solve("What is 1 + 1?")  # type: ignore[arg-type]

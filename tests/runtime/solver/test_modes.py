"""The baselines of the full loop: what may be written, what is run, what counts as the answer.

Every mode is tried with the solver of one question and with the batch, which must agree.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, get_args

import pytest
from gguf_factory import write_model

from runtime.engine import TokenSequence, load
from runtime.engine.scripted import ByteVocabulary, ReplayEngine, script_tokens
from runtime.lce import DEFAULT_SYSTEM, Block
from runtime.sandbox import CellResult, Sandbox
from runtime.settings import Mode, SolverSettings
from runtime.solver import BlockEnded, BlockStarted, Event, Execution, Solution, Solver, TextPiece
from runtime.solver.batch import Item, solve_batch
from runtime.solver.dialects import choose
from runtime.solver.dialects.fenced import QWEN_MATH
from runtime.solver.modes import printed_answer, wrong_result

TEXT, CODE, LAST = Block("text", "We compute."), Block("code", "print('so:')\n6 * 7"), Block("text", "42")
IMAGINED = Block("execution", "41")
Way = Callable[[ReplayEngine, SolverSettings], tuple[Solution, list[Event]]]


@pytest.fixture
def cells(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was run. Every cell prints two lines; one that says `bad` fails."""
    ran: list[str] = []

    def run(_: Sandbox, code: str) -> CellResult:
        ran.append(code)
        if "bad" in code:
            return CellResult("NameError: name 'bad' is not defined", "error", 0.0)
        return CellResult("so:\n42", "ok", 0.0)

    monkeypatch.setattr(Sandbox, "run", run)
    return ran


def alone(engine: ReplayEngine, settings: SolverSettings) -> tuple[Solution, list[Event]]:
    told: list[Event] = []
    with Sandbox() as sandbox:
        solver = Solver(engine, sandbox if settings.runs_cells else None, settings)
        return solver.solve("What is 6 * 7?", on_event=told.append), told


def batched(engine: ReplayEngine, settings: SolverSettings) -> tuple[Solution, list[Event]]:
    told: list[tuple[Item, Event]] = []
    items = [Item(str(n), n, "What is 6 * 7?") for n in range(3)]
    done = list(solve_batch(engine, items, settings, slots=2, on_event=lambda *event: told.append(event)))
    assert len(done) == 3
    assert all(solution.blocks == done[0][1].blocks for _, solution in done)
    first = done[0][0]
    return done[0][1], [event for item, event in told if item is first]


@pytest.fixture(params=[alone, batched], ids=["alone", "batched"])
def way(request: pytest.FixtureRequest) -> Way:
    return request.param  # type: ignore[no-any-return]


def solve(way: Way, blocks: Iterable[Block], mode: Mode, **changes: Any) -> tuple[Solution, list[Event]]:
    engine = ReplayEngine(lambda _: list(blocks), imagined=mode == "imagined")
    return way(engine, SolverSettings(mode=mode, **changes))


# The block format


def test_a_chain_of_thought_answers_from_text_and_runs_nothing(way: Way, cells: list[str]) -> None:
    solution, _ = solve(way, [TEXT, LAST], "chain-of-thought")
    assert (solution.blocks, solution.answer, solution.status) == ([TEXT, LAST], "42", "answered")
    assert (cells, solution.cells) == ([], 0)


def test_a_chain_of_thought_can_begin_no_code(way: Way, cells: list[str]) -> None:
    solution, _ = solve(way, [TEXT, CODE, LAST], "chain-of-thought")
    assert solution.status == "error"
    assert "forbids" in solution.detail
    assert (solution.blocks, cells) == ([TEXT], [])


def test_a_program_of_thought_is_run_once_and_answers_with_the_last_line_it_printed(way: Way, cells: list[str]) -> None:
    solution, told = solve(way, [TEXT, CODE, LAST, CODE], "program-of-thought")
    assert solution.blocks == [TEXT, CODE, Block("execution", "so:\n42")]
    assert (solution.answer, solution.status, solution.cells) == ("42", "answered", 1)
    assert solution.tokens["execution"] == 0, "what it printed is read by nobody"
    assert set(cells) == {CODE.content}
    assert isinstance(told[-1], BlockEnded)


@pytest.mark.usefixtures("cells")
def test_a_program_of_thought_that_fails_or_prints_nothing_has_no_answer(
    way: Way, monkeypatch: pytest.MonkeyPatch
) -> None:
    solution, _ = solve(way, [Block("code", "bad"), LAST], "program-of-thought")
    assert (solution.answer, solution.status, solution.failed_cells) == (None, "no_answer", 1)
    assert "status error" in solution.detail
    monkeypatch.setattr(Sandbox, "run", lambda *_: CellResult("", "ok", 0.0))
    solution, _ = solve(way, [CODE, LAST], "program-of-thought")
    assert (solution.answer, solution.status) == (None, "no_answer")


def test_a_program_of_thought_must_hold_a_program(way: Way, cells: list[str]) -> None:
    for blocks in ([TEXT], [TEXT, TEXT, CODE], []):
        solution, _ = solve(way, blocks, "program-of-thought")
        assert (solution.status, solution.answer) == ("error", None)
        assert "forbids" in solution.detail
    assert cells == []


def test_imagined_executions_are_written_by_the_model_and_nothing_is_run(way: Way, cells: list[str]) -> None:
    blocks = [TEXT, CODE, IMAGINED, CODE, IMAGINED, LAST]
    solution, told = solve(way, blocks, "imagined")
    assert solution.blocks == blocks
    assert (solution.answer, solution.status, solution.cells, cells) == ("42", "answered", 0, [])
    # The loop writes the two markers that open an execution, the model everything else.
    assert solution.tokens["execution"] == 2
    written = sum(len(block.content) + 2 for block in blocks) - 2 + 1
    assert solution.tokens["generated"] == written
    assert solution.evaluated + solution.reused == sum(solution.tokens.values()) - 1
    assert [event.block for event in told if isinstance(event, BlockEnded)] == blocks
    assert [event.type for event in told if isinstance(event, BlockStarted)] == [block.type for block in blocks]
    told_of = [(e.code, e.output, e.status) for e in told if isinstance(e, Execution)]
    assert told_of == [(CODE.content, "41", "imagined")] * 2
    assert {event.type for event in told if isinstance(event, TextPiece)} == {"text", "code"}


def test_wrong_results_are_read_in_place_of_what_the_code_gave(way: Way, cells: list[str]) -> None:
    wrong = [TEXT, CODE, Block("execution", "so:\n153"), LAST]
    solution, told = solve(way, wrong, "wrong-results")
    assert (solution.blocks, solution.answer, solution.cells) == (wrong, "42", 1)
    assert set(cells) == {CODE.content}
    assert [event.output for event in told if isinstance(event, Execution)] == ["so:\n153"]
    failed, _ = solve(way, [Block("code", "bad"), LAST], "wrong-results")
    assert failed.blocks[1].content == "NameError: name 'bad' is not defined", "an error has no value to replace"


def test_a_wrong_result_is_of_the_same_kind_and_nothing_the_question_holds() -> None:
    assert wrong_result("47.0", "What is 47?") == "158.0"
    assert wrong_result("47.0", "Of 158 and 269.0") == "380.0"
    assert wrong_result("[3, -5]\n0.25", "") == "[114, -116]\n111.25"
    assert wrong_result("x1 = sqrt(2)", "") == "x1 = sqrt(113)"
    assert wrong_result("True", "") == "False"
    assert wrong_result("a word", "") == "a word"
    assert wrong_result("9" * 40 + ".5", "") == "9" * 25 + "0" * 12 + "110.5", "all its digits are written"
    assert wrong_result("1" * 9000, "") == "1" * 8997 + "222"


def test_an_imagined_execution_cannot_be_empty(way: Way) -> None:
    solution, _ = solve(way, [CODE, Block("execution", ""), LAST], "imagined")
    assert (solution.status, solution.blocks) == ("error", [CODE])
    assert "forbids" in solution.detail


def test_an_imagined_execution_begins_with_none_of_the_vocabulary_s_ends() -> None:
    class Ended(ByteVocabulary):
        ends = ByteVocabulary.ends | {2}

    words, sequence = Ended(), TokenSequence(slot=0)
    reader = choose("lce", ReplayEngine(lambda _: []), "imagined").reader(words, None)
    reader.attach(sequence)
    for token in script_tokens(words, [CODE], end=False):
        reader.push(token, words.piece(token))
    reader.imagine()
    assert words.ends <= sequence.forbidden
    reader.push(ord("4"), b"4")
    assert not words.ends & sequence.forbidden, "once something is written it may end"


def test_imagined_executions_do_not_count_as_blocks_but_their_tokens_do(way: Way) -> None:
    solution, _ = solve(way, [CODE, IMAGINED, CODE, IMAGINED, LAST], "imagined", max_blocks=3)
    assert solution.status == "answered"
    solution, _ = solve(way, [CODE, Block("execution", "9" * 200), LAST], "imagined", max_block_tokens=50)
    assert (solution.status, solution.blocks[-1]) == ("token_limit", Block("execution", "9" * 50))


@pytest.mark.usefixtures("cells")
@pytest.mark.parametrize("mode", ["full", "program-of-thought", "chain-of-thought"])
def test_in_every_other_mode_the_model_can_write_no_execution(mode: Mode, way: Way) -> None:
    engine = ReplayEngine(lambda _: [TEXT, CODE, IMAGINED, LAST], imagined=True)
    solution, _ = way(engine, SolverSettings(mode=mode))
    assert IMAGINED not in solution.blocks
    assert solution.answer != "41"


@pytest.mark.parametrize("mode", ["chain-of-thought", "program-of-thought", "imagined"])
def test_a_random_model_keeps_to_the_mode_in_llama_cpp_too(mode: Mode, tmp_path: Path, cells: list[str]) -> None:
    """Masks hold where tokens are really drawn, and a batch writes what one question's solver writes."""
    path = write_model(tmp_path / "tiny.gguf", loud_control=12.0, seed=5)
    # Warm enough that each kind of block this mode allows is drawn.
    settings = SolverSettings(mode=mode, temperature=1.0 if mode == "imagined" else 4.0, max_tokens=120)
    allowed = {
        "chain-of-thought": {"text"},
        "program-of-thought": {"text", "code", "execution"},
        "imagined": {"text", "code", "execution"},
    }
    seen: set[str] = set()
    with load(path, n_ctx=512, threads=1) as engine:  # type: ignore[attr-defined]
        items = [Item(str(n), n, "1 + 1?", seed=n + 1) for n in range(8)]
        done = {item.seed: solution for item, solution in solve_batch(engine, items, settings, slots=3)}
        with Sandbox() as sandbox:
            solver = Solver(engine, sandbox, settings)
            single = solver.solve("1 + 1?", seed=1)
            solver.close()
        assert single.blocks == done[1].blocks
        for solution in done.values():
            kinds = [block.type for block in solution.blocks]
            seen |= set(kinds)
            codes, executions = kinds.count("code"), kinds.count("execution")
            if mode == "program-of-thought":
                assert codes <= 1
                assert kinds.count("text") <= 1
                assert "execution" not in kinds[:-1]
            if mode == "imagined":
                assert all(kinds[n - 1] == "code" for n, kind in enumerate(kinds) if kind == "execution")
                assert codes - executions in (0, 1)
                assert solution.cells == 0
    assert seen == allowed[mode]
    assert bool(cells) == (mode == "program-of-thought")


# Fenced dialects


def written(mode: Mode, *pieces: str) -> tuple[list[Block], str | None, list[str]]:
    """What a fenced model's solution becomes when it writes `pieces`, one after each piece of the runtime."""
    dialect = QWEN_MATH.in_mode(mode)
    reader = dialect.reader(None, None)
    fed: list[str] = []
    for piece in pieces:
        for character in piece:
            signal = reader.push(-1, character.encode())
            if signal == "end":
                return reader.blocks, dialect.answer(reader.blocks), fed
            if signal == "code":
                fed += [segment.text for segment in (reader.imagine() if mode == "imagined" else [])]
    reader.end()
    return reader.blocks, dialect.answer(reader.blocks), fed


def test_a_fenced_chain_of_thought_keeps_code_as_text_and_ends_where_it_invents_an_output() -> None:
    text = "We add.\n```python\n6*7\n```\nSo it is \\boxed{42}."
    assert written("chain-of-thought", text) == ([Block("text", text)], "42", [])
    blocks, answer, _ = written("chain-of-thought", "We add.\n```python\n6*7\n```\n```output\n41\n```\n\\boxed{41}")
    assert blocks == [Block("text", "We add.\n```python\n6*7\n```")]
    assert answer != "41"


def test_a_fenced_chain_of_thought_is_asked_for_without_code() -> None:
    asked = [
        "".join(s.text for s in QWEN_MATH.in_mode(mode).prompt("Q", DEFAULT_SYSTEM))
        for mode in ("full", "chain-of-thought")
    ]
    assert "programs" in asked[0]
    assert "programs" not in asked[1]
    own = QWEN_MATH.in_mode("chain-of-thought").prompt("Q", "Be brief.")
    assert "Be brief." in "".join(segment.text for segment in own)


def test_a_fenced_model_imagines_its_output_block() -> None:
    blocks, answer, fed = written("imagined", "```python\n6*7\n```\n```output", "41\n```\nIt is \\boxed{41}.")
    assert blocks == [Block("code", "6*7"), Block("execution", "41"), Block("text", "It is \\boxed{41}.")]
    assert (answer, fed) == ("41", ["\n"])


def test_a_fenced_program_of_thought_answers_with_its_output() -> None:
    dialect = QWEN_MATH.in_mode("program-of-thought")
    assert dialect.answer([TEXT, CODE, Block("execution", "so:\n42")]) == "42"
    assert dialect.answer([Block("text", "\\boxed{42}")]) is None


# Answers and settings


@pytest.mark.parametrize(
    ("output", "answer"),
    [
        ("42", "42"),
        ("a\n \n 7 \n", "7"),
        ("x = \\boxed{3}", "3"),
        ("<empty_execution>", None),
        ("", None),
        ("42\n[sandbox] 5000 characters of output were left out in the middle", "42"),
        ("[sandbox] all variables are lost; the session starts afresh", None),
        (" [sandbox] 7", "[sandbox] 7"),
    ],
)
def test_what_a_program_printed_last_is_its_answer(output: str, answer: str | None) -> None:
    assert printed_answer([CODE, Block("execution", output)]) == answer


def test_only_an_execution_at_the_end_is_a_printed_answer() -> None:
    assert printed_answer([]) is None
    assert printed_answer([CODE, Block("execution", "42"), LAST]) is None


def test_a_program_of_thought_without_execution_is_refused() -> None:
    with pytest.raises(ValueError, match="code_execution is off"):
        SolverSettings(mode="program-of-thought", code_execution=False)


def test_modes_that_run_nothing_need_no_sandbox() -> None:
    runs = {mode: SolverSettings(mode=mode).runs_cells for mode in get_args(Mode)}
    assert runs == {
        "full": True,
        "chain-of-thought": False,
        "program-of-thought": True,
        "imagined": False,
        "wrong-results": True,
    }
    engine = ReplayEngine(lambda _: [LAST])
    assert Solver(engine, None, SolverSettings(mode="chain-of-thought")).solve("q").answer == "42"
    assert choose("auto", engine, "imagined").name == "lce"

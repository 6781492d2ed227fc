"""The reader of native dialects: Qwen3's derived form in the real loop, calls well and badly made."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import pytest
from gguf_factory import write_model

import runtime.solver.loop as loop
from runtime.engine import Vocabulary
from runtime.engine.llama.engine import LlamaEngine
from runtime.engine.protocol import encode
from runtime.engine.scripted import ReplayEngine
from runtime.sandbox import CellResult
from runtime.settings import EngineSettings, SolverSettings
from runtime.solver import Solution, Solver
from runtime.solver.dialects.fenced import TORA
from runtime.solver.dialects.form import Call, Frame, Notices, Result, Think
from runtime.solver.dialects.markers import pieces, tokens_of
from runtime.solver.dialects.native import NativeDialect
from runtime.solver.solution import BlockStarted, Event

CONTROL = ("<|im_start|>", "<|im_end|>")
USER_DEFINED = ("<tool_call>", "</tool_call>", "<tool_response>", "</tool_response>", "<think>", "</think>")
QWEN = NativeDialect(
    name="template",
    frame=Frame(ask="<|im_end|>\n<|im_start|>assistant\n", bare="<|im_start|>user\n", open="", close=""),
    think=Think("<think>", "</think>"),
    call=Call(
        open="<tool_call>",
        close="</tool_call>",
        decode="json",
        before='\n{"name": "python", "arguments": {"code": "',
        after='"}}\n',
        end="<|im_end|>",
    ),
    result=Result(
        open="\n<|im_start|>user\n<tool_response>\n",
        close="\n</tool_response><|im_end|>\n<|im_start|>assistant\n",
        more="\n</tool_response>\n<tool_response>\n",
    ),
    forbidden=("<|im_start|>", "<tool_response>", "</tool_response>"),
)
END = "<|im_end|>"


@pytest.fixture(scope="module")
def words(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Vocabulary]:
    path = tmp_path_factory.mktemp("words") / "words.gguf"
    write_model(path, control=CONTROL, user_defined=USER_DEFINED, vocab=560, end=END)
    with LlamaEngine(path, EngineSettings(threads=1), vocab_only=True) as engine:
        engine.vocabulary.reserve([*CONTROL, *USER_DEFINED])
        yield engine.vocabulary


class Cells:
    """A sandbox that answers with the code's last word."""

    def __init__(self) -> None:
        self.ran: list[str] = []
        self.resets = 0

    def run(self, code: str) -> CellResult:
        self.ran.append(code)
        return CellResult(output=f"out of {code.split()[-1]}", status="ok", seconds=0.0, images=[])

    def reset(self) -> None:
        self.resets += 1

    def interrupt(self) -> None:
        pass


def tokens_for(words: Vocabulary, text: str, markers: frozenset[str]) -> list[int]:
    return encode(words, pieces(text, markers, "text"))


def solve(
    words: Vocabulary,
    turns: Sequence[str],
    *,
    dialect: NativeDialect = QWEN,
    events: list[Event] | None = None,
    spelled: bool = False,
    **settings: Any,
) -> tuple[Solution, Cells, str]:
    """A solution whose turns are given, through the loop; and the sequence, tokens spelled."""
    fitted = dialect.fitted(words)
    text = "".join(turns)
    script = words.encode(text) if spelled else tokens_for(words, text, tokens_of([text], words))
    engine = ReplayEngine(lambda _: [], vocabulary=words, write=lambda _: script)
    cells = Cells()
    chosen = SolverSettings(max_blocks=99, max_block_tokens=9000, **settings)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "choose", lambda *_: fitted)
        solver = Solver(engine, cells, chosen)  # type: ignore[arg-type]
        solution = solver.solve("Q", on_event=events.append if events is not None else None)
    assert solver.kept is not None
    ids = solver.kept.ids
    whole = "".join(words.piece(token).decode("utf-8", "replace") or name(words, token) for token in ids)
    return solution, cells, whole


def name(words: Vocabulary, token: int) -> str:
    return next((one for one in (*CONTROL, *USER_DEFINED) if words.control_id(one) == token), "")


def call(code: str) -> str:
    return f'<tool_call>\n{{"name": "python", "arguments": {{"code": {json.dumps(code)}}}}}\n</tool_call>'


def kinds(solution: Solution) -> list[str]:
    return ["thinking" if block.thinking else block.type for block in solution.blocks]


def test_a_call_is_run_once_its_turn_has_ended_and_answered_in_a_new_turn(words: Vocabulary) -> None:
    turns = ["Let us see.\n", call("x = 1\nx"), END, "It is \\boxed{1}.", END]
    solution, cells, whole = solve(words, turns)
    assert cells.ran == ["x = 1\nx"]
    assert kinds(solution) == ["text", "code", "execution", "text"]
    assert (solution.status, solution.answer) == ("answered", "1")
    frame = "<tool_response>\nout of x\n</tool_response><|im_end|>\n<|im_start|>assistant\nIt is"
    assert f"</tool_call><|im_end|>\n<|im_start|>user\n{frame}" in whole
    assert solution.evaluated == sum(solution.tokens.values()) - 1, "every token once"


def test_several_calls_of_one_turn_run_in_order_and_are_answered_together(words: Vocabulary) -> None:
    turns = [call("a = 1"), "\n", call("b = 2"), END, "\\boxed{3}", END]
    solution, cells, whole = solve(words, turns)
    assert cells.ran == ["a = 1", "b = 2"]
    assert kinds(solution) == ["code", "execution", "code", "execution", "text"]
    assert "out of 1\n</tool_response>\n<tool_response>\nout of 2\n</tool_response>" in whole


def test_a_list_of_calls_in_one_pair_of_tags_is_run_call_by_call(words: Vocabulary) -> None:
    body = '[{"name": "python", "arguments": {"code": "a"}}, {"name": "python", "arguments": {"code": "b"}}]'
    solution, cells, _ = solve(words, [f"<tool_call>{body}</tool_call>", END, "\\boxed{3}", END])
    assert cells.ran == ["a", "b"]
    assert kinds(solution) == ["code", "execution", "code", "execution", "text"]


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ('{"name": "python", "arguments": {"code": "x = 1\nx"}}', "x = 1\nx"),
        ('{"name": "python", "arguments": {"code": "print("a")"}}', 'print("a")'),
        ('{"code": "1 + 1"}', "1 + 1"),
        ('{"name": "python", "parameters": {"code": "1"}}', "1"),
        ('{"name": "python", "arguments": "{\\"code\\": \\"1\\"}"}', "1"),
        ('{"name": "python", "arguments": {"code": ""}}\n<code>\n2 + 2\n</code>', "2 + 2"),
        ('{"type": "function", "function": {"name": "python", "arguments": {"code": "5"}}}', "5"),
    ],
)
def test_json_is_read_as_models_write_it(words: Vocabulary, body: str, code: str) -> None:
    _, cells, _ = solve(words, [f"<tool_call>\n{body}\n</tool_call>", END, "\\boxed{3}", END])
    assert cells.ran == [code]


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ('{"name": "search", "arguments": {"query": "x"}}', "there is no tool 'search'"),
        ('{"name": "python", "arguments": {}}', "the argument 'code' with the code is missing"),
        ("just words", "no JSON object"),
        ('{"name": "python", "arguments": ', "is not valid JSON"),
        ('{"a":' * 1100, "is not valid JSON"),
    ],
)
def test_a_call_that_cannot_be_read_is_answered_and_the_solution_goes_on(
    words: Vocabulary, body: str, said: str
) -> None:
    turns = [f"<tool_call>{body}</tool_call>", END, call("7"), END, "\\boxed{7}", END]
    solution, cells, whole = solve(words, turns, max_tokens=9000)
    assert cells.ran == ["7"]
    assert solution.answer == "7"
    assert said in solution.blocks[1].content
    assert said in whole
    assert solution.cells == 1


def test_after_some_calls_that_cannot_be_read_the_solution_ends(words: Vocabulary) -> None:
    broken = ["<tool_call>nothing</tool_call>", END]
    solution, cells, _ = solve(words, broken * 9, max_unreadable_calls=3)
    assert solution.status == "repeated_error"
    assert cells.ran == []
    assert kinds(solution).count("code") == 4


def test_a_call_that_is_never_closed_ends_in_a_status(words: Vocabulary) -> None:
    text = "<tool_call>\n" + "x " * 900
    solution, cells, _ = solve(words, [text], max_tokens=300, answer_tokens=0)
    assert solution.status == "token_limit"
    assert cells.ran == []


def test_the_end_inside_a_call_that_is_whole_runs_it(words: Vocabulary) -> None:
    turns = [call("9").removesuffix("</tool_call>"), END, "\\boxed{9}", END]
    solution, cells, _ = solve(words, turns)
    assert cells.ran == ["9"]
    assert solution.answer == "9"


# Thinking


def test_thinking_is_a_block_of_its_own_and_answers_nothing(words: Vocabulary) -> None:
    events: list[Event] = []
    turns = ["<think>\nMaybe \\boxed{5}?\n</think>\n\nIt is \\boxed{6}.", END]
    solution, _, _ = solve(words, turns, events=events)
    assert kinds(solution) == ["thinking", "text"]
    assert solution.answer == "6"
    assert [event.thinking for event in events if isinstance(event, BlockStarted)] == [True, False]
    alone, _, _ = solve(words, ["<think>It is \\boxed{5}.</think>", END])
    assert (alone.status, alone.answer) == ("no_answer", None)


def test_thinking_tags_are_read_whether_tokens_or_spelled(words: Vocabulary) -> None:
    text = "<think>Hm, \\boxed{5}.</think>So \\boxed{6}."
    spelled = words.encode(text)
    assert words.control_id("<think>") not in spelled
    engine_words = [text]
    tokens, _, _ = solve(words, [*engine_words, END])
    letters, _, _ = solve(words, engine_words, spelled=True, max_tokens=len(spelled), answer_tokens=0)
    assert kinds(tokens) == kinds(letters) == ["thinking", "text"]


def test_a_draft_of_a_call_in_thinking_is_not_run(words: Vocabulary) -> None:
    turns = [f"<think>I could write {call('1')} but no.</think>\\boxed{{2}}", END]
    solution, cells, _ = solve(words, turns)
    assert cells.ran == []
    assert solution.answer == "2"


def test_a_whole_call_at_the_end_of_thinking_that_was_never_closed_is_run(words: Vocabulary) -> None:
    turns = [f"<think>I need {call('1 + 1')}", END, "\\boxed{2}", END]
    solution, cells, _ = solve(words, turns)
    assert cells.ran == ["1 + 1"]
    assert kinds(solution) == ["thinking", "code", "execution", "text"]


def test_thinking_over_its_budget_is_ended_for_the_model(words: Vocabulary) -> None:
    solution, _, whole = solve(words, ["<think>" + "so " * 100, "\\boxed{3}", END], max_thinking_tokens=40)
    assert "</think>\n\n" in whole
    assert kinds(solution)[0] == "thinking"
    assert kinds(solution)[1] == "text"
    assert solution.answer == "3"


def test_where_tokens_run_out_an_answer_is_begun_in_the_model_s_place(words: Vocabulary) -> None:
    solution, _, whole = solve(words, ["<think>" + "so " * 60, "7}$ and more"], max_tokens=60, answer_tokens=12)
    assert "</think>\n\n\n\nThe final answer is $\\boxed{" in whole
    assert solution.status == "token_limit"
    assert solution.blocks[-1].content.startswith("The final answer is $\\boxed{")


def test_an_answer_that_was_begun_for_the_model_counts_where_nothing_else_does(words: Vocabulary) -> None:
    solution, _, _ = solve(words, ["so " * 20, "7}$.", END], max_tokens=80, answer_tokens=20)
    assert (solution.status, solution.answer) == ("token_limit", "7")


# Budgets and states


def test_the_model_is_told_when_calls_near_their_end_and_when_none_is_left(words: Vocabulary) -> None:
    turns = [part for _ in range(4) for part in (call("1"), END)] + ["\\boxed{1}", END]
    solution, cells, _ = solve(words, turns, max_calls=2)
    assert len(cells.ran) == 2
    told = [block.content for block in solution.blocks if block.type == "execution"]
    assert "1 more calls left" in told[0]
    assert told[2] == told[3] == QWEN.notices.over
    assert solution.answer == "1"


def test_a_dialect_that_counts_calls_tells_the_last_ones_behind_the_result(words: Vocabulary) -> None:
    counting = replace(QWEN, notices=Notices(calls="[{left} runs left]", outside=True))
    turns = [part for _ in range(3) for part in (call("1"), END)] + ["\\boxed{1}", END]
    solution, _, whole = solve(words, turns, dialect=counting, max_calls=5)
    assert "assistant\n[3 runs left]" in whole
    assert "[2 runs left]" in whole
    assert "[4 runs left]" not in whole
    assert not any("runs left" in block.content for block in solution.blocks)


@pytest.mark.parametrize(("state", "resets"), [("kernel", 0), ("fresh", 1), ("replay", 1)])
def test_a_cell_finds_of_earlier_ones_what_its_dialect_says(words: Vocabulary, state: Any, resets: int) -> None:
    turns = [call("a = 1\nprint(a)"), END, call("a + 1"), END, "\\boxed{2}", END]
    solution, cells, _ = solve(words, turns, dialect=replace(QWEN, state=state))
    assert cells.resets == resets
    last = "a = 1\npass\na + 1" if state == "replay" else "a + 1"
    assert cells.ran == ["a = 1\nprint(a)", last]
    assert [block.content for block in solution.blocks if block.type == "code"][1] == "a + 1"


def test_a_result_is_told_in_the_style_of_its_dialect() -> None:
    short = replace(QWEN, result=replace(QWEN.result, style="short", error="Error: {output}", limit=20))
    assert short.shaped("Traceback\n  File\nValueError: xyz", "error") == "Error: Val...Error: xyz"
    assert short.shaped("1" * 30, "ok") == "1" * 10 + "..." + "1" * 10
    assert QWEN.shaped("<empty_execution>", "ok") == "[no output]"


def test_a_server_that_stops_at_the_request_for_an_output_gets_it_with_the_output() -> None:
    reader = TORA.reader(None, None)
    assert reader.push(-1, b"We add.\n```python\n1 + 1\n```\n") is None
    assert reader.end() == "code"
    assert reader.code == "1 + 1"
    assert "".join(piece.text for piece in reader.execution("2")) == "\n```output\n2\n```\n"
    assert reader.push(-1, b"So \\boxed{2}.") is None
    assert reader.end() == "end"
    said = TORA.reader(None, None)
    said.push(-1, b"```python\n1 + 1\n```\nThat is how.")
    assert said.end() == "end"

"""Thinking is shown folded everywhere, kept where it is recorded, and answers nothing."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from runtime.evaluate.records import read_records
from runtime.grade import final_answer
from runtime.lce import Block
from runtime.serve.answers import Markdown, whole_answer
from runtime.show.console import make_console
from runtime.show.notebook import Turn, notebook_text
from runtime.show.notebook_page import markdown, page
from runtime.show.panels import SolutionView, show_solution
from runtime.solver import BlockEnded, BlockStarted, Solution, TextPiece

THOUGHT = Block("text", "First I wonder.\nThen <script>I</script> see \\boxed{5}.\nAh.", thinking=True)
BLOCKS = [THOUGHT, Block("text", "It is $\\boxed{6}$, as the sum of the parts shows beyond any doubt at all.")]


def printed(width: int = 80) -> str:
    console = make_console(file=io.StringIO())
    console.width = width
    show_solution(console, BLOCKS, "6", "answered")
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_a_finished_solution_says_how_much_was_thought_and_not_all_of_it() -> None:
    shown = printed()
    assert "thinking · 8 words" in shown
    assert "First I wonder." in shown
    assert "Ah." not in shown
    assert "sum of the parts" in shown


def test_while_it_is_written_into_a_pipe_thinking_is_one_line() -> None:
    console = make_console(file=io.StringIO())
    view = SolutionView(console)
    with view:
        for block in BLOCKS:
            view.on_event(BlockStarted("text", block.thinking))
            view.on_event(TextPiece("text", block.content))
            view.on_event(BlockEnded(block))
        view.finish(Solution(BLOCKS, "6", "answered"))
    assert isinstance(console.file, io.StringIO)
    shown = console.file.getvalue()
    assert "(thinking, 8 words)" in shown
    assert "wonder" not in shown


def test_thinking_that_was_cut_off_is_still_thinking() -> None:
    console = make_console(file=io.StringIO())
    view = SolutionView(console)
    with view:
        view.on_event(BlockStarted("text", True))
        view.on_event(TextPiece("text", "Hm, so"))
        view.finish(Solution([Block("text", "Hm, so", thinking=True)], None, "interrupted"))
    assert isinstance(console.file, io.StringIO)
    assert "(thinking, 2 words)" in console.file.getvalue()


@pytest.mark.parametrize("made", [markdown, page, notebook_text])
def test_exports_fold_thinking_and_take_no_markup_from_it(made) -> None:  # type: ignore[no-untyped-def]
    text = made([Turn("Q", BLOCKS, "6", "answered")])
    assert "<details>" in text
    assert "<script>I" not in text
    assert "&lt;script&gt;I" in text


def test_a_server_s_answer_holds_thinking_apart_and_its_stream_holds_none() -> None:
    message = whole_answer(Solution(BLOCKS, "6", "answered"), "m")["choices"][0]["message"]
    assert "wonder" not in message["content"]
    assert message["reasoning_content"] == THOUGHT.content
    stream = Markdown()
    events = [
        event
        for block in BLOCKS
        for event in (BlockStarted("text", block.thinking), TextPiece("text", block.content), BlockEnded(block))
    ]
    assert "".join(piece for event in events for piece in stream.pieces(event)) == message["content"]


def test_results_keep_thinking_and_never_answer_with_it(tmp_path: Path) -> None:
    line = {"question": "Q", "gold": "5", "blocks": [block.as_dict() for block in [BLOCKS[1], THOUGHT]]}
    file = tmp_path / "r.jsonl"
    file.write_text(json.dumps(line) + "\n")
    (record,) = read_records(file)
    assert record.blocks == [BLOCKS[1], THOUGHT]
    assert record.answer == "6"
    assert final_answer([THOUGHT]) is None

"""Transcripts: read back as written, a crash loses at most an unfinished block, nonsense is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from runtime.chat.log import ChatLog, cells_of, newest, read_log
from runtime.errors import DataError, InputError
from runtime.lce import Block
from runtime.show.notebook import Turn

TURN = Turn(
    "q",
    [Block("code", "x = 1"), Block("execution", "<empty_execution>"), Block("text", "1")],
    "1",
    "answered",
    {0: [b"\x89PNG"]},
    {"seconds": 1.5},
)


def test_turns_come_back_as_they_were(tmp_path: Path) -> None:
    log = ChatLog(tmp_path / "a" / "chat.jsonl", pytest.fail)
    log.write("model", name="m.gguf")
    log.turn(TURN)
    found = read_log(tmp_path / "a" / "chat.jsonl")
    assert found.turns == [TURN]
    assert (found.cells, found.model, found.lost) == (["x = 1"], "m.gguf", None)


def test_text_with_any_separator_of_lines_comes_back_whole(tmp_path: Path) -> None:
    path = tmp_path / "chat.jsonl"
    strange = "a\u2028b\u2029c\x85d\x0be\x0cf\x1cg\r\nh\ud83d"
    log = ChatLog(path, pytest.fail)
    log.turn(Turn(strange, [Block("execution", strange)], "1"))
    found = read_log(path)
    assert found.lost is None
    assert [turn.blocks for turn in found.turns] == [[Block("execution", strange)]]


def test_a_transcript_is_private_and_an_empty_chat_leaves_none(tmp_path: Path) -> None:
    path = tmp_path / "chat.jsonl"
    log = ChatLog(path, pytest.fail)
    assert not path.exists()
    log.turn(TURN)
    assert path.stat().st_mode & 0o777 == 0o600


def test_undo_clear_and_reset_are_replayed(tmp_path: Path) -> None:
    path = tmp_path / "chat.jsonl"
    log = ChatLog(path, pytest.fail)
    log.turn(TURN)
    log.turn(Turn("second", [Block("code", "y = 2"), Block("execution", "2")], "2"))
    log.write("undo")
    assert [turn.question for turn in read_log(path).turns] == ["q"]
    assert read_log(path).cells == ["x = 1"]
    log.write("clear")
    assert (read_log(path).turns, read_log(path).cells) == ([], ["x = 1"])
    log.write("reset")
    assert read_log(path).cells == []


def test_a_crash_in_a_solution_keeps_its_whole_blocks(tmp_path: Path) -> None:
    path = tmp_path / "chat.jsonl"
    log = ChatLog(path, pytest.fail)
    log.write("question", text="half")
    log.write("block", block=Block("code", "z = 3").as_dict())
    log.write("block", block=Block("execution", "3").as_dict())
    with open(path, "a", encoding="utf-8") as handle:
        handle.write('{"event": "block", "blo')
    found = read_log(path)
    assert found.turns == [Turn("half", [Block("code", "z = 3"), Block("execution", "3")], None, "interrupted")]
    assert found.cells == ["z = 3"]
    ChatLog(path, pytest.fail).turn(TURN)
    assert read_log(path).turns[-1] == TURN, "what is appended after a cut line is read again"


def test_a_cell_that_was_stopped_is_not_run_again() -> None:
    stopped = "KeyboardInterrupt: \n[sandbox] the cell was stopped after 6 s"
    cut = "1\n[sandbox] 900 characters of output were left out in the middle"
    turn = Turn("q", [Block("code", "while True: pass"), Block("execution", stopped), Block("code", "w = 1"),
                      Block("execution", cut)])  # fmt: skip
    assert cells_of(turn) == ["w = 1"]


def test_what_the_sandbox_said_of_a_cell_counts_and_not_what_the_cell_printed() -> None:
    forged = "[sandbox] the session is gone; all variables are lost"
    blocks = [Block("code", "x = 1"), Block("execution", forged), Block("code", "y = 2"), Block("execution", "")]
    assert cells_of(Turn("q", blocks, facts={"stopped": []})) == ["x = 1", "y = 2"]
    assert cells_of(Turn("q", blocks, facts={"stopped": [3]})) == ["x = 1"]


@pytest.mark.parametrize("content", ["", "hello\n", '{"event": "turn"}\n', "[1]\n"])
def test_a_file_that_is_no_transcript_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(DataError, match="not a saved conversation"):
        read_log(path)


def test_another_format_and_a_missing_file_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text('{"event": "chat", "format": 99}\n', encoding="utf-8")
    with pytest.raises(DataError, match="format 99"):
        read_log(path)
    with pytest.raises(InputError, match="cannot be read"):
        read_log(tmp_path / "missing.jsonl")


def test_values_of_the_wrong_type_are_left_out_not_trusted(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text(
        '{"event": "chat", "format": 1}\n'
        '{"event": "turn", "question": 5, "blocks": [{"type": "shell", "content": "x"}, 7], "answer": 3,'
        ' "images": {"a": 1}}\n',
        encoding="utf-8",
    )
    assert read_log(path).turns == [Turn("5", [], None, "answered")]


def test_the_newest_transcript_is_found(tmp_path: Path) -> None:
    assert newest(tmp_path) is None
    (tmp_path / "a.jsonl").touch()
    assert newest(tmp_path) == tmp_path / "a.jsonl"


def test_a_full_disk_ends_the_transcript_with_one_line_and_raises_nothing() -> None:
    told: list[str] = []
    log = ChatLog(Path("/dev/full"), told.append)
    log.turn(TURN)
    log.turn(TURN)
    assert len(told) == 1
    assert "/save" in told[0]


def test_half_a_surrogate_is_written_and_read_back(tmp_path: Path) -> None:
    log = ChatLog(tmp_path / "chat.jsonl", pytest.fail)
    log.turn(Turn("caf\udce9", [Block("text", "\ud835 and é")], "é"))
    (turn,) = read_log(tmp_path / "chat.jsonl").turns
    assert (turn.question, turn.blocks[0].content) == ("caf\udce9", "\ud835 and é")

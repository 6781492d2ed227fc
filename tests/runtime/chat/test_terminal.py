"""Chats driven in a real pseudo-terminal, with a scripted engine and the real sandbox."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from runtime.chat.commands import COMMANDS
from runtime.solver.support import UNSUPPORTED

pexpect = pytest.importorskip("pexpect", reason="driving a terminal needs pexpect (the dev extra)")

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent.parent
PATIENCE = 60
_ESCAPE = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b[()][A-Z0-9]|\x1b[=>78]")


class Terminal:
    """A chat in a pseudo-terminal, and what it has printed, with and without escapes."""

    def __init__(self, folder: Path, *arguments: str, columns: int = 80, **environment: str) -> None:
        env = {
            key: value
            for key, value in os.environ.items()
            if key not in ("NO_COLOR", "TMUX", "COLUMNS", "LINES", "FORCE_COLOR", "EDITOR", "VISUAL", "TERM_PROGRAM")
        }
        # pexpect is no terminal that could answer where the cursor is.
        env |= {"TERM": "xterm-256color", "PROMPT_TOOLKIT_NO_CPR": "1", "PYTHONPATH": str(ROOT), **environment}
        program = [str(HERE / "chat_program.py"), str(folder), *arguments]
        self.child: Any = pexpect.spawn(
            sys.executable, program, env=env, dimensions=(40, columns), encoding="utf-8", timeout=PATIENCE
        )
        self.raw = ""
        self.mark = 0
        self.wait_for("leaves.|> $" if environment.get("TERM") == "dumb" else r"Ctrl-D leaves\.")

    def read(self) -> None:
        """Take what there is."""
        with contextlib.suppress(pexpect.TIMEOUT, pexpect.EOF):
            self.raw += self.child.read_nonblocking(65536, timeout=0.1)

    @property
    def text(self) -> str:
        """Everything printed since the last input, without escapes."""
        return _ESCAPE.sub("", self.raw[self.mark :]).replace("\r", "")

    def wait_for(self, pattern: str) -> str:
        """Wait until `pattern` stands in the text since the last input."""
        end = time.monotonic() + PATIENCE
        while not re.search(pattern, self.text):
            assert time.monotonic() < end, f"{pattern!r} did not come; the terminal shows:\n{self.text[-3000:]}"
            self.read()
        return self.text

    def type(self, line: str, pattern: str) -> str:
        """Enter a line and wait for `pattern`."""
        self.settle()
        self.mark = len(self.raw)
        self.child.send(f"{line}\r")
        return self.wait_for(pattern)

    def press(self, key: str, pattern: str) -> str:
        """Press a control key and wait for `pattern`."""
        self.mark = len(self.raw)
        self.child.sendcontrol(key)
        return self.wait_for(pattern)

    def settle(self) -> None:
        """Wait until nothing more comes: the prompt is up."""
        before = -1
        while before != len(self.raw):
            before = len(self.raw)
            self.read()

    def leave(self) -> int:
        """Ctrl-D; returns the exit code."""
        self.settle()
        self.child.sendcontrol("d")
        self.child.expect(pexpect.EOF)
        self.child.close()
        return int(self.child.exitstatus if self.child.exitstatus is not None else -self.child.signalstatus)


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Terminal]:
    opened = Terminal(tmp_path)
    yield opened
    opened.child.close(force=True)


def with_editor(folder: Path, command: str) -> Terminal:
    """A chat whose editor is a line of shell, with the file in `$1`."""
    editor = folder / "editor.sh"
    editor.write_text(f"#!/bin/sh\n{command}\n", encoding="utf-8")
    editor.chmod(0o755)
    return Terminal(folder, EDITOR=str(editor))


def transcript(folder: Path) -> list[dict[str, Any]]:
    """Events of the newest transcript."""
    newest = max((folder / "chats").glob("*.jsonl"), key=lambda path: path.stat().st_mtime_ns)
    return [json.loads(line) for line in newest.read_text(encoding="utf-8").splitlines()]


def test_a_follow_up_question_uses_a_variable_of_the_one_before(terminal: Terminal) -> None:
    first = terminal.type("what is the sum?", r"answer[^\n]*\n[^\n]*42")
    assert "We add 12 and 30." in first, "LaTeX is shown as readable text"
    terminal.type("double it", r"answer[^\n]*\n[^\n]*84")
    assert re.search(r"total +int +42", terminal.type("/vars", r"total.*\n"))
    assert terminal.leave() == 0


def test_undo_takes_back_what_the_code_defined_and_clear_keeps_it(terminal: Terminal) -> None:
    terminal.type("what is the sum?", r"answer[^\n]*\n[^\n]*42")
    terminal.type("/run other = 5", r"no output")
    terminal.type("/clear", r"variables are kept")
    assert re.search(r"other +int +5 *\n", terminal.type("/vars", r"total.*\n"))
    terminal.type("/reset", r"forgotten")
    terminal.type("/vars", r"no variables yet")
    terminal.type("what is the sum?", r"answer[^\n]*\n[^\n]*42")
    terminal.type("/undo", r"forgotten: what is the sum\?")
    terminal.type("/vars", r"no variables yet")


def test_ctrl_c_stops_an_endless_cell_and_the_session_goes_on(terminal: Terminal) -> None:
    terminal.type("what is the sum?", r"answer[^\n]*\n[^\n]*42")
    terminal.type("forever", r"running the code")
    time.sleep(0.5)
    began = time.monotonic()
    terminal.press("c", r"You stopped it")
    assert time.monotonic() - began < 15
    assert re.search(r"total +int +42", terminal.type("/vars", r"total.*\n"))


def test_ctrl_c_stops_generation_and_a_second_one_at_the_prompt_leaves(terminal: Terminal) -> None:
    terminal.type("endless", r"word word word")
    terminal.press("c", r"You stopped it")
    terminal.type("what is the sum?", r"answer[^\n]*\n[^\n]*42")
    terminal.settle()
    terminal.press("c", r"Ctrl-C again")
    terminal.settle()
    terminal.child.sendcontrol("c")
    terminal.child.expect(pexpect.EOF)
    terminal.child.close()
    assert terminal.child.exitstatus == 0


def test_pasted_lines_are_one_question(terminal: Terminal) -> None:
    terminal.settle()
    terminal.mark = len(terminal.raw)
    terminal.child.send("\x1b[200~first line\nsecond line\nthird line\x1b[201~")
    terminal.settle()
    assert "You asked" not in terminal.text, "nothing is sent before Enter"
    terminal.child.send("\r")
    terminal.wait_for(r"answer[^\n]*\n[^\n]*7")
    assert r"first line\nsecond line\nthird line" in re.sub(r"[│\n ]+", " ", terminal.text).replace(" \\n", "\\n")


def test_retry_edit_and_unknown_commands(tmp_path: Path) -> None:
    opened = with_editor(tmp_path, 'printf "%s" "what is the sum, edited?" > "$1"')
    opened.type("hello", r"You asked 'hello'")
    opened.type("/retry", r"You asked 'hello'")
    opened.type("/edit", r"answer[^\n]*\n[^\n]*42")
    questions = [event["question"] for event in transcript(tmp_path) if event["event"] == "turn"]
    assert questions == ["hello", "hello", "what is the sum, edited?"]
    assert "Did you mean /export?" in opened.type("/exprot x", r"Did you mean")
    assert "Nothing was changed" in opened.type("/limits cell_secnods=3", r"Did you mean cell_seconds")
    assert "cell_seconds: 6" in opened.type("/sandbox", r"mathcoder doctor shows each layer")
    opened.child.close(force=True)


def test_an_edited_code_block_is_run_and_the_solution_goes_on_from_its_result(tmp_path: Path) -> None:
    opened = with_editor(tmp_path, "sed -i 's/30/100/' \"$1\"")
    opened.type("what is the sum?", r"answer[^\n]*\n[^\n]*42")
    opened.type("/edit code", r"\b112\b")
    opened.wait_for(r"answer")
    opened.settle()
    assert re.search(r"total +int +\d+", opened.type("/vars", r"total.*\n"))
    turn = [event for event in transcript(tmp_path) if event["event"] == "turn"][-1]
    assert turn["blocks"][1] == {"type": "code", "content": "total = 12 + 100\ntotal"}
    assert turn["blocks"][2] == {"type": "execution", "content": "112"}
    opened.child.close(force=True)


def test_save_load_and_resume_bring_back_conversation_and_variables(tmp_path: Path) -> None:
    opened = Terminal(tmp_path)
    opened.type("what is the sum?", r"answer[^\n]*\n[^\n]*42")
    saved = tmp_path / "saved.jsonl"
    opened.type(f"/save {saved}", r"saved to")
    opened.type("/reset", r"forgotten")
    opened.type(f"/load {saved}", r"1 cell run again")
    assert re.search(r"total +int +42", opened.type("/vars", r"total.*\n"))
    assert opened.leave() == 0
    again = Terminal(tmp_path, "--resume")
    again.wait_for(r"what is the sum\?")
    again.type("double it", r"answer[^\n]*\n[^\n]*84")
    again.child.close(force=True)


def test_a_killed_chat_resumes_with_its_last_whole_block(tmp_path: Path) -> None:
    opened = Terminal(tmp_path)
    opened.type("forever", r"running the code")
    time.sleep(0.3)
    opened.child.kill(signal.SIGKILL)
    opened.child.close(force=True)
    again = Terminal(tmp_path, "--resume")
    again.settle()
    assert "forever" in again.text
    assert "/retry asks again" in again.text
    again.child.close(force=True)


def test_no_control_byte_of_an_execution_result_reaches_the_screen(terminal: Terminal) -> None:
    terminal.type("hostile", r"done")
    terminal.settle()
    shown = terminal.raw[terminal.mark :]
    assert "\x1b]0;owned" not in shown
    assert "\x1b[31mRED" not in shown
    assert "\x9b" not in shown
    assert "RED" in terminal.text


def test_sixty_columns_and_a_resize_keep_every_line_inside(tmp_path: Path) -> None:
    opened = Terminal(tmp_path, columns=60)
    opened.type("what is the sum?", r"answer[^\n]*\n[^\n]*42")
    opened.settle()
    lines = [_ESCAPE.sub("", line) for line in re.split(r"[\r\n]", opened.raw[opened.mark :])]
    assert max(len(line) for line in lines) == 60
    opened.child.setwinsize(40, 100)
    opened.type("double it", r"╭─ answer ─{80,}")
    opened.child.close(force=True)


def test_no_color_prints_no_colour(tmp_path: Path) -> None:
    opened = Terminal(tmp_path, NO_COLOR="1")
    opened.type("what is the sum?", r"answer[^\n]*\n[^\n]*42")
    opened.settle()
    colours = re.findall(r"\x1b\[(?:[0-9;]*;)?(?:3[0-7]|4[0-7]|9[0-7]|38;[0-9;]+|48;[0-9;]+)m", opened.raw)
    assert colours == []
    opened.child.close(force=True)


def test_a_dumb_terminal_gets_plain_lines(tmp_path: Path) -> None:
    opened = Terminal(tmp_path, TERM="dumb")
    opened.type("what is the sum?", r"42")
    opened.wait_for(r"1 cell")
    assert "\x1b" not in opened.raw
    assert ">>> total = 12 + 30" in opened.text
    opened.child.close(force=True)


def test_a_figure_is_saved_and_shown(terminal: Terminal, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    terminal.type("plot it", r"figure saved: [^\n]*figure-1\.png")
    terminal.wait_for(r"answer")
    assert (tmp_path / "figures" / "figure-1.png").read_bytes().startswith(b"\x89PNG")
    assert "▀" in terminal.text


def test_the_oldest_turns_go_first_where_the_context_is_full(tmp_path: Path) -> None:
    opened = Terminal(tmp_path, "--n-ctx", "700")
    opened.type("one " + "x" * 120, r"answer[^\n]*\n[^\n]*7")
    opened.type("two " + "y" * 120, r"answer[^\n]*\n[^\n]*7")
    opened.wait_for(r"no longer saw 1 older turn")
    opened.child.close(force=True)


def test_verify_shows_the_vote(terminal: Terminal) -> None:
    terminal.type("what is the sum?", r"answer[^\n]*\n[^\n]*42")
    told = terminal.type("/verify 2", r"confirms the first answer")
    assert re.search(r"42 +2 of 2", told)


def test_without_a_terminal_lines_are_questions_and_nothing_is_drawn(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(HERE / "chat_program.py"), str(tmp_path)],
        input="what is the sum?\n/vars\n",
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "\x1b" not in done.stdout
    assert "answer: 42" in done.stdout
    assert re.search(r"total +int +42", done.stdout)


def test_lines_that_are_not_utf8_are_questions_and_what_follows_is_done(tmp_path: Path) -> None:
    target = tmp_path / "kept.jsonl"
    done = subprocess.run(
        [sys.executable, str(HERE / "chat_program.py"), str(tmp_path)],
        input=b"what is na\xefve?\n/save " + bytes(target) + b"\n/run print(6 * 7)\n",
        capture_output=True,
        timeout=PATIENCE,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert b"42" in done.stdout
    assert json.loads(target.read_text("utf-8").splitlines()[2])["question"] == "what is na\ufffdve?"


def test_a_refused_model_leaves_conversation_and_model_as_they_were(terminal: Terminal) -> None:
    terminal.type("what is the sum?", r"answer[^\n]*\n[^\n]*42")
    terminal.type("/model foreign.gguf", r"no control token")
    terminal.type("double it", r"answer[^\n]*\n[^\n]*84")
    shown = terminal.type("/model", r"dialect: lce")
    assert "scripted.gguf" in shown.replace("\n", "")  # a long path is broken over lines
    assert terminal.leave() == 0


def test_a_line_typed_while_a_solution_runs_is_answered_after_it(terminal: Terminal) -> None:
    terminal.settle()
    terminal.mark = len(terminal.raw)
    terminal.child.send("slowly: what is the sum?\r")
    terminal.wait_for(r"running the code|word|total")
    terminal.child.send("double it\r")
    terminal.wait_for(r"answer[^\n]*\n[^\n]*84")


@pytest.mark.parametrize("word", ["help", "?", "HELP"])
def test_a_plea_for_help_is_no_problem_to_solve(terminal: Terminal, word: str) -> None:
    assert "─ answer" not in terminal.type(word, r"Ctrl-D: leave\.")


@pytest.mark.parametrize("word", ["quit", "exit"])
def test_words_that_end_other_programs_end_this_one(terminal: Terminal, word: str) -> None:
    terminal.settle()
    terminal.child.send(f"{word}\r")
    terminal.child.expect(pexpect.EOF)
    terminal.child.close()
    assert terminal.child.exitstatus == 0


def test_help_fits_a_screen_of_24_lines_and_80_columns(terminal: Terminal) -> None:
    shown = terminal.type("/help", r"Ctrl-D: leave\.")
    lines = shown[shown.index("/examples") :].split("\n")
    assert len(lines) <= 24 - 1, "one line is the next prompt"
    assert max(map(len, lines)) <= 80
    for name in COMMANDS:
        assert f"/{name}" in shown


def test_examples_are_shown_at_the_start_and_on_demand(tmp_path: Path) -> None:
    opened = Terminal(tmp_path, "--examples")
    assert "What is the sum?" in opened.text
    opened.type("/examples", r"Double it\.")
    opened.child.close(force=True)


def test_a_full_disk_costs_the_transcript_and_not_the_conversation(tmp_path: Path) -> None:
    folder = tmp_path / "lost"
    opened = Terminal(tmp_path, "--log", "/dev/full", "--history", str(folder / "history"))
    opened.settle()
    shutil.rmtree(folder)
    opened.type("what is the sum?", r"answer[^\n]*\n[^\n]*42")
    told = " ".join(_ESCAPE.sub("", opened.raw).split())  # where lines are broken depends on the path's length
    assert told.count("cannot be written") == 1
    assert told.count("not remembered") == 1
    opened.type("double it", r"answer[^\n]*\n[^\n]*84")
    opened.type(f"/save {tmp_path}/rescued.jsonl", r"saved to")
    assert (tmp_path / "rescued.jsonl").stat().st_mode & 0o777 == 0o600
    assert opened.leave() == 0


def test_a_home_that_cannot_be_written_costs_the_history_only(tmp_path: Path) -> None:
    opened = Terminal(tmp_path, "--log", "/proc/none/chat.jsonl", "--history", "/proc/none/history")
    opened.type("what is the sum?", r"answer[^\n]*\n[^\n]*42")
    assert opened.leave() == 0


def test_a_private_chat_leaves_no_figure_and_others_keep_theirs_to_their_owner(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="a plot needs matplotlib (the train extra)")
    opened = Terminal(tmp_path, "--private")
    opened.type("plot it", r"kept in memory alone")
    opened.wait_for(r"answer")
    opened.type(f"/export {tmp_path}/kept.html", r"written to")
    assert opened.leave() == 0
    assert list(tmp_path.rglob("*.png")) == []
    assert (tmp_path / "kept.html").stat().st_mode & 0o777 == 0o600
    opened = Terminal(tmp_path)
    opened.type("plot it", r"figure saved")
    opened.wait_for(r"answer")
    assert [path.stat().st_mode & 0o777 for path in tmp_path.rglob("*.png")] == [0o600]
    opened.child.close(force=True)


def test_an_answer_that_no_executed_result_shows_is_marked(terminal: Terminal) -> None:
    terminal.type("guess it", r"answer[^\n]*\n[^\n]*812")
    terminal.wait_for(re.escape(UNSUPPORTED[:30]))
    shown = terminal.type("what is the sum?", r"answer[^\n]*\n[^\n]*42")
    terminal.settle()
    assert UNSUPPORTED[:30] not in shown + terminal.text

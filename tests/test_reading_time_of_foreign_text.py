"""Readers of foreign text take time in proportion to it.

Four times the input, about four times the time.

What is read: replies of models, rows and answers that others wrote, recorded outputs, transcripts, requests, headers.
"""

from __future__ import annotations

import contextlib
import io
import json
import random
import struct
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from export.gguf.file import read_gguf
from export.merge.tensors import read_header
from recipes.data import equations, fenced, formats, gsm8k, outputs, program, renumber, words
from recipes.data.decontaminate import asked_by
from recipes.data.interpolate import Copies, chosen_letter, problem_in
from recipes.data.rewordings import change_between
from runtime.chat.log import read_log
from runtime.chat.registry import unknown
from runtime.errors import MathCoderError
from runtime.evaluate.known_sets import plain_name, smallest_error
from runtime.evaluate.question_sets import subject_in
from runtime.evaluate.report import failed_execution
from runtime.files import parse_line
from runtime.grade import equivalent, final_answer, last_boxed, strict_equal
from runtime.lce import Block, parse
from runtime.serve.requests import RefusedError, read_request
from runtime.settings import SolverSettings
from runtime.show.console import make_console
from runtime.show.notebook import Turn
from runtime.show.notebook_page import page
from runtime.show.panels import code_panel
from runtime.text import for_model, for_screen, indented

LENGTH = 6_000
"""Characters of the short text; the long one has four times as many. Quadratic reading of it takes 0.1 s and more."""
SHORT_ENOUGH = 0.06
PIECES = [
    "<problem>", "<problem></problem>", "problem ", "A ", "answer : ", "0", "1.", "1,", "1,000", "1+", "((1+", "1*",
    "1/", "1 1/1 ", "1%", "% ", "- ", "a-", "a ", "a", "x ", " ", "\t", "\n", "  \n", " |", "\t|", "$", "$1 ", "\\[",
    "\n    ",
    "\\(", "\\frac", "\\boxed{", "\\color{", "{", "{,", "{a,", "}", "[", "\u001b[", "[asy]", "[asy]|", "#", "####",
    "#### ", "####\n", "<<", "<<1", "<<1+1=2>>", "=", "`", "```", "```\n", "```python\n", "```output\n",
    "<llm-code>\n", "</llm-code>", "<llm-code> ", "Traceback ", "Traceback (most recent call last)",
    "Cell In[1], line 1 ", "File ", "File \"", "/", "/ ", "/lib/python3.1", "0x", "[sandbox] ", "test/a/", "/test/a",
    "\u03b1", "\u00b2", "\u00e9", "\u200b", "\ud800", "the ", "1 apples ", "<|text|>", "<|endofblock|>", "1:", "1:00",
    "\r", "*", "**", "_", "__", "~~", "~~a", "'", "\"", ".", ". ", "is ", "the answer is ", "\u25a0 a", "\\num{",
    "\\SI{1}{", "\\text{", "jan 1 ",
]  # fmt: skip


def copies(text: str) -> object:
    known = Copies()
    known.add("a", text)
    return known.like(text)


def said(role: str, text: str) -> dict[str, str]:
    return {"role": role, "content": text}


def drawn(code: str) -> None:
    console = make_console(file=io.StringIO())
    console.print(code_panel(code, console))


def exported(code: str) -> None:
    assert len(page([Turn("q", [Block("code", code)], "1", "answered")])) > len(code)


def refused_or_read(text: str) -> object:
    turns = [said("user", text), said("assistant", text), said("user", "q")]
    return read_request({"messages": turns}, SolverSettings(), "1")


READERS: dict[str, Callable[[str], Any]] = {
    "a model's new problem": problem_in,
    "a model's tagged problem": lambda text: problem_in(f"<problem>{text}</problem>"),
    "a model's letter": chosen_letter,
    "problems like earlier ones": copies,
    "words of a question": words.words,
    "key of a question": words.key,
    "what a row asks": lambda text: asked_by({"question": text}),
    "recorded and fresh output": lambda text: outputs.agreement(text, f"{text[:-1]}1"),
    "rewordings": lambda text: change_between(text, f"{text}x"),
    "fenced rows": fenced.parse,
    "rows of any format": lambda text: formats.read({"query": text, "response": text}),
    "rows of messages": lambda text: formats.read({"messages": [said("user", text), said("assistant", text)]}),
    "rows with tags": lambda text: formats.read({"problem": text, "generated_solution": text}),
    "GSM8K's marks": lambda text: gsm8k.blocks_of(text, "5"),
    "GSM8K's answers": gsm8k.final_in,
    "GSM8K's arithmetic": gsm8k.python_of,
    "programs of GSM8K": lambda text: program.program_of(text, text, Fraction(5)),
    "equations": lambda text: equations.read({"question": text, "equation": text, "answer": "5"}),
    "other numbers": lambda text: renumber.renumbered({"question": text, "equation": "5+3"}, random.Random(1)),
    "failed executions": failed_execution,
    "subjects of a set": subject_in,
    "tolerances of a set": smallest_error,
    "names of a set": plain_name,
    "final answers": lambda text: final_answer("x" * 70 + text),
    "answers": final_answer,
    "boxes": last_boxed,
    "plain numbers": lambda text: strict_equal(text, text),
    "equal answers": lambda text: equivalent(text, f"{text}1"),
    "control tokens": parse,
    "text for the screen": for_screen,
    "text for the model": lambda text: for_model(text, 4096),
    "indented text": lambda text: indented(text, "| "),
    "commands of the chat": unknown,
    "requests": refused_or_read,
    "JSON lines": lambda text: parse_line(text.encode("utf-8", "replace")),
}  # fmt: skip


def seconds(work: Callable[[Any], object], given: Any, tries: int = 3) -> float:
    """Processor time of this thread, the best of some: a busy machine does not decide."""
    best = float("inf")
    for _ in range(tries):
        begun = time.thread_time()
        with contextlib.suppress(ValueError, MathCoderError, RefusedError):  # A refusal is an answer, too.
            work(given)
        best = min(best, time.thread_time() - begun)
        if best > 2:
            break
    return best


def hold(work: Callable[[Any], object], short: Any, long: Any, what: str) -> None:
    if seconds(work, long, 1) < SHORT_ENOUGH:
        return
    less, more = seconds(work, short), seconds(work, long)
    # Quadratic would be 16.
    assert more < 9 * less + 0.02, f"{what}: {less:.3f} s, and {more:.3f} s for four times the text"


@pytest.mark.parametrize("name", READERS)
def test_reading_takes_time_in_proportion_to_the_text(name: str) -> None:
    for piece in PIECES:
        text = piece * (4 * LENGTH // len(piece))
        hold(READERS[name], text[:LENGTH], text, repr(piece))


@pytest.mark.parametrize("show", [drawn, exported], ids=["a panel", "a page"])
def test_code_that_pygments_colours_slowly_is_shown_in_bounded_time(show: Callable[[str], object]) -> None:
    hostile = "\n    " * 10_000
    assert seconds(show, hostile, 1) < 3


def gguf(pairs: int) -> bytes:
    """A header with that many keys, as many tensors of nothing, and one array of strings as long."""

    def string(text: str) -> bytes:
        return struct.pack("<Q", len(text)) + text.encode()

    keys = b"".join(string(f"key.{n}") + struct.pack("<I", 8) + string("v" * 20) for n in range(pairs))
    array = string("list") + struct.pack("<IIQ", 9, 8, pairs) + string("token") * pairs
    tensors = b"".join(string(f"blk.{n}.w") + struct.pack("<IQIQ", 1, 8, 0, 32 * n) for n in range(pairs))
    header = b"GGUF" + struct.pack("<IQQ", 3, pairs, pairs + 1) + keys + array + tensors
    return header + bytes(-len(header) % 32 + 32 * pairs)


def safetensors(tensors: int) -> bytes:
    entries = {f"t.{n}": {"dtype": "F32", "shape": [1], "data_offsets": [4 * n, 4 * n + 4]} for n in range(tensors)}
    header = json.dumps({"__metadata__": {f"k{n}": "v" for n in range(tensors)}, **entries}).encode()
    return struct.pack("<Q", len(header)) + header + bytes(4 * tensors)


def transcript(turns: int) -> bytes:
    """As many questions as are taken back."""
    blocks = [{"type": "code", "content": "1"}, {"type": "execution", "content": "1"}]
    turn = {"event": "turn", "question": "q", "blocks": blocks, "answer": "1", "status": "answered"}
    lines = (
        [{"event": "chat", "format": 1}]
        + [turn] * turns
        + [{"event": "undo"}] * turns
        + [{"event": "block", "block": blocks[0]}] * turns
    )
    return "".join(json.dumps(line) + "\n" for line in lines).encode()


@pytest.mark.parametrize(
    ("read", "made", "size"),
    [(read_gguf, gguf, 1500), (read_header, safetensors, 1500), (read_log, transcript, 2500)],
    ids=["GGUF", "safetensors", "transcript"],
)
def test_a_file_with_four_times_the_entries_takes_about_four_times_the_time(
    tmp_path: Path, read: Callable[[Path], object], made: Callable[[int], bytes], size: int
) -> None:
    short, long = tmp_path / "short", tmp_path / "long"
    short.write_bytes(made(size))
    long.write_bytes(made(4 * size))
    assert read(short)
    hold(read, short, long, "entries")

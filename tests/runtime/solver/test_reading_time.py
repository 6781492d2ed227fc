"""Readers of foreign text in the solver take time in proportion to the text.

Twice the input, about twice the time.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from runtime.lce import Block
from runtime.solver.dialects.fenced import GENERIC, fenced, unfenced

ATTACKS = {
    "openings without an end": "```python\nx\n",
    "openings of output without code": "```output\n",
    "ends without a beginning": "```\n",
    "blocks that are whole": "```python\n1\n```\n```output\n1\n```\n",
    "one line of backticks": "`",
    "one line of text": "a b ",
}


def seconds(work: Callable[[str], object], text: str) -> float:
    """Processor time, the best of three: a busy machine does not decide."""
    best = float("inf")
    for _ in range(3):
        begun = time.thread_time()
        work(text)
        best = min(best, time.thread_time() - begun)
    return best


def read_as_one_token(text: str) -> list[Block]:
    reader = GENERIC.reader(None, None)
    reader.push(-1, text.encode())
    reader.cut()
    return reader.blocks


@pytest.mark.parametrize("work", [unfenced, read_as_one_token])
@pytest.mark.parametrize("piece", ATTACKS.values(), ids=ATTACKS.keys())
def test_reading_markdown_takes_time_in_proportion_to_its_length(piece: str, work: Callable[[str], object]) -> None:
    half = piece * (60_000 // len(piece))
    short, long = seconds(work, half), seconds(work, half * 4)
    # Quadratic would be 16.
    assert long < 10 * short + 0.02
    assert long < 5


def test_what_was_read_in_one_pass_is_what_was_written() -> None:
    blocks = [
        Block("text", "a ``` b"),
        Block("code", "x = '''\n`` `\n'''"),
        Block("execution", ""),
        Block("text", "end"),
    ]
    assert unfenced(fenced(blocks)) == blocks
    assert unfenced("```output\n5\n```\nhello") == [Block("text", "```output\n5\n```\nhello")]
    assert unfenced("```python\n1\n") == [Block("text", "```python\n1")]


@pytest.mark.parametrize("size", [1, 3, 1000])
def test_the_reader_takes_the_same_blocks_from_any_pieces(size: int) -> None:
    text = "  We add.\n```notes\nkept\n```\n```python \nx = 1\n\n``x``\n```"
    reader = GENERIC.reader(None, None)
    signals = [reader.push(-1, text[at : at + size].encode()) for at in range(0, len(text), size)]
    assert signals[-1] == "code"
    assert reader.blocks == [Block("text", "We add.\n```notes\nkept\n```"), Block("code", "x = 1\n\n``x``")]

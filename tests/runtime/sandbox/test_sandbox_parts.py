"""The parts of the sandbox by themselves: frames, text for screen and model."""

from __future__ import annotations

import json
import struct
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.sandbox.protocol import FrameReader, ProtocolError, pack, reports
from runtime.text import for_model, for_screen


@given(st.dictionaries(st.text(), st.text()), st.integers(1, 7))
def test_frames_survive_any_cutting(message: dict[str, str], size: int) -> None:
    reader = FrameReader(1 << 20)
    data = pack(message) * 2
    seen = []
    for start in range(0, len(data), size):
        reader.feed(data[start : start + size])
        while (frame := reader.next()) is not None:
            seen.append(frame)
    assert seen == [message, message]


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"\xff\xff\xff\xff" + b"x" * 10, "over the cap"),
        (struct.pack("!I", 3) + b"abc", "not valid JSON"),
        (struct.pack("!I", 2) + b"[]", "not an object"),
        (struct.pack("!I", 60000) + b"[" * 60000, "not valid JSON: maximum recursion depth"),
        (struct.pack("!I", 4) + b"\x80\x04N.", "not ASCII"),
    ],
)
def test_a_frame_that_breaks_the_rules_is_a_protocol_error(data: bytes, reason: str) -> None:
    reader = FrameReader(1 << 16)
    reader.feed(data)
    with pytest.raises(ProtocolError, match=reason):
        reader.next()


@pytest.mark.alone
@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b'{"n":' + b"9" * 30_000_000 + b"}", "over the cap|an integer of 30000000 digits"),
        (b'{"n":[' + b"[]," * 5_000_000 + b"0]}", "over the cap|more than"),
    ],
    ids=["an integer of many digits", "very many items"],
)
def test_a_made_up_report_costs_neither_time_nor_memory(body: bytes, reason: str) -> None:
    reader = reports()
    reader.feed(struct.pack("!I", len(body)) + body)
    started = time.process_time()
    with pytest.raises(ProtocolError, match=reason):
        reader.next()
    assert time.process_time() - started < 1


def test_lone_surrogates_pass_through_frames() -> None:
    reader = FrameReader(1 << 16)
    reader.feed(pack({"code": "'\ud800'"}))
    assert reader.next() == {"code": "'\ud800'"}
    assert json.loads(pack({"a": "é"})[4:]) == {"a": "é"}


@given(st.text())
def test_nothing_a_terminal_acts_on_reaches_the_screen(text: str) -> None:
    shown = for_screen(text)
    assert not any((ord(c) < 32 and c not in "\n\t") or 0x7F <= ord(c) < 0xA0 for c in shown)
    assert not set(shown) & set("\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
    shown.encode()


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b]0;title\x07", "]0;title"),
        ("\x1b[2Jx", "[2Jx"),
        ("answer: 7\ranswer: 9", "answer: 7\nanswer: 9"),
        ("12\b\b34", "1234"),
        ("\x9b31mred", "31mred"),
        ("a\tb\r\nc", "a\tb\nc"),
        ("abc\u202edef", "abcdef"),
    ],
)
def test_control_sequences_become_harmless_text(text: str, shown: str) -> None:
    assert for_screen(text) == shown


def test_runs_of_combining_marks_are_bounded() -> None:
    assert len(for_screen("e" + "\u0301" * 5000)) <= 10


def test_text_for_the_model_loses_what_nobody_sees_and_keeps_head_and_tail() -> None:
    assert for_model("a\x00b\u200bc\ufeff", 100) == "abc"
    cut = for_model("A" * 500 + "B" * 500, 90)
    assert cut == "A" * 60 + "\n[... 910 characters left out ...]\n" + "B" * 30
    assert for_model("<|endofblock|>", 100) == "<|endofblock|>"

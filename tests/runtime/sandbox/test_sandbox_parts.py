"""The parts of the sandbox by themselves: filter, frames, text for screen and model."""

from __future__ import annotations

import errno
import json
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.sandbox import for_model, for_screen, seccomp
from runtime.sandbox.protocol import ProtocolError, Reader, pack

ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
ALLOWED = "allowed"


def judge(machine: str, number: int, *arguments: int, reduced: bool = False, architecture: int | None = None) -> object:
    """Run the filter as the kernel does: `ALLOWED`, `killed`, or the errno it answers with."""
    words = [number, ARCHITECTURES[machine] if architecture is None else architecture, 0, 0]
    for value in (*arguments, 0, 0, 0, 0, 0, 0)[:6]:
        words += [value & 0xFFFFFFFF, (value >> 32) & 0xFFFFFFFF]
    data = struct.pack(f"{len(words)}I", *words)
    accumulator, position = 0, 0
    code = seccomp.program(machine, reduced=reduced)
    while True:
        step = code[position]
        position += 1
        if step.code == 0x20:
            (accumulator,) = struct.unpack_from("I", data, step.value)
        elif step.code == 0x54:
            accumulator &= step.value
        elif step.code == 0x06:
            if step.value == seccomp.ALLOW:
                return ALLOWED
            return "killed" if step.value == seccomp.KILL else step.value & 0xFFFF
        else:
            taken = {
                0x15: accumulator == step.value,
                0x35: accumulator >= step.value,
                0x45: bool(accumulator & step.value),
            }[step.code]
            position += step.on_true if taken else step.on_false


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
@pytest.mark.parametrize("reduced", [True, False])
def test_every_denied_call_is_answered_with_an_error(machine: str, reduced: bool) -> None:
    column = 0 if machine == "x86_64" else 1
    for name, numbers in {**seccomp.DENIED, **(seccomp.REDUCED_DENIED if reduced else {})}.items():
        if numbers[column] is not None:
            assert judge(machine, numbers[column], reduced=reduced) == errno.EPERM, name
    for name, numbers in seccomp.ABSENT.items():
        assert judge(machine, numbers[column] or 0, reduced=reduced) == errno.ENOSYS, name


@pytest.mark.parametrize(
    ("machine", "read", "write", "mmap", "futex", "exit_group"),
    [("x86_64", 0, 1, 9, 202, 231), ("aarch64", 63, 64, 222, 98, 94)],
)
def test_ordinary_calls_pass(machine: str, read: int, write: int, mmap: int, futex: int, exit_group: int) -> None:
    for number in (read, write, mmap, futex, exit_group):
        assert judge(machine, number) == ALLOWED


def test_numbers_of_other_architectures_and_of_the_future_do_not_pass() -> None:
    assert judge("x86_64", 1, architecture=0x40000003) == "killed"
    assert judge("x86_64", 0x40000001) == errno.ENOSYS
    assert judge("aarch64", 999) == errno.ENOSYS
    assert judge("x86_64", seccomp.NEWEST + 1) == errno.ENOSYS


def test_arguments_decide_where_a_call_is_needed() -> None:
    assert judge("x86_64", 56, 17) == ALLOWED  # fork
    assert judge("x86_64", 56, 0x10000000 | 17) == errno.EPERM  # a user namespace
    assert judge("x86_64", 56, 0x8000 | 17) == errno.EPERM  # the snapshot's child
    assert judge("x86_64", 53, 1) == ALLOWED
    assert judge("x86_64", 53, 2) == errno.EPERM
    assert judge("x86_64", 44, 3, 0, 1, 0, 0) == ALLOWED
    assert judge("x86_64", 44, 3, 0, 1, 0, 1 << 40) == errno.EPERM  # an address above 4 GiB
    assert judge("x86_64", 302, 0) == ALLOWED
    assert judge("x86_64", 302, 1) == errno.EPERM
    assert judge("x86_64", 16, 0, 0x5412) == errno.ENOTTY
    assert judge("x86_64", 16, 0, 0x5401) == ALLOWED
    assert judge("x86_64", 2, 0, 0o1000) == errno.EPERM  # O_RDONLY | O_TRUNC
    assert judge("x86_64", 2, 0, 0o1001) == ALLOWED
    assert judge("x86_64", 91, 3, 0o644) == ALLOWED
    assert judge("x86_64", 91, 3, 0o4755) == errno.EPERM
    assert judge("x86_64", 91, 3, 0o644, reduced=True) == errno.EPERM


@given(st.dictionaries(st.text(), st.text()), st.integers(1, 7))
def test_frames_survive_any_cutting(message: dict[str, str], size: int) -> None:
    reader = Reader(1 << 20)
    data = pack(message) * 2
    seen = []
    for start in range(0, len(data), size):
        reader.feed(data[start : start + size])
        while (frame := reader.next()) is not None:
            seen.append(frame)
    assert seen == [message, message]


@pytest.mark.parametrize(
    "data",
    [
        b"\xff\xff\xff\xff" + b"x" * 10,
        struct.pack("!I", 3) + b"abc",
        struct.pack("!I", 2) + b"[]",
        struct.pack("!I", 60000) + b"[" * 60000,
        struct.pack("!I", 4) + b"\x80\x04N.",
    ],
)
def test_a_frame_that_breaks_the_rules_is_a_protocol_error(data: bytes) -> None:
    reader = Reader(1 << 16)
    reader.feed(data)
    with pytest.raises(ProtocolError):
        reader.next()


def test_lone_surrogates_pass_through_frames() -> None:
    reader = Reader(1 << 16)
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

"""The system call filter, run as the kernel runs it: the verdict for each processor and number.

The numbers in `data/syscalls.json` are those of the kernel's own headers, so that a number mistyped in the filter
shows, also for the processor that the tests do not run on. `pass` there lists what is allowed whatever its arguments:
a call that is let through is let through on purpose.
"""

from __future__ import annotations

import errno
import json
import struct
from pathlib import Path

import pytest

from runtime.sandbox.boundary import seccomp

ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
ALLOWED = "allowed"
COLUMNS = {"x86_64": 0, "aarch64": 1}
KNOWN = json.loads((Path(__file__).parents[1] / "data" / "syscalls.json").read_text())
NUMBERS: dict[str, list[int | None]] = KNOWN["numbers"]
BY_ARGUMENT = {
    "clone", "socketpair", "sendto", "recvfrom", "recvmsg", "prctl", "ioctl", "fcntl", "prlimit64",
    "sched_setaffinity", "setpriority", "open", "openat",
}  # fmt: skip
CHANGING_MODE = {"chmod", "fchmod", "fchmodat"}
PROGRAMS = {
    (machine, reduced): seccomp.program(machine, reduced=reduced) for machine in COLUMNS for reduced in (False, True)
}


def judge(machine: str, number: int, *arguments: int, reduced: bool = False, architecture: int | None = None) -> object:
    """Run the filter as the kernel does: `ALLOWED`, `killed`, or the errno it answers with."""
    words = [number, ARCHITECTURES[machine] if architecture is None else architecture, 0, 0]
    for value in (*arguments, 0, 0, 0, 0, 0, 0)[:6]:
        words += [value & 0xFFFFFFFF, (value >> 32) & 0xFFFFFFFF]
    data = struct.pack(f"{len(words)}I", *words)
    accumulator, position = 0, 0
    code = PROGRAMS[machine, reduced]
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


def verdicts(reduced: bool) -> dict[str, int]:
    """By name, the error that each call is answered with whatever its arguments."""
    found = dict.fromkeys(seccomp.DENIED, errno.EPERM) | dict.fromkeys(seccomp.UNSUPPORTED, errno.EOPNOTSUPP)
    if reduced:
        found |= dict.fromkeys(seccomp.REDUCED_DENIED, errno.EPERM)
        found |= dict.fromkeys(seccomp.REDUCED_UNSUPPORTED, errno.EOPNOTSUPP)
    return found | dict.fromkeys(seccomp.ABSENT, errno.ENOSYS)


def tables() -> dict[str, tuple[int | None, int | None]]:
    """All tables of the filter in one."""
    return {
        **seccomp.DENIED,
        **seccomp.REDUCED_DENIED,
        **seccomp.UNSUPPORTED,
        **seccomp.REDUCED_UNSUPPORTED,
        **seccomp.ABSENT,
    }


def test_every_number_of_the_filter_is_the_kernels() -> None:
    assert {name: NUMBERS[name] for name in tables()} == {name: list(numbers) for name, numbers in tables().items()}


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_no_number_stands_twice_in_the_filter(machine: str) -> None:
    numbers = [pair[COLUMNS[machine]] for pair in tables().values()]
    numbers += [pair[COLUMNS[machine]] for pair, _ in seccomp.checks(reduced=False)]
    used = [number for number in numbers if number is not None]
    twice = {number for number in used if used.count(number) > 1}
    # Denied in the reduced tier, judged by an argument elsewhere: never both in one program.
    assert twice == {NUMBERS[name][COLUMNS[machine]] for name in CHANGING_MODE} - {None}


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
@pytest.mark.parametrize("reduced", [True, False])
def test_each_number_gets_the_verdict_that_its_name_has(machine: str, reduced: bool) -> None:
    names = {numbers[COLUMNS[machine]]: name for name, numbers in NUMBERS.items()}
    answers, judged = verdicts(reduced), BY_ARGUMENT | (set() if reduced else CHANGING_MODE)
    passing = set(KNOWN["pass"]) | (set() if reduced else {*seccomp.REDUCED_DENIED, *seccomp.REDUCED_UNSUPPORTED})
    for number in range(seccomp.NEWEST + 1):
        name = names.get(number)
        if name in judged:
            continue
        assert name is None or name in answers or name in passing, (
            f"{name} ({number}) is not on the list of what may pass"
        )
        # A number without a name is the kernel's to refuse.
        expected = answers.get(name, ALLOWED) if name else ALLOWED
        for value in (0, 1, 2, 0x7FFFFFFF, 1 << 40, 0xFFFFFFFF_FFFFFFFF):
            assert judge(machine, number, *[value] * 6, reduced=reduced) == expected, (number, name)
    for number in (*range(seccomp.NEWEST + 1, 600), 0x40000000, 0x40000001, 0x400001A7, 0x7FFFFFFF, 0xFFFFFFFF):
        assert judge(machine, number, reduced=reduced) == errno.ENOSYS, number


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
    assert judge("x86_64", 44, 3, 0, 1, 1) == errno.EPERM  # MSG_OOB
    assert judge("x86_64", 45, 3, 0, 1, 1) == errno.EPERM
    assert judge("x86_64", 47, 3, 0, 1) == errno.EPERM
    assert judge("x86_64", 47, 3, 0, 0x40) == ALLOWED
    assert judge("x86_64", 141, 0, 0, 5) == ALLOWED
    assert judge("x86_64", 141, 0, 1, 5) == errno.EPERM  # another process
    assert judge("x86_64", 141, 1, 0, 5) == errno.EPERM  # the process group, which the app may be in
    assert judge("aarch64", 140, 2, 0, 5) == errno.EPERM  # all processes of the user
    assert judge("x86_64", 302, 0) == ALLOWED
    assert judge("x86_64", 302, 1) == errno.EPERM
    assert judge("x86_64", 16, 0, 0x5412) == errno.ENOTTY
    assert judge("x86_64", 16, 0, 0x5401) == ALLOWED
    assert judge("x86_64", 2, 0, 0o1000) == errno.EPERM  # O_RDONLY | O_TRUNC
    assert judge("x86_64", 2, 0, 0o1001) == ALLOWED
    assert judge("x86_64", 2, 0, 0o2) == judge("aarch64", 56, 0, 0, 0o102) == ALLOWED
    assert judge("x86_64", 257, 0, 0, 0o20200002) == ALLOWED  # O_TMPFILE
    assert judge("x86_64", 257, 0, 0, 0o20200002, reduced=True) == errno.EOPNOTSUPP
    for flags in (3, 3 | 0o1000, 3 | 0o4400, 3 | 0o2000000):  # needs no right of Landlock's
        for reduced in (False, True):
            assert judge("x86_64", 2, 0, flags, reduced=reduced) == errno.EPERM
            assert judge("x86_64", 257, 0, 0, flags, reduced=reduced) == errno.EPERM
            assert judge("aarch64", 56, 0, 0, flags, reduced=reduced) == errno.EPERM
    assert judge("x86_64", 91, 3, 0o644) == ALLOWED
    assert judge("x86_64", 91, 3, 0o4755) == errno.EPERM
    assert judge("x86_64", 91, 3, 0o644, reduced=True) == errno.EPERM

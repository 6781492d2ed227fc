"""The snapshot for the next cell is taken while nobody waits, and the pages every cell touches are copied with it."""

from __future__ import annotations

import ctypes
import mmap
import os
import resource
import signal
import sys
import time
from collections.abc import Callable, Iterable, Iterator

import pytest

from runtime.sandbox import Limits, Sandbox, hot_pages, kernel, page_map, processes

pytestmark = [
    pytest.mark.timeout(120),
    pytest.mark.skipif(sys.platform != "linux", reason="snapshots are looked at through /proc, which is Linux's"),
]

AGE = (
    "import os, time\n"
    "ticks = int(open('/proc/self/stat').read().rpartition(')')[2].split()[19])\n"
    "time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf('SC_CLK_TCK')"
)
"""Seconds since the process that runs the cell was forked."""


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(Limits(cell_seconds=30)) as session:
        yield session


def leaves() -> set[int]:
    """Processes below this one that have no children: the heads of its sessions among them."""
    return {pid for pid in processes.descendants(os.getpid()) if not processes.children(pid)}


def test_the_process_of_a_cell_was_there_before_the_cell_came(sandbox: Sandbox) -> None:
    sandbox.run("1")
    time.sleep(1.0)
    assert float(sandbox.run(AGE).output) > 0.5


@pytest.mark.skipif(kernel.kernel_version() < (5, 14), reason="this kernel has no MADV_POPULATE_WRITE")
def test_the_pages_that_a_cell_will_write_to_are_copied_before_it_comes(sandbox: Sandbox) -> None:
    before = leaves()
    sandbox.run("x = 1")
    sandbox.run("x")
    time.sleep(0.5)
    heads = {pid for pid in leaves() - before if processes.alive(pid)}
    copied = []
    for pid in heads:
        areas = page_map.writable(pid)
        copied.append(len(list(page_map.marked(areas, page_map.entries_of(pid, areas), page_map.OWN))))
    # Some 500; the fork and its wait alone take 60.
    assert max(copied) > 300, copied


def test_a_head_that_dies_while_it_waits_costs_nothing(sandbox: Sandbox) -> None:
    before = leaves()
    sandbox.run("x = 41")
    time.sleep(0.5)
    heads = {pid for pid in leaves() - before if processes.alive(pid)}
    assert heads
    for pid in heads:
        os.kill(pid, signal.SIGKILL)
    time.sleep(0.2)
    result = sandbox.run("x + 1")
    assert (result.output, result.status) == ("42", "ok")


def test_a_session_with_a_thread_of_its_own_goes_on_without_snapshots(sandbox: Sandbox) -> None:
    sandbox.run(
        "import threading, time\nstop = threading.Event()\nthreading.Thread(target=stop.wait, daemon=True).start()"
    )
    started = time.monotonic()
    assert sandbox.run("stop.is_set()").output == "False"
    assert sandbox.run("stop.set(); stop.is_set()").output == "True"
    assert time.monotonic() - started < 20
    assert sandbox.run("1 + 1").output == "2"


def test_what_a_function_writes_to_is_found_and_copied_in_a_fork() -> None:
    megabyte = bytearray(1 << 20)

    def write() -> None:
        megabyte[::4096] = b"x" * 256

    found = hot_pages.measure([write, write], os.fork, skip=1)
    if not found.written:
        pytest.skip("this kernel does not say which pages a process maps alone")
    start = ctypes.addressof(ctypes.c_char.from_buffer(megabyte))
    inside = [page for page in pages(found.written) if start <= page < start + (1 << 20) - mmap.PAGESIZE]
    assert len(inside) == (1 << 20) // mmap.PAGESIZE - 1
    assert bytes(megabyte[:2]) == b"\0\0"

    # What is mapped by nobody is no error.
    copies = hot_pages.prepare(hot_pages.Touched([*found.written, (1 << 46, 4096)], [*found.read, (1 << 46, 4096)]))
    assert faults_of(write, lambda: hot_pages.populate(copies)) < faults_of(write, lambda: None) - 200


def pages(ranges: Iterable[tuple[int, int]]) -> list[int]:
    """Addresses of all pages of `ranges`."""
    return [page for address, size in ranges for page in range(address, address + size, mmap.PAGESIZE)]


def faults_of(action: Callable[[], object], first: Callable[[], object]) -> int:
    """Page faults of `action` in a fork that has done `first`."""
    answer, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            first()
            before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
            action()
            os.write(write, str(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before).encode())
        finally:
            os._exit(0)
    os.close(write)
    with os.fdopen(answer) as pipe:
        counted = int(pipe.read())
    os.waitpid(pid, 0)
    return counted


def test_a_session_learns_what_its_own_cells_write_to(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hot_pages, "_TOO_LARGE", 1 << 40)  # This process has far more memory than a session's.
    habit = hot_pages.Habit([])
    megabyte = bytearray(1 << 20)
    heads: list[int] = []
    try:
        for stride in (4096, 8192, 4096):
            answer, write = os.pipe()
            pid = os.fork()
            if pid == 0:
                megabyte[::stride] = b"x" * ((1 << 20) // stride)
                os.write(write, b"done")
                signal.pause()
            heads.append(pid)
            os.read(answer, 4)
            os.close(answer)
            os.close(write)
        start = ctypes.addressof(ctypes.c_char.from_buffer(megabyte))
        assert habit.look(heads[0]) == []
        both = [page for page in pages(habit.look(heads[1])) if start <= page < start + (1 << 20)]
        assert 120 <= len(both) <= 130  # every second page: what one cell alone writes to is no habit
        assert [habit.look(heads[0]) for _ in range(6)] == [[]] * 6  # which is looked for twice
        later = [page for page in pages(habit.look(heads[2])) if start <= page < start + (1 << 20)]
        assert 120 <= len(later) <= 136
        assert not set(later) & set(both)
        assert [habit.look(heads[0]) for _ in range(6)] == [[]] * 6
    finally:
        for pid in heads:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
    gone = hot_pages.Habit([])
    assert [gone.look(heads[0]) for _ in range(2)] == [[], []]


def test_in_a_session_with_very_much_memory_nothing_is_learnt(monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[object] = []
    monkeypatch.setattr(hot_pages.page_map, "entries_of", lambda *_: looked.append(1) or b"")
    monkeypatch.setattr(hot_pages, "_TOO_LARGE", 1 << 20)
    habit = hot_pages.Habit([])
    assert [habit.look(os.getpid()) for _ in range(2)] == [[], []]
    assert not looked


@pytest.mark.skipif(kernel.fork_unnoticed() is None, reason="this C library has no _Fork: hooks run for snapshots too")
def test_a_hook_of_the_users_at_a_fork_does_not_run_for_a_snapshot(sandbox: Sandbox) -> None:
    sandbox.run(
        "import os, random, threading\n"
        "thread = threading.main_thread()\n"
        "def count():\n"
        "    open('hook', 'a').write('x')\n"
        "os.register_at_fork(before=count, after_in_child=count, after_in_parent=count)"
    )
    time.sleep(0.3)
    result = sandbox.run("os.path.exists('hook'), threading.main_thread() is thread")
    assert (result.output, result.notices) == ("(False, True)", ())
    # In a fork of the cell's own it does.
    sandbox.run("if os.fork() == 0:\n    os._exit(0)\nos.wait()[1]")
    assert sandbox.run("len(open('hook').read())").output == "3"


def test_an_alarm_ends_with_its_cell(sandbox: Sandbox) -> None:
    sandbox.run(
        "import signal\nx = 5\nsignal.signal(signal.SIGALRM, lambda *_: 1 / 0)\n"
        "signal.setitimer(signal.ITIMER_REAL, 0.2)"
    )
    time.sleep(0.6)
    result = sandbox.run("x")
    assert (result.output, result.notices) == ("5", ())
    assert sandbox.run("import os; os._exit(3)").status == "killed"
    assert sandbox.run("x").output == "5"


def test_where_there_is_no_room_for_a_copy_the_cell_runs_all_the_same(sandbox: Sandbox) -> None:
    sandbox.run("y = 7\nimport resource\nresource.setrlimit(resource.RLIMIT_NPROC, (0, 0))")
    time.sleep(0.3)
    assert sandbox.run("y + 1").output == "8"
    assert sandbox.run("y + 2").output == "9"

"""The snapshot for the next cell is taken while nobody waits, and is what the session returns to."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterator

import pytest

from runtime.sandbox import Limits, Sandbox
from runtime.sandbox.boundary import kernel
from runtime.sandbox.inside import processes

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


@pytest.mark.alone
def test_the_process_of_a_cell_was_there_before_the_cell_came(sandbox: Sandbox) -> None:
    sandbox.run("1")
    time.sleep(1.0)
    assert float(sandbox.run(AGE).output) > 0.5


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

"""A busy machine does not time a cell out, and a cell that keeps itself busy gains nothing by it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from runtime.sandbox import Limits, Sandbox
from runtime.sandbox.host import launchers
from runtime.sandbox.inside import allowance, processes
from runtime.sandbox.inside.allowance import Allowance

pytestmark = pytest.mark.timeout(300)

LIMIT = 2.0
BUSY = "import time\nstart = time.monotonic()\nwhile time.monotonic() - start < {}: pass\nprint('finished')"


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch) -> dict[str, float]:
    """What the kernel would say of a process."""
    facts = {"delay": 7.0, "threads": 1, "faults": 30}
    monkeypatch.setattr(processes, "run_delay", lambda _pid: facts["delay"])
    monkeypatch.setattr(processes, "threads_and_child_faults", lambda _pid: (facts["threads"], facts["faults"]))
    return facts


def test_waiting_is_given_back_up_to_three_limits(kernel: dict[str, float]) -> None:
    claim = Allowance(2, 6.0)
    assert claim.granted() == 0
    kernel["delay"] += 5
    claim.look(company=False)
    assert claim.granted() == 5
    kernel["delay"] += 500
    assert claim.granted() == allowance.MOST * 6.0 == 18


@pytest.mark.parametrize(("fact", "value"), [("threads", 2), ("faults", 31), ("company", True)])
def test_whoever_was_not_alone_once_gets_nothing(kernel: dict[str, float], fact: str, value: int) -> None:
    claim = Allowance(2, 6.0)
    before = dict(kernel)
    if fact != "company":
        kernel[fact] = value
    claim.look(company=fact == "company")
    kernel.update(before, delay=kernel["delay"] + 5)
    claim.look(company=False)
    assert claim.granted() == 0


def test_a_kernel_that_keeps_no_account_grants_nothing() -> None:
    claim = Allowance(2**22 + 1, 6.0)
    claim.look(company=False)
    assert claim.granted() == 0


@pytest.fixture
def starved(monkeypatch: pytest.MonkeyPatch) -> Iterator[Sandbox]:
    """A session whose cells compete, at equal rank, with three endless loops for each processor."""
    monkeypatch.setattr(launchers, "NICE", 0)
    monkeypatch.setattr(launchers, "hosts", {})
    with Sandbox(Limits(cell_seconds=LIMIT)) as sandbox:
        sandbox.run("1")
        loops = [
            # A process session each: the kernel may share its time out between sessions first, whatever runs in them.
            subprocess.Popen(
                [sys.executable, "-c", "print(flush=True)\nwhile True: pass"],
                stdout=subprocess.PIPE,
                start_new_session=True,
            )
            for _ in range(3 * len(os.sched_getaffinity(0)))
        ]
        try:
            for loop in loops:
                assert loop.stdout is not None
                loop.stdout.readline()
            yield sandbox
        finally:
            for loop in loops:
                loop.kill()
                loop.communicate()
    launchers.close_all()


@pytest.mark.alone
@pytest.mark.skipif(not os.path.exists("/proc/self/schedstat"), reason="the kernel keeps no account of waiting")
def test_a_cell_that_the_machine_keeps_from_running_may_finish(starved: Sandbox) -> None:
    # Whoever has a third of a processor at most has waited long enough to be allowed twice the limit.
    result = starved.run(BUSY.format(2.2 * LIMIT))
    assert (result.output, result.status) == ("finished", "ok")
    assert result.seconds > 2 * LIMIT


@pytest.mark.alone
def test_a_cell_that_starves_itself_with_children_is_stopped_in_time(starved: Sandbox) -> None:
    result = starved.run(
        "import os\nfor _ in range(8):\n  if os.fork() == 0:\n    while True: pass\n" + BUSY.format(3.5 * LIMIT)
    )
    assert result.status == "timeout", result
    assert "\nfinished" not in f"\n{result.output}"  # the traceback quotes the line that would print it


@pytest.mark.alone
def test_a_cell_that_ignores_the_interrupt_ends_in_time_on_a_busy_machine(
    starved: Sandbox,
) -> None:
    result = starved.run(
        "import os, signal\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\nif os.fork() == 0:\n  while True: pass\n"
        "while True: pass"
    )
    assert result.status == "timeout"
    assert result.seconds < LIMIT + 1.5, "a second, and half a one for the processes to be seen dead"


def test_cells_and_what_they_fork_run_at_the_lowest_rank() -> None:
    code = (
        "import os\nprint(os.nice(0), flush=True)\nif os.fork() == 0:\n  print(os.nice(0), flush=True)\n  os._exit(0)\n"
    )
    with Sandbox(Limits(cell_seconds=60)) as sandbox:
        assert sandbox.run(code + "os.wait()[1]").output == "19\n19\n0"
        assert sandbox.run("import os\ntry: os.nice(-1)\nexcept OSError: print('no')").output == "no"

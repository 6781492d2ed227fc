"""What keeps a cell from running is an error of the machine, never an output that a model reads."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from runtime.errors import CellNotRunError
from runtime.sandbox import Sandbox, host
from runtime.sandbox.inside import processes

ROOT = Path(__file__).resolve().parents[3]
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="limits and mounts are Linux's here")

PROGRAM = f"""
import os, resource, sys
sys.path.insert(0, {str(ROOT)!r})
from runtime.errors import CellNotRunError
from runtime.sandbox import Limits, Sandbox

def cell(sandbox, code):
    try:
        print(sandbox.run(code).output)
    except CellNotRunError as error:
        print("NOT RUN", error.lost, error)
"""


def program(code: str, *command: str) -> str:
    """Output of a program of its own, with `cell` to run cells."""
    done = subprocess.run(
        [*command, sys.executable, "-c", PROGRAM + code], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_sandbox_killed_between_two_cells_is_an_error_and_the_next_cell_runs_afresh(tier: str) -> None:
    with Sandbox(tier=tier) as sandbox:
        sandbox.run("x = 1")
        for pid in processes.descendants(host.get(tier).process.pid):
            processes.send(pid, signal.SIGKILL)
        time.sleep(0.5)
        with pytest.raises(CellNotRunError, match="all variables are lost") as raised:
            sandbox.run("x")
        assert raised.value.lost
        assert sandbox.run("6 * 7").output == "42"


@pytest.mark.parametrize(
    ("limit", "named"),
    [
        ("resource.setrlimit(resource.RLIMIT_NOFILE, (50, 50))", "open files"),
        ("resource.setrlimit(resource.RLIMIT_AS, (3 << 30, 3 << 30))", "address space"),
    ],
)
def test_limits_of_the_system_that_leave_no_room_are_named(limit: str, named: str) -> None:
    told = program(f"{limit}\nwith Sandbox(Limits(memory_mb=4096)) as sandbox: cell(sandbox, '6 * 7')")
    assert told.startswith("NOT RUN False")
    assert named in told


def test_an_app_without_descriptors_is_told_so_and_not_of_tiers() -> None:
    told = program("""
kept = []
with Sandbox() as sandbox:
    try:
        while True: kept.append(os.open("/dev/null", os.O_RDONLY))
    except OSError: pass
    cell(sandbox, "6 * 7")
    for descriptor in kept: os.close(descriptor)
    cell(sandbox, "6 * 7")
""")
    first, second = told.splitlines()
    assert first.startswith("NOT RUN False")
    assert "Too many open files" in first
    assert "Docker" not in first
    assert second == "42"


def test_a_worker_that_cannot_be_started_again_says_why_and_later_cells_try_again() -> None:
    told = program("""
import errno, socket
from runtime.sandbox.inside.pipes import Worker
from runtime.sandbox.inside.supervisor import NotRunError, Supervisor

started = []
def spawn():
    started.append(1)
    if len(started) > 1:
        raise OSError(errno.EAGAIN, "no process left")
    (orders, o), (r, reports), (out, output) = os.pipe(), os.pipe(), os.pipe()
    child = os.fork()
    if child == 0:
        os._exit(0)
    for number in (orders, reports, output): os.close(number)
    return Worker(o, r, out, child)

app, other = socket.socketpair()
supervisor = Supervisor(app, os.pipe()[0], Limits().model_dump(), spawn)
for code in ("x = 1", "x"):
    try:
        supervisor.run(code)
    except NotRunError as error:
        print(error)
""")
    assert told.splitlines() == ["the process that runs cells cannot be started: [Errno 11] no process left"] * 2


@pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="mounting a small disk takes root")
@pytest.mark.skipif(shutil.which("unshare") is None, reason="util-linux is not installed")
def test_a_full_disk_below_the_scratch_folder_is_the_machines_fault(tmp_path: Path) -> None:
    code = f"""
import subprocess, tempfile
subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", {str(tmp_path)!r}], check=True)
tempfile.tempdir = {str(tmp_path)!r}
with Sandbox(tier="reduced") as sandbox:
    cell(sandbox, "open('a', 'w').write('x')")
    full = os.open({str(tmp_path / "others")!r}, os.O_WRONLY | os.O_CREAT)
    try:
        while True:
            os.write(full, bytes(4096))
    except OSError:
        pass
    cell(sandbox, "x = 1")
    os.close(full)
    os.unlink({str(tmp_path / "others")!r})
    cell(sandbox, "6 * 7")
"""
    first, second, third = program(code, "unshare", "-m").splitlines()
    assert (first, third) == ("1", "42")
    assert second.startswith("NOT RUN False")
    assert "disk" in second

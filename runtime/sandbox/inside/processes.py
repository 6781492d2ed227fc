"""Looking at, signalling and ending the processes of a session through /proc."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterable


def send(pid: int | None, number: int) -> None:
    """Signal a process if it is there."""
    if pid is not None and pid > 1:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, number)


def read(path: str) -> bytes:
    """A file of /proc, whole.

    In a third of the system calls that `open` makes: some are read for every cell.

    Raises:
        OSError: its process is gone.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        pieces = [os.read(descriptor, 1 << 16)]
        while len(pieces[-1]) >= 1 << 11:  # The kernel gives about a page at a time where there is more.
            pieces.append(os.read(descriptor, 1 << 16))
        return b"".join(pieces)
    finally:
        os.close(descriptor)


def _stat(pid: int) -> list[bytes]:
    """The fields of /proc/PID/stat from the state on; none where the process is gone."""
    with contextlib.suppress(OSError):
        return read(f"/proc/{pid}/stat").rpartition(b")")[2].split()
    return []


def alive(pid: int) -> bool:
    """Whether the process exists and is no zombie."""
    return _state(pid) not in (b"Z", b"X", b"")


def cpu_seconds(pid: int) -> float:
    """Processor time a process has used; 0 where it is gone."""
    fields = _stat(pid)
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK") if fields else 0.0


def run_delay(pid: int) -> float:
    """Seconds a process's first thread was ready to run and had to wait; 0 where nothing says."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        return int(read(f"/proc/{pid}/schedstat").split()[1]) / 1e9
    return 0.0


def threads_and_child_faults(pid: int) -> tuple[int, int]:
    """Threads of a process, and page faults of the children it waited for: any that ran had some."""
    fields = _stat(pid)
    return (int(fields[17]), int(fields[8])) if fields else (0, 0)


def runnable(pid: int) -> bool:
    """Whether a process wants the processor."""
    return _state(pid) == b"R"


def sleeping(pid: int) -> bool:
    """Whether a process waits for something to happen, and not just for the processor or a disk."""
    if _state(pid) not in (b"S", b"Z", b"X", b""):
        return False
    try:
        # On a busy machine a process may be said to sleep that has been woken and waits for its turn.
        return read(f"/proc/{pid}/syscall").strip() != b"running"
    except OSError:
        return True


def _state(pid: int) -> bytes:
    fields = _stat(pid)
    return fields[0] if fields else b""


def children(pid: int) -> set[int]:
    """Direct children of all threads of a process."""
    found: set[int] = set()
    try:
        tasks = os.listdir(f"/proc/{pid}/task")
    except OSError:
        return found
    for task in tasks:
        with contextlib.suppress(OSError):
            found.update(int(child) for child in read(f"/proc/{pid}/task/{task}/children").split())
    return found


def descendants(pid: int) -> set[int]:
    """Children, their children and so on."""
    found: set[int] = set()
    todo = [pid]
    while todo:
        for child in children(todo.pop()):
            if child not in found:
                found.add(child)
                todo.append(child)
    return found


def below() -> set[int]:
    """All other processes of this session, zombies included: the namespace's where we are its pid 1."""
    if os.getpid() == 1:
        return {int(name) for name in os.listdir("/proc") if name.isdigit()} - {1}
    return descendants(os.getpid())


def kill_others(keep: set[int]) -> None:
    """Kill every process below this one outside `keep`, until there is none left."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        others = {pid for pid in below() - keep if alive(pid)}
        if not others:
            return
        # Stopped first, so that what forks in a loop does not stay ahead of the kills.
        for number in (signal.SIGSTOP, signal.SIGKILL):
            for pid in others:
                send(pid, number)
        reap()


def private(pid: int) -> int:
    """Bytes of memory of a process that no file on a disk backs, as if it shared none of them."""
    total = 0
    with contextlib.suppress(OSError, ValueError):
        for line in read(f"/proc/{pid}/status").splitlines():
            if line.startswith((b"RssAnon:", b"RssShmem:")):
                total += int(line.split()[1]) * 1024
    return total


def sockets(pids: Iterable[int]) -> int:
    """How many sockets these processes have open; one that several share counts once."""
    found: set[str] = set()
    for pid in pids:
        with contextlib.suppress(OSError):
            folder = f"/proc/{pid}/fd"
            for name in os.listdir(folder):
                with contextlib.suppress(OSError):
                    if (link := os.readlink(f"{folder}/{name}")).startswith("socket:"):
                        found.add(link)
    return len(found)


def nameless_files(pids: Iterable[int], folder: str) -> int:
    """Bytes of nameless files below `folder` that these processes hold open, or mapped."""
    sizes: dict[tuple[int, int], int] = {}
    start, end = os.fsencode(folder), b" (deleted)"
    for pid in pids:
        with contextlib.suppress(OSError):
            for name in os.listdir(f"/proc/{pid}/fd"):
                with contextlib.suppress(OSError):
                    path = f"/proc/{pid}/fd/{name}"
                    link = os.fsencode(os.readlink(path))
                    if link.startswith(start) and link.endswith(end):
                        found = os.stat(path)
                        sizes[found.st_dev, found.st_ino] = found.st_blocks * 512
        with contextlib.suppress(OSError, ValueError):
            for line in read(f"/proc/{pid}/maps").splitlines():
                if line.endswith(end) and start in line:
                    addresses, _access, _offset, device, inode, *_ = line.split(maxsplit=5)
                    low, high = (int(number, 16) for number in addresses.split(b"-"))
                    major, minor = (int(number, 16) for number in device.split(b":"))
                    key = (os.makedev(major, minor), int(inode))
                    sizes[key] = max(sizes.get(key, 0), high - low)
    return sum(sizes.values())


def memory_of(pid: int) -> int:
    """Bytes of memory that a process takes, its part of what it shares included."""
    with contextlib.suppress(OSError, ValueError):
        for line in read(f"/proc/{pid}/smaps_rollup").splitlines():
            if line.startswith(b"Pss:"):
                return int(line.split()[1]) * 1024
    return 0


def reap() -> None:
    """Collect the dead children of this process."""
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass

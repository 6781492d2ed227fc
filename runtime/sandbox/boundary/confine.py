"""What is taken from a worker before it sees a line of user code, and the proof that it is gone.

The order matters: each step stops something that gets through where it is missing, and the later ones take away what
the earlier ones need.
"""

from __future__ import annotations

import contextlib
import errno
import os
import resource
import socket
from collections.abc import Callable
from typing import Any

from . import kernel, landlock, seccomp
from .reduced import on_linux

OPEN_FILES, LEAST_FILES = 256, 96
_ACCESS_NONE = 3
"""Access mode that Linux has for opening devices, neither to read nor to write (open(2))."""
DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom")


class LackError(Exception):
    """The machine does not leave a cell what it has been promised. No other tier would."""


def confine(limits: dict[str, Any], options: dict[str, Any], scratch: str) -> dict[str, Any]:
    """Take from this process what a cell does not need; returns the layers now in force. Irrevocable.

    Raises:
        OSError: a layer that the tier promises cannot be had.
        LackError: a limit of the system's is lower than what a cell has been promised.
    """
    tier = options["tier"]
    os.nice(
        int(options.get("nice", 19))
    )  # llama.cpp's threads wait for each other by spinning: a busy neighbour of equal rank halts them.
    os.chdir(scratch)
    linux = on_linux()
    if linux:
        with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w") as handle:
            handle.write("1000")  # Where memory runs out after all, this is what should go.
        kernel.drop_bounding_set()
    layers: dict[str, Any] = {"limits": _limit(limits, options)}
    if not linux or tier == "unsafe":
        return layers
    kernel.set_capabilities(tuple(options.get("kept", ())))
    kernel.prctl(kernel.PR_SET_NO_NEW_PRIVS, 1)
    layers["landlock"] = landlock.restrict(_readable(options), [scratch], DEVICES, options["hidden"])
    if tier != "namespaces" and not layers["landlock"]:
        raise OSError(errno.ENOSYS, "the kernel has no Landlock (Linux 5.13 and newer have it, unless switched off)")
    # Where sessions share a file system, the attributes of each other's files must be out of reach.
    seccomp.install(reduced=tier != "namespaces")
    layers["seccomp"] = True
    return layers


def _readable(options: dict[str, Any]) -> list[str]:
    # Other mounts of /proc tell of every process of the user, or of the kernel; the session's own tells of nothing.
    return [*options["trees"], *(["/proc"] if options["tier"] == "namespaces" else [])]


def _limit(limits: dict[str, Any], options: dict[str, Any]) -> list[str]:
    processes = int(limits["processes"])
    # Before Linux 5.14, and without a user namespace of one's own, all threads of the user count.
    if options["tier"] != "namespaces" or kernel.kernel_version() < (5, 14):
        processes += int(options.get("tasks", 0)) + 64
    wanted = {
        "RLIMIT_AS": _mapped() + int(limits["memory_mb"]) * 2**20,
        "RLIMIT_NPROC": processes,
        "RLIMIT_FSIZE": int(limits["disk_mb"]) * 2**20,
        "RLIMIT_NOFILE": OPEN_FILES,
        "RLIMIT_CORE": 0,
        "RLIMIT_MEMLOCK": 0,
        "RLIMIT_MSGQUEUE": 0,
        "RLIMIT_SIGPENDING": 1024,
    }
    done = []
    for name, value in wanted.items():
        kind = getattr(resource, name, None)
        if kind is None:
            continue
        hard = resource.getrlimit(kind)[1]
        if hard != resource.RLIM_INFINITY and hard < value:
            if name in _NEEDED and not (name == "RLIMIT_NOFILE" and hard >= LEAST_FILES):
                # Failing for want of it would look like a mistake of the code.
                raise LackError(_NEEDED[name].format(hard=hard, value=value))
            value = hard
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(kind, (value, value))
            done.append(name)
    return done


_NEEDED = {
    "RLIMIT_AS": "the limit on address space (ulimit -v) is {hard} bytes, and a cell needs {value}",
    "RLIMIT_NOFILE": f"the limit on open files (ulimit -n) is {{hard}}, and a cell needs {LEAST_FILES}",
    "RLIMIT_FSIZE": "the limit on the size of files (ulimit -f) is {hard} bytes, and a cell may write {value}",
}
"""Limits of the system's that must leave room for what a cell has been promised."""


def _mapped() -> int:
    """Bytes of address space in use now: the libraries' share, which is not the user's to pay for."""
    try:
        with open("/proc/self/statm", "rb") as handle:
            return int(handle.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 1 << 30


def prove(options: dict[str, Any], scratch: str) -> list[str]:
    """Try what must not work, in a confined process; returns what worked all the same."""
    if options["tier"] == "unsafe" or not on_linux():
        return []
    through = []

    def expect(name: str, action: Callable[[], Any]) -> None:
        try:
            action()
        except OSError:
            return
        through.append(name)

    expect("a socket could be made", lambda: socket.socket(socket.AF_INET, socket.SOCK_STREAM))
    expect("the host's files could be read", lambda: open("/etc/passwd").close())
    expect("the root folder could be written to", lambda: open("/mathcoder-probe", "w").close())
    expect("Python's own files could be written to", lambda: open(os.__file__, "a").close())
    expect("a signal could be sent", lambda: os.kill(os.getpid(), 0))
    expect("a device could be opened", lambda: os.open("/dev/tty", os.O_RDWR))
    expect("a file could be opened without a right to it", lambda: os.open(os.__file__, _ACCESS_NONE))
    expect("a device could be opened without a right to it", lambda: os.open("/dev/null", _ACCESS_NONE))
    expect("a program could be started", lambda: os.execv("/bin/true", ["true"]))
    try:
        with open(os.path.join(scratch, ".probe"), "w") as handle:
            handle.write("x")
        os.unlink(os.path.join(scratch, ".probe"))
    except OSError as error:
        through.append(f"the scratch folder cannot be written to ({error})")
    return through

"""The app's side of the launcher: starts it once per process and tier, asks it for sessions, notices when it is gone."""

from __future__ import annotations

import array
import atexit
import json
import os
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

from ..errors import SandboxError
from .limits import Limits

START_SECONDS = 60.0
"""Longest wait for a launcher: half a second on an idle machine, far more on one that is training."""

_ENTRY = (
    "import sys; sys.path.insert(0, sys.argv.pop()); from runtime.sandbox.launcher import main; sys.path.pop(0); main()"
)


class Host:
    """One launcher with its zygote. Sessions of all threads come from here."""

    def __init__(self, process: subprocess.Popen[bytes], control: socket.socket, tier: str) -> None:
        self.process, self.control, self.tier = process, control, tier
        self._lock = threading.Lock()

    def open_session(self, limits: Limits) -> tuple[socket.socket, int]:
        """A new session: the socket to its supervisor, and the descriptor that interrupts it.

        Raises:
            OSError: the zygote is gone.
        """
        ours, theirs = socket.socketpair()
        interrupted, interrupt = os.pipe()
        try:
            with self._lock:
                passed = array.array("i", [theirs.fileno(), interrupted])
                rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, passed)]
                self.control.sendmsg([limits.model_dump_json().encode()], rights)
        except OSError:
            ours.close()
            os.close(interrupt)
            raise
        finally:
            theirs.close()
            os.close(interrupted)
        return ours, interrupt

    def close(self) -> None:
        """End the launcher and with it all of its sessions."""
        self.control.close()
        self.process.kill()
        self.process.wait()


_hosts: dict[str, Host] = {}
_hosts_lock = threading.Lock()


def get(tier: str | None = None) -> Host:
    """The process's launcher for `tier`, started on first use; the strongest that works where none is named.

    Raises:
        SandboxError: no tier works here.
    """
    key = tier or ""
    with _hosts_lock:
        host = _hosts.get(key)
        if host is None or host.process.poll() is not None:
            host = _hosts[key] = _start(tier or "namespaces")
        return host


def forget(host: Host) -> None:
    """Drop a launcher that does not answer any more, so that the next session starts a new one."""
    with _hosts_lock:
        for key, value in list(_hosts.items()):
            if value is host:
                del _hosts[key]
                host.close()


@atexit.register
def close_all() -> None:
    """End every launcher of this process."""
    with _hosts_lock:
        while _hosts:
            _hosts.popitem()[1].close()


def _in_child() -> None:
    # A fork of the app shares the parent's sockets; talking through them from both would mix their sessions.
    global _hosts_lock
    _hosts_lock = threading.Lock()
    for host in _hosts.values():
        host.control.close()
    _hosts.clear()


os.register_at_fork(after_in_child=_in_child)


def _start(tier: str) -> Host:
    from .tiers import code_path, scratch_path, trees

    path = code_path()
    bound = trees(path)
    options: dict[str, Any] = {
        "tier": tier,
        "app": os.getpid(),
        "path": path,
        "trees": bound,
        "scratch": scratch_path(bound),
        "debug": bool(os.environ.get("MATHCODER_SANDBOX_DEBUG")),
    }
    root = str(Path(__file__).resolve().parents[2])
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    try:
        process = subprocess.Popen(
            [sys.executable, "-s", "-P", "-B", "-c", _ENTRY, json.dumps(options), root],
            stdin=theirs.fileno(),
            stdout=subprocess.DEVNULL,
            stderr=None if options["debug"] else subprocess.DEVNULL,
            env=_environment(options["scratch"]),
            cwd="/",
            start_new_session=True,
            close_fds=True,
        )
    finally:
        theirs.close()
    ours.settimeout(START_SECONDS)
    try:
        answer = ours.recv(1 << 16)
    except TimeoutError:
        answer = b""
    message = json.loads(answer) if answer else {"failed": "the launcher ended without a word"}
    if "ready" not in message:
        process.kill()
        process.wait()
        ours.close()
        raise SandboxError(
            f"the sandbox tier {tier!r} does not work here: {message.get('failed')}",
            "no code is run",
            "run `mathcoder doctor`, which names the remedy",
        )
    ours.settimeout(None)
    return Host(process, ours, message["ready"])


def _environment(scratch: str) -> dict[str, str]:
    """All that the sandbox knows of the environment: nothing of the app's."""
    environment = {
        "HOME": scratch,
        "TMPDIR": scratch,
        "MPLCONFIGDIR": f"{scratch}/.matplotlib",
        "MPLBACKEND": "module://matplotlib_inline.backend_inline",
        "LANG": "C.UTF-8",
        "PYTHONUTF8": "1",
        "PYTHONHASHSEED": "0",  # The order of sets is the same in every run, and so is the model's transcript.
        "MALLOC_ARENA_MAX": "2",  # Each arena reserves 64 MiB of address space, which is what the memory limit counts.
        "TERM": "dumb",
        "TZ": "UTC",
        "PATH": "/nonexistent",
    }
    for library in ("OPENBLAS", "OMP", "MKL", "NUMEXPR", "BLIS", "VECLIB_MAXIMUM"):
        environment[f"{library}_NUM_THREADS"] = "1"
    return environment

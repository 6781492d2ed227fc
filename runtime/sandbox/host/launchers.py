"""The app's side of the launcher: starts one per process and tier, and notices when it is gone."""

from __future__ import annotations

import array
import atexit
import errno
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any

from ...errors import CellNotRunError
from ..boundary import bubblewrap, seatbelt
from ..limits import Limits
from . import paths, tiers

START_SECONDS = 60.0
"""Longest wait for a launcher: half a second on an idle machine, far more on one that is training."""

NICE = 19
"""Niceness of workers. Only benchmarks on a busy machine lower it."""

_ENTRY = (
    "import sys; sys.path.insert(0, sys.argv.pop()); from runtime.sandbox.inside.launcher import main; "
    "sys.path.pop(0); main()"
)


LACKS = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN, errno.ENOSPC})
"""Errors of a machine that has run out of something, which is no reason to look for another tier."""
SILENT = "the launcher ended without a word"
_REMEDY = "free what is missing or raise the limit, and try again"


class TierError(Exception):
    """A tier does not work on this machine. `lack`: for want of something that no other tier does without."""

    def __init__(self, reason: str, lack: bool = False) -> None:
        super().__init__(reason)
        self.lack = lack


class Host:
    """One launcher with its zygote. Sessions of all threads come from here."""

    def __init__(
        self, process: subprocess.Popen[bytes], control: socket.socket, tier: str, layers: dict[str, Any]
    ) -> None:
        self.process, self.control, self.tier, self.layers = process, control, tier, layers
        self.failures: tuple[tuple[str, str], ...] = ()
        """Stronger tiers that were tried first, and why they do not work here."""
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
        # The zygote ends on the closed socket, the launcher after it, tidying up. A kill would spare it that.
        try:
            self.process.wait(2)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


hosts: dict[str, Host] = {}
"""The launchers of this process by tier; empty name: the strongest that works."""
_hosts_lock = threading.Lock()


def get(tier: str | None = None) -> Host:
    """The process's launcher for `tier`, started on first use; the strongest where none is named.

    Raises:
        SandboxError: no tier works here; says why, tier by tier, and what to do.
        CellNotRunError: the machine leaves no room for what every tier needs.
    """
    key = tier or ""
    with _hosts_lock:
        host = hosts.get(key)
        if host is not None and host.process.poll() is None:
            return host
        if host is not None:
            hosts.pop(key).close()
        failures: list[tuple[str, str]] = []
        for candidate in [tier] if tier else tiers.ladder():
            try:
                host = hosts[key] = _start_twice(candidate)
            except TierError as error:
                if error.lack:
                    raise CellNotRunError(str(error), "no code is run", _REMEDY) from None
                failures.append((candidate, str(error)))
            else:
                host.failures = tuple(failures)
                return host
        raise tiers.refusal(failures)


def _start_twice(tier: str) -> Host:
    """A launcher; one that was killed while it started, which says nothing of its tier, starts again."""
    try:
        return start(tier)
    except TierError as error:
        if str(error) != SILENT:
            raise
    return start(tier)


def forget(host: Host) -> None:
    """Drop a launcher that does not answer any more, so that the next session starts a new one."""
    with _hosts_lock:
        for key, value in list(hosts.items()):
            if value is host:
                del hosts[key]
                host.close()


def weaker_tier() -> str:
    """One line where code runs in a weaker tier than the strongest, and why; empty before any ran."""
    host = hosts.get("")
    if host is None or not host.failures:
        return ""
    tier, reason = host.failures[0]
    return f"code runs in a weaker sandbox ({host.tier}) than this system could have: {tier} does not work ({reason})"


@atexit.register
def close_all() -> None:
    """End every launcher of this process."""
    with _hosts_lock:
        while hosts:
            hosts.popitem()[1].close()


def _in_child() -> None:
    # A fork of the app shares the parent's sockets; talking through them from both would mix their sessions.
    global _hosts_lock
    _hosts_lock = threading.Lock()
    for host in hosts.values():
        host.control.close()
    hosts.clear()


os.register_at_fork(after_in_child=_in_child)


def start(tier: str) -> Host:
    """A launcher of exactly this tier.

    Raises:
        TierError: it does not work here, with the reason.
    """
    path = paths.code_path()
    bound, files = paths.trees(path), paths.own_files() if tier == "bubblewrap" else []
    scratch = paths.scratch_path([*bound, *files])
    options: dict[str, Any] = {
        "tier": tier,
        "app": os.getpid(),
        "path": path,
        "trees": bound,
        "hidden": paths.hidden(path),
        "files": files,
        "scratch": scratch,
        "nice": NICE,
        "debug": bool(os.environ.get("MATHCODER_SANDBOX_DEBUG")),
    }
    command: list[str] = []
    try:
        if tier == "bubblewrap":
            options["bwrap"] = bubblewrap.find()
        elif tier == "sandbox-exec":
            options["scratch_root"] = os.path.realpath(tempfile.mkdtemp(prefix="mathcoder-sandbox-"))
            command = seatbelt.command(bound, options["scratch_root"], options["hidden"])
        elif tier in ("reduced", "unsafe"):
            options["scratch_root"] = tempfile.mkdtemp(prefix="mathcoder-sandbox-")
        elif tier != "namespaces":
            raise OSError(f"there is no tier of this name; tiers are {', '.join(tiers.NAMES)}")
    except OSError as error:
        raise TierError(str(error), error.errno in LACKS) from None
    root = str(Path(__file__).resolve().parents[3])
    kind = socket.SOCK_SEQPACKET if sys.platform == "linux" else socket.SOCK_DGRAM
    try:
        ours, theirs = socket.socketpair(socket.AF_UNIX, kind)
    except OSError as error:
        raise TierError(str(error), lack=True) from None
    try:
        process = subprocess.Popen(
            [*command, sys.executable, "-s", "-P", "-B", "-c", _ENTRY, json.dumps(options), root],
            stdin=theirs.fileno(),
            stdout=subprocess.DEVNULL,
            stderr=None if options["debug"] else subprocess.DEVNULL,
            env=_environment(options.get("scratch_root", scratch)),
            cwd="/",
            start_new_session=True,
            close_fds=True,
        )
    except OSError as error:
        ours.close()
        raise TierError(str(error), error.errno in LACKS) from None
    finally:
        theirs.close()
    message = _await_ready(ours)
    if "ready" not in message:
        # The launcher tidies up behind itself once it sees that its zygote is gone.
        ours.close()
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if "scratch_root" in options:
            shutil.rmtree(options["scratch_root"], ignore_errors=True)
        raise TierError(str(message["failed"]), bool(message.get("lack")))
    return Host(process, ours, message["ready"], message.get("layers", {}))


def _await_ready(control: socket.socket) -> dict[str, Any]:
    control.settimeout(START_SECONDS)
    try:
        answer = control.recv(1 << 16)
    except TimeoutError:
        return {"failed": f"the launcher did not answer within {START_SECONDS:g} s"}
    except OSError as error:
        return {"failed": str(error)}
    control.settimeout(None)
    message: dict[str, Any] = json.loads(answer) if answer else {"failed": SILENT}
    return message


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

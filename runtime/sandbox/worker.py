"""The process that runs cells, and the snapshots that bring it back.

The *head* of a session waits for an order. To run a cell it forks: the child runs it, the parent waits as a snapshot
of the state from before. A child that lives through its cell becomes the head, and the supervisor ends the parent; a
child that dies leaves the parent, which reports the death and is the head again. Nothing is replayed.

Forking costs more than most cells, so the supervisor orders it in advance, once the last cell's answer is out: then the
child is the head at once and waits for its cell. A head that was not given the time forks when the cell comes. The
first cell of all has nothing to go back to: where it dies, the supervisor starts a new worker.

User code shares this process, so whatever is reported from here is a claim. The supervisor measures what matters.
"""

from __future__ import annotations

import _thread
import base64
import functools
import os
import random
import select
import signal
import sys
from collections.abc import Callable
from typing import Any

from . import hot_pages, protocol
from .recovery import BROKEN, Recovery

ORDERS, REPORTS, OUTPUT = 60, 61, 62
"""Descriptors of the worker: orders come in, reports and output go out. All are pipes."""

HOT: list[tuple[int, int]] = []
"""(address, bytes): memory that every cell writes to; known to all sessions, because the zygote fills it in."""

# User code may replace anything in these modules; the loop keeps what it needs.
_fork, _getpid, _waitpid, _exit = os.fork, os.getpid, os.waitpid, os._exit
_dup2, _open, _closerange = os.dup2, os.open, os.closerange
_set_blocking, _write_all, _read_frame, _pack = os.set_blocking, protocol.write_all, protocol.read_frame, protocol.pack
_getstate, _setstate, _signal, _threads = random.getstate, random.setstate, signal.signal, _thread._count
_b64encode, _populate, _select = base64.b64encode, hot_pages.populate, select.select


def run_head(shell: Any) -> None:
    """Serve cells until the supervisor closes the pipe; never returns."""
    _set_up_streams()
    shell.prepare()
    recovery = Recovery(shell, (ORDERS, REPORTS, OUTPUT))
    covered, fresh = False, True
    try:
        while True:
            _signal(signal.SIGINT, signal.SIG_IGN)
            _set_blocking(ORDERS, True)
            order = _read_frame(ORDERS, protocol.MAX_ORDER)
            if order is None:
                break
            number = int(order["n"])
            if not (covered or fresh):
                copied = _snapshot(number)
                if copied is None:  # The child has died, and this is the head again.
                    continue
                covered = copied
            if "code" in order:
                _serve(shell, recovery, number, str(order["code"]))
                covered = fresh = False
            else:
                _report({"event": "ready", "n": number, "pid": _getpid()})
                # While nobody waits; a cell that comes meanwhile is better off with its own faults.
                _populate(HOT, lambda: _select([ORDERS], [], [], 0)[0])
                _report({"event": "warm", "n": number})
    except BaseException:
        # Whatever user code left behind broke the loop. The snapshot, or a new worker, takes over.
        _exit(BROKEN)
    _exit(0)


def rehearsal(shell: Any) -> list[Callable[[], None]]:
    """The first cells of a session, served as `run_head` does it; each is to be called in a fork of the one before."""
    recovery: list[Recovery] = []
    orders: list[int] = []

    def serve(number: int, code: str) -> None:
        if not recovery:
            for target in (ORDERS, REPORTS, OUTPUT):
                source, write = os.pipe()
                _dup2(source if target == ORDERS else write, target)
                orders.append(write)
            _set_up_streams()
            shell.prepare()
            recovery.append(Recovery(shell, (ORDERS, REPORTS, OUTPUT)))
        _setstate(_getstate())
        _write_all(orders[0], _pack({"n": number, "code": code}))
        order = _read_frame(ORDERS, protocol.MAX_ORDER) or {}
        _serve(shell, recovery[0], number, str(order["code"]))

    codes = ("x = 1\nprint(x)\nx + 1", "x = x + 1\nx", "y = [x] * 3\nsum(y)")
    return [functools.partial(serve, number, code) for number, code in enumerate(codes, 1)]


def _snapshot(number: int) -> bool | None:
    """Fork for cell `number`: True in the child; in the parent, None once the child has died.

    False where there can be no copy. A fork copies one thread only: where user code left threads behind (a pool, say),
    a copy would hang on them, so the cell runs right here, and the last snapshot stays the one to return to.
    """
    if _threads() != 0:
        return False
    _reap()
    generator = _getstate()  # Python reseeds `random` in a child, which would undo the user's own seed.
    try:
        child = _fork()
    except OSError:
        return False  # No room for another process.
    if child:
        _, status = _waitpid(child, 0)
        _report({"event": "died", "n": number, "wait_status": status})
        return None
    _setstate(generator)
    return True


def _serve(shell: Any, recovery: Recovery, number: int, code: str) -> None:
    me = _getpid()
    _report({"event": "start", "n": number, "pid": me})
    ok = False
    try:
        _set_up_streams()
        _signal(signal.SIGINT, signal.default_int_handler)
        ok = shell.run(code)
    except KeyboardInterrupt:
        ok = False
    finally:
        if _getpid() != me:
            _exit(0)  # A fork made by user code came back out of its cell.
    _signal(signal.SIGINT, signal.SIG_IGN)
    if not recovery.after_cell(shell):
        _exit(BROKEN)
    images = [_b64encode(image).decode("ascii") for image in shell.images]
    _report({"event": "done", "n": number, "status": "ok" if ok else "error", "images": images})


def _reap() -> None:
    """Wait for what the last cell forked and the supervisor killed: until then it counts against the process limit, and
    the fork of the next cell may find no room."""
    try:
        while _waitpid(-1, os.WNOHANG)[0]:
            continue
    except ChildProcessError:
        return


def _set_up_streams() -> None:
    _dup2(OUTPUT, 1)
    _dup2(OUTPUT, 2)
    # Closed first: a cell may have left no room for another descriptor.
    _closerange(0, 1)
    null = _open("/dev/null", os.O_RDONLY)
    if null != 0:
        _dup2(null, 0)
        os.close(null)


def _report(message: dict[str, Any]) -> None:
    _set_blocking(REPORTS, True)
    _write_all(REPORTS, _pack(message))


def seed_numpy() -> None:
    """Sessions come from one parent and would otherwise share its random numbers."""
    numpy = sys.modules.get("numpy")
    if numpy is not None:
        numpy.random.seed()

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

import _signal  # type: ignore[import-not-found]  # nobody has written its types down
import _thread
import base64
import os
import random
import sys
from typing import Any

from .. import protocol
from ..boundary import kernel
from .recovery import BROKEN, Recovery

ORDERS, REPORTS, OUTPUT = 60, 61, 62
"""Descriptors of the worker: orders come in, reports and output go out. All are pipes."""

# User code may replace anything in these modules; the loop keeps what it needs.
_fork, _fork_unnoticed, _getpid, _waitpid, _exit = os.fork, kernel.fork_unnoticed(), os.getpid, os.waitpid, os._exit
_dup2, _open, _close, _closerange, _stat = os.dup2, os.open, os.close, os.closerange, os.stat
_set_blocking, _write_all = os.set_blocking, protocol.write_all
_read_order, _frame = protocol.read_order, protocol.report
_getstate, _setstate, _threads = random.getstate, random.setstate, _thread._count
_b64encode = base64.b64encode
# The C function: around it, `signal.signal` makes members of enumerations, which touches dozens of pages.
_signal_to = _signal.signal
_INTERRUPT, _IGNORE, _RAISE = _signal.SIGINT, _signal.SIG_IGN, _signal.default_int_handler


def run_head(shell: Any) -> None:
    """Serve cells until the supervisor closes the pipe; never returns."""
    _set_up_streams()
    shell.prepare()
    recovery = Recovery(shell, (ORDERS, REPORTS, OUTPUT))
    covered, fresh = False, True
    try:
        while True:
            _signal_to(_INTERRUPT, _IGNORE)
            _set_blocking(ORDERS, True)
            order = _read_order(ORDERS)
            if order is None:
                break
            number, code = order
            if not (covered or fresh):
                copied = _snapshot(number)
                if copied is None:  # The child has died, and this is the head again.
                    continue
                covered = copied
            if code is not None:
                _serve(shell, recovery, number, code)
                covered = fresh = False
            else:
                _report(b"ready", number, b',"pid":%d' % _getpid())
    except BaseException:
        # Whatever user code left behind broke the loop. The snapshot, or a new worker, takes over.
        _exit(BROKEN)
    _exit(0)


def _snapshot(number: int) -> bool | None:
    """Fork for cell `number`: True in the child; in the parent, None once the child has died.

    False where there can be no copy. A fork copies one thread only: where user code left threads behind (a pool, say),
    a copy would hang on them, so the cell runs right here, and the last snapshot stays the one to return to.
    """
    if _threads() != 0:
        return False
    _reap()
    try:
        child = _copy()
    except OSError:
        return False  # No room for another process.
    if child:
        _, status = _waitpid(child, 0)
        _report(b"died", number, b',"wait_status":%d' % status)
        return None
    return True


def _copy() -> int:
    """Fork, so that the child cannot tell that it was: it goes on as the process that cells have known."""
    try:
        alone = _stat("/proc/self/task").st_nlink == 3  # one thread; beside it, the folder itself and its parent
    except OSError:
        alone = False
    if alone and _fork_unnoticed is not None:
        return _fork_unnoticed()
    # Libraries with threads of their own may have to be told of the fork, and so Python's modules are too.
    generator = _getstate()  # Python gives `random` a new seed in a child, which would undo the user's own.
    child = _fork()
    if child == 0:
        _setstate(generator)
    return child


def _serve(shell: Any, recovery: Recovery, number: int, code: str) -> None:
    me = _getpid()
    _report(b"start", number, b',"pid":%d' % me)
    ok = False
    try:
        _set_up_streams()
        _signal_to(_INTERRUPT, _RAISE)
        ok = shell.run(code)
    except KeyboardInterrupt:
        ok = False
    finally:
        if _getpid() != me:
            _exit(0)  # A fork made by user code came back out of its cell.
    _signal_to(_INTERRUPT, _IGNORE)
    if not recovery.after_cell(shell):
        _exit(BROKEN)
    images = b",".join([b'"%b"' % _b64encode(image) for image in shell.images])
    _report(b"done", number, b',"status":"%b","images":[%b]' % (b"ok" if ok else b"error", images))


def _reap() -> None:
    """Wait for what the last cell forked and the supervisor killed.

    Until then it counts against the process limit, and the fork of the next cell may find no room.
    """
    try:
        while _waitpid(-1, os.WNOHANG)[0]:
            continue
    except ChildProcessError:
        return


def _set_up_streams() -> None:
    _set_blocking(OUTPUT, True)
    _dup2(OUTPUT, 1)
    _dup2(OUTPUT, 2)
    # Closed first: a cell may have left no room for another descriptor.
    _closerange(0, 1)
    null = _open("/dev/null", os.O_RDONLY)
    if null != 0:
        _dup2(null, 0)
        _close(null)


def _report(event: bytes, number: int, more: bytes = b"") -> None:
    _set_blocking(REPORTS, True)
    _write_all(REPORTS, _frame(event, number, more))


def seed_numpy() -> None:
    """Sessions come from one parent and would otherwise share its random numbers.

    Newer numpy imports `numpy.random` when it is first used, and seeds it then: nine libraries that few cells need.
    """
    numpy_random = sys.modules.get("numpy.random")
    if numpy_random is not None:
        numpy_random.seed()

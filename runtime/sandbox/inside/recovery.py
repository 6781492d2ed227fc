"""What a cell may leave behind that would keep the next one from running, and what is done about it.

The process that ran a cell runs the next one too, and its snapshots are copies of it. Code can therefore spoil a
session for good: close the worker's pipes, lower a limit, replace `len` or a method of the shell. So after each cell
the worker undoes what can be undone, and looks for the rest. Where only a trial can tell, it has a fork of itself run a
cell. A worker that is not fit ends before it says that the cell is done, so that the snapshot from before takes over
and the loss is announced.

What a program may well want to keep (a signal handler, a transformer of its own, a higher limit) stays.
"""

from __future__ import annotations

import array
import builtins
import faulthandler
import fcntl
import gc
import os
import resource
import signal
import sys
import termios
import threading
from typing import Any

BROKEN = 70
"""Exit code of a worker that could not run another cell."""
_FIT = 71
"""Exit code of a trial that went well; not zero, which user code that ends the process is likely to use."""

_LIMITS = tuple(
    number
    for name in ("AS", "CPU", "DATA", "FSIZE", "NOFILE", "STACK")
    if (number := getattr(resource, f"RLIMIT_{name}", None)) is not None
)
"""Not the number of processes: without room for a snapshot, cells run all the same."""
_UNLIMITED = resource.RLIM_INFINITY
_OWN_NAMES = {"bool", "bytearray", "bytes", "int", "isinstance", "len", "max", "memoryview", "min", "print", "str"}
_OWN_NAMES |= {"__import__", "__build_class__", "compile", "exec"}
"""Built-in functions that the worker and its frames are written with, and those that run a cell."""

# As in `worker`: user code may replace anything in these modules.
_getlimit, _setlimit, _fstat, _fork, _waitpid = resource.getrlimit, resource.setrlimit, os.fstat, os.fork, os.waitpid
_settrace, _setprofile, _signal, _sigmask = sys.settrace, sys.setprofile, signal.signal, signal.pthread_sigmask
_setitimer, _TIMERS = signal.setitimer, (signal.ITIMER_REAL, signal.ITIMER_VIRTUAL, signal.ITIMER_PROF)
_ioctl, _cancel_dump = fcntl.ioctl, faulthandler.cancel_dump_traceback_later
_add_hook = sys.addaudithook
_audit_hooks: list[Any] = []
_exit, _pipe, _dup2, _read, _closerange = os._exit, os.pipe, os.dup2, os.read, os.closerange


class Recovery:
    """Knows what a sound worker looks like; made before the first line of user code.

    Args:
        shell: runs the cells.
        pipes: descriptors that the worker cannot do without; orders come from the first.
    """

    def __init__(self, shell: Any, pipes: tuple[int, ...]) -> None:
        self._orders = pipes[0]
        self._pipes = {descriptor: _identity(descriptor) for descriptor in pipes}
        self._limits = {number: _getlimit(number) for number in _LIMITS}
        self._depth = sys.getrecursionlimit()
        self._methods = tuple((kind, name) for kind, names in shell.passed_through() for name in names)
        used = {name for kind, method in self._methods for name in getattr(kind, method).__code__.co_names}
        self._names = tuple(sorted((used | _OWN_NAMES) & vars(builtins).keys()))
        sys.addaudithook = _audited
        self._note(shell)

    def _note(self, shell: Any) -> None:
        # Only what every cell touches anyway: after a fork, looking at an object copies the page it lies in.
        self._builtins = {name: getattr(builtins, name, None) for name in self._names}
        self._code = [getattr(kind, name, None) for kind, name in self._methods]
        self._customs, self._attributes = shell.customs(), len(vars(shell))
        self._modules = len(sys.modules)
        self._hooks = len(_audit_hooks)

    def after_cell(self, shell: Any) -> bool:
        """Undo what can be undone; False where the worker cannot be expected to run another cell."""
        _settrace(None)
        _setprofile(None)
        threading.settrace(None)
        threading.setprofile(None)
        _cancel_dump()  # A thread of its own that no fork copies, and that may end the process in a later cell.
        for timer in _TIMERS:  # A fork inherits none, so the next cell would not have it; here its handler would run.
            _setitimer(timer, 0)
        for number in (signal.SIGCHLD, signal.SIGCONT):  # which come between cells too, where no handler may run
            _signal(number, signal.SIG_DFL)
        _sigmask(signal.SIG_SETMASK, ())
        if gc.callbacks:  # A library may want its own; those of cells would run, and fail, in every later one.
            gc.callbacks[:] = [call for call in gc.callbacks if getattr(call, "__module__", None) != "__main__"]
        gc.set_debug(0)
        if sys.getrecursionlimit() < self._depth:
            sys.setrecursionlimit(self._depth)
        if any(_identity(descriptor) != known for descriptor, known in self._pipes.items()):
            return False
        self._discard_orders()
        if not self._limits_restored():
            return False
        if self._untouched(shell):
            return True
        if not _trial(shell):
            return False
        self._note(shell)  # Changed, yet fit: the next cell need not pay for another trial.
        return True

    def _discard_orders(self) -> None:
        """Drop the orders that are there already: the supervisor waits for this cell, so the cell wrote them."""
        waiting = array.array("i", [0])
        while _ioctl(self._orders, termios.FIONREAD, waiting) == 0 and waiting[0] > 0:
            _read(self._orders, waiting[0])

    def _limits_restored(self) -> bool:
        for number, (soft, hard) in self._limits.items():
            now_soft, now_hard = _getlimit(number)
            if _below(now_hard, hard):
                return False  # and nobody here may raise it again
            if _below(now_soft, soft):
                _setlimit(number, (soft, now_hard))
        return True

    def _untouched(self, shell: Any) -> bool:
        return (
            all(getattr(builtins, name, None) is value for name, value in self._builtins.items())
            and all(
                getattr(kind, name, None) is code for (kind, name), code in zip(self._methods, self._code, strict=True)
            )
            and len(vars(shell)) == self._attributes
            and shell.customs() == self._customs
            and len(sys.modules) >= self._modules
            and len(_audit_hooks) == self._hooks
        )


def _audited(hook: Any) -> None:
    """`sys.addaudithook`, remembered.

    No hook can be removed, and one that raises keeps later cells from running.
    """
    _add_hook(hook)
    _audit_hooks.append(hook)


def _identity(descriptor: int) -> tuple[int, int] | None:
    try:
        found = _fstat(descriptor)
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _below(limit: int, other: int) -> bool:
    return limit != _UNLIMITED and (other == _UNLIMITED or limit < other)


def _trial(shell: Any) -> bool:
    """Whether a fork of this process runs a cell as it should. Nothing of it stays here.

    Hangs where the shell hangs; the cell's time limit, which is still running, ends that.
    """
    try:
        pid = _fork()
    except OSError:
        return True  # No room for a process. That is the cell's own doing, and ends with it.
    if pid:
        return bool(_waitpid(pid, 0)[1] == _FIT << 8)
    try:
        _closerange(3, 60)  # There may be no room for another descriptor.
        answer, write = _pipe()
        os.set_blocking(answer, False)
        for descriptor in (1, 2):
            _dup2(write, descriptor)
        if shell.run("6*7") is True and b"42\n" in _read(answer, 1 << 16):
            _exit(_FIT)
    finally:
        _exit(1)

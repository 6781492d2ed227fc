"""Dying with the app.

`PR_SET_PDEATHSIG` fires when the *thread* that started a process ends, and the app starts sandboxes from any thread.
A pidfd names the process. So the launcher watches a pidfd of the app, and what is below it dies with the launcher.
"""

from __future__ import annotations

import contextlib
import os
import select
import shutil
import signal

from . import processes


def check_parent(app: int) -> None:
    """Exit at once where the app died before this process could look."""
    if os.getppid() != app:
        os._exit(1)


def until_death(app: int, zygote: int, scratch_root: str | None) -> None:
    """Wait for the app or the zygote to end, then end everything and tidy up; never returns."""
    poller = select.poll()
    watched = 0
    for pid in (app, zygote):
        with contextlib.suppress(OSError, AttributeError):
            poller.register(os.pidfd_open(pid), select.POLLIN)
            watched += 1
    # Without pidfds (Linux before 5.3, macOS) the parent is looked at twice a second.
    period = None if watched == 2 else 500
    while os.getppid() == app and not poller.poll(period):
        if period is not None and os.waitpid(zygote, os.WNOHANG)[0]:
            break
    try:
        # Ends every session too: the zygote is pid 1 of a namespace, or else the sessions are our descendants.
        processes.send(zygote, signal.SIGKILL)
        processes.kill_others({os.getpid()})
        if scratch_root is not None:
            remove_tree(scratch_root)
    finally:
        os._exit(0)


def remove_tree(folder: str) -> None:
    """Delete a scratch folder, whatever permissions its owner left on the folders in it."""

    def open_up(_function: object, path: str, _error: BaseException) -> None:
        with contextlib.suppress(OSError):
            os.chmod(os.path.dirname(path), 0o700)
            os.chmod(path, 0o700, follow_symlinks=False) if os.chmod in os.supports_follow_symlinks else None
            if os.path.isdir(path) and not os.path.islink(path):
                shutil.rmtree(path, ignore_errors=True)
            else:
                os.unlink(path)

    with contextlib.suppress(OSError, RecursionError):
        if sys_version_has_onexc():
            shutil.rmtree(folder, onexc=open_up)
        else:
            shutil.rmtree(folder, onerror=lambda function, path, info: open_up(function, path, info[1]))


def sys_version_has_onexc() -> bool:
    """Python 3.12 renamed the argument."""
    import sys

    return sys.version_info >= (3, 12)

"""Dying with the app.

`PR_SET_PDEATHSIG` fires when the *thread* that started a process ends, and the app starts sandboxes from any thread.
A pidfd names the process. So the launcher watches a pidfd of the app, and what is below it dies with the launcher.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal

from . import processes, scratch


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
            scratch.remove_tree(scratch_root)
    finally:
        os._exit(0)

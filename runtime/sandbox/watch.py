"""Dying with the app.

`PR_SET_PDEATHSIG` fires when the *thread* that started a process ends, and the app starts sandboxes from any thread.
A pidfd names the process. So the launcher watches a pidfd of the app, and what is below it dies with the launcher.
"""

from __future__ import annotations

import os
import select
import signal


def check_parent(app: int) -> None:
    """Exit at once where the app died before this process could look."""
    if os.getppid() != app:
        os._exit(1)


def until_death(app: int, zygote: int) -> None:
    """Wait for the app or the zygote to end, then end everything; never returns."""
    poller = select.poll()
    descriptors = {}
    for pid in (app, zygote):
        try:
            descriptor = os.pidfd_open(pid)
        except OSError:
            continue
        descriptors[descriptor] = pid
        poller.register(descriptor, select.POLLIN)
    if os.getppid() == app:
        # Without pidfds (Linux before 5.3) the parent is looked at twice a second.
        period = None if len(descriptors) == 2 else 500
        while True:
            events = poller.poll(period)
            if events or os.getppid() != app:
                break
            if os.waitpid(zygote, os.WNOHANG)[0]:
                os._exit(1)
    try:
        os.kill(zygote, signal.SIGKILL)
        os.waitpid(zygote, 0)
    finally:
        os._exit(0)

"""Dying with the app.

`PR_SET_PDEATHSIG` fires when the *thread* that started a process ends, and the app starts sandboxes from any thread.
A pidfd names the process. So the launcher watches a pidfd of the app, and what is below it dies with the launcher.
"""

from __future__ import annotations

import contextlib
import os
import select
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
    """Delete a scratch folder, whatever was made in it. Links are not followed."""
    empty(folder)
    with contextlib.suppress(OSError):
        os.rmdir(folder)


def empty(folder: str) -> None:
    """Delete what is in a scratch folder, folders without permissions and very deep ones included.

    What lies in a folder of the scratch folder is moved up beside it, so that no path gets too long to be named.
    """
    moved = 0
    while True:
        with contextlib.suppress(OSError):
            os.chmod(folder, 0o700)
        try:
            with os.scandir(folder) as found:
                entries = list(found)
        except OSError:
            return
        gone = 0
        for entry in entries:
            if not entry.is_dir(follow_symlinks=False):
                gone += _unlink(entry.path)
                continue
            with contextlib.suppress(OSError):
                os.chmod(entry.path, 0o700)
            with contextlib.suppress(OSError), os.scandir(entry.path) as inside:
                for inner in inside:
                    if not inner.is_dir(follow_symlinks=False):
                        gone += _unlink(inner.path)
                        continue
                    with contextlib.suppress(OSError):
                        os.chmod(inner.path, 0o700)  # or it cannot be moved, since it names its parent
                        os.rename(inner.path, os.path.join(folder, f".moved-{moved}"))
                        gone += 1
                    moved += 1
            with contextlib.suppress(OSError):
                os.rmdir(entry.path)
                gone += 1
        if not entries or not gone:
            return


def _unlink(path: str) -> int:
    """1 where the file could be deleted."""
    with contextlib.suppress(OSError):
        os.unlink(path)
        return 1
    return 0

"""Tier 2, "reduced": the host's own file system and process table, fenced by Landlock, seccomp and resource limits.

What it cannot do and tier 1 can is listed in `tiers.NOT_BLOCKED`.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import tempfile
from typing import Any

from . import kernel

NOBODY = 65534


def on_linux() -> bool:
    """Whether the Linux-only calls exist."""
    return sys.platform == "linux"


def die_with_parent() -> None:
    """Be killed when the parent, a process of one thread, ends."""
    if on_linux():
        kernel.prctl(kernel.PR_SET_PDEATHSIG, signal.SIGKILL)


def become_reaper() -> None:
    """Orphans below this process become its children instead of slipping away."""
    if on_linux():
        kernel.prctl(kernel.PR_SET_CHILD_SUBREAPER, 1)


def count_tasks() -> int:
    """Threads this user (nobody, where we are root and about to become that) runs already.

    Where `RLIMIT_NPROC` counts all of a user's threads, the limit must stand on top of these.
    """
    user = os.geteuid() or NOBODY
    count = 0
    with contextlib.suppress(OSError):
        for entry in os.scandir("/proc"):
            if entry.name.isdigit():
                with contextlib.suppress(OSError):
                    if entry.stat().st_uid == user:
                        count += len(os.listdir(f"/proc/{entry.name}/task"))
    return count


def give_up_root(options: dict[str, Any]) -> None:
    """As root, become nobody. Keeps the right to read where Python itself lies in a folder closed to others.

    Landlock still holds such reads to the folders of Python and its packages.
    """
    root = options["scratch_root"]
    if os.geteuid() == 0:
        os.chown(root, NOBODY, NOBODY)
        kernel.prctl(kernel.PR_SET_KEEPCAPS, 1)
        os.setgroups([])
        os.setresgid(NOBODY, NOBODY, NOBODY)
        os.setresuid(NOBODY, NOBODY, NOBODY)
        # `access` asks for the user's own rights, whatever capabilities are still there.
        if not all(os.access(tree, os.R_OK) for tree in options["path"]):
            options["kept"] = [kernel.CAP_DAC_READ_SEARCH]
        kernel.set_capabilities(tuple(options.get("kept", ())))
    os.chdir(root)


def enter_session(options: dict[str, Any]) -> str:
    """In a fork of the zygote: a scratch folder of its own; returns its path."""
    die_with_parent()
    become_reaper()
    scratch = tempfile.mkdtemp(prefix="session-", dir=options["scratch_root"])
    if on_linux():
        kernel.prctl(kernel.PR_SET_DUMPABLE, 0)
    for name in ("HOME", "TMPDIR"):
        os.environ[name] = scratch
    os.environ["MPLCONFIGDIR"] = os.path.join(scratch, ".matplotlib")
    tempfile.tempdir = None
    return scratch

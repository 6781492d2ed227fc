"""Tier 2, "reduced": the host's files and process table, fenced by Landlock, seccomp and limits.

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
    """As root, become nobody.

    Keeps the right to read where Python itself lies in a folder closed to others.

    Landlock still holds such reads to the folders of Python and its packages. A root that cannot become nobody, or
    could not read Python then, stays what it is without a single capability; the supervisor counts its processes, since
    the kernel does not.
    """
    root = options["scratch_root"]
    if os.geteuid() == 0:
        held = kernel.capabilities()
        kernel.drop_bounding_set()
        needed = {kernel.CAP_CHOWN, kernel.CAP_SETUID, kernel.CAP_SETGID}
        readable = needed <= held and kernel.has_user(NOBODY) and _nobody_reads(options["path"])
        if readable or (needed | {kernel.CAP_DAC_READ_SEARCH} <= held and kernel.has_user(NOBODY)):
            os.chown(root, NOBODY, NOBODY)
            kernel.prctl(kernel.PR_SET_KEEPCAPS, 1)
            _become_nobody()
            options["kept"] = [] if readable else [kernel.CAP_DAC_READ_SEARCH]
        kernel.set_capabilities(tuple(options.get("kept", ())))
    os.chdir(root)


def _become_nobody() -> None:
    os.setgroups([])
    os.setresgid(NOBODY, NOBODY, NOBODY)
    os.setresuid(NOBODY, NOBODY, NOBODY)


def _nobody_reads(paths: list[str]) -> bool:
    """Whether nobody may read all of these; a fork tries it, since there is no way back."""
    pid = os.fork()
    if pid == 0:
        readable = False
        try:
            _become_nobody()
            readable = all(os.access(path, os.R_OK) for path in paths)
        finally:
            os._exit(0 if readable else 1)
    return os.waitpid(pid, 0)[1] == 0


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

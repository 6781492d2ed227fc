"""Standard input, output and error that no text and no closed descriptor turns into a traceback."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import sys


class _Closed(io.TextIOBase):
    """Stands for a standard output that was closed before we began: whoever writes is told so."""

    encoding = "utf-8"

    def writable(self) -> bool:
        """Always: it is the write that fails."""
        return True

    def write(self, text: str) -> int:
        """Raise OSError, save for nothing at all."""
        if not text:
            return 0
        raise OSError(errno.EBADF, "it is closed", "standard output")


def prepare_outputs() -> None:
    """Make both outputs take any text, and stand in for what is closed; a closed input is an empty one.

    A closed descriptor is opened on the null device first: the next file that anybody opens would have its number, and
    what a library prints would land in that file.
    """
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    if sys.stdin is None:
        sys.stdin = open(os.devnull, encoding="utf-8")  # noqa: SIM115 - for as long as the process lives
    if sys.stdout is None:
        sys.stdout = _Closed()
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 - for as long as the process lives
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def silence_output() -> None:
    """Drop what standard output cannot take any more, so that Python's flush at exit does not fail again."""
    if isinstance(sys.stdout, _Closed):
        return
    with contextlib.suppress(OSError, ValueError):
        sys.stdout.flush()
        return
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())

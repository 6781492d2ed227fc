"""The standard streams of a cell: two text wrappers on one pipe."""

from __future__ import annotations

import io
import select
import sys
from typing import Any

_PIECE = 1 << 16
"""Characters written at once: encoding a huge string whole would need its size again, twice."""

_select = select.select  # User code may replace anything in a module.


class _Raw(io.FileIO):
    """Writes all it is given, to a pipe that is full and does not block, too (asyncio leaves one so)."""

    def write(self, data: Any) -> int:
        view, done = memoryview(data).cast("B"), 0
        while done < len(view):
            written = super().write(view[done:])
            if written is None:
                _select([], [self.fileno()], [])
            else:
                done += written
        return done


class _Stream(io.TextIOWrapper):
    def write(self, text: str) -> int:
        if not isinstance(text, str) or len(text) <= _PIECE:
            return super().write(text)
        for start in range(0, len(text), _PIECE):
            super().write(text[start : start + _PIECE])
        return len(text)


class Streams:
    """The cell's standard streams: two text wrappers on one unbuffered pipe, so that order is kept."""

    def __init__(self) -> None:
        self.out = self._open(1)
        self.err = self._open(2)

    @staticmethod
    def _open(descriptor: int) -> io.TextIOWrapper:
        raw = _Raw(descriptor, "w", closefd=False)
        # `surrogatepass` output is no UTF-8; `backslashreplace` shows a lone surrogate as Jupyter's JSON does.
        return _Stream(raw, encoding="utf-8", errors="backslashreplace", write_through=True)

    def install(self) -> None:
        """Give `sys` this process's streams, except where the user's code put working ones in place."""
        if not _usable(self.out):
            self.out = self._open(1)
        if not _usable(self.err):
            self.err = self._open(2)
        for name, stream in (("stdout", self.out), ("stderr", self.err)):
            if not _usable(getattr(sys, name, None)):
                setattr(sys, name, stream)
            sys.__dict__[f"__{name}__"] = stream


_write = _Stream.write


def write(stream: Any, text: str) -> None:
    """Write to one of these streams, whatever class or method user code has given it."""
    _write(stream, text)


def _usable(stream: Any) -> bool:
    try:
        return stream is not None and not getattr(stream, "closed", False)
    except Exception:  # The user's own, which may raise anything; or one that was detached.
        return False


class Nowhere(Streams):
    """Streams for the warm-up, in a process whose output is not a cell's."""

    def __init__(self) -> None:
        self.out = self.err = _Stream(io.BytesIO(), encoding="utf-8")

    def install(self) -> None:
        """Leave `sys` alone."""

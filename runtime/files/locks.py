"""Locks on files: one process at a time, released by the system however the process ends."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from runtime.errors import MathCoderError, WriteError


def lock(path: str | os.PathLike[str], busy: MathCoderError, *, mode: int = 0o666) -> int:
    """Open `path` for reading and appending, made with its folder where it is missing, and lock it.

    Returns:
        the descriptor; closing it releases the lock.

    Raises:
        WriteError: the file cannot be opened for writing.
        MathCoderError: `busy`, where another process holds the lock.
    """
    import fcntl

    path = Path(path)
    while True:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, mode)
        except OSError as error:
            raise WriteError.of(path, error) from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            raise busy from None
        except OSError as error:  # a file system without locks
            os.close(descriptor)
            raise WriteError.of(path, error) from error
        # The last one to hold the lock may have replaced or removed the file between the two calls.
        if _lies_at(descriptor, path):
            return descriptor
        os.close(descriptor)


@contextmanager
def locked(path: str | os.PathLike[str], busy: MathCoderError) -> Iterator[None]:
    """Hold the lock on `path` (see `lock`) for as long as the block runs."""
    descriptor = lock(path, busy)
    try:
        yield
    finally:
        os.close(descriptor)


def _lies_at(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(path))
    except FileNotFoundError:
        return False

"""Writing files so that no crash leaves a half-written one under the final name."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from runtime.errors import WriteError
from runtime.text import well_formed


@contextmanager
def atomic_path(target: str | os.PathLike[str], *, mode: int = 0o666) -> Iterator[Path]:
    """Yield a temporary file beside `target`; on success it is fsynced and renamed, else removed.

    The temporary file exists, empty, under a name nobody can foresee: what lies under that name is ours, no link that
    somebody put there. `mode` is narrowed by the umask, as for any new file.

    Raises:
        WriteError: no room, no permission, no such folder, or a device or pipe; what stood under `target` is untouched.
    """
    target = Path(target)
    temporary = target.with_name(f".{target.name[:80]}.{secrets.token_hex(6)}.tmp")
    try:
        if target.exists() and not (target.is_file() or target.is_dir()):
            # A rename would put a file in the place of the device or pipe, for root even in that of /dev/null.
            raise OSError(errno.EINVAL, "it is a device or a pipe, and only files are written whole", str(target))
        target.parent.mkdir(parents=True, exist_ok=True)
        os.close(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode))
        try:
            yield temporary
            with open(temporary, "rb+") as handle:
                os.fsync(handle.fileno())
            os.replace(temporary, target)
            fsync(target.parent)  # the rename itself is durable only once the directory entry is on disk
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        # What the caller could not read while it wrote is not ours to explain.
        if isinstance(error, WriteError) or error.filename not in (None, *map(str, (target, temporary, target.parent))):
            raise
        raise WriteError.of(target, error) from error


def write_text(target: str | os.PathLike[str], text: str, *, mode: int = 0o666) -> None:
    """Write `text` as UTF-8 to `target` atomically; half of a surrogate pair is written as U+FFFD.

    Raises:
        WriteError: see `atomic_path`.
    """
    with atomic_path(target, mode=mode) as temporary:
        temporary.write_text(well_formed(text), encoding="utf-8")


def write_json(target: str | os.PathLike[str], value: Any) -> None:
    """Write `value` as indented JSON to `target`, atomically; what JSON has no form for as its text.

    Raises:
        WriteError: see `atomic_path`.
    """
    write_text(target, json.dumps(value, indent=2, ensure_ascii=False, default=str) + "\n")


def sha256_file(path: str | os.PathLike[str]) -> str:
    """Hex SHA-256 of a file's bytes."""
    with open(path, "rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def fsync(path: Path) -> None:
    """Wait until a file, or the entries of a folder, are on disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

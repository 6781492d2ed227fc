"""Scratch folders in a shared file system: what they hold, and emptying them whatever is there."""

from __future__ import annotations

import contextlib
import os


def disk_use(folder: str) -> tuple[int, int]:
    """Bytes and entries below a folder, not following links.

    Goes down and up by descriptors: below a path that is too long to be opened by name, anything could be hidden.
    """
    size = entries = 0
    try:
        here = os.open(folder, _FOLDER)
    except OSError:
        return 0, 0
    levels: list[list[str]] = []
    """Folders yet to be looked into: of the top folder, of one in it, and so on down to where we are."""
    try:
        while True:
            inside: list[str] = []
            with contextlib.suppress(OSError), os.scandir(here) as found:
                for entry in found:
                    entries += 1
                    with contextlib.suppress(OSError):
                        if entry.is_dir(follow_symlinks=False):
                            inside.append(entry.name)
                        else:
                            size += entry.stat(follow_symlinks=False).st_blocks * 512
            levels.append(inside)
            while (inner := _step_into(here, levels[-1])) is None:
                levels.pop()
                if not levels:
                    return size, entries
                above = os.open("..", _FOLDER, dir_fd=here)
                os.close(here)
                here = above
            os.close(here)
            here = inner
    except OSError:
        return size, entries  # Moved while we looked; the next look is soon.
    finally:
        os.close(here)


def disk_is_full(folder: str) -> bool:
    """Whether the file system that holds `folder` has no room left, for whatever reason."""
    try:
        found = os.statvfs(folder)
    except OSError:
        return False
    return found.f_bavail * found.f_frsize < _ROOM or (found.f_files > 0 and found.f_favail == 0)


_ROOM = 256 << 10
"""Bytes without which a cell cannot be expected to write what it wants to."""
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def _step_into(here: int, names: list[str]) -> int | None:
    """Open the next of these folders that can be opened; None where there is none left."""
    while names:
        with contextlib.suppress(OSError):
            return os.open(names.pop(), _FOLDER, dir_fd=here)
    return None


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

"""Where files go and whether they can: working folder, cache, chats, settings."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from recipes.doctor.finding import Finding
from recipes.doctor.machine import GIGABYTE
from runtime.errors import MathCoderError
from runtime.files import cache_folder, home_folder

AREA = "files"


def files() -> Iterator[Finding]:
    """Working folder, home, cache, chats, settings."""
    from recipes.places import settings_file, state_folder, tilde
    from recipes.preferences import gather, preferences

    yield _place("working folder", Path.cwd, "Results are written here: go to a folder that you can write to.")
    yield _place("home", Path.home, "Set HOME to a folder that you can write to.")
    yield _place("cache", cache_folder, "Set MATHCODER_CACHE to another folder.")
    remedy = "Set XDG_STATE_HOME to another folder: chats and history are not kept until then."
    yield _place("chats", lambda: state_folder() / "chats", remedy)
    try:
        preferences()
        _, origins = gather()
        told = ", ".join(f"{key} from {origin}" for key, origin in origins.items())
        yield Finding(AREA, "settings", "ok", told or f"none ({tilde(settings_file())} would be read)")
    except MathCoderError as error:
        yield Finding(AREA, "settings", "bad", str(error), f"Correct {tilde(settings_file())} or the variable.")


def _place(name: str, folder: Callable[[], Path], remedy: str) -> Finding:
    """Whether a file can be made where `folder` says, tried in the part of it that exists."""
    from recipes.places import tilde

    try:
        path = folder()
    except RuntimeError:  # of Path.home: none in the environment, none in the passwd file
        detail = f"this user has none; {home_folder()} stands in for it, and goes with the temporary files"
        return Finding(AREA, name, "note", detail, remedy)
    except OSError as error:  # of Path.cwd: the folder was removed
        return Finding(AREA, name, "note", f"not found ({error})", remedy)
    if name == "home" and not path.is_dir():
        return Finding(AREA, name, "note", f"{path} does not exist", remedy)
    existing = next(part for part in (path, *path.parents) if os.path.exists(part))
    try:
        free = shutil.disk_usage(existing).free / GIGABYTE
        with tempfile.TemporaryFile(dir=existing):
            pass
    except OSError as error:
        return Finding(AREA, name, "note", f"{tilde(path)}: {error.strerror} in {tilde(existing)}", remedy)
    if free < 1:
        return Finding(AREA, name, "note", f"{tilde(path)}: {free:.1f} GiB free", f"Free some space. {remedy}")
    return Finding(AREA, name, "ok", f"{tilde(path)}: {free:.1f} GiB free")

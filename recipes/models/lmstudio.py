"""LM Studio's models: a folder of PUBLISHER/REPOSITORY/FILE.gguf, which its settings may have moved."""

from __future__ import annotations

import json
import os
from pathlib import Path

from recipes.models.found import Look
from runtime.files import home_folder

PREFIX = "lmstudio:"
_DEPTH = 4
_LARGEST = 1 << 20
"""Bytes of its settings that are read."""


def look_at_lmstudio() -> Look:
    """What LM Studio holds, as `lmstudio:PUBLISHER/REPOSITORY/FILE`."""
    look = Look("LM Studio")
    seen: set[str] = set()
    for folder in dict.fromkeys(Path(os.path.realpath(path)) for path in _folders()):
        for files, root in look.models(folder, _DEPTH):
            if files.stem not in seen:
                seen.add(files.stem)
                look.add(f"{PREFIX}{files.stem}", [root / name for name in files.files], missing=files.missing)
    return look


def _folders() -> list[Path]:
    home = home_folder()
    homes = [home / ".lmstudio", home / ".cache" / "lm-studio"]
    # A file that says where LM Studio's own folder is.
    pointed = _text(home / ".lmstudio-home-pointer").strip()
    if pointed and os.path.isabs(pointed):
        homes.insert(0, Path(pointed))
    folders = []
    for own in homes:
        try:
            settings = json.loads(_text(own / "settings.json") or "{}")
        except (ValueError, RecursionError):
            settings = {}
        moved = settings.get("downloadsFolder") if isinstance(settings, dict) else None
        if isinstance(moved, str) and os.path.isabs(moved) and "\0" not in moved:
            folders.append(Path(moved))
        folders.append(own / "models")
    return folders


def _text(path: Path) -> str:
    """The text of a small file; empty where there is none that can be read."""
    try:
        if not path.is_file():
            return ""
        with open(path, "rb") as handle:
            return handle.read(_LARGEST).decode("utf-8", "replace")
    except OSError:
        return ""

"""The person's own GGUF files: the packaged one, working folder, models folder, and settings."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from recipes import smollm2
from recipes.models.certificates import certificate_of
from recipes.models.fetched import FOLDER
from recipes.models.found import Found, Look
from recipes.models.names import FileSet, file_sets
from recipes.places import PACKAGED_MODEL, models_folder
from recipes.preferences import preferences

NANO = "nano"
DEPTH = 3
"""Folders below the working folder that are searched; deep enough for runs/NAME-HASH8/export/."""


def look_at_own() -> Look:
    """Every GGUF file in the places that are searched, the packaged one first, then by name."""
    look = Look("")
    seen: set[Path] = set()
    for files, folder in _candidates(look):
        parts = [folder / name for name in files.files]
        real = Path(os.path.realpath(parts[0]))
        if real not in seen:
            seen.add(real)
            # llama.cpp finds the other parts by the name of the first, so that name is kept.
            parts = parts if files.of > 1 else [real]
            look.add(_name(real, files), parts, missing=files.missing, certificate=certificate_of(parts[0]))
    look.found.sort(key=lambda item: (not _is_packaged(item), item.name, item.path))
    return look


def _is_packaged(item: Found) -> bool:
    return item.name == NANO and item.path == PACKAGED_MODEL.resolve()


def _name(path: Path, files: FileSet) -> str:
    if path == PACKAGED_MODEL.resolve():
        return NANO
    return smollm2.NAME if smollm2.adapter_for(path) is not None else files.base


def _candidates(look: Look) -> Iterator[tuple[FileSet, Path]]:
    yield from _one(PACKAGED_MODEL)
    if (base := smollm2.base_file(models_folder())) is not None:
        yield from _one(base)
    here = Path.cwd()
    yield from look.models(here, 0)
    for folder in (here / "runs", here / "demo-out", here / "models"):
        yield from look.models(folder, DEPTH)
    # What was fetched from the hub lies there too, under names of its own.
    kept = models_folder()
    yield from look.models(kept, 0)
    for folder in look.entries(kept):
        if folder.name != FOLDER and not folder.name.startswith("."):
            yield from look.models(folder, DEPTH - 1)
    for name in preferences().models:
        yield from look.models(Path(name).expanduser(), DEPTH)


def _one(path: Path) -> list[tuple[FileSet, Path]]:
    return [(files, path.parent) for files in file_sets([path.name])] if path.is_file() else []

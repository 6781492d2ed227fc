"""The GGUF files on this machine, and the one a name stands for."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recipes import smollm2
from recipes.places import PACKAGED_MODEL, models_folder
from recipes.preferences import preferences
from runtime.errors import InputError
from runtime.text import did_you_mean

NANO = "nano"
_DEPTH = 3
"""Folders below the working folder that are searched; deep enough for runs/NAME-HASH8/export/."""


@dataclass(frozen=True)
class Found:
    """One GGUF file."""

    name: str
    path: Path
    size: int
    certificate: str

    def as_dict(self) -> dict[str, Any]:
        """For `--json`; size in bytes."""
        return {"name": self.name, "path": str(self.path), "bytes": self.size, "certificate": self.certificate}


def find() -> list[Found]:
    """Every GGUF file in the places that are searched, the packaged one first, then by name."""
    seen: dict[Path, Found] = {}
    for path in _candidates():
        real = path.resolve()
        if real not in seen and real.is_file():
            seen[real] = Found(_name(real), real, real.stat().st_size, _certificate(path))
    packaged = [item for item in seen.values() if item.name == NANO and item.path == PACKAGED_MODEL.resolve()]
    return packaged + sorted((item for item in seen.values() if item not in packaged), key=lambda i: (i.name, i.path))


def _name(path: Path) -> str:
    if path == PACKAGED_MODEL.resolve():
        return NANO
    return smollm2.NAME if smollm2.adapter_for(path) is not None else path.stem


def resolve(name: str | None) -> Path:
    """The file behind a path, `nano`, or a name from the list; None takes the model in the settings.

    Raises:
        InputError: no such model; the message says what there is.
    """
    if name is None:
        name = preferences().model
        if name is None:
            raise InputError("no model was named", "", "name one (mathcoder models lists them), or set MATHCODER_MODEL")
    path = Path(name).expanduser()
    if path.is_file():
        return path
    if name == NANO:
        if PACKAGED_MODEL.is_file():
            return PACKAGED_MODEL
        raise InputError("this installation lacks the packaged nano model", "", "make one with `mathcoder demo`")
    if name == smollm2.NAME:
        if (base := smollm2.base_file(models_folder())) is not None:
            return base
        raise InputError(
            f"the base of {smollm2.NAME} is not on this machine",
            "its packaged adapter alone writes nothing",
            f"fetch it (98 MB): mathcoder models get {smollm2.NAME}",
        )
    if path.is_dir():
        inside = sorted(path.glob("*.gguf"))
        if len(inside) == 1:
            return inside[0]
        choice = ", ".join(str(item) for item in inside)
        remedy = f"name one of its files: {choice}" if inside else "there is none in it; name another folder or a file"
        raise InputError(f"{name} is a folder, not a GGUF file", "", remedy)
    found = find() if os.sep not in name else []
    matches = [item for item in found if item.name == name or item.path.name == name]
    if len(matches) == 1:
        return matches[0].path
    if len(matches) > 1:
        raise InputError(f"{name} stands for several files", "", "name one: " + ", ".join(str(m.path) for m in matches))
    names = [item.name for item in found]
    known = did_you_mean(name, names, "did you mean {}? ")
    raise InputError(f"there is no model file {name}", "", f"{known}`mathcoder models` lists what there is")


def examples_of(path: Path) -> list[str]:
    """Problems that the model at `path` is known to solve; empty where nothing is known."""
    from recipes.nano.examples import EXAMPLES

    return list(EXAMPLES) if path.resolve() == PACKAGED_MODEL.resolve() else []


def size_text(size: int) -> str:
    """Bytes as a person reads them."""
    value, unit = float(size), "B"
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if value < 1000 or unit == "TB":
            break
        value /= 1000
    return f"{value:.0f} {unit}" if value >= 100 or unit == "B" else f"{value:.1f} {unit}"


def _candidates() -> Iterator[Path]:
    yield PACKAGED_MODEL
    if (base := smollm2.base_file(models_folder())) is not None:
        yield base
    here = Path.cwd()
    yield from sorted(here.glob("*.gguf"))
    for folder in (here / "runs", here / "demo-out", here / "models"):
        yield from _below(folder)
    yield from _below(models_folder())
    for folder_name in preferences().models:
        yield from _below(Path(folder_name).expanduser())


def _below(folder: Path) -> Iterator[Path]:
    if not folder.is_dir():
        return
    for root, folders, files in os.walk(folder):
        depth = len(Path(root).relative_to(folder).parts)
        # Hidden folders hold what is being written.
        folders[:] = sorted(name for name in folders if not name.startswith(".")) if depth < _DEPTH else []
        yield from (Path(root) / name for name in sorted(files) if name.endswith(".gguf") and not name.startswith("."))


def _certificate(path: Path) -> str:
    """What the certificate beside a file says about it, in a word or two."""
    for candidate in sorted(path.parent.glob("*.certificate.json")):
        stem = candidate.name.removesuffix(".certificate.json")
        if path.stem == stem or path.stem.startswith(f"{stem}-"):
            try:
                content = json.loads(candidate.read_text(encoding="utf-8"))
            except (OSError, ValueError):
                return "unreadable"
            return _verdict(content, path)
    return "none"


def _verdict(content: Any, path: Path) -> str:
    if not isinstance(content, dict):
        return "unreadable"
    files = content.get("files")
    entries = files.values() if isinstance(files, dict) else files if isinstance(files, list) else []
    for entry in entries:
        if isinstance(entry, dict) and Path(str(entry.get("file", ""))).name == path.name:
            return "holds" if entry.get("certified") else "does not hold"
    certified = content.get("certified")
    if isinstance(certified, bool):
        return "holds" if certified else "does not hold"
    return "present"

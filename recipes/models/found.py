"""What a look for models brings: the ones that can be used, and what could not be, with the reason."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from export.gguf.file import first_keys
from recipes.models.names import FileSet, file_sets
from runtime.text import for_screen

LONGEST = 400
"""Characters of a name on the screen; files of others can be called anything."""
_NO_MODELS = ("adapter", "mmproj", "imatrix")
"""What `general.type` says of GGUF files that are no models."""


@dataclass(frozen=True)
class Found:
    """One model: a GGUF file, or the first of its parts.

    Attributes:
        name: what `chat` and the others call it.
        path: file, or first part.
        size: bytes of all parts.
        certificate: what the certificate beside it says, in a word or two.
        place: the program that holds it; empty where it is a file of the person's own.
        parts: files that it consists of.
    """

    name: str
    path: Path
    size: int
    certificate: str = "none"
    place: str = ""
    parts: int = 1

    def as_dict(self) -> dict[str, Any]:
        """For `--json`; size in bytes."""
        return {
            "name": self.name,
            "path": str(self.path),
            "bytes": self.size,
            "certificate": self.certificate,
            "place": self.place or "file",
            "parts": self.parts,
        }


@dataclass(frozen=True)
class Unusable:
    """What looks like a model and cannot be used, or a folder that cannot be looked into."""

    name: str
    place: str
    reason: str

    @property
    def told(self) -> str:
        """One line for a person."""
        return one_line(f"{self.place}: {self.name}: {self.reason}" if self.place else f"{self.name}: {self.reason}")


@dataclass
class Look:
    """One look into the folders of `place`, which collects what is there."""

    place: str
    found: list[Found] = field(default_factory=list)
    unusable: list[Unusable] = field(default_factory=list)

    def refuse(self, name: object, reason: str) -> None:
        """Note that `name` cannot be used."""
        self.unusable.append(Unusable(one_line(str(name)), self.place, reason))

    def entries(self, folder: Path) -> list[Path]:
        """What lies in `folder`, by name; nothing where there is none, a line where it may not be read."""
        try:
            return [folder / name for name in sorted(os.listdir(folder))]
        except (FileNotFoundError, NotADirectoryError):
            return []
        except OSError as error:
            self.refuse(folder, f"cannot be read: {error.strerror or error}")
            return []

    def files(self, folder: Path, depth: int) -> list[Path]:
        """The files in `folder` and down to `depth` folders below it, by name; hidden ones are left out."""
        result: list[Path] = []
        for path in self.entries(folder):
            if path.name.startswith("."):
                continue
            if not os.path.isdir(path):
                result.append(path)
            elif depth > 0 and not _leads_back(path):
                result += self.files(path, depth - 1)
        return result

    def models(self, folder: Path, depth: int) -> list[tuple[FileSet, Path]]:
        """The models below `folder`, parts together, and the folder that their names are relative to."""
        paths = self.files(folder, depth)
        return [(files, folder) for files in file_sets(str(path.relative_to(folder)) for path in paths)]

    def add(self, name: str, files: Iterable[Path], *, missing: int = 0, certificate: str = "none") -> bool:
        """Add the model that consists of `files`, in order; a line says why where it cannot be used."""
        parts, size = list(files), 0
        for path in parts:
            try:
                if not os.path.isfile(path):
                    gone = os.path.islink(path) and not os.path.exists(path)
                    self.refuse(name, f"{path.name} is a link to a file that is gone" if gone else "is not a file")
                    return False
                size += path.stat().st_size
                header = first_keys(path)
            except OSError as error:
                self.refuse(name, f"cannot be read: {error.strerror or error}")
                return False
            if header is None:
                self.refuse(name, f"{one_line(path.name)} is not a GGUF file")
                return False
            if header.get("general.type") in _NO_MODELS or header.get("general.architecture") == "clip":
                return False
        if missing:
            self.refuse(name, f"{missing} of its {len(parts) + missing} files are missing")
            return False
        self.found.append(Found(one_line(name), parts[0], size, certificate, self.place, len(parts)))
        return True


def _leads_back(folder: Path) -> bool:
    """Whether a folder is a link to one that it lies in."""
    return os.path.islink(folder) and Path(os.path.realpath(folder.parent)).is_relative_to(os.path.realpath(folder))


def one_line(name: str) -> str:
    """A name as the screen may show it: one line, of bounded length, without what a terminal acts on."""
    flat = " ".join(for_screen(name).split())
    return flat if len(flat) <= LONGEST else f"{flat[:LONGEST]}…"

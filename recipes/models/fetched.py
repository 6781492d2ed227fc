"""What was fetched from the hub into the models folder: whole models, and downloads cut short."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from recipes.models.found import Look
from recipes.places import models_folder
from runtime.files import write_json
from runtime.text import size_text

FOLDER = "hf"
"""Below the models folder: ORG/REPO/FILE.gguf, and beside each model its record."""
STAGING = ".fetching"
"""Below a repository's folder: what has come so far, in files named by their hash, and the record of the whole."""
RECORD = ".fetched.json"
_PLAIN = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._+ -]{0,200}\Z")
_SHA256 = re.compile(r"[0-9a-f]{64}\Z")


@dataclass(frozen=True)
class Part:
    """One file of a model: its path in the repository, bytes, and SHA-256 in hex."""

    file: str
    size: int
    sha256: str

    @property
    def is_sound(self) -> bool:
        """Whether the path stays in its folder and the hash is one: both come from outside."""
        return is_plain(self.file) and _SHA256.match(self.sha256) is not None and self.size >= 0


@dataclass(frozen=True)
class Record:
    """One model of a hub repository.

    Attributes:
        repository: ORG/REPO.
        tag: quantization, or the file's stem.
        revision: commit that it comes from.
        parts: its files, in order.
    """

    repository: str
    tag: str
    revision: str
    parts: tuple[Part, ...]

    @property
    def name(self) -> str:
        """What `chat` and the others call it."""
        return f"hf:{self.repository}:{self.tag}"

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(part.size for part in self.parts)

    @property
    def folder(self) -> Path:
        """Where its files lie."""
        return models_folder() / FOLDER / self.repository

    @property
    def staging(self) -> Path:
        """Where its files grow until they are whole."""
        return self.folder / STAGING

    @property
    def files(self) -> list[Path]:
        """Its files, whether they are there yet or not."""
        return [self.folder / part.file for part in self.parts]

    @property
    def arrived(self) -> int:
        """Bytes that have come so far."""
        try:
            whole = {part.sha256 for part in _read(self._file(self.folder)).parts}
        except (OSError, ValueError, KeyError, TypeError):
            whole = set()
        there = zip(self.files, self.parts, strict=True)
        return sum(_size(path if part.sha256 in whole else self.growing(part)) for path, part in there)

    def growing(self, part: Part) -> Path:
        """The file that `part` grows in; two versions of a file never share one."""
        return self.staging / f"{part.sha256}.part"

    def _file(self, folder: Path) -> Path:
        return folder / f"{re.sub(r'[^A-Za-z0-9._-]', '_', self.tag)}{RECORD}"

    def write(self, *, whole: bool) -> None:
        """Write the record: beside the model where it is whole, else where the model grows."""
        write_json(self._file(self.folder if whole else self.staging), asdict(self))
        if whole:
            self._file(self.staging).unlink(missing_ok=True)

    def remove(self) -> None:
        """Delete the model, its record, and what has come of it; the folders go where they are empty."""
        for path in (*self.files, self._file(self.folder), self._file(self.staging), *map(self.growing, self.parts)):
            path.unlink(missing_ok=True)
        if os.path.isdir(self.staging) and not any(path.suffix == ".part" for path in self.staging.iterdir()):
            shutil.rmtree(self.staging)
        inside = {path.parent for path in self.files} | {self.folder, self.folder.parent}
        for folder in sorted(inside, key=lambda path: -len(path.parts)):
            if os.path.isdir(folder) and not os.listdir(folder):
                folder.rmdir()


def is_plain(path: str) -> bool:
    """Whether a path from outside consists of plain names, and so stays below its folder."""
    return len(path) < 400 and all(_PLAIN.match(part) for part in path.split("/"))


def look_at_fetched() -> Look:
    """The models that were fetched from the hub, as `hf:ORG/REPO:TAG`; a line for each that is not whole."""
    look = Look("fetched")
    for folder in _repositories(look):
        for record in _records(look, folder):
            present = [path for path in record.files if path.is_file()]
            look.add(record.name, present or record.files, missing=len(record.files) - len(present) if present else 0)
        for record in _records(look, folder / STAGING):
            so_far = f"{size_text(record.arrived)} of {size_text(record.size)} came"
            look.refuse(record.name, f"{so_far}; `mathcoder models get {record.name}` goes on")
    return look


def find_record(name: str) -> Record | None:
    """The record of a model that was fetched, whole or not.

    Without a tag: of the only one of its repository.
    """
    look = Look("fetched")
    folders = [place for folder in _repositories(look) for place in (folder, folder / STAGING)]
    by_name = {record.name.casefold(): record for place in reversed(folders) for record in _records(look, place)}
    of_repository = [record for key, record in by_name.items() if key.startswith(f"{name.casefold()}:")]
    return by_name.get(name.casefold()) or (of_repository[0] if len(of_repository) == 1 else None)


def _repositories(look: Look) -> Iterator[Path]:
    for organization in look.entries(models_folder() / FOLDER):
        yield from look.entries(organization)


def _records(look: Look, folder: Path) -> Iterator[Record]:
    for path in look.entries(folder):
        if path.name.endswith(RECORD) and os.path.isfile(path):
            try:
                record = _read(path)
            except (OSError, ValueError, KeyError, TypeError):
                look.refuse(path, "is not a record that `mathcoder models get` wrote")
                continue
            # A record that was moved would name files of another folder.
            if record.folder in (folder, folder.parent):
                yield record


def _read(path: Path) -> Record:
    """The record in a file.

    Raises OSError, or ValueError, KeyError or TypeError where it holds another thing.
    """
    content: Any = json.loads(path.read_bytes())
    parts = tuple(Part(str(part["file"]), int(part["size"]), str(part["sha256"])) for part in content["parts"])
    record = Record(str(content["repository"]), str(content["tag"]), str(content["revision"]), parts)
    if not parts or not is_plain(record.repository) or not all(part.is_sound for part in parts):
        raise ValueError("not a record of ours")
    return record


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0

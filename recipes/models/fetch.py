"""Fetching a model from the hub: which files, what is said about them, and the download itself."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from recipes.models.caches import HUB_PREFIX
from recipes.models.fetched import Part, Record, is_plain
from recipes.models.found import one_line
from recipes.models.names import FileSet, file_sets, find_tag, preferred, tagged
from recipes.places import tilde
from runtime.errors import InputError, ModelError, WriteError
from runtime.files import HubFile, download, locked, published, sha256_file
from runtime.text import size_text

NOTHING = "nothing was fetched"
_NAME = re.compile(r"hf:(?P<repository>[A-Za-z0-9][A-Za-z0-9._-]*/[A-Za-z0-9._-]+)(?::(?P<tag>[^:]+))?\Z")
_ROOM = 100_000_000
"""Bytes that are left free on the disk."""


@dataclass(frozen=True)
class Offer:
    """What would be fetched, and what else the repository has (bytes by tag)."""

    record: Record
    others: dict[str, int]

    @property
    def told(self) -> str:
        """One line for a person."""
        count = len(self.record.parts)
        files = f" in {count} files" if count > 1 else ""
        return f"{self.record.name}: {size_text(self.record.size)}{files}"

    @property
    def told_others(self) -> str:
        """What else there is, the smallest first; empty where there is nothing else."""
        if not self.others:
            return ""
        by_size = sorted(self.others.items(), key=lambda item: item[1])
        return "There is also " + ", ".join(f"{one_line(tag)} ({size_text(size)})" for tag, size in by_size)


def offer(name: str) -> Offer:
    """What `hf:ORG/REPO[:TAG]` stands for on the hub.

    Without a tag: the usual quantization of about 4 bits.

    Raises:
        InputError: the name is not one, the hub cannot be asked or refuses, or it has no such model.
        ModelError: the repository tells of files that cannot be fetched safely.
    """
    named = _NAME.match(name.removesuffix(".gguf"))
    if named is None or not is_plain(named["repository"]):
        raise InputError(f"{one_line(name)} is not a name of the hub", NOTHING, f"write {HUB_PREFIX}ORG/REPO[:QUANT]")
    if importlib.util.find_spec("huggingface_hub") is None:
        raise InputError("huggingface_hub is not installed", NOTHING, 'pip install "mathcoder-toolkit[hub]"')
    repository, wanted = named["repository"], named["tag"]
    remedy = "use a model of this machine (`mathcoder models` lists them)"
    revision, files = published(repository, consequence=NOTHING, remedy=remedy)
    by_path = {file.path: file for file in files}
    sets = tagged(item for item in file_sets(by_path) if not item.missing)
    sizes = {tag: sum(by_path[path].size for path in item.files) for tag, item in sets.items()}
    tag = _chosen(repository, wanted, sizes)
    record = Record(repository, tag, revision, _parts(repository, sets[tag], by_path))
    return Offer(record, {other: size for other, size in sizes.items() if other != tag})


def _chosen(repository: str, wanted: str | None, sizes: dict[str, int]) -> str:
    if not sizes:
        raise InputError(
            f"{repository} holds no GGUF file",
            NOTHING,
            "name a repository of GGUF files (their names often end in -GGUF)",
        )
    tag = preferred(sizes) if wanted is None else find_tag(sizes, wanted)
    if tag is not None:
        return tag
    there = ", ".join(f"{one_line(tag)} ({size_text(size)})" for tag, size in sorted(sizes.items(), key=lambda i: i[1]))
    cause = f"{repository} has no {one_line(wanted)}" if wanted else f"{repository} holds several models"
    raise InputError(cause, NOTHING, f"name one of: {there}")


def _parts(repository: str, files: FileSet, by_path: dict[str, HubFile]) -> tuple[Part, ...]:
    parts = []
    for path in files.files:
        part = Part(path, by_path[path].size, by_path[path].sha256 or "")
        if not part.is_sound:
            raise ModelError(
                f"{repository} tells of a file {one_line(path)!r} without a plain name or without a SHA-256",
                f"what came could not be checked, so {NOTHING}",
                "take another repository",
            )
        parts.append(part)
    return tuple(parts)


def fetch_model(record: Record, arrived: Callable[[int], None]) -> None:
    """Download what is missing of a model, check it, and put it into the models folder.

    What has come stays where the download is cut, and is gone on from. No file stands under its name before its hash
    was found right.

    Args:
        record: from `offer`.
        arrived: called with the bytes of each piece that has come.

    Raises:
        InputError: the hub cannot be reached or refuses.
        ModelError: a file is not the one that the hub tells of.
        WriteError: no room.
    """
    busy = InputError(f"{record.name} is being fetched by another process", NOTHING, "wait for it, or stop it")
    with locked(record.staging / "lock", busy):
        _check_room(record)
        record.write(whole=False)
        missing = [(part, path) for part, path in zip(record.parts, record.files, strict=True) if not _is(part, path)]
        for part, _ in missing:
            _fetch_part(record, part, arrived)
        # Only now: parts of two versions never lie side by side.
        for part, path in missing:
            path.parent.mkdir(parents=True, exist_ok=True)
            os.replace(record.growing(part), path)
        record.write(whole=True)
    if not any(path.suffix in (".part", ".json") for path in record.staging.iterdir()):
        shutil.rmtree(record.staging)


def _is(part: Part, path: Path) -> bool:
    return path.is_file() and path.stat().st_size == part.size and sha256_file(path) == part.sha256


def _fetch_part(record: Record, part: Part, arrived: Callable[[int], None]) -> None:
    growing = record.growing(part)
    if growing.is_file() and growing.stat().st_size > part.size:
        growing.unlink()
    download(
        record.repository,
        HubFile(part.file, part.size, part.sha256),
        record.revision,
        growing,
        arrived,
        consequence="what has come is kept",
        remedy=f"go on with the same command: mathcoder models get {record.name}",
    )
    if (digest := sha256_file(growing)) != part.sha256:
        growing.unlink()
        raise ModelError(
            f"{part.file} of {record.repository} came with the SHA-256 {digest[:12]}…, and the hub tells of "
            f"{part.sha256[:12]}…",
            "it was damaged or exchanged on the way, and was not kept",
            "give the same command again; if it fails again, do not use this repository",
        )


def _check_room(record: Record) -> None:
    missing = record.size - record.arrived
    record.staging.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(record.staging).free
    if missing + _ROOM > free:
        raise WriteError(
            f"{record.name} needs {size_text(missing)} more, and {tilde(record.folder)} has {size_text(free)} free",
            NOTHING,
            "make room, take a smaller quantization, or set XDG_DATA_HOME to another disk",
        )

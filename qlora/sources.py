"""Where rows come from: local files, folders, and data sets of the Hugging Face hub."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

from runtime.errors import DataError, InputError
from runtime.files import fetch, read_lines

SUFFIXES = (".jsonl", ".jsonl.gz", ".parquet")
PREFERRED_FILE = {"MathLLMs/MathCodeInstruct": "train_80k.jsonl"}
"""Hub data sets that hold more than one file of rows, and the one their own documentation trains on."""

_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")


class _Hash(Protocol):
    def update(self, data: bytes, /) -> None: ...


def resolve(source: str, *, file: str | None = None, revision: str | None = None) -> list[Path]:
    """The files behind `source`, in the order in which they are read.

    Raises:
        InputError: nothing is there, or it is of a format that is not read.
        DataError: the hub cannot be reached and the data set is not in its cache.
    """
    path = Path(source).expanduser()
    if path.is_dir():
        return _files_in(path, source, file)
    if path.exists():
        if not source.endswith(SUFFIXES):
            raise InputError(
                f"{source} does not end in one of {', '.join(SUFFIXES)}",
                "it cannot be read as rows",
                "convert or rename it",
            )
        return [path]
    if _HUB_ID.fullmatch(source) and not source.endswith(SUFFIXES):
        return _files_in(_from_hub(source, revision), source, file or PREFERRED_FILE.get(source))
    raise InputError(
        f"{source} does not exist", "there are no rows to read", "check the path, or give a hub id such as NAME/DATASET"
    )


def _files_in(folder: Path, source: str, file: str | None) -> list[Path]:
    found = sorted(path for path in folder.rglob("*") if path.name.endswith(SUFFIXES))
    if file is not None:
        found = [path for path in found if path.relative_to(folder).as_posix() == file]
    if not found:
        wanted = file or " or ".join(SUFFIXES)
        raise InputError(f"{source} holds no file {wanted}", "there are no rows to read", "check data.file")
    return found


def _from_hub(name: str, revision: str | None) -> Path:
    preferred = PREFERRED_FILE.get(name)
    return fetch(
        name,
        "dataset",
        [preferred] if preferred else ["*" + suffix for suffix in SUFFIXES],
        revision=revision,
        consequence="there are no rows to read",
        remedy="download the file and give its path",
    )


def read_sources(files: Sequence[Path], digest: _Hash) -> Iterator[tuple[str, int, Any]]:
    """Yield `(file, line, value)` for every line or record; `value` is a `BadLine` where it is not JSON.

    `digest` is fed each file's bytes as they lie on disk.
    """
    for path in files:
        _hash_file(path, digest)
        if path.name.endswith(".parquet"):
            for line, value in _parquet(path):
                yield str(path), line, value
        else:
            yield from read_lines(path, halves=True)


def _hash_file(path: Path, digest: _Hash) -> None:
    with _reading(path), open(path, "rb") as handle:
        while chunk := handle.read(1 << 20):
            digest.update(chunk)


def _parquet(path: Path) -> Iterator[tuple[int, Any]]:
    import pyarrow.parquet

    with _reading(path):
        number = 0
        for batch in pyarrow.parquet.ParquetFile(path).iter_batches(batch_size=1024):
            for value in batch.to_pylist():
                number += 1
                yield number, value


class _reading:  # noqa: N801 - used as a verb
    """Turn what goes wrong while reading `path` into one error that names it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> None:
        import zlib

        broken: tuple[type[BaseException], ...] = (OSError, EOFError, zlib.error)
        if self.path.name.endswith(".parquet"):
            import pyarrow

            broken += (pyarrow.ArrowException,)
        if error is not None and isinstance(error, broken):
            raise DataError(
                f"{self.path} cannot be read to its end ({type(error).__name__}: {error})",
                "a truncated file is never trained on",
                "fetch or write it again",
            ) from error

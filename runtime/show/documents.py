"""Results files: one JSON line per solution, appended so that no crash repeats or loses one.

Beside `results.jsonl` stands `results.meta.json` with the facts of the run. A run that finds both continues where the
file ends, and only if the facts that decide what is measured (model, settings, data) are the same.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from runtime.errors import DataError, InputError
from runtime.files import write_text

if TYPE_CHECKING:
    from runtime.solver import Solution
    from runtime.solver.batch import Item

SYNC_SECONDS = 0.25
Key = tuple[str, int]
"""(id, sample): what a results file holds exactly once."""

DECIDING = (
    "model_sha256",
    "lora_sha256",
    "model",
    "endpoint",
    "mode",
    "settings",
    "limits",
    "data",
    "samples",
    "n_ctx",
    "dialect",
)
"""Facts that must not change within one file; versions, threads and slots are recorded but may."""


def result_line(
    item: Item, solution: Solution, *, strict: bool | None = None, lenient: bool | None = None
) -> dict[str, Any]:
    """One results line.

    Args:
        item: what was asked.
        solution: what came of it.
        strict: verdict of the strict grader, None where there is no gold answer.
        lenient: verdict of the lenient grader, likewise.
    """
    told = solution.as_dict()
    return {
        "id": item.id,
        "index": item.index,
        "sample": item.sample,
        "question": item.question,
        "gold": item.gold,
        "blocks": told["blocks"],
        "answer": told["answer"],
        "strict": strict,
        "lenient": lenient,
        "status": told["status"],
        "detail": told["detail"],
        "tokens": told["tokens"],
        "cells": told["cells"],
        "failed_cells": told["failed_cells"],
        "ms": told["ms"],
        "seed": told["seed"],
    }


def meta_path(results: str | os.PathLike[str]) -> Path:
    """Where the facts of the run that wrote `results` stand."""
    path = Path(results)
    return path.with_name(path.name.removesuffix(".jsonl") + ".meta.json")


def read_results(path: str | os.PathLike[str]) -> Iterator[dict[str, Any]]:
    """The complete lines of a results file.

    Raises:
        InputError: there is no such file.
        DataError: a line other than a torn last one is no JSON object.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"there is no results file at {path}", "", "check the path")
    with open(path, "rb") as handle:
        for number, raw in enumerate(handle, start=1):
            if not raw.endswith(b"\n"):
                # A crash between write and newline: that solution was never finished.
                return
            yield _parsed(raw, path, number)


def _parsed(raw: bytes, path: Path, number: int) -> dict[str, Any]:
    try:
        line = json.loads(raw)
    except ValueError as error:
        raise DataError(
            f"{path}, line {number} is no JSON ({error})", "the file is not continued", "repair or move it"
        ) from error
    if not isinstance(line, dict):
        raise DataError(f"{path}, line {number} is no JSON object", "the file is not continued", "repair or move it")
    return line


class ResultsFile:
    """A results file open for appending, by one process at a time.

    Args:
        path: the `.jsonl` file; its folder is made.
        facts: facts of this run, written to the meta file; DECIDING ones must equal those of an existing file.
        fresh: forget what an existing file holds, whatever run it belongs to.

    Raises:
        InputError: another process writes the file, or it belongs to another run.
        DataError: a line in the middle is broken.
    """

    def __init__(self, path: str | os.PathLike[str], facts: Mapping[str, Any], *, fresh: bool = False) -> None:
        self.path = Path(path)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._synced = 0.0
        self._descriptor = self._locked()
        try:
            if fresh:
                # Behind the lock: the file may be another process's work under way, and then it was refused above.
                os.ftruncate(self._descriptor, 0)
            self._check_meta(facts)
            self.done: set[Key] = self._recover()
        except BaseException:
            os.close(self._descriptor)
            raise

    def _locked(self) -> int:
        import fcntl

        while True:
            descriptor = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                os.close(descriptor)
                raise InputError(
                    f"another process is writing {self.path}",
                    "two would repeat each other's work",
                    "wait for it, or stop it",
                ) from error
            # The last one to hold the lock may have replaced or removed the file between the two calls.
            if _lies_at(descriptor, self.path):
                return descriptor
            os.close(descriptor)

    def _check_meta(self, facts: Mapping[str, Any]) -> None:
        meta = meta_path(self.path)
        now = json.loads(json.dumps(dict(facts), default=str))
        started = os.fstat(self._descriptor).st_size > 0
        if started and meta.is_file():
            before = json.loads(meta.read_text(encoding="utf-8"))
            if isinstance(before.get("limits"), dict):
                before["limits"].pop("error_wording", None)  # of version 0.1; it means nothing any more
            changed = [key for key in DECIDING if before.get(key) != now.get(key)]
            if changed:
                key = changed[0]
                raise InputError(
                    f"{self.path} was begun with another {', '.join(changed)} "
                    f"({key}: {_short(before.get(key))}, now {_short(now.get(key))})",
                    "mixing both in one file would measure neither",
                    "continue with the same call, or choose another output file",
                )
        write_text(meta, json.dumps(now, indent=2, ensure_ascii=False) + "\n")

    def _recover(self) -> set[Key]:
        done: set[Key] = set()
        failed: list[tuple[int, int]] = []
        end = 0
        with self.reading() as handle:
            for number, raw in enumerate(handle, start=1):
                if not raw.endswith(b"\n"):
                    break
                line = _parsed(raw, self.path, number)
                if line.get("status") == "error":
                    failed.append((end, len(raw)))
                else:
                    done.add((str(line["id"]), int(line.get("sample", 0))))
                end += len(raw)
        os.ftruncate(self._descriptor, end)
        if failed:
            self._drop(failed)
        return done

    def _drop(self, ranges: list[tuple[int, int]]) -> None:
        """Leave out the lines at these (start, bytes): the machine failed there, and the questions are solved again."""
        with self.reading() as handle:
            data = handle.read()
        kept, at = bytearray(), 0
        for start, size in ranges:
            kept += data[at:start]
            at = start + size
        write_text(self.path, bytes(kept + data[at:]).decode("utf-8"))
        replaced, self._descriptor = self._descriptor, self._locked()
        os.close(replaced)

    def reading(self) -> BinaryIO:
        """The file from its beginning, through the descriptor that holds the lock: it is the one that was written,
        whatever lies under its name by now. Not to be mixed with `append`, which moves the place that is read."""
        os.lseek(self._descriptor, 0, os.SEEK_SET)
        return open(self._descriptor, "rb", closefd=False)

    def pending(self, items: Iterable[Item]) -> Iterator[Item]:
        """Those of `items` that have no line yet."""
        return (item for item in items if (item.id, item.sample) not in self.done)

    def append(self, line: Mapping[str, Any]) -> None:
        """Write one line.

        The system has it when this returns, so that no death of this process loses it. It is on disk at most
        SYNC_SECONDS after the append before it was: an fsync each (10 to 20 ms) would hold up the decoding of all the
        others, and what a power cut takes is solved again.

        Raises:
            DataError: the file has a line for this id and sample already.
        """
        key = (str(line["id"]), int(line["sample"]))
        if key in self.done:
            raise DataError(
                f"{self.path} has a result for id {key[0]!r}, sample {key[1]} already",
                "nothing was written",
                "give every question of the data its own id",
            )
        data = json.dumps(dict(line), ensure_ascii=False).encode("utf-8", "backslashreplace") + b"\n"
        view = memoryview(data)
        while view:
            view = view[os.write(self._descriptor, view) :]
        self.done.add(key)
        if time.monotonic() - self._synced >= SYNC_SECONDS:
            self._sync()

    def _sync(self) -> None:
        os.fsync(self._descriptor)
        self._synced = time.monotonic()

    def close(self) -> None:
        """Put everything on disk and release the file."""
        if self._descriptor >= 0:
            self._sync()
            os.close(self._descriptor)
            self._descriptor = -1

    def __enter__(self) -> ResultsFile:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _lies_at(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(path))
    except FileNotFoundError:
        return False


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else text[:57] + "..."

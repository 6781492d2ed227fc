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

from runtime.errors import DataError, InputError, WriteError
from runtime.files import BadLine, atomic_path, json_line, lock, parse_line, write_json
from runtime.settings import SolverSettings
from runtime.text import well_formed_json

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
        "notices": told["notices"],
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
        DataError: a line other than a torn last one is not a JSON object.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"there is no results file at {path}", "", "check the path")
    with open(path, "rb") as handle:
        yield from (line for line, _ in _whole_lines(handle, path))


def _whole_lines(handle: BinaryIO, path: Path) -> Iterator[tuple[dict[str, Any], int]]:
    """Each line with where it ends; a last one without newline was being written when its process died."""
    end = 0
    for number, raw in enumerate(handle, start=1):
        if not raw.endswith(b"\n"):
            return
        end += len(raw)
        line = parse_line(raw)
        if not isinstance(line, dict):
            reason = line.reason if isinstance(line, BadLine) else "not a JSON object"
            raise DataError(f"line {number} of {path} is {reason}", "the file is not continued", "repair or move it")
        yield line, end


class ResultsFile:
    """A results file open for appending, by one process at a time.

    Args:
        path: the `.jsonl` file; its folder is made.
        facts: facts of this run, written to the meta file; DECIDING ones must equal those of an existing file.
        fresh: forget what an existing file holds, whatever run it belongs to.

    Raises:
        InputError: another process writes the file, or it belongs to another run.
        DataError: a line in the middle is broken.
        WriteError: the file or its meta file cannot be written.
    """

    def __init__(self, path: str | os.PathLike[str], facts: Mapping[str, Any], *, fresh: bool = False) -> None:
        self.path = Path(path)
        self._synced = 0.0
        self._end = 0
        self._busy = InputError(
            f"another process is writing {self.path}", "two would repeat each other's work", "wait for it, or stop it"
        )
        self._descriptor = lock(self.path, self._busy, mode=0o644)
        try:
            if fresh:
                # Behind the lock: the file may be another process's work under way, and then it was refused above.
                os.ftruncate(self._descriptor, 0)
            self._check_meta(facts)
            self.done: set[Key] = self._recover()
        except BaseException:
            os.close(self._descriptor)
            raise

    def _check_meta(self, facts: Mapping[str, Any]) -> None:
        meta = meta_path(self.path)
        now = json.loads(json.dumps(dict(facts), default=str))
        started = os.fstat(self._descriptor).st_size > 0
        if started and meta.is_file():
            before = read_facts(meta)
            if isinstance(before.get("limits"), dict):
                before["limits"].pop("error_wording", None)  # of version 0.1; it means nothing any more
            if isinstance(before.get("settings"), dict):
                # A run of a version that had not yet a setting was made with what is now its default.
                defaults = SolverSettings().model_dump(mode="json")
                asked = now.get("settings") or {}
                before["settings"] = {k: v for k, v in defaults.items() if k in asked} | before["settings"]
            changed = list(_differences(before, well_formed_json(now)))
            if changed:
                raise InputError(
                    f"{self.path} was begun with other facts: {'; '.join(changed)}",
                    "mixing both in one file would measure neither",
                    "continue with the same call, choose another output, or begin again: --fresh, or remove the file",
                )
        write_json(meta, now)

    def _recover(self) -> set[Key]:
        done: set[Key] = set()
        failed: list[tuple[int, int]] = []
        with self.reading() as handle:
            for number, (line, end) in enumerate(_whole_lines(handle, self.path), start=1):
                try:
                    key = (str(line["id"]), int(line.get("sample", 0)))
                except (KeyError, TypeError, ValueError) as error:
                    raise DataError(
                        f"line {number} of {self.path} is not a result: it has no `id`, or an odd `sample`",
                        "the file is not continued",
                        "repair or move it",
                    ) from error
                if line.get("status") == "error":
                    failed.append((self._end, end))
                else:
                    done.add(key)
                self._end = end
        os.ftruncate(self._descriptor, self._end)
        if failed:
            self._drop(failed)
        return done

    def _drop(self, ranges: list[tuple[int, int]]) -> None:
        """Leave out the lines at these (start, end): the machine failed there, and they are solved again."""
        with self.reading() as handle:
            data = handle.read()
        kept, at = bytearray(), 0
        for start, end in ranges:
            kept += data[at:start]
            at = end
        kept += data[at:]
        with atomic_path(self.path, mode=0o644) as temporary:
            temporary.write_bytes(kept)
        replaced, self._descriptor = self._descriptor, lock(self.path, self._busy)
        os.close(replaced)
        self._end = len(kept)

    def reading(self) -> BinaryIO:
        """The file from its beginning, through the descriptor that holds the lock.

        So it is the one that was written, whatever lies under its name by now. Not to be mixed with `append`, which
        moves the place that is read.
        """
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
            WriteError: no room; the file ends with the line before, and a later call goes on there.
        """
        key = (str(line["id"]), int(line["sample"]))
        if key in self.done:
            raise DataError(
                f"{self.path} has a result for id {key[0]!r}, sample {key[1]} already",
                "nothing was written",
                "give every question of the data its own id",
            )
        data = json_line(dict(line)).encode()
        try:
            view = memoryview(data)
            while view:
                view = view[os.write(self._descriptor, view) :]
        except OSError as error:
            # Half a line would be glued to the next one.
            os.ftruncate(self._descriptor, self._end)
            raise self._full(error) from error
        self._end += len(data)
        self.done.add(key)
        if time.monotonic() - self._synced >= SYNC_SECONDS:
            self._sync()

    def _sync(self) -> None:
        try:
            os.fsync(self._descriptor)
        except OSError as error:
            raise self._full(error) from error
        self._synced = time.monotonic()

    def _full(self, error: OSError) -> WriteError:
        return WriteError.of(self.path, error, f"the {len(self.done):,} results in it are kept")

    def close(self) -> None:
        """Put everything on disk and release the file."""
        if self._descriptor >= 0:
            try:
                self._sync()
            finally:
                os.close(self._descriptor)
                self._descriptor = -1

    def __enter__(self) -> ResultsFile:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def read_facts(meta: Path) -> dict[str, Any]:
    """The facts in a meta file.

    Raises:
        DataError: it cannot be read, or is not a JSON object.
    """
    try:
        facts = parse_line(meta.read_bytes())
    except OSError as error:
        facts = BadLine(f"unreadable ({error.strerror})")
    if isinstance(facts, dict):
        return facts
    reason = facts.reason if isinstance(facts, BadLine) else "not a JSON object"
    raise DataError(f"{meta} is {reason}", "the run's facts are unknown", "remove or repair it")


def _differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[str]:
    """Every deciding fact that differs, down to the one setting."""
    for key in DECIDING:
        old, new = before.get(key), now.get(key)
        if isinstance(old, dict) and isinstance(new, dict):
            for inner in sorted(old.keys() | new.keys()):
                if old.get(inner) != new.get(inner):
                    yield f"{key}.{inner} was {_short(old.get(inner))}, now {_short(new.get(inner))}"
        elif old != new:
            yield f"{key} was {_short(old)}, now {_short(new)}"


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else text[:57] + "..."

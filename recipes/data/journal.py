"""Long work on every line of a source, many lines at once, that survives being killed.

Results go to a journal sixteen lines of the source at a time, so that a killed call loses seconds; the same call goes
on from there. The journal bridges interruptions and nothing else: it is removed when the work is done.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any, BinaryIO

from runtime.engine.llama.library import usable_processors
from runtime.files import Line, cache_folder

CHUNK = 16
"""Lines of the source in one line of the journal: one wait for the disk per chunk."""

Chunk = list[tuple[int, Line]]


@contextlib.contextmanager
def journaled(
    name: str,
    lines: Iterable[Line],
    work: Callable[[int, Line], dict[str, Any]],
    facts: Mapping[str, Any],
    *,
    sessions: int | None = None,
    first: int | None = None,
    fresh: bool = False,
    on_progress: Callable[[int], None] | None = None,
) -> Iterator[Iterator[dict[str, Any]]]:
    """Do `work` on every line and hand out the results in the order of the source, read from the journal.

    Args:
        name: what is done; part of the journal's name.
        work: given index and line, the result as JSON; called in several threads.
        facts: what decides the results: the source and its hash under `data`, limits. Other facts, another journal.
        sessions: lines in work at once; None for two a core, since a session waits as long as it computes.
        first: only so many lines.
        fresh: forget an earlier journal.
        on_progress: called with the number of lines done so far.

    Raises:
        InputError: another process does the same.
        DataError: a journal that is damaged in the middle.
    """
    from runtime.evaluate.results_file import ResultsFile, meta_path

    kept = _path(name, facts)
    with ResultsFile(kept, facts, fresh=fresh) as results:
        done = len(results.done) * CHUNK
        pending = ((n, c) for n, c in _chunks(lines, first) if (str(n), 0) not in results.done)
        for number, rows in _worked(pending, work, sessions or 2 * len(usable_processors()), name):
            results.append({"id": str(number), "sample": 0, "rows": rows})
            done += len(rows)
            if on_progress is not None:
                on_progress(done)
        with results.reading() as written:
            yield _read(written)
        # Not reached when the caller failed: what it wanted the results for can then be tried again.
        kept.unlink(missing_ok=True)
        meta_path(kept).unlink(missing_ok=True)


def _path(name: str, facts: Mapping[str, Any]) -> Path:
    digest = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]
    return cache_folder() / "data" / f"{name}-{digest}.jsonl"


def _chunks(lines: Iterable[Line], first: int | None) -> Iterator[tuple[int, Chunk]]:
    numbered = enumerate(itertools.islice(lines, first))
    for number in itertools.count():
        chunk = list(itertools.islice(numbered, CHUNK))
        if not chunk:
            return
        yield number, chunk


def _worked(
    chunks: Iterable[tuple[int, Chunk]], work: Callable[[int, Line], dict[str, Any]], sessions: int, name: str
) -> Iterator[tuple[int, list[dict[str, Any]]]]:
    def do(number: int, chunk: Chunk) -> tuple[int, list[dict[str, Any]]]:
        return number, [work(index, line) for index, line in chunk]

    waiting: set[Future[tuple[int, list[dict[str, Any]]]]] = set()
    pool = ThreadPoolExecutor(sessions, thread_name_prefix=name)
    try:
        for number, chunk in chunks:
            waiting.add(pool.submit(do, number, chunk))
            # Bounded, so that a source larger than memory is read as fast as it is worked on.
            if len(waiting) >= 2 * sessions:
                finished, waiting = wait(waiting, return_when=FIRST_COMPLETED)
                yield from (future.result() for future in finished)
        while waiting:
            finished, waiting = wait(waiting, return_when=FIRST_COMPLETED)
            yield from (future.result() for future in finished)
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _read(journal: BinaryIO) -> Iterator[dict[str, Any]]:
    """Results in the order of the source. Only the places of the chunks lie in memory, not the chunks."""
    places: list[tuple[int, int]] = []
    while raw := journal.readline():
        places.append((int(json.loads(raw)["id"]), journal.tell() - len(raw)))
    for _, place in sorted(places):
        journal.seek(place)
        yield from json.loads(journal.readline())["rows"]

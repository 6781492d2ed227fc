"""The pages of memory that every cell writes to, copied all at once after a fork.

A fork shares its parent's memory page by page, and copies a page when one of the two writes to it. Even `x + 1`
writes to hundreds of them (reference counts live in the objects), and a fault for each is most of what such a cell
costs. Which pages they are is found out once, in the parent of all sessions, by rehearsing some cells, each in a fork
of the one before, as in a session; a fork then asks the kernel for its copies in a few calls. A session adds the pages
that are its own habit, which depend on what its cells were. Nothing hangs on it: a page missed costs a fault, a page
too many a copy.
"""

from __future__ import annotations

import contextlib
import mmap
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

from . import kernel, page_map

MADV_POPULATE_READ, MADV_POPULATE_WRITE = 22, 23
"""Since Linux 5.14; include/uapi/asm-generic/mman-common.h. Elsewhere the call fails, and cells pay for each fault."""
_MOST = 2048
"""Pages of a session's own that are copied at most, in some 4 ms."""
_FIRST, _SECOND = (1, 8), (2, 9)
"""Numbers of the cells that are looked at, in pairs."""
_TOO_LARGE = 512 << 20
"""Bytes of writable memory that it takes too long to look through, 40 ms."""
_AT_ONCE = 64
"""Stretches of memory that are copied before the next look at whether that is still wanted; about 0.2 ms."""


class Touched(NamedTuple):
    """Memory that cells touch, as (address, bytes) of stretches."""

    written: list[tuple[int, int]]
    read: list[tuple[int, int]]
    """Of files alone, the code of libraries above all: a fork inherits no page tables of those."""


def measure(cells: Sequence[Callable[[], object]], fork: Callable[[], int], *, skip: int = 0) -> Touched:
    """The memory that each of `cells` touches; this process must have one thread.

    Each runs in a fork of the process that ran the one before, the first in a fork of this one. The first `skip` count
    for nothing: what they leave decides which memory the others get. Nothing where the kernel does not say.

    Raises:
        OSError: no fork, or no /proc.
    """
    writable, read_only = page_map.writable("self"), page_map.read_only("self")
    taken = b"".join(_pictures(cells, fork, [*writable, *read_only], skip))
    inner, whole = page_map.length(writable), page_map.length([*writable, *read_only])
    pictures = [taken[at : at + whole] for at in range(0, len(taken) - whole + 1, whole)]
    written = [set(page_map.marked(writable, picture[:inner], page_map.OWN)) for picture in pictures]
    read = [set(page_map.marked(read_only, picture[inner:], page_map.OF_FILE)) for picture in pictures]
    if not pictures:
        return Touched([], [])
    return Touched(*(list(page_map.runs(sorted(set.intersection(*found)))) for found in (written, read)))


class Habit:
    """What the cells of a session write to beyond what cells of all sessions do, learnt from some of them.

    Twice, because the first cells of a session do much for the last time, and the interpreter changes its ways with
    what it does often. Each time from two cells in a row: what only one of them writes to is no habit.

    Args:
        known: (address, bytes) of what they all write to.
    """

    def __init__(self, known: Iterable[tuple[int, int]]) -> None:
        self._known = {page for address, size in known for page in range(address, address + size, mmap.PAGESIZE)}
        self._once: set[int] = set()
        self._cells = 0

    def look(self, pid: int) -> list[tuple[int, int]]:
        """(address, bytes) of what is to be copied from now on, too; to be called after each cell.

        Args:
            pid: the process that has just run a cell, in a fork of the one that ran the cell before. Not a snapshot
                whose child has died: all its memory is its own again.
        """
        self._cells += 1
        if self._cells not in (*_FIRST, *_SECOND):
            return []
        once, self._once = self._once, set()
        with contextlib.suppress(OSError):  # The process has ended, or the kernel keeps this to itself.
            areas = page_map.writable(pid)
            if sum(size for _, size in areas) > _TOO_LARGE:
                return []
            written = set(page_map.marked(areas, page_map.entries_of(pid, areas), page_map.OWN)) - self._known
            if self._cells in _FIRST:
                self._once = written
                return []
            common = sorted(written & once)[:_MOST]
            self._known.update(common)
            return list(page_map.runs(common))
        return []


def prepare(touched: Touched) -> list[kernel.Advice]:
    """What `populate` takes."""
    ranges = touched.written
    copies = [kernel.Advice(MADV_POPULATE_WRITE, ranges[at : at + _AT_ONCE]) for at in range(0, len(ranges), _AT_ONCE)]
    return copies + ([kernel.Advice(MADV_POPULATE_READ, touched.read)] if touched.read else [])


def populate(copies: Iterable[kernel.Advice], enough: Callable[[], object] = lambda: False) -> None:
    """Have the kernel make this process's own copies of the pages. Memory that is no longer mapped is left out.

    `enough` is asked now and then; the rest is left to faults once it says so.
    """
    for some in copies:
        if enough():
            return
        some.give()


def _pictures(
    cells: Sequence[Callable[[], object]], fork: Callable[[], int], areas: page_map.Areas, skip: int
) -> Iterator[bytes]:
    """The pagemap of `areas` after each cell but the first `skip`, one after the other, as it comes out of the pipe."""
    answer, write = os.pipe()
    pid = fork()
    if pid == 0:
        try:
            cells[0]()
            if skip <= 0:
                for data in page_map.entries(os.open("/proc/self/pagemap", os.O_RDONLY), areas):
                    _send(write, data)
            os.close(answer)
            if cells[1:]:
                for data in _pictures(cells[1:], fork, areas, skip - 1):
                    _send(write, data)
        finally:
            os._exit(0)
    os.close(write)
    with os.fdopen(answer, "rb", buffering=0) as pipe:
        while data := pipe.read(1 << 16):
            yield data
    os.waitpid(pid, 0)


def _send(pipe: int, data: bytes) -> None:
    while data:
        data = data[os.write(pipe, data) :]

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

from . import kernel, processes

MADV_POPULATE_WRITE = 23
"""Since Linux 5.14; include/uapi/asm-generic/mman-common.h. Elsewhere the call fails, and cells pay for each fault."""
_ENTRY = 8
"""Bytes of an entry of /proc/PID/pagemap, one for each page (Documentation/admin-guide/mm/pagemap.rst)."""
_OWN = b"\x81"
"""The last of these bytes: bit 63, in memory, and bit 56, mapped by this process alone; but not bit 61, of a file."""
_MOST = 2048
"""Pages of a session's own that are copied at most, in some 4 ms."""
_TOO_LARGE = 512 << 20
"""Bytes of writable memory that it takes too long to look through, 40 ms."""
_AT_ONCE = 64
"""Stretches of memory that are copied before the next look at whether that is still wanted; about 0.2 ms."""


def measure(cells: Sequence[Callable[[], object]], fork: Callable[[], int], *, skip: int = 0) -> list[tuple[int, int]]:
    """(address, bytes) of the memory that each of `cells` writes to; this process must have one thread.

    Each runs in a fork of the process that ran the one before, the first in a fork of this one. The first `skip` count
    for nothing: what they leave decides which memory the others get. Empty where the kernel does not say.

    Raises:
        OSError: no fork, or no /proc.
    """
    areas = _areas("self")
    taken = b"".join(_pictures(cells, fork, areas, skip))
    one = sum(size for _, size in areas) // mmap.PAGESIZE * _ENTRY
    written = [set(_own(areas, taken[at : at + one])) for at in range(0, len(taken) - one + 1, one)]
    return list(runs(sorted(set.intersection(*written)))) if written else []


class Habit:
    """What the cells of a session write to beyond what cells of all sessions do, learnt from two of them.

    Args:
        known: (address, bytes) of what they all write to.
    """

    def __init__(self, known: Iterable[tuple[int, int]]) -> None:
        self._known = {page for address, size in known for page in range(address, address + size, mmap.PAGESIZE)}
        self._once: set[int] | None = None
        self.learnt = False

    def look(self, pid: int) -> list[tuple[int, int]]:
        """(address, bytes) of what is to be copied from now on, too; nothing but the second time.

        Args:
            pid: the process that has just run a cell, in a fork of the one that ran the cell before. Not a snapshot
                whose child has died: all its memory is its own again.
        """
        once, self._once, self.learnt = self._once, None, True
        with contextlib.suppress(OSError):  # The process has ended, or the kernel keeps this to itself.
            areas = _areas(pid)
            if sum(size for _, size in areas) > _TOO_LARGE:
                return []
            descriptor = os.open(f"/proc/{pid}/pagemap", os.O_RDONLY | os.O_CLOEXEC)
            try:
                written = set(_own(areas, b"".join(_picture(descriptor, areas)))) - self._known
            finally:
                os.close(descriptor)
            if once is not None:
                return list(runs(sorted(written & once)[:_MOST]))
            self._once, self.learnt = written, False
        return []


def prepare(ranges: Sequence[tuple[int, int]]) -> list[kernel.Advice]:
    """What `populate` takes."""
    return [kernel.Advice(MADV_POPULATE_WRITE, ranges[at : at + _AT_ONCE]) for at in range(0, len(ranges), _AT_ONCE)]


def populate(copies: Iterable[kernel.Advice], enough: Callable[[], object] = lambda: False) -> None:
    """Have the kernel make this process's own copies of the pages. Memory that is no longer mapped is left out.

    `enough` is asked now and then; the rest is left to faults once it says so.
    """
    for some in copies:
        if enough():
            return
        some.give()


def runs(pages: Iterable[int], gap: int = 0) -> Iterator[tuple[int, int]]:
    """(address, bytes) of the stretches that `pages`, addresses in order, form with at most `gap` bytes between two."""
    first = last = None
    for page in pages:
        if first is not None and last is not None and page - last > mmap.PAGESIZE + gap:
            yield first, last + mmap.PAGESIZE - first
            first = None
        first, last = page if first is None else first, page
    if first is not None and last is not None:
        yield first, last + mmap.PAGESIZE - first


def _areas(pid: int | str) -> list[tuple[int, int]]:
    """(address, bytes) of the memory that a process may write to and shares with nobody on purpose."""
    found = []
    for line in processes.read(f"/proc/{pid}/maps").splitlines():
        addresses, access, _ = line.split(maxsplit=2)
        if access.startswith(b"rw") and access.endswith(b"p"):
            start, end = (int(number, 16) for number in addresses.split(b"-"))
            found.append((start, end - start))
    return found


def _pictures(
    cells: Sequence[Callable[[], object]], fork: Callable[[], int], areas: list[tuple[int, int]], skip: int
) -> Iterator[bytes]:
    """The pagemap of `areas` after each cell but the first `skip`, one after the other, as it comes out of the pipe."""
    answer, write = os.pipe()
    pid = fork()
    if pid == 0:
        try:
            cells[0]()
            if skip <= 0:
                for data in _picture(os.open("/proc/self/pagemap", os.O_RDONLY), areas):
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


def _picture(pagemap: int, areas: Iterable[tuple[int, int]]) -> Iterator[bytes]:
    # With as few steps as possible: what they write to would look like the cell's doing.
    for start, size in areas:
        yield os.pread(pagemap, size // mmap.PAGESIZE * _ENTRY, start // mmap.PAGESIZE * _ENTRY)


def _send(pipe: int, data: bytes) -> None:
    while data:
        data = data[os.write(pipe, data) :]


def _own(areas: Iterable[tuple[int, int]], picture: bytes) -> Iterator[int]:
    """Addresses of a process's own copies of pages, by its pagemap: all that it wrote to since it was forked."""
    flags = picture[_ENTRY - 1 :: _ENTRY]
    first = 0
    for start, size in areas:
        after = first + size // mmap.PAGESIZE
        at = flags.find(_OWN, first, after)
        while at >= 0:
            yield start + (at - first) * mmap.PAGESIZE
            at = flags.find(_OWN, at + 1, after)
        first = after

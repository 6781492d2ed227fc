"""The pages of memory that every cell writes to, copied all at once after a fork.

A fork shares its parent's memory page by page, and copies a page when one of the two writes to it. Even `x + 1`
writes to some 250 of them (reference counts live in the objects), and a fault for each is most of what such a cell
costs. Which pages they are is found out once, in the parent of all sessions, by rehearsing some cells, each in a fork
of the one before, as in a session; a fork then asks the kernel for its copies in a few calls. Nothing depends on it: a
page missed costs a fault, a page too many a copy.
"""

from __future__ import annotations

import array
import mmap
import os
from collections.abc import Callable, Iterable, Iterator, Sequence

from . import kernel

MADV_POPULATE_WRITE = 23
"""Since Linux 5.14; include/uapi/asm-generic/mman-common.h. Elsewhere the call fails, and cells pay for each fault."""
_PRESENT, _FROM_FILE, _EXCLUSIVE = 1 << 63, 1 << 61, 1 << 56
"""Bits of an entry of /proc/PID/pagemap: in memory, of a file, mapped by this process alone (Documentation/mm)."""


def measure(cells: Sequence[Callable[[], object]], *, skip: int = 0) -> list[tuple[int, int]]:
    """(address, bytes) of the memory that each of `cells` writes to; this process must have one thread.

    Each runs in a fork of the process that ran the one before, the first in a fork of this one. The first `skip` count
    for nothing: what they leave decides which memory the others get. Empty where the kernel does not say.

    Raises:
        OSError: no fork.
    """
    written = _look_into(cells, skip)
    return list(_runs(sorted(written)))


def _look_into(cells: Sequence[Callable[[], object]], skip: int) -> set[int]:
    answer, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.close(answer)
            cells[0]()
            written = set(_written()) if skip <= 0 else set()
            if cells[1:]:
                later = _look_into(cells[1:], skip - 1)
                written = later if skip > 0 else written & later
            data = array.array("Q", written).tobytes()
            while data:
                data = data[os.write(write, data) :]
        finally:
            os._exit(0)
    os.close(write)
    pages = array.array("Q")
    with os.fdopen(answer, "rb") as pipe:
        data = pipe.read()
    os.waitpid(pid, 0)
    pages.frombytes(data[: len(data) // 8 * 8])
    return set(pages)


def populate(ranges: Iterable[tuple[int, int]], enough: Callable[[], object] = lambda: False) -> None:
    """Have the kernel make this process's own copies of the pages. A range that is no longer mapped is left out.

    `enough` is asked now and then; the rest is left to faults once it says so.
    """
    for number, (address, size) in enumerate(ranges):
        if number % 16 == 0 and enough():
            return
        kernel.advise(address, size, MADV_POPULATE_WRITE)


def _written() -> Iterator[int]:
    """Addresses of this process's own copies of pages: all that it wrote to since it was forked."""
    with open("/proc/self/maps", encoding="utf-8") as maps:
        areas = [line.split()[:2] for line in maps]
    with open("/proc/self/pagemap", "rb", buffering=0) as pagemap:
        for area, access in areas:
            if not access.startswith("rw") or not access.endswith("p"):
                continue
            start, end = (int(number, 16) for number in area.split("-"))
            pagemap.seek(start // mmap.PAGESIZE * 8)
            entries = array.array("Q")
            entries.frombytes(pagemap.read((end - start) // mmap.PAGESIZE * 8))
            for index, entry in enumerate(entries):
                if entry & _PRESENT and entry & _EXCLUSIVE and not entry & _FROM_FILE:
                    yield start + index * mmap.PAGESIZE


def _runs(pages: Iterable[int]) -> Iterator[tuple[int, int]]:
    first = last = None
    for page in pages:
        if first is not None and last is not None and page - last > mmap.PAGESIZE:
            yield first, last + mmap.PAGESIZE - first
            first = None
        first, last = page if first is None else first, page
    if first is not None and last is not None:
        yield first, last + mmap.PAGESIZE - first

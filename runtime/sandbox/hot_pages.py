"""The pages of memory that every cell touches, copied all at once after a fork.

A fork shares its parent's memory page by page, and copies a page when one of the two writes to it. Even `x + 1`
writes to some 230 of them (reference counts live in the objects), and a fault for each is most of what such a cell
costs. Which pages they are is found out once, in the parent of all sessions; a fork then asks the kernel for its copies
in a few calls. Nothing depends on it: a page missed costs a fault, a page too many a copy.
"""

from __future__ import annotations

import array
import mmap
import os
from collections.abc import Callable, Iterator

from . import kernel

MADV_POPULATE_WRITE = 23
"""Since Linux 5.14; includes/uapi/asm-generic/mman-common.h. Elsewhere the call fails, and cells pay for each fault."""
_PRESENT, _EXCLUSIVE = 1 << 63, 1 << 56
"""Bits of an entry of /proc/PID/pagemap: in memory; mapped by this process alone (Documentation/mm/pagemap)."""


def measure(cell: Callable[[], object]) -> list[tuple[int, int]]:
    """(address, bytes) of the memory that `cell` writes to in a fork of this process, which must have one thread.

    Empty where the kernel does not say.

    Raises:
        OSError: no fork.
    """
    answer, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.close(answer)
            before = {*_own_pages(), *_own_pages()}  # The second look knows the pages that looking itself takes.
            cell()
            touched = sorted(set(_own_pages()) - before)
            data = array.array("Q", [number for pair in _runs(touched) for number in pair]).tobytes()
            while data:
                data = data[os.write(write, data) :]
        finally:
            os._exit(0)
    os.close(write)
    numbers = array.array("Q")
    with os.fdopen(answer, "rb") as pipe:
        data = pipe.read()
    os.waitpid(pid, 0)
    numbers.frombytes(data[: len(data) // 16 * 16])
    return list(zip(numbers[::2], numbers[1::2], strict=True))


def populate(ranges: list[tuple[int, int]]) -> None:
    """Have the kernel make this process's own copies of the pages. A range that is no longer mapped is left out."""
    for address, size in ranges:
        kernel.advise(address, size, MADV_POPULATE_WRITE)


def _own_pages() -> Iterator[int]:
    """Addresses of the pages of private, writable memory that this process maps alone."""
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
                if entry & _PRESENT and entry & _EXCLUSIVE:
                    yield start + index * mmap.PAGESIZE


def _runs(pages: list[int]) -> Iterator[tuple[int, int]]:
    first = last = None
    for page in pages:
        if last is not None and page - last == mmap.PAGESIZE:
            last = page
            continue
        if first is not None and last is not None:
            yield first, last + mmap.PAGESIZE - first
        first = last = page
    if first is not None and last is not None:
        yield first, last + mmap.PAGESIZE - first

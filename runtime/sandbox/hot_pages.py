"""The pages of memory that every cell touches, brought in all at once after a fork.

A fork shares its parent's memory page by page, and copies a page when one of the two writes to it. Even `x + 1`
writes to some 250 of them (reference counts live in the objects). Of what comes from files, the code of Python and its
libraries above all, a fork knows no page at all and takes a fault for every sixteen. These faults are most of what such
a cell costs. Which pages they are is found out once, in the parent of all sessions; a fork then asks the kernel for
them in a few calls. Nothing depends on it: a page missed costs a fault, a page too many some microseconds.
"""

from __future__ import annotations

import array
import mmap
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

from . import kernel

MADV_POPULATE_READ, MADV_POPULATE_WRITE = 22, 23
"""Since Linux 5.14; include/uapi/asm-generic/mman-common.h. Elsewhere the call fails, and cells pay for each fault."""
_PRESENT, _FROM_FILE, _EXCLUSIVE = 1 << 63, 1 << 61, 1 << 56
"""Bits of an entry of /proc/PID/pagemap: in memory, of a file, mapped by this process alone (Documentation/mm)."""
_FAULT_AROUND = 16
"""Pages of a file that one fault brings in, so that smaller gaps are not worth a call."""


class Pages(NamedTuple):
    """A stretch of memory, and how it is to be brought in."""

    address: int
    size: int
    """Bytes."""
    advice: int
    """MADV_POPULATE_READ or MADV_POPULATE_WRITE."""


def measure(cells: Sequence[Callable[[], object]]) -> list[Pages]:
    """The memory that `cells` touch, each run in a fork of the process that ran the one before, the first of this one.

    A cell's leavings decide which memory the next one gets, so more than the first are worth looking at. This process
    must have one thread. Empty where the kernel does not say.

    Raises:
        OSError: no fork.
    """
    read, written = _look_into(cells)
    return [
        *_runs(sorted(read), MADV_POPULATE_READ, _FAULT_AROUND),
        *_runs(sorted(written), MADV_POPULATE_WRITE, 1),
    ]


def _look_into(cells: Sequence[Callable[[], object]]) -> tuple[set[int], set[int]]:
    """Pages of files, and pages written to, by address."""
    answer, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.close(answer)
            before = set()
            for _ in range(2):  # The second look knows the pages that looking itself takes.
                before.update(_touched()[1])
            cells[0]()
            read, written = _touched()
            found = set(read), set(written) - before
            if cells[1:]:
                for mine, later in zip(found, _look_into(cells[1:]), strict=True):
                    mine |= later
            data = array.array("Q", [len(found[0]), *found[0], *found[1]]).tobytes()
            while data:
                data = data[os.write(write, data) :]
        finally:
            os._exit(0)
    os.close(write)
    numbers = array.array("Q")
    with os.fdopen(answer, "rb") as pipe:
        data = pipe.read()
    os.waitpid(pid, 0)
    numbers.frombytes(data[: len(data) // 8 * 8])
    end = numbers[0] + 1 if numbers else 0
    return set(numbers[1:end]), set(numbers[end:])


def populate(stretches: Iterable[Pages]) -> None:
    """Bring the pages in, as this process's own copies where cells write to them. What is not mapped is left out."""
    for address, size, advice in stretches:
        kernel.advise(address, size, advice)


def _touched() -> tuple[list[int], list[int]]:
    """Addresses of this process's pages of private mappings, ascending: those of files, and copies of its own."""
    read, written = [], []
    with open("/proc/self/maps", encoding="utf-8") as maps:
        areas = [line.split()[:2] for line in maps]
    with open("/proc/self/pagemap", "rb", buffering=0) as pagemap:
        for area, access in areas:
            start, end = (int(number, 16) for number in area.split("-"))
            if not (access.startswith("r") and access.endswith("p")) or end > 1 << 63:
                continue
            pagemap.seek(start // mmap.PAGESIZE * 8)
            entries = array.array("Q")
            entries.frombytes(pagemap.read((end - start) // mmap.PAGESIZE * 8))
            for index, entry in enumerate(entries):
                if not entry & _PRESENT:
                    continue
                if entry & _FROM_FILE:
                    read.append(start + index * mmap.PAGESIZE)
                elif entry & _EXCLUSIVE and access.startswith("rw"):
                    written.append(start + index * mmap.PAGESIZE)
    return read, written


def _runs(pages: Iterable[int], advice: int, gap: int) -> Iterator[Pages]:
    """Stretches of `pages`, ascending addresses; fewer than `gap` pages between two do not part them."""
    first = last = None
    for page in pages:
        if last is not None and first is not None and page - last > gap * mmap.PAGESIZE:
            yield Pages(first, last + mmap.PAGESIZE - first, advice)
            first = None
        first, last = page if first is None else first, page
    if first is not None and last is not None:
        yield Pages(first, last + mmap.PAGESIZE - first, advice)

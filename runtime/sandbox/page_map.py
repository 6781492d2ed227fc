"""What a process has in memory, page by page, as /proc/PID/maps and /proc/PID/pagemap tell it."""

from __future__ import annotations

import mmap
import os
from collections.abc import Iterable, Iterator

from . import processes

Areas = list[tuple[int, int]]
"""(address, bytes) of each."""
_ENTRY = 8
"""Bytes of an entry of pagemap, one for each page (Documentation/admin-guide/mm/pagemap.rst)."""
ANONYMOUS, OWN, OF_FILE = b"\x80\x81", b"\x81", b"\xa0\xa1"
"""The last byte of an entry. Bit 63: in memory; bit 61: of a file; bit 56: mapped by this process alone. So a page in
memory that belongs to no file; one that this process has written to since it was forked; a file's."""


def mapped(pid: int | str) -> Iterator[tuple[int, int, str]]:
    """Address, bytes and access (`rw-p`) of each area of a process's memory.

    Raises:
        OSError: the process has ended, or there is no /proc.
    """
    for line in processes.read(f"/proc/{pid}/maps").splitlines():
        addresses, access, _ = line.split(maxsplit=2)
        start, end = (int(number, 16) for number in addresses.split(b"-"))
        yield start, end - start, access.decode()


def writable(pid: int | str) -> Areas:
    """The memory that a process may write to and shares with nobody on purpose.

    Raises:
        OSError: as `mapped`.
    """
    return [(start, size) for start, size, access in mapped(pid) if access.startswith("rw") and access.endswith("p")]


def read_only(pid: int | str) -> Areas:
    """The memory that a process may only read, or execute: files' for the most part.

    Raises:
        OSError: as `mapped`.
    """
    return [(start, size) for start, size, access in mapped(pid) if access in ("r--p", "r-xp")]


def entries(pagemap: int, areas: Iterable[tuple[int, int]]) -> Iterator[bytes]:
    """The entries of `areas`, from an open pagemap. In few steps: what they write to counts as the process's doing."""
    for start, size in areas:
        yield os.pread(pagemap, size // mmap.PAGESIZE * _ENTRY, start // mmap.PAGESIZE * _ENTRY)


def entries_of(pid: int | str, areas: Iterable[tuple[int, int]]) -> bytes:
    """The entries of `areas` of a process.

    Raises:
        OSError: it has ended, or the kernel keeps them to itself.
    """
    descriptor = os.open(f"/proc/{pid}/pagemap", os.O_RDONLY | os.O_CLOEXEC)
    try:
        return b"".join(entries(descriptor, areas))
    finally:
        os.close(descriptor)


def length(areas: Iterable[tuple[int, int]]) -> int:
    """Bytes that the entries of `areas` take."""
    return sum(size for _, size in areas) // mmap.PAGESIZE * _ENTRY


def marked(areas: Iterable[tuple[int, int]], found: bytes, marks: bytes) -> Iterator[int]:
    """Addresses of the pages whose entries, which are `found`, end in one of `marks`."""
    flags = found[_ENTRY - 1 :: _ENTRY].translate(bytes(byte in marks for byte in range(256)))
    first = 0
    for start, size in areas:
        after = first + size // mmap.PAGESIZE
        at = flags.find(1, first, after)
        while at >= 0:
            yield start + (at - first) * mmap.PAGESIZE
            at = flags.find(1, at + 1, after)
        first = after


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

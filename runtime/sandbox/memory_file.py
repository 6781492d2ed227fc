"""The memory of the parent of all sessions, moved into a file, so that forks need not copy its page tables.

A fork copies the page-table entry of every page that its parent has written to, and the end of a process undoes each:
for the 14,000 pages that Python, numpy, sympy and IPython leave behind that took half of all a cell costs. Pages of a
file that is mapped privately have no entry before a process touches them, so a session carries only what it uses.

The file has no name and lives in memory (memfd_create). Once everything is mapped nobody can write to it: it is sealed,
and processes that write to its pages get copies of their own, as of any private mapping. The offset in the file is the
address, so that neighbours merge into one mapping, and a block that realloc grows finds zeros behind it, not the end of
the file.

What is moved is in use meanwhile, by this very code. Nothing may write to a page between its copy and its mapping, so
both calls of all pages are prepared beforehand, as contexts of the C library (makecontext) of which each continues with
the next, on stacks and in memory of their own; swapcontext runs them all without a step of Python in between.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import gc
import mmap
import os
import signal
import sys
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from . import kernel, page_map, processes

_GAP = 256 * mmap.PAGESIZE
"""Untouched memory between two pieces that are moved together. A mapping more costs each fork as much as some pages."""
_SPECIAL = {"wf", "dc", "dp", "io", "pf", "lo"}
"""Flags in smaps of memory that means something to the kernel: wiped in forks, as the C library's random numbers are
(MADV_WIPEONFORK), left out of them, dropped, of a device, locked. Moved, it would be ordinary."""
_MAP_FIXED = 0x10
_MFD_NOEXEC_SEAL = 0x8
"""Since Linux 6.3 (include/uapi/linux/memfd.h), and asked for on systems with vm.memfd_noexec=2; allows seals."""
_LARGEST = 1 << 48
"""Size of the file in bytes, most of it holes: no address of a process is higher, on either processor."""
_SEALS = sum(getattr(fcntl, f"F_SEAL_{name}", 0) for name in ("SEAL", "SHRINK", "GROW", "WRITE"))


class Area(NamedTuple):
    """An entry of /proc/self/smaps."""

    start: int
    end: int
    access: str
    named: bool
    """Of a file."""


class Piece(NamedTuple):
    """Memory to be moved: addresses, and what its pages may be used for (PROT_...)."""

    start: int
    end: int
    access: int


def move() -> int:
    """Move this process's own memory into a file; returns how many bytes, 0 where this kernel or C library cannot.

    This process must have one thread. Nothing else about it changes. Stacks stay, and what may be executed.

    Raises:
        OSError: there is no room for the file; nothing has been moved.
    """
    if sys.platform != "linux" or not kernel.has_contexts() or processes.threads_and_child_faults(os.getpid())[0] != 1:
        return 0
    file = _new_file()
    collected = gc.isenabled()
    gc.disable()
    try:
        os.ftruncate(file, _LARGEST)
        pieces = list(_pieces(_areas()))
        for start, end, _ in pieces:  # The room first, so that the copies cannot fail half-way.
            os.posix_fallocate(file, start, end - start)
        calls: list[tuple[str, tuple[int, ...]]] = []
        for start, end, access in pieces:
            calls.append(("pwrite", (file, start, end - start, start)))
            calls.append(("mmap", (start, end - start, access, mmap.MAP_PRIVATE | _MAP_FIXED, file, start)))
        masked = signal.pthread_sigmask(signal.SIG_SETMASK, signal.valid_signals())
        try:
            in_a_row = kernel.prepare_calls(calls)
            # With the collector off, nothing that was alive before this look is freed after it: no hole can open.
            if not _still_there(pieces):
                return 0
            in_a_row()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, masked)
        with contextlib.suppress(OSError):  # It only says once more what closing the file makes sure of.
            fcntl.fcntl(file, fcntl.F_ADD_SEALS, _SEALS)
    finally:
        os.close(file)
        if collected:
            gc.enable()
    return sum(end - start for start, end, _ in pieces)


def _new_file() -> int:
    try:
        return os.memfd_create("mathcoder", os.MFD_CLOEXEC | _MFD_NOEXEC_SEAL)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        return os.memfd_create("mathcoder", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)


def _areas() -> list[Area]:
    """Where this process has memory that could be moved."""
    found: list[Area] = []
    movable = False
    for line in processes.read("/proc/self/smaps").decode(errors="replace").splitlines():
        first, *rest = line.split(maxsplit=5)
        if first == "VmFlags:":
            if movable and not _SPECIAL.isdisjoint(line.split()):
                found.pop()
        elif not first.endswith(":"):
            access, _offset, _device, inode, *name = rest
            special = bool(name) and name[0].startswith("[") and name[0].strip() != "[heap]"
            movable = access in ("rw-p", "r--p") and not special
            if movable:
                start, end = (int(number, 16) for number in first.split("-"))
                found.append(Area(start, end, access, inode != "0"))
    return found


def _pieces(areas: Iterable[Area]) -> Iterator[Piece]:
    """All that this process has written to and will not execute: heap, data of libraries, tables of their addresses."""
    for area in areas:
        here = [(area.start, area.end - area.start)]
        own = list(page_map.marked(here, page_map.entries_of("self", here), page_map.ANONYMOUS))
        allowed = mmap.PROT_READ | (mmap.PROT_WRITE if area.access == "rw-p" else 0)
        if area.named and own:  # The pages of a library that nobody has written to yet come along.
            yield Piece(area.start, area.end, allowed)
        elif not area.named:
            for start, size in page_map.runs(own, _GAP):
                yield Piece(start, start + size, allowed)


def _still_there(pieces: Iterable[Piece]) -> bool:
    areas = [(start, start + size) for start, size, _ in page_map.mapped("self")]
    return all(any(start <= piece.start and piece.end <= end for start, end in areas) for piece in pieces)

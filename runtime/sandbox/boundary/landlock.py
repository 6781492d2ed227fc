"""Landlock: which files the worker may open; also TCP, abstract sockets and signals.

Source of the numbers: Linux `include/uapi/linux/landlock.h`. It does not govern stat, chdir, chmod, utime and xattr
(see `seccomp`).
"""

from __future__ import annotations

import ctypes
import os
import stat
import struct
from collections.abc import Iterable, Iterator

from . import kernel

EXECUTE, WRITE_FILE, READ_FILE, READ_DIR, REMOVE_DIR, REMOVE_FILE = (1 << bit for bit in range(6))
MAKE_CHAR, MAKE_DIR, MAKE_REG, MAKE_SOCK, MAKE_FIFO, MAKE_BLOCK, MAKE_SYM = (1 << bit for bit in range(6, 13))
REFER, TRUNCATE, IOCTL_DEV = 1 << 13, 1 << 14, 1 << 15

_READ = READ_FILE | READ_DIR
_WRITE = _READ | WRITE_FILE | REMOVE_DIR | REMOVE_FILE | MAKE_DIR | MAKE_REG | REFER | TRUNCATE
_FILE_ONLY = EXECUTE | WRITE_FILE | READ_FILE | TRUNCATE | IOCTL_DEV

_CREATE, _ADD_RULE, _RESTRICT = 444, 445, 446


def abi() -> int:
    """The version of Landlock this kernel speaks; 0 where it has none or has it switched off."""
    version = kernel.libc().syscall(_CREATE, None, ctypes.c_size_t(0), ctypes.c_uint(1))
    return max(0, int(version))


def restrict(
    readable: Iterable[str], writable: Iterable[str], devices: Iterable[str], hidden: Iterable[str] = ()
) -> int:
    """Confine this process to these paths; all that is handled and not named is denied. Irrevocable.

    Args:
        readable, writable, devices: files, or folders with all that is in them.
        hidden: folders inside of readable ones that are not; their names can still be listed.

    Returns:
        The ABI in force; 0: there is no Landlock and nothing was done.
    """
    version = abi()
    if version == 0:
        return 0
    handled = (1 << 13) - 1
    for least, right in ((2, REFER), (3, TRUNCATE), (5, IOCTL_DEV)):
        if version >= least:
            handled |= right
    attributes = struct.pack("Q", handled)
    if version >= 4:
        attributes += struct.pack("Q", 3)  # no TCP: neither bind nor connect
    if version >= 6:
        attributes += struct.pack("Q", 3)  # abstract sockets and signals stay inside
    ruleset = kernel.check(
        kernel.libc().syscall(_CREATE, attributes, ctypes.c_size_t(len(attributes)), ctypes.c_uint(0)),
        "landlock_create_ruleset",
    )
    try:
        away = list(hidden)
        for tree in readable:
            for path, rights in _around(tree, away):
                _allow(ruleset, path, rights & handled)
        for paths, rights in ((writable, _WRITE), (devices, READ_FILE | WRITE_FILE)):
            for path in paths:
                _allow(ruleset, path, rights & handled)
        kernel.check(kernel.libc().syscall(_RESTRICT, ruleset, ctypes.c_uint(0)), "landlock_restrict_self")
    finally:
        os.close(ruleset)
    return version


def _around(tree: str, hidden: list[str]) -> Iterator[tuple[str, int]]:
    """`tree` with its rights, or, where hidden folders lie in it, all else in it: rules take nothing back.

    Links are left out: what they lead to is a tree of its own, or was never allowed.
    """
    if tree in hidden:
        return
    if not any(folder.startswith(tree.rstrip(os.sep) + os.sep) for folder in hidden):
        yield tree, _READ
        return
    yield tree, READ_DIR
    with os.scandir(tree) as entries:
        for entry in entries:
            if not entry.is_symlink():
                yield from _around(entry.path, hidden)


def _allow(ruleset: int, path: str, rights: int) -> None:
    try:
        descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        if not stat.S_ISDIR(os.fstat(descriptor).st_mode):
            rights &= _FILE_ONLY
        rule = struct.pack("=Qi", rights, descriptor)
        kernel.check(
            kernel.libc().syscall(_ADD_RULE, ruleset, ctypes.c_int(1), rule, ctypes.c_uint(0)), f"landlock rule {path}"
        )
    finally:
        os.close(descriptor)

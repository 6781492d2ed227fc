"""The system calls Python has no name for, through ctypes. Linux only; nothing here runs at import."""

from __future__ import annotations

import ctypes
import functools
import os
import platform
import signal
import struct
from collections.abc import Callable

CLONE_NEWNS, CLONE_NEWCGROUP, CLONE_NEWUTS, CLONE_NEWIPC = 0x00020000, 0x02000000, 0x04000000, 0x08000000
CLONE_NEWUSER, CLONE_NEWPID, CLONE_NEWNET = 0x10000000, 0x20000000, 0x40000000

MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_REMOUNT = 1, 2, 4, 8, 32
MS_BIND, MS_REC, MS_PRIVATE, MS_NOATIME = 4096, 16384, 1 << 18, 1024
MNT_DETACH = 2

PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_CAPBSET_DROP = 1, 4, 24
PR_SET_CHILD_SUBREAPER, PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, PR_CAP_AMBIENT = 36, 38, 22, 47
PR_SET_NAME = 15
PR_SET_KEEPCAPS = 8

CAP_CHOWN, CAP_DAC_READ_SEARCH, CAP_KILL, CAP_SETGID, CAP_SETUID = 0, 2, 5, 6, 7
CAP_SYS_PTRACE, CAP_SYS_ADMIN = 19, 21

_PIVOT_ROOT = {"x86_64": 155, "aarch64": 41}
_CLONE = {"x86_64": 56, "aarch64": 220}


@functools.cache
def libc() -> ctypes.CDLL:
    """The C library of this process."""
    return ctypes.CDLL(None, use_errno=True)


def check(result: int, what: str) -> int:
    """`result`, or the OSError that a negative one stands for."""
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
    return result


def machine() -> str:
    """The processor family as the kernel names it, `x86_64` or `aarch64` on what is supported."""
    return platform.machine()


def unshare(flags: int) -> None:
    """Leave namespaces behind; needs a process of one thread for CLONE_NEWUSER."""
    check(libc().unshare(ctypes.c_int(flags)), "unshare")


def fork_into(namespaces: int) -> int:
    """`os.fork`, with the child in namespaces of its own (CLONE_NEW...) from its first step.

    Needs a single thread.

    `unshare` gives a new pid namespace only to what is forked next, and so takes a second fork.
    """
    python = ctypes.pythonapi  # Its calls keep the interpreter's lock, as a fork must.
    system_call = ctypes.PyDLL(None, use_errno=True).syscall
    system_call.restype = ctypes.c_long
    number, flags, zero = _CLONE[machine()], ctypes.c_ulong(namespaces | signal.SIGCHLD), ctypes.c_void_p(None)
    python.PyOS_BeforeFork()
    pid = int(system_call(ctypes.c_long(number), flags, zero, zero, zero, zero))
    if pid == 0:
        python.PyOS_AfterFork_Child()
        return 0
    error = ctypes.get_errno()
    python.PyOS_AfterFork_Parent()
    if pid < 0:
        raise OSError(error, f"clone: {os.strerror(error)}")
    return pid


def fork_unnoticed() -> Callable[[], int] | None:
    """`os.fork` without what was asked to be called at a fork; None where that cannot be had.

    Systems whose C library lacks _Fork(3) are those with glibc before 2.34.

    For a copy that is to pass for the process itself, in a process of one thread. Python's own hooks give `random` a
    new seed and `threading` a new main thread, and touch 170 pages of memory; a hook of the user's may do anything.
    """
    fork = getattr(ctypes.PyDLL(None, use_errno=True), "_Fork", None)  # PyDLL: the interpreter's lock stays held.
    if fork is None:
        return None
    get_errno, strerror = ctypes.get_errno, os.strerror

    def fork_or_raise() -> int:
        pid = int(fork())
        if pid < 0:
            raise OSError(get_errno(), f"_Fork: {strerror(get_errno())}")
        return pid

    return fork_or_raise


def mount(source: str | None, target: str, kind: str | None, flags: int = 0, data: str | None = None) -> None:
    """mount(2)."""

    def as_bytes(text: str | None) -> bytes | None:
        return None if text is None else os.fsencode(text)

    check(
        libc().mount(as_bytes(source), as_bytes(target), as_bytes(kind), ctypes.c_ulong(flags), as_bytes(data)),
        f"mount {target}",
    )


def umount_detached(target: str) -> None:
    """Lazily unmount `target`."""
    check(libc().umount2(os.fsencode(target), MNT_DETACH), f"umount {target}")


def set_host_name(name: str) -> None:
    """sethostname(2), for this UTS namespace."""
    check(libc().sethostname(name.encode(), ctypes.c_size_t(len(name))), "sethostname")


def pivot_root(new: str, old: str) -> None:
    """Make `new` the root folder; the old one appears at `old`."""
    check(libc().syscall(_PIVOT_ROOT[machine()], os.fsencode(new), os.fsencode(old)), "pivot_root")


def prctl(option: int, *arguments: int) -> int:
    """prctl(2) with up to four arguments."""
    values = [ctypes.c_ulong(value) for value in (*arguments, 0, 0, 0, 0)][:4]
    return check(libc().prctl(ctypes.c_int(option), *values), f"prctl {option}")


def set_capabilities(kept: tuple[int, ...] = ()) -> None:
    """Keep only `kept` of the capabilities of this process, none inheritable."""
    mask = sum(1 << number for number in kept)
    header = struct.pack("Ii", 0x20080522, 0)
    low, high = mask & 0xFFFFFFFF, mask >> 32
    data = struct.pack("6I", low, low, 0, high, high, 0)
    check(libc().capset(header, data), "capset")


def capabilities() -> frozenset[int]:
    """The capabilities this process may use; none where /proc does not say."""
    try:
        with open("/proc/self/status") as handle:
            mask = next(int(line.split()[1], 16) for line in handle if line.startswith("CapEff:"))
    except (OSError, StopIteration):
        return frozenset()
    return frozenset(number for number in range(64) if mask >> number & 1)


def has_user(user: int) -> bool:
    """Whether `user` exists in this user namespace; a container may have a single one."""
    try:
        with open("/proc/self/uid_map") as handle:
            ranges = [tuple(map(int, line.split())) for line in handle]
    except (OSError, ValueError):
        return False
    return any(inside <= user < inside + count for inside, _, count in ranges)


def drop_bounding_set() -> None:
    """Let nothing that this process starts gain a capability.

    Needs CAP_SETPCAP; without it there is nothing to drop.
    """
    for number in range(64):
        if libc().prctl(PR_CAPBSET_DROP, ctypes.c_ulong(number), 0, 0, 0) < 0:
            break
    libc().prctl(PR_CAP_AMBIENT, ctypes.c_ulong(4), 0, 0, 0)  # PR_CAP_AMBIENT_CLEAR_ALL


def hide_command_line(name: str) -> None:
    """Write `name` over the command line that other users of this machine, and cells, see of this process."""
    try:
        with open("/proc/self/stat", "rb") as handle:
            start, end = (int(field) for field in handle.read().rpartition(b")")[2].split()[45:47])
    except (OSError, ValueError):
        return
    if 0 < start < end:
        ctypes.memset(start, 0, end - start)
        ctypes.memmove(start, name.encode()[: end - start - 1], min(len(name), end - start - 1))


def kernel_version() -> tuple[int, int]:
    """Major and minor version of the running kernel."""
    major, minor = platform.release().split(".")[:2]
    return int(major), int("".join(filter(str.isdigit, minor)) or 0)

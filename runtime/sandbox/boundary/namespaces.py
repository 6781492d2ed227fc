"""Tier 1: own user, mount, pid, net, ipc, uts and cgroup namespaces for zygote and sessions."""

from __future__ import annotations

import os
import signal
from typing import Any

from . import kernel
from .kernel import MS_BIND, MS_NODEV, MS_NOEXEC, MS_NOSUID, MS_PRIVATE, MS_RDONLY, MS_REC, MS_REMOUNT

NOBODY = 65534
INSIDE = 1000
"""User and group id inside. Not 65534: that is what ids without a mapping show as."""
DEVICES = ("null", "zero", "full", "random", "urandom")
ISOLATED = (
    kernel.CLONE_NEWNS
    | kernel.CLONE_NEWPID
    | kernel.CLONE_NEWNET
    | kernel.CLONE_NEWIPC
    | kernel.CLONE_NEWUTS
    | kernel.CLONE_NEWCGROUP
)


def enter_outer() -> None:
    """Leave the host's namespaces; what is forked next is pid 1 of its own.

    An ordinary user needs a user namespace first, and so does a root in name only, without the capabilities, or the
    only user of a container. The real root goes without at this point, because only it can reach an interpreter in a
    folder closed to others; `build_root` gives root up once the mounts stand.
    """
    if not _is_real_root():
        _new_user_namespace(os.geteuid(), os.getegid())
    kernel.unshare(ISOLATED)
    kernel.set_host_name("sandbox")


def _new_user_namespace(user: int, group: int, more: int = 0) -> None:
    kernel.unshare(kernel.CLONE_NEWUSER | more)
    _map(user, group)


def _map(user: int, group: int) -> None:
    _write("/proc/self/setgroups", "deny")
    _write("/proc/self/uid_map", f"{INSIDE} {user} 1")
    _write("/proc/self/gid_map", f"{INSIDE} {group} 1")


def _write(path: str, text: str) -> None:
    with open(path, "w") as handle:
        handle.write(text)


def build_root(options: dict[str, Any]) -> None:
    """Make a root folder of nothing but what Python needs, read-only, and move into it."""
    root = "/tmp"  # Any folder will do to mount on: the mount is private, and after the pivot it lies there no more.
    kernel.mount(None, "/", None, MS_REC | MS_PRIVATE)
    kernel.mount("tmpfs", root, "tmpfs", MS_NOSUID | MS_NODEV, "size=1m,mode=755")
    os.mkdir(f"{root}/.old")
    kernel.pivot_root(root, f"{root}/.old")
    os.chdir("/")
    old = "/.old"
    # From here on the host is at /.old, its /tmp included; the binds below are all that stays of it.
    os.makedirs("/dev")
    for name in DEVICES:
        _touch(f"/dev/{name}")
        kernel.mount(f"{old}/dev/{name}", f"/dev/{name}", None, MS_BIND)
        # A device on a read-only mount can be written to all the same; its times cannot be set.
        _make_read_only(f"/dev/{name}")
    for tree in options["trees"]:
        _bind(old, tree)
    for folder in options["hidden"]:
        if os.path.isdir(folder):
            flags = MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_RDONLY
            kernel.mount("tmpfs", folder, "tmpfs", flags, "size=4k,mode=755")
    os.makedirs("/proc", exist_ok=True)
    kernel.mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC)
    scratch = options["scratch"]
    os.makedirs(scratch, exist_ok=True)
    kernel.mount("tmpfs", scratch, "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, "size=16m,nr_inodes=1k,mode=777")
    kernel.umount_detached(old)
    os.rmdir(old)
    kernel.mount(None, "/", None, MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_NODEV)
    if _is_real_root():
        os.setgroups([])
        os.setresgid(NOBODY, NOBODY, NOBODY)
        os.setresuid(NOBODY, NOBODY, NOBODY)
        kernel.prctl(kernel.PR_SET_PDEATHSIG, signal.SIGKILL)  # cleared by the change of user
        kernel.prctl(kernel.PR_SET_DUMPABLE, 1)  # or /proc/self/uid_map belongs to root
        _new_user_namespace(NOBODY, NOBODY, kernel.CLONE_NEWNS)
    os.chdir(scratch)


def _is_real_root() -> bool:
    needed = {kernel.CAP_SYS_ADMIN, kernel.CAP_SETUID, kernel.CAP_SETGID}
    return os.geteuid() == 0 and needed <= kernel.capabilities() and kernel.has_user(NOBODY)


def _touch(path: str) -> None:
    os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o644))


def _bind(old: str, tree: str) -> None:
    if os.path.islink(old + tree):
        os.makedirs(os.path.dirname(tree), exist_ok=True)
        os.symlink(os.readlink(old + tree), tree)
        return
    if os.path.isdir(old + tree):
        os.makedirs(tree, exist_ok=True)
    elif os.path.exists(old + tree):
        os.makedirs(os.path.dirname(tree), exist_ok=True)
        _touch(tree)
    else:
        return
    kernel.mount(old + tree, tree, None, MS_BIND | MS_REC)
    _make_read_only(tree, MS_NODEV)


def _make_read_only(tree: str, more: int = 0) -> None:
    # A bind takes on flags only when mounted again, together with those an outer namespace has locked.
    flags = os.statvfs(tree).f_flag & (MS_NOSUID | MS_NODEV | MS_NOEXEC | 1024 | 2048 | 4096)
    locked = flags & (MS_NOSUID | MS_NODEV | MS_NOEXEC)
    if flags & 1024:
        locked |= kernel.MS_NOATIME
    if flags & 2048:
        locked |= 2048
    if flags & 4096:
        locked |= 1 << 21
    kernel.mount(None, tree, None, MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | more | locked)


def fork_session() -> int:
    """Fork the zygote; the child is pid 1 of namespaces of its own, so that sessions share nothing."""
    return kernel.fork_into(
        kernel.CLONE_NEWUSER | kernel.CLONE_NEWNS | kernel.CLONE_NEWPID | kernel.CLONE_NEWIPC | kernel.CLONE_NEWUTS
    )


def enter_session(scratch: str, limits: dict[str, Any]) -> None:
    """In a child of `fork_session`: mounts of its own, and no rights but those that a supervisor needs."""
    _map(INSIDE, INSIDE)
    kernel.mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, "hidepid=2,subset=pid")
    inodes = 64 + limits["disk_mb"] * 64
    kernel.mount(
        "tmpfs",
        scratch,
        "tmpfs",
        MS_NOSUID | MS_NODEV | MS_NOEXEC,
        f"size={limits['disk_mb']}m,nr_inodes={inodes},mode=700",
    )
    kernel.drop_bounding_set()
    kernel.set_capabilities((kernel.CAP_KILL, kernel.CAP_SYS_PTRACE))
    kernel.prctl(kernel.PR_SET_DUMPABLE, 0)

"""System calls the worker may not make, as a BPF filter built here: no compiler, no library.

A deny-list that answers with an error, because an allow-list that kills breaks with every new C library. What it must
still be is closed towards the future: numbers newer than the table are ENOSYS, so that nothing unknown is reachable.
Number tables: Linux `arch/x86/entry/syscalls/syscall_64.tbl` and `include/uapi/asm-generic/unistd.h`.
"""

from __future__ import annotations

import ctypes
import errno
import struct
from dataclasses import dataclass

from . import kernel

NEWEST = 461
"""Highest system call number known here; from 424 on the numbers are the same on all processors."""

# name: (x86-64, aarch64); None where the processor lacks it.
DENIED: dict[str, tuple[int | None, int | None]] = {
    # other programs
    "execve": (59, 221), "execveat": (322, 281), "uselib": (134, None),
    # network: no socket of any family. A socketpair may not be turned into one that reaches out.
    "socket": (41, 198), "connect": (42, 203), "bind": (49, 200), "listen": (50, 201), "accept": (43, 202),
    "accept4": (288, 242), "sendmsg": (46, 211), "sendmmsg": (307, 269), "recvmmsg": (299, 243),
    "setsockopt": (54, 208),  # buffers, and filters that the kernel compiles
    # file systems
    "mount": (165, 40), "umount2": (166, 39), "pivot_root": (155, 41), "chroot": (161, 51), "open_tree": (428, 428),
    "move_mount": (429, 429), "fsopen": (430, 430), "fsconfig": (431, 431), "fsmount": (432, 432),
    "fspick": (433, 433), "mount_setattr": (442, 442), "statmount": (457, 457), "listmount": (458, 458),
    "quotactl": (179, 60), "quotactl_fd": (443, 443), "name_to_handle_at": (303, 264),
    "open_by_handle_at": (304, 265), "fanotify_init": (300, 262), "fanotify_mark": (301, 263),
    "inotify_init": (253, None), "inotify_init1": (294, 26), "inotify_add_watch": (254, 27),
    "lookup_dcookie": (212, 18), "cachestat": (451, 451), "ustat": (136, None), "sysfs": (139, None),
    # names that point elsewhere, devices, attributes: Landlock does not govern the last
    "symlink": (88, None), "symlinkat": (266, 36), "link": (86, None), "linkat": (265, 37),
    "mknod": (133, None), "mknodat": (259, 33), "chown": (92, None), "fchown": (93, 55), "lchown": (94, None),
    "fchownat": (260, 54), "setxattr": (188, 5), "lsetxattr": (189, 6), "fsetxattr": (190, 7),
    "removexattr": (197, 14), "lremovexattr": (198, 15), "fremovexattr": (199, 16), "fchmodat2": (452, 452),
    # namespaces
    "unshare": (272, 97), "setns": (308, 268),
    # other processes: looking into them, stopping them, changing how they run
    "ptrace": (101, 117), "process_vm_readv": (310, 270), "process_vm_writev": (311, 271), "kcmp": (312, 272),
    "process_mrelease": (448, 448), "process_madvise": (440, 440), "pidfd_open": (434, 434),
    "pidfd_getfd": (438, 438), "pidfd_send_signal": (424, 424), "kill": (62, 129), "tkill": (200, 130),
    "tgkill": (234, 131), "rt_sigqueueinfo": (129, 138), "rt_tgsigqueueinfo": (297, 240), "setpgid": (109, 154),
    "sched_setparam": (142, 118), "sched_setscheduler": (144, 119), "sched_setattr": (314, 274),
    "ioprio_set": (251, 30), "migrate_pages": (256, 238), "move_pages": (279, 239), "mbind": (237, 235),
    "set_mempolicy": (238, 237), "set_mempolicy_home_node": (450, 450),
    # large and little used parts of the kernel, where its faults are found
    "bpf": (321, 280), "perf_event_open": (298, 241), "userfaultfd": (323, 282), "io_uring_setup": (425, 425),
    "io_uring_enter": (426, 426), "io_uring_register": (427, 427), "add_key": (248, 217), "request_key": (249, 218),
    "keyctl": (250, 219), "vmsplice": (278, 75), "remap_file_pages": (216, 234), "modify_ldt": (154, None),
    "personality": (135, 92), "seccomp": (317, 277), "landlock_create_ruleset": (444, 444),
    "landlock_add_rule": (445, 445), "landlock_restrict_self": (446, 446), "lsm_get_self_attr": (459, 459),
    "lsm_set_self_attr": (460, 460), "lsm_list_modules": (461, 461),
    # memory that the limits do not count
    "memfd_create": (319, 279), "memfd_secret": (447, 447), "shmget": (29, 194), "shmat": (30, 196),
    "shmctl": (31, 195), "shmdt": (67, 197), "semget": (64, 190), "semop": (65, 193), "semctl": (66, 191),
    "semtimedop": (220, 192), "msgget": (68, 186), "msgsnd": (69, 189), "msgrcv": (70, 188), "msgctl": (71, 187),
    "mq_open": (240, 180), "mq_unlink": (241, 181), "mq_timedsend": (242, 182), "mq_timedreceive": (243, 183),
    "mq_notify": (244, 184), "mq_getsetattr": (245, 185),
    # asynchronous requests, of which the whole machine has one number; timers that fire after their cell has ended
    "io_setup": (206, 0), "io_destroy": (207, 1), "io_getevents": (208, 4), "io_submit": (209, 2),
    "io_cancel": (210, 3), "io_pgetevents": (333, 292), "timer_create": (222, 107),
    # the machine itself
    "sync": (162, 81), "syncfs": (306, 267),
    "reboot": (169, 142), "kexec_load": (246, 104), "kexec_file_load": (320, 294), "init_module": (175, 105),
    "finit_module": (313, 273), "delete_module": (176, 106), "swapon": (167, 224), "swapoff": (168, 225),
    "sethostname": (170, 161), "setdomainname": (171, 162), "iopl": (172, None), "ioperm": (173, None),
    "acct": (163, 89), "settimeofday": (164, 170), "adjtimex": (159, 171), "clock_settime": (227, 112),
    "clock_adjtime": (305, 266), "syslog": (103, 116), "vhangup": (153, 58), "nfsservctl": (180, 42),
    "_sysctl": (156, None),
}  # fmt: skip

REDUCED_DENIED: dict[str, tuple[int | None, int | None]] = {
    # Without a file system of its own, the attributes of the user's files are in reach, and Landlock lets them be.
    "chmod": (90, None), "fchmod": (91, 52), "fchmodat": (268, 53), "utime": (132, None), "utimes": (235, None),
    "futimesat": (261, None), "utimensat": (280, 88), "truncate": (76, 45),
}  # fmt: skip

UNSUPPORTED: dict[str, tuple[int | None, int | None]] = {
    # Landlock does not govern reading attributes; programs know file systems that have none.
    "getxattr": (191, 8), "lgetxattr": (192, 9), "fgetxattr": (193, 10), "listxattr": (194, 11),
    "llistxattr": (195, 12), "flistxattr": (196, 13),
}  # fmt: skip

REDUCED_UNSUPPORTED: dict[str, tuple[int | None, int | None]] = {
    # It takes all of a disk at once, between two looks of the supervisor; the C library writes zeros instead.
    "fallocate": (285, 47),
}

ABSENT: dict[str, tuple[int | None, int | None]] = {
    # Their flags lie in memory, where a filter cannot look; programs fall back to the older call.
    "clone3": (435, 435), "openat2": (437, 437),
    # Libraries' files, which may be locked though they cannot be written, are the host's. HDF5 does without.
    "flock": (73, 32),
}  # fmt: skip

_CLONE_DENIED = 0x7E020000 | 0x00008000 | 0x00002000
"""All CLONE_NEW*, CLONE_PARENT (a child of the snapshot's), CLONE_PTRACE."""
_PRCTL_ALLOWED = (2, 3, 15, 16, 21, 23, 29, 30, 41, 42, 0x53564D41)
"""Names, timer slack, huge pages and questions; above all not PR_SET_DUMPABLE, PR_SET_MM, PR_SET_PDEATHSIG."""
_IOCTL_ALLOWED = (0x5401, 0x802C542A, 0x5413, 0x541B, 0x5421, 0x5450, 0x5451)
"""TCGETS, TCGETS2 (is this a terminal?), TIOCGWINSZ, FIONREAD, FIONBIO, FIONCLEX, FIOCLEX."""
_FCNTL_DENIED = (8, 10, 15, 1024, 1026, 1031)
"""F_SETOWN, F_SETSIG, F_SETOWN_EX (signals to others), F_SETLEASE, F_NOTIFY, F_SETPIPE_SZ (memory)."""

_MSG_DENIED = 0x1 | 0x2000 | 0x4000000
"""MSG_OOB, MSG_ERRQUEUE, MSG_ZEROCOPY."""

_ARCH = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_COLUMN = {"x86_64": 0, "aarch64": 1}
_O_TRUNC, _O_ACCMODE, _TMPFILE = 0o1000, 3, 0o20000000
_SETID = 0o6000

ALLOW, KILL = 0x7FFF0000, 0x80000000
_LOAD, _JUMP_EQUAL, _JUMP_ABOVE, _JUMP_ANY_BIT, _AND, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x54, 0x06
_NUMBER, _ARCH_OFFSET = 0, 4


@dataclass(frozen=True)
class Instruction:
    """One instruction of classic BPF."""

    code: int
    on_true: int
    on_false: int
    value: int

    def pack(self) -> bytes:
        """As the kernel reads it."""
        return struct.pack("HBBI", self.code, self.on_true, self.on_false, self.value)


def error(number: int) -> Instruction:
    """Answer with an errno."""
    return Instruction(_RETURN, 0, 0, 0x00050000 | number)


def _argument(index: int, high: bool = False) -> Instruction:
    return Instruction(_LOAD, 0, 0, 16 + 8 * index + (4 if high else 0))


def program(machine: str, *, reduced: bool) -> list[Instruction]:
    """The filter for `machine` (`x86_64`, `aarch64`); `reduced` where the file system is the host's.

    Raises:
        KeyError: no table for this processor.
    """
    column = _COLUMN[machine]
    allow = Instruction(_RETURN, 0, 0, ALLOW)
    code = [
        Instruction(_LOAD, 0, 0, _ARCH_OFFSET),
        Instruction(_JUMP_EQUAL, 1, 0, _ARCH[machine]),
        Instruction(_RETURN, 0, 0, KILL),  # 32-bit calls have other numbers: none of them is honest here.
        Instruction(_LOAD, 0, 0, _NUMBER),
        Instruction(_JUMP_ABOVE, 0, 1, NEWEST + 1),  # x32 numbers among them
        error(errno.ENOSYS),
    ]
    denied = {**DENIED, **(REDUCED_DENIED if reduced else {})}
    unsupported = {**UNSUPPORTED, **(REDUCED_UNSUPPORTED if reduced else {})}
    for table, answer in ((denied, errno.EPERM), (unsupported, errno.EOPNOTSUPP), (ABSENT, errno.ENOSYS)):
        for numbers in table.values():
            if (number := numbers[column]) is not None:
                code += [Instruction(_JUMP_EQUAL, 0, 1, number), error(answer)]
    for numbers, body in checks(reduced):
        if (number := numbers[column]) is not None:
            # Each body ends in a return, so that the number need not be loaded again.
            code += [Instruction(_JUMP_EQUAL, 0, len(body) + 1, number), *body, allow]
    return [*code, allow]


def checks(reduced: bool) -> list[tuple[tuple[int | None, int | None], list[Instruction]]]:
    """Calls judged by an argument: what comes before the final `allow`."""
    denied = error(errno.EPERM)

    def one_of(index: int, values: tuple[int, ...], answer: Instruction) -> list[Instruction]:
        tests = [[Instruction(_JUMP_EQUAL, 0, 1, value), answer] for value in values]
        return [_argument(index), *(step for test in tests for step in test)]

    def only(index: int, values: tuple[int, ...], answer: Instruction) -> list[Instruction]:
        allow = Instruction(_RETURN, 0, 0, ALLOW)
        return [*one_of(index, values, allow), answer]

    def zero(index: int, high: bool = False) -> list[Instruction]:
        return [_argument(index, high), Instruction(_JUMP_EQUAL, 1, 0, 0), denied]

    def no_bits(index: int, bits: int) -> list[Instruction]:
        return [_argument(index), Instruction(_JUMP_ANY_BIT, 0, 1, bits), denied]

    def opening(index: int) -> list[Instruction]:
        # Access mode 3 opens for neither reading nor writing, and so needs no right of Landlock's: devices open, and
        # O_TRUNC empties files. O_RDONLY with O_TRUNC does that without the right to write, as far as Landlock before
        # ABI 3 sees.
        return [
            _argument(index),
            Instruction(_AND, 0, 0, _O_ACCMODE),
            Instruction(_JUMP_EQUAL, 0, 1, _O_ACCMODE),
            denied,
            _argument(index),
            Instruction(_AND, 0, 0, _O_TRUNC | _O_ACCMODE),
            Instruction(_JUMP_EQUAL, 0, 1, _O_TRUNC),
            denied,
            # A file that never had a name is not seen by who counts them; libraries make one with a name instead.
            *(
                [_argument(index), Instruction(_JUMP_ANY_BIT, 0, 1, _TMPFILE), error(errno.EOPNOTSUPP)]
                if reduced
                else []
            ),
        ]

    checks: list[tuple[tuple[int | None, int | None], list[Instruction]]] = [
        ((56, 220), no_bits(0, _CLONE_DENIED)),
        ((53, 199), only(0, (1,), denied)),  # socketpair: AF_UNIX, which asyncio needs
        # sendto with an address reaches sockets that socketpair's end was never connected to; CVE-2025-38236 is out of
        # band data of unix sockets
        ((44, 206), [*zero(4), *zero(4, high=True), *no_bits(3, _MSG_DENIED)]),
        ((45, 207), no_bits(3, _MSG_DENIED)),  # recvfrom
        ((47, 212), no_bits(2, _MSG_DENIED)),  # recvmsg
        ((157, 167), only(0, _PRCTL_ALLOWED, denied)),
        ((16, 29), only(1, _IOCTL_ALLOWED, error(errno.ENOTTY))),
        ((72, 25), one_of(1, _FCNTL_DENIED, denied)),
        ((302, 261), only(0, (0,), denied)),  # prlimit64 of this process only
        ((203, 122), only(0, (0,), denied)),  # sched_setaffinity
        # setpriority: PRIO_PROCESS, of this process. A group or a user has processes outside, the app among them.
        ((141, 140), [*zero(0), *only(1, (0,), denied)]),
        ((2, None), opening(1)),
        ((257, 56), opening(2)),
    ]
    if not reduced:
        checks += [((90, None), no_bits(1, _SETID)), ((91, 52), no_bits(1, _SETID)), ((268, 53), no_bits(2, _SETID))]
    return checks


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_void_p))


def install(*, reduced: bool) -> None:
    """Filter this process and all it will ever start. Irrevocable; needs `NO_NEW_PRIVS`.

    Raises:
        OSError: the kernel has no seccomp, or refuses.
        KeyError: no table for this processor.
    """
    code = b"".join(step.pack() for step in program(kernel.machine(), reduced=reduced))
    buffer = ctypes.create_string_buffer(code, len(code))
    described = _Program(len(code) // 8, ctypes.cast(buffer, ctypes.c_void_p))
    kernel.check(
        kernel.libc().prctl(kernel.PR_SET_SECCOMP, ctypes.c_ulong(2), ctypes.byref(described), 0, 0), "seccomp filter"
    )

"""The machine: its system and what is known of it, Python, cores, memory."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Iterator
from pathlib import Path

from recipes.doctor.finding import Finding

AREA = "machine"
GIGABYTE = 1024**3
RUN = "solving, the sandbox, training on the processor and export are tested here"
EXPECTED = "expected to work, and not tested yet"


def machine() -> Iterator[Finding]:
    """System, Python, processor, memory."""
    from recipes.places import tilde

    yield system()
    supported = sys.version_info >= (3, 11)
    yield Finding(
        AREA,
        "Python",
        "ok" if supported else "bad",
        f"{platform.python_version()} at {tilde(Path(sys.executable))}",
        "" if supported else "Python 3.11 or newer is needed.",
    )
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    yield Finding(AREA, "processor", "ok", f"{cores} core{'s' if cores != 1 else ''} for this process")
    memory = memory_bytes()
    if memory is not None:
        total, free = (value / GIGABYTE for value in memory)
        enough = free >= 2
        yield Finding(
            AREA,
            "memory",
            "ok" if enough else "note",
            f"{free:.1f} of {total:.1f} GiB free",
            "" if enough else "Models of more than about 1 GB will not fit; close other programs.",
        )


def system() -> Finding:
    """The system: tested, expected to work, or refused; README.md has the same table."""
    kernel, release, processor = platform.system(), platform.release(), platform.machine()
    name = f"{kernel} {release}, {processor}"
    if kernel == "Windows":
        return Finding(AREA, "system", "bad", name, "Use WSL2: the sandbox needs a Linux kernel.")
    if kernel == "Linux" and is_wsl():
        if "wsl2" not in release.lower():
            remedy = "Use WSL2 (`wsl --set-version DISTRIBUTION 2`): WSL1 has no Linux kernel for the sandbox."
            return Finding(AREA, "system", "bad", name, remedy)
        return Finding(AREA, "system", "note", f"{name} (WSL2): {EXPECTED}")
    if kernel == "Linux" and processor in ("x86_64", "AMD64"):
        return Finding(AREA, "system", "ok", f"{name}: {RUN}")
    if kernel == "Linux" and processor in ("aarch64", "arm64"):
        return Finding(AREA, "system", "note", f"{name}: {EXPECTED}")
    if kernel == "Darwin":
        detail = f"{name}: solving behind sandbox-exec and training on the processor are {EXPECTED}"
        return Finding(AREA, "system", "note", detail)
    return Finding(AREA, "system", "note", f"{name}: nothing is known of it")


def is_wsl() -> bool:
    """Whether this Linux is Windows' own."""
    return "microsoft" in platform.release().lower()


def memory_bytes() -> tuple[int, int] | None:
    """(total, available) memory in bytes; None where the system does not tell."""
    try:
        text = Path("/proc/meminfo").read_text(encoding="ascii")
        values = {line.split(":")[0]: int(line.split()[1]) * 1024 for line in text.splitlines() if ":" in line}
        return values["MemTotal"], values["MemAvailable"]
    except (OSError, KeyError, ValueError, IndexError):
        return None

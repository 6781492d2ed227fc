"""What an export will need, said before it starts: disk, memory, time."""

from __future__ import annotations

import math
import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from export.gguf.quantize import NEEDS_IMATRIX, UNQUANTIZED
from export.merge.merge import MergePlan
from export.settings import ExportSettings
from runtime.errors import ExportError, InputError

BITS = {
    "F32": 32.0, "F16": 16.0, "BF16": 16.0, "Q8_0": 8.5, "Q6_K": 6.6, "Q5_K_M": 5.7, "Q5_K_S": 5.6, "Q5_1": 6.0,
    "Q5_0": 5.6, "Q4_K_M": 4.9, "Q4_K_S": 4.7, "Q4_1": 5.1, "Q4_0": 4.7, "IQ4_NL": 4.7, "IQ4_XS": 4.5, "Q3_K_L": 4.4,
    "Q3_K_M": 4.0, "Q3_K_S": 3.6, "IQ3_M": 3.8, "IQ3_S": 3.6, "IQ3_XS": 3.4, "IQ3_XXS": 3.2, "Q2_K": 3.2, "Q2_K_S": 3.0,
    "IQ2_M": 2.9, "IQ2_S": 2.7, "IQ2_XS": 2.5, "IQ2_XXS": 2.3, "IQ1_M": 2.0, "IQ1_S": 1.8,
}  # fmt: skip
"""Bits per weight of a 7B model, rounded up (measured sizes of public files): enough to size a disk."""

SLACK = 1.05
_SMALL_MODEL_BITS = 2.0
"""Small models keep a larger share of their weights in wider types."""


@dataclass(frozen=True)
class Sizes:
    """Bytes and seconds an export is expected to need."""

    merged: int
    f16: int
    files: dict[str, int]
    memory: int
    seconds: float

    @property
    def disk(self) -> int:
        """Most bytes on disk at one moment: merged folder, F16 file and every result."""
        return int((self.merged + self.f16 + sum(self.files.values())) * SLACK)


def size_export(plan: MergePlan, settings: ExportSettings) -> Sizes:
    """Sizes of everything the export writes, and the most memory that a stage takes."""
    item = 4 if settings.dtype == "float32" else 2
    files = {
        name: int(plan.items * (BITS.get(name, 6.0) + (_SMALL_MODEL_BITS if plan.items < 3e8 else 0)) / 8)
        for name in settings.quant
        if name not in UNQUANTIZED
    }
    largest = max((math.prod(tensor.shape) for tensor in plan.planned), default=0)
    # A merge holds a linear layer twice in 32 bits; the libraries themselves take about 600 MB.
    memory = 600_000_000 + max(8 * min(largest, 200_000_000), 500_000_000)
    seconds = 15 + plan.items * (len(files) * 2.5e-8 + 4e-8)
    return Sizes(plan.nbytes, plan.items * item, files, memory, seconds)


def refuse_unless_it_fits(sizes: Sizes, out: Path, settings: ExportSettings) -> None:
    """Everything that would stop the export later is found here.

    Raises:
        InputError: the target cannot be written, or a type needs an importance matrix that was not given.
        ExportError: the disk is too full.
    """
    for name in settings.quant:
        if name in NEEDS_IMATRIX and settings.imatrix is None:
            raise InputError(
                f"{name} needs an importance matrix", "nothing was exported", "give export.imatrix or another type"
            )
    if settings.imatrix is not None:
        from export.gguf.imatrix import is_rows, read_imatrix

        if not is_rows(settings.imatrix):
            read_imatrix(settings.imatrix)
        elif not settings.imatrix.is_file():
            raise InputError(f"{settings.imatrix} does not exist", "nothing was exported", "check imatrix")
    try:
        out.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=out):
            pass
    except OSError as error:
        message = f"{out} cannot be written to ({error.strerror})"
        raise InputError(message, "nothing was exported", "choose another --out") from error
    free = shutil.disk_usage(out).free
    if free < sizes.disk:
        raise ExportError(
            f"{out} has {free / 1e9:.1f} GB free, the export needs up to {sizes.disk / 1e9:.1f} GB",
            "nothing was started",
            "free some space, or choose another --out",
        )


def available_memory() -> int | None:
    """Bytes of memory that can be used without swapping, None where the system does not say."""
    try:
        for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError):
        return None

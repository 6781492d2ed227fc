"""What is refused before a run and during it, each with cause, consequence and remedy."""

from __future__ import annotations

import errno
import math
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qlora.base import Base
from qlora.data import Row
from qlora.memory import Memory, disk_of
from qlora.runfolder import RunFolder, refuse_other_run
from qlora.settings import LoraSettings, QloraSettings
from qlora.shape import Shape
from runtime.errors import InputError, TrainError

if TYPE_CHECKING:
    import torch

    from qlora.processes import Processes


def check_context(base: Base, context: int) -> None:
    """Refuse a context that the base's positions do not reach.

    Raises:
        InputError: with both numbers.
    """
    limit = base.config.get("max_position_embeddings")
    if limit is not None and context > limit:
        raise InputError(
            f"train.context={context} exceeds max_position_embeddings={limit} of {base.name}",
            "longer rows would be trained at positions that the base has never seen",
            f"set train.context={limit} or less",
        )


def check_disk(path: Path, shape: Shape, settings: QloraSettings) -> None:
    """Refuse to start where the checkpoints will not fit.

    Raises:
        TrainError: with what is needed and what is free.
    """
    needed, free = disk_of(shape, settings), shutil.disk_usage(path).free
    if free < needed:
        raise TrainError(
            f"{path} has {free / 1e9:.2f} GB free, checkpoints need {needed / 1e9:.2f} GB",
            "training does not start",
            "free some space, or give --out on another disk",
        )


def check_memory(name: str, memory: Memory, available: int, whole: int, *, on_gpu: bool) -> str:
    """Refuse a base that memory cannot hold; a warning, or nothing, where only the rest may not fit.

    Args:
        name: of the base.
        memory: of the smallest layout.
        available: free bytes, those of this process's CUDA context included.
        whole: bytes that the card or the machine has.
        on_gpu: what `available` is of.

    Raises:
        TrainError: before the weights are read.
    """
    place = "this GPU" if on_gpu else "this machine"
    fixed = memory.weights + memory.embeddings + memory.adapter + memory.libraries
    taken = f"; other processes hold {(whole - available) / 1e9:.1f} GB" if whole - available > 0.1 * whole else ""
    found = f"of the {whole / 1e9:.1f} GB of {place} {available / 1e9:.1f} GB are free{taken}"
    if fixed > available:
        raise TrainError(
            f"{name} needs {fixed / 1e9:.1f} GB before its first step, and {found}",
            "nothing was trained",
            ("end what else uses it, or " if taken else "") + "take a smaller base; `mathcoder plan` says what fits",
        )
    if memory.total > available:
        return f"by the plan a step needs {memory.total / 1e9:.1f} GB, and {found}; it is tried nevertheless"
    return ""


@contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Say what a full disk means for the run."""
    try:
        yield
    except (OSError, RuntimeError) as error:
        # torch.save and safetensors report a failed write as a RuntimeError of their own
        full = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
        if not full and shutil.disk_usage(path).free > 1 << 20:
            raise
        raise TrainError(
            f"the disk of {path} is full", "this checkpoint was not written; the one before it is whole",
            "free some space and give the same command again",
        ) from error  # fmt: skip


def refuse_sharded(lora: LoraSettings) -> None:
    """Refuse what does not go with a base that processes share.

    Raises:
        TrainError: the adapter reads whole weights.
    """
    if lora.dora:
        raise TrainError(
            "lora.dora needs the whole weights of a layer, and train.fsdp gives each process a shard of them",
            "nothing was trained",
            "set lora.dora=false or train.fsdp=false",
        )


def refuse_two_folders(folder: RunFolder, processes: Processes, done: int) -> None:
    """Refuse processes that would go on from different steps.

    Raises:
        TrainError: they see different folders under one name.
    """
    if not processes.agree(done):
        raise TrainError(
            f"the processes see different checkpoints in {folder.path}",
            "they would not train one model",
            "give --out on a disk that all machines share",
        )


def earlier_run(folder: RunFolder, run: dict[str, Any]) -> dict[str, Any] | None:
    """The run that the folder holds, if it is the same one.

    Raises:
        InputError: it is another one.
    """
    old = folder.read()
    if old is not None:
        refuse_other_run(old, run, folder.path)
    return old


def refuse_nan(loss: float, norm: float, step: int, rows: Sequence[Row], last: Path | None, dtype: torch.dtype) -> None:
    """Stop before a loss or gradient that is not a number reaches the weights.

    Raises:
        TrainError: naming the rows of the step and the checkpoint that is still good.
    """
    if math.isfinite(loss) and math.isfinite(norm):
        return
    places = ", ".join(row.place for row in rows[:8]) + (f" and {len(rows) - 8} more" if len(rows) > 8 else "")
    remedy = "lower train.learning_rate, or look at these rows with `mathcoder data show`"
    if str(dtype) == "torch.float16":
        remedy += (
            "; if it is so from the first step, the base needs numbers beyond float16: train.compute_dtype=float32"
        )
    raise TrainError(
        f"the loss of step {step + 1} is {loss}, its gradient's norm {norm} (rows {places})",
        f"training stops; the weights of {last or 'no checkpoint'} are the last good ones",
        remedy,
    )

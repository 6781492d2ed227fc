"""The small decisions around the loop of `qlora.train`: checks before it, records beside it, the account after it."""

from __future__ import annotations

import errno
import math
import shutil
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qlora.adapter import Adapted
from qlora.base import BLOCKSIZE, BaseModel, device_and_dtype
from qlora.data import Row
from qlora.prepare import Prepared
from qlora.runfolder import RunFolder, refuse_other_run, versions
from qlora.settings import LoraSettings, QloraSettings, TrainSettings
from qlora.step import Stepper, StepResult
from runtime.errors import InputError, TrainError
from runtime.lce import KINDS

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray
    from rich.console import Console

    from qlora.peak import Peak
    from qlora.processes import Processes
    from qlora.sharding import ShardedBase
    from qlora.train import RunSummary

MICRO_TOKENS = {"cpu": 4096, "cuda": 8192}
"""Default tokens per forward pass, by device."""


def check_context(base: BaseModel, context: int) -> None:
    """Refuse a context that the base's positions do not reach.

    Raises:
        InputError: with both numbers.
    """
    limit = base.config.get("max_position_embeddings")
    if limit is not None and context > limit:
        raise InputError(
            f"train.context is {context}, the base {base.name} knows {limit} positions",
            "rows beyond that would teach nothing good",
            f"set train.context to {limit} or less",
        )


def adapter_bytes(base: BaseModel, lora: LoraSettings) -> int:
    """About how many bytes the float32 adapter has on disk."""
    config = base.config
    hidden, inner = config["hidden_size"], config["intermediate_size"]
    # q, k, v, o at most hidden + hidden, the three of the MLP hidden + intermediate
    per_layer = lora.r * (4 * 2 * hidden + 3 * (hidden + inner))
    return 4 * (config["num_hidden_layers"] * per_layer + 16 * hidden)


def check_disk(path: Path, base: BaseModel, lora: LoraSettings) -> None:
    """Refuse to start where the checkpoints will not fit.

    Raises:
        TrainError: with what is needed and what is free.
    """
    # Three checkpoints at the moment of change (parameters and two Adam moments each), and the adapter twice.
    needed = adapter_bytes(base, lora) * (3 * 3 + 2)
    free = shutil.disk_usage(path).free
    if free < needed:
        raise TrainError(
            f"{path} has {free / 1e9:.2f} GB free, checkpoints need {needed / 1e9:.2f} GB",
            "training does not start",
            "free some space, or give --out on another disk",
        )


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


def micro_tokens(options: TrainSettings, device: torch.device, lengths: NDArray[np.int64]) -> int:
    """Tokens per forward pass: what the recipe says, else the device's default; at least the longest row."""
    return max(options.micro_tokens or MICRO_TOKENS[device.type], int(lengths.max()))


def step_seed(seed: int, step: int) -> int:
    """Seed of the random numbers (dropout, NEFTune) of one step."""
    return (seed * 1_000_003 + step) % (1 << 63)


def refuse_cut(lora: LoraSettings) -> None:
    """Refuse what does not go with a base that is cut over processes.

    Raises:
        TrainError: the adapter reads whole weights.
    """
    if lora.dora:
        raise TrainError(
            "lora.dora needs the whole weights of a layer, and train.fsdp cuts them over the processes",
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


def describe(settings: QloraSettings, base: BaseModel, data: Prepared, backend: str, steps: int) -> dict[str, Any]:
    """The part of `run.json` that is known before the first step."""
    _, dtype = device_and_dtype(settings.train)
    name = str(dtype).removeprefix("torch.")
    quantization = {
        "type": "nf4",
        "double_quant": True,
        "blocksize": BLOCKSIZE,
        "compute_dtype": name,
        "load_dtype": name,
    }
    return {
        "name": settings.name,
        "base": settings.base,
        "base_path": str(base.path.resolve()),
        "base_sha256": base.sha256(),
        "backend": backend,
        "quantization": quantization if settings.train.quantize else None,
        "versions": versions(),
        "seed": settings.train.seed,
        "data": data.account(),
        "held_out": sorted({row.question_sha256 for row in data.held_out}),
        "recipe": settings.model_dump(mode="json"),
        "total_steps": steps,
        "started": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }


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
    """Stop before a loss or gradient that is no number reaches the weights.

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


def log_entry(
    done: int, result: StepResult, rate: float, norm: float, seconds: float, mfu: float | None, device: torch.device
) -> dict[str, Any]:
    """One line of `log.jsonl`; `mfu` only where it can be said.

    `memory_gb` is the peak so far: reserved on a GPU, of the whole process without one.
    """
    entry: dict[str, Any] = {"step": done, "loss": round(result.loss, 6)}
    entry |= {kind: round(value, 6) for kind, value in result.per_kind().items()}
    return entry | {
        "lr": rate,
        "grad_norm": round(norm, 6),
        "tokens": result.tokens,
        "supervised": result.supervised,
        "padding": round(1 - result.tokens / result.slots, 4),
        "micro_batches": result.micro_batches,
        "seconds": round(seconds, 4),
        **({} if mfu is None else {"mfu": round(mfu, 4)}),
        "memory_gb": round(peak_memory(device) / 1e9, 3),
    }


def peak_memory(device: torch.device) -> int:
    """Bytes held at the worst moment so far."""
    if device.type == "cuda":
        import torch

        return int(torch.cuda.max_memory_reserved())
    import resource

    # Kilobytes everywhere but on macOS.
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def announce(
    console: Console, base: BaseModel, data: Prepared, adapted: Adapted, backend: tuple[str, str],
    options: TrainSettings, steps: int, done: int, world: int, peak: Peak, sharded: ShardedBase | None,
) -> None:  # fmt: skip
    """What is about to happen, in numbers."""
    counts = data.table.tokens_per_kind()
    carrying = sum(counts[kind] for kind in data.supervised)
    trained = sum(parameter.numel() for parameter in adapted.trainable().values())
    dtype = str(adapted.dtype).removeprefix("torch.")
    form = "NF4, double quantization" if options.quantize else "not quantized"
    lines = [
        f"base      {base.name} ({form}; {dtype} on {adapted.device.type}; backend {backend[0]}: {backend[1]})",
        f"rows      {len(data.rows):,} to train on, {len(data.held_out):,} held out, {len(data.bad):,} bad, "
        f"{len(data.too_long):,} over {options.context:,} tokens"
        + "".join(f", {count:,} left out by {name}" for name, count in data.left_out.items()),
        f"tokens    {counts_line(counts)}; {carrying:,} carry loss",
        f"trained   {trained:,} parameters: LoRA on all linear layers, and {len(adapted.embedding.ids)} token rows "
        + ("at both ends (tied)" if adapted.tied else "in the embedding and as many in the head"),
        f"steps     {steps:,} of {min(options.batch_rows, len(data.rows)):,} rows, warm-up "
        f"{min(options.warmup_steps, math.ceil(steps / 10))}"
        + (f"; {world} processes" if world > 1 else "")
        + (f"; going on after step {done}" if done else ""),
        *([] if sharded is None else [f"cut       {sharded.account()} MB of linear weights in this process"]),
        f"peak      {peak.flops / 1e12:,.2f} TFLOP/s ({peak.source}), which MFU is held against",
    ]
    for line in lines:
        console.print(line, highlight=False, soft_wrap=not console.is_terminal)
    for row, tokens in data.too_long[:5]:
        console.print(f"  dropped: {row.place} has {tokens:,} tokens", style="yellow", highlight=False)
    for bad in data.bad[:5]:
        console.print(f"  bad: {bad}", style="yellow", highlight=False, markup=False)


def counts_line(counts: dict[str, int]) -> str:
    """`prompt 1,234, text ...` in the order of the kinds."""
    return ", ".join(f"{kind} {counts[kind]:,}" for kind in KINDS)


def closing(
    run: dict[str, Any], folder: RunFolder, status: str, done: int, seconds: float, tokens: int, supervised: int,
    stepper: Stepper,
) -> dict[str, Any]:  # fmt: skip
    """`run.json` as it stands when a run ends or is interrupted."""
    log = folder.log()
    return run | {
        "status": status,
        "steps": done,
        "loss": loss_history(log),
        "sample": next((entry["sample"] for entry in reversed(log) if entry.get("sample")), {}),
        "seconds": round(seconds, 2),
        "tokens_seen": tokens,
        "supervised_seen": supervised,
        "micro_tokens": stepper.micro_tokens,
        "device": stepper.adapted.device.type,
    }


def loss_history(log: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The losses of the first step, and the mean of the last tenth of the steps, weighted by supervised tokens."""
    if not log:
        return {"first": {}, "last": {}}
    keys = [key for key in ("loss", *KINDS) if key in log[-1]]
    tail = log[-max(1, len(log) // 10) :]
    weight = sum(entry["supervised"] for entry in tail)
    last = {key: round(sum(e.get(key, 0.0) * e["supervised"] for e in tail) / weight, 6) for key in keys}
    return {"first": {key: log[0][key] for key in keys if key in log[0]}, "last": last}


def summary(folder: RunFolder, run: dict[str, Any], data: Prepared) -> RunSummary:
    """The `RunSummary` of a run that ended."""
    from qlora.train import RunSummary

    return RunSummary(
        folder.path,
        run["status"],
        run["steps"],
        run["total_steps"],
        run["loss"]["first"],
        run["loss"]["last"],
        len(data.rows),
        len(data.held_out),
        len(data.too_long),
        len(data.bad),
        run["tokens_seen"],
        run["supervised_seen"],
        run["seconds"],
        run["backend"],
        run["device"],
        run["micro_tokens"],
    )

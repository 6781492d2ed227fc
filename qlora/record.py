"""What a run writes down of itself: `run.json`, the lines of `log.jsonl`, and the summary at the end."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qlora.backend import device_and_dtype
from qlora.base import BLOCKSIZE, Base
from qlora.prepare import Prepared
from qlora.runfolder import RunFolder, versions
from qlora.settings import QloraSettings
from qlora.step import Stepper, StepResult
from runtime.lce import KINDS

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class RunSummary:
    """What a run did.

    Attributes:
        out_dir: the run folder.
        status: `finished`, or `interrupted` (call `train` again to go on).
        steps, total_steps: taken so far, of how many.
        first_loss, last_loss: mean loss per kind, and over all (`loss`), of the first step and of the last tenth.
        rows, held_out, too_long, bad: what became of the rows.
        tokens, supervised: seen in this call.
        seconds: of training in this call, without loading.
        backend, device: what computed it.
    """

    out_dir: Path
    status: str
    steps: int
    total_steps: int
    first_loss: dict[str, float]
    last_loss: dict[str, float]
    rows: int
    held_out: int
    too_long: int
    bad: int
    tokens: int = 0
    supervised: int = 0
    seconds: float = 0.0
    backend: str = ""
    device: str = ""
    micro_tokens: int = 0

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {**asdict(self), "out_dir": str(self.out_dir)}


def describe(settings: QloraSettings, base: Base, data: Prepared, backend: str, steps: int) -> dict[str, Any]:
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
        "checkpoint_layers": stepper.adapted.checkpointing.count,
        "device": stepper.adapted.device.type,
    }


def loss_history(log: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The losses of the first step, and the mean of the last tenth, weighted by supervised tokens."""
    if not log:
        return {"first": {}, "last": {}}
    keys = [key for key in ("loss", *KINDS) if key in log[-1]]
    tail = log[-max(1, len(log) // 10) :]
    weight = sum(entry["supervised"] for entry in tail)
    last = {key: round(sum(e.get(key, 0.0) * e["supervised"] for e in tail) / weight, 6) for key in keys}
    return {"first": {key: log[0][key] for key in keys if key in log[0]}, "last": last}


def summary(folder: RunFolder, run: dict[str, Any], data: Prepared) -> RunSummary:
    """The `RunSummary` of a run that ended."""
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

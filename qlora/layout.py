"""How the rows of a step fit the free memory: tokens per pass, and checkpointed layers."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from qlora.memory import LIBRARIES, Memory, checkpoint_layers, memory_of
from qlora.packing import group_rows
from qlora.settings import QloraSettings
from qlora.shape import Shape

if TYPE_CHECKING:
    import torch

    from qlora.prepare import Prepared

RESERVE = 0.06
"""Share of the free memory that a layout leaves alone, for what is not counted."""
DEQUANTIZATION = 256
"""Tokens whose matrix products take as long as dequantizing the weights for them once, about: by arithmetic 185 on an
RTX 4090 (150 TFLOP/s, 1 TB/s) and 170 on an H200 (640, 4.8), and some for the launches of a pass."""
CPU_TOKENS = 4096
"""Tokens per forward pass on a CPU, where more are no faster."""
_PASSES = (512, 768, 1024, 1536, 2048, 3072, 4096, 6144, 8192, 12288, 16384, 24576, 32768)
"""Tokens per forward pass to choose from."""


@dataclass(frozen=True)
class StepLayout:
    """How the rows of a step go through the model; it changes time and memory and nothing else.

    Attributes:
        micro_tokens: tokens per forward pass at most.
        checkpoint_layers: how many decoder layers keep their input alone and compute again in the backward pass.
    """

    micro_tokens: int
    checkpoint_layers: int


@dataclass(frozen=True)
class Rows:
    """What a layout depends on.

    Attributes:
        longest: tokens of the longest row, which every pass must hold.
        step_tokens: tokens of the largest step: no pass can have more.
        slots: attention slots per token.
        carrying: share of the tokens that carry loss.
    """

    longest: int
    step_tokens: int
    slots: float = 1.0
    carrying: float = 1.0

    @classmethod
    def of(cls, data: Prepared, steps: Sequence[Sequence[int]], *, packing: bool) -> Rows:
        """Of the rows of these steps."""
        lengths = data.table.lengths
        totals = [int(lengths[rows].sum()) for rows in steps]
        groups = group_rows(steps[totals.index(max(totals))], lengths, CPU_TOKENS, packed=packing)
        slots = sum(len(group) * int(lengths[group].max()) for group in groups)
        supervised = int(data.supervised_per_row.sum())
        return cls(int(lengths.max()), max(totals), slots / max(totals), supervised / int(lengths.sum()))


def free_memory(device: torch.device) -> int | None:
    """Free bytes, with those of this process's CUDA context on a GPU; None where the system does not say."""
    import torch

    if device.type == "cuda":
        # Asking makes the context, so what is free afterwards is free beside it.
        return int(torch.cuda.mem_get_info(device)[0] + LIBRARIES)
    if sys.platform != "linux":
        return None
    with open("/proc/meminfo", encoding="ascii") as file:
        found = [line.split()[1] for line in file if line.startswith("MemAvailable:")]
    return int(found[0]) * 1024 if found else None


def whole_memory(device: torch.device) -> int:
    """Bytes that the card has, or the machine."""
    if device.type == "cuda":
        import torch

        return int(torch.cuda.mem_get_info(device)[1])
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def spill_warning(device: torch.device) -> str:
    """What to say where torch has reserved more than the card has: Windows and WSL use host memory then."""
    if device.type != "cuda":
        return ""
    import torch

    reserved, whole = int(torch.cuda.max_memory_reserved(device)), whole_memory(device)
    if reserved + LIBRARIES <= whole:
        return ""
    return (
        f"{reserved / 1e9:.1f} GB are reserved on a card of {whole / 1e9:.1f} GB: the driver keeps the rest in the "
        "host's memory, and steps take about ten times as long; stop, and set train.micro_tokens lower"
    )


def choose_layout(
    shape: Shape,
    settings: QloraSettings,
    width: int,
    available: int | None,
    *,
    on_gpu: bool,
    rows: Rows,
    parts: int = 1,
) -> tuple[StepLayout, Memory]:
    """The fastest layout that fits the free memory, and what it needs; the smallest where none fits.

    What the settings fix stays fixed. Time per token counts forward and backward pass as one each, what checkpointed
    layers compute again, and the dequantization of the weights, which is shared by the tokens of a pass.

    Args:
        shape: of the base.
        settings: of the run.
        width: bytes of a number of the compute type.
        available: free bytes, those of the CUDA context included; None: unknown, nothing is made smaller.
        on_gpu: whether it runs on a GPU.
        rows: what is known of them.
        parts: processes that share the linear weights.
    """
    best: tuple[float, StepLayout, Memory] | None = None
    smallest: tuple[int, StepLayout, Memory] | None = None
    for tokens in _passes(settings, rows, on_gpu=on_gpu):
        in_pass = min(tokens, max(rows.step_tokens, rows.longest))
        for count in _counts(settings, shape.layers, on_gpu=on_gpu):
            memory = memory_of(
                shape, settings, in_pass, width, on_gpu=on_gpu, checkpointed=count, slots=rows.slots,
                carrying=rows.carrying, parts=parts,
            )  # fmt: skip
            layout, total = StepLayout(tokens, count), memory.total
            time = (2 + count / shape.layers) * (1 + DEQUANTIZATION / in_pass)
            if smallest is None or total < smallest[0]:
                smallest = total, layout, memory
            if (available is None or total <= (1 - RESERVE) * available) and (best is None or time < best[0]):
                best = time, layout, memory
    chosen = best or smallest
    assert chosen is not None  # there is at least one pass and one count
    return chosen[1], chosen[2]


def _passes(settings: QloraSettings, rows: Rows, *, on_gpu: bool) -> list[int]:
    said = settings.train.micro_tokens
    if said != "auto":
        return [max(said, rows.longest)]
    passes = sorted({max(tokens, rows.longest) for tokens in _PASSES if on_gpu or tokens <= CPU_TOKENS}, reverse=True)
    if not on_gpu:
        return passes
    # The smallest one that holds a whole step is as good as any larger one.
    return [p for p in passes if p < rows.step_tokens] + [
        min((p for p in passes if p >= rows.step_tokens), default=passes[0])
    ]


def _counts(settings: QloraSettings, layers: int, *, on_gpu: bool) -> Iterable[int]:
    if settings.train.checkpoint_layers == "auto" and on_gpu:
        return range(layers + 1)
    return [checkpoint_layers(settings.train, layers, on_gpu=on_gpu)]

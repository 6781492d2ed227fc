"""What a run will need, before it starts: rows, tokens, parameters, memory, disk, and if it fits.

Sizes follow from the base's config.json and the rows; no weights are loaded.
"""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from qlora.backend import choose_backend, device_and_dtype, import_unsloth_first
from qlora.base import Base, find_base, load_tokenizer
from qlora.cards import CARDS, CardPlan, advice_for, card_plan
from qlora.checks import check_context
from qlora.layout import Rows, StepLayout, choose_layout, free_memory
from qlora.memory import disk_of, memory_of
from qlora.packing import RowOrder, group_rows
from qlora.prepare import Prepared, prepare
from qlora.settings import QloraSettings
from qlora.shape import Shape

_STEPS_LOOKED_AT = 200


@dataclass(frozen=True)
class Plan:
    """The answer of `plan`.

    Attributes:
        rows, held_out, bad: counts; too_long: rows over the context, with their tokens.
        tokens: per kind, one epoch; supervised: of these, tokens that carry loss.
        steps, micro_batches: optimizer steps in all, forward passes in a step (mean).
        fill: how full the micro-batches are, 0 to 1; attention_waste: share of attention slots that are padding.
        lora_parameters, token_parameters: what is trained.
        micro_tokens, checkpoint_layers: tokens per forward pass, and decoder layers under gradient checkpointing.
        memory: bytes on the device by part, and their sum under `total`.
        disk: bytes that the run folder takes.
        device, device_memory: what is here; memory is None without a GPU.
        fits: whether it fits this GPU; None without one. advice: the change that would make it fit.
        hours: from `seconds_per_step` where that was measured, else None.
        flops: floating-point operations of the whole run.
        cards: what GPUs of the sizes `CARDS` would do.
    """

    name: str
    base: str
    backend: str
    rows: int
    held_out: int
    bad: int
    too_long: list[dict[str, Any]]
    tokens: dict[str, int]
    supervised: int
    steps: int
    micro_tokens: int
    checkpoint_layers: int
    micro_batches: float
    fill: float
    attention_waste: float
    lora_parameters: int
    token_parameters: int
    memory: dict[str, int]
    disk: int
    device: str
    device_memory: int | None
    fits: bool | None
    advice: str
    flops: float
    cards: list[CardPlan]
    seconds_per_step: float | None = None
    hours: float | None = field(default=None)

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def plan(settings: QloraSettings, *, measure: bool = False) -> Plan:
    """Plan a run of `settings` on this machine.

    Args:
        settings: what would be trained.
        measure: load the base and time one step, for `hours`. Without it nothing larger than a tokenizer is loaded.

    Raises:
        InputError, DataError, ModelError: what `train` would raise before its first step.
    """
    options = settings.train
    backend, _ = choose_backend(options.backend)
    if measure and backend == "unsloth":
        import_unsloth_first()
    base = find_base(settings.base, untested=options.untested_architecture)
    check_context(base, options.context)
    tokenizer = load_tokenizer(base, settings.lora, settings.dialect)
    data = prepare(settings.data, tokenizer, options.context)
    device, dtype = device_and_dtype(options)
    on_gpu = device.type == "cuda"
    shape = Shape.of(base.config, len(tokenizer))
    order = RowOrder(len(data.rows), options.batch_rows, options.seed)
    steps = options.max_steps or order.steps(options.epochs)
    sampled = [order.at(step) for step in range(0, steps, max(1, steps // _STEPS_LOOKED_AT))]
    rows = Rows.of(data, sampled, packing=options.packing)
    available = free_memory(device)
    layout, _ = choose_layout(shape, settings, dtype.itemsize, available, on_gpu=on_gpu, rows=rows)
    lengths = data.table.lengths
    groups = [group_rows(step, lengths, layout.micro_tokens, packed=options.packing) for step in sampled]
    flat = [[int(lengths[row]) for row in group] for step in groups for group in step]
    used, slots = [sum(group) for group in flat], [len(group) * max(group) for group in flat]
    largest = max(range(len(flat)), key=lambda at: used[at] if options.packing else slots[at])
    peak = used[largest] if options.packing else slots[largest]
    memory = memory_of(
        shape, settings, peak, dtype.itemsize, on_gpu=on_gpu, checkpointed=layout.checkpoint_layers,
        slots=slots[largest] / peak, carrying=rows.carrying,
    )  # fmt: skip
    if not on_gpu:
        memory = replace(memory, libraries=_resident_with_libraries())
    fits = memory.total <= available if on_gpu and available is not None else None
    counts = data.table.tokens_per_kind()
    supervised = sum(counts[kind] for kind in data.supervised)
    seconds = _measure(settings, base, tokenizer, data, sampled[0], layout) if measure else None
    return Plan(
        name=settings.name,
        base=settings.base,
        backend=backend,
        rows=len(data.rows),
        held_out=len(data.held_out),
        bad=len(data.bad),
        too_long=[{"row": row.place, "tokens": tokens} for row, tokens in data.too_long],
        tokens=counts,
        supervised=supervised,
        steps=steps,
        micro_tokens=layout.micro_tokens,
        checkpoint_layers=layout.checkpoint_layers,
        micro_batches=len(used) / len(groups),
        fill=sum(used) / (len(used) * layout.micro_tokens),
        attention_waste=1 - sum(used) / sum(slots),
        lora_parameters=shape.lora_parameters(settings.lora),
        token_parameters=shape.token_parameters(settings.lora),
        memory={**asdict(memory), "total": memory.total},
        disk=disk_of(shape, settings),
        device=device.type,
        device_memory=available if on_gpu else None,
        fits=fits,
        advice=advice_for(shape, settings, dtype.itemsize, available or 0, rows) if fits is False else "",
        flops=shape.training_flops(settings.lora, lengths, supervised) * steps * order.batch_rows / len(data.rows),
        cards=[card_plan(shape, settings, int(size * 1e9), rows) for size in CARDS],
        seconds_per_step=seconds,
        hours=None if seconds is None else seconds * steps / 3600,
    )


def _resident_with_libraries() -> int:
    """Bytes that this process holds once it has imported what training imports, before any weight."""
    import sys

    from qlora.quiet import quiet_libraries

    with quiet_libraries():
        import bitsandbytes  # noqa: F401
        import peft  # noqa: F401
        import transformers.models.auto.modeling_auto  # noqa: F401

    if sys.platform == "linux":
        with open("/proc/self/statm", encoding="ascii") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    import torch

    from qlora.record import peak_memory

    return peak_memory(torch.device("cpu"))


def _measure(
    settings: QloraSettings, base: Base, tokenizer: Any, data: Prepared, rows: Sequence[int], layout: StepLayout
) -> float:
    """Seconds of one step, from the second of two."""
    import time

    from qlora.adapter import add_adapter
    from qlora.load import load_model
    from qlora.step import Stepper

    backend, _ = choose_backend(settings.train.backend)
    model = load_model(base, tokenizer, settings.train, backend)
    adapted = add_adapter(model, tokenizer, settings.lora, settings.train, backend, base_name=settings.base)
    adapted.checkpointing.set(layout.checkpoint_layers)
    stepper = Stepper(adapted, data, settings.train, layout.micro_tokens)
    taken = math.inf
    for _ in range(2):
        started = time.perf_counter()
        stepper.gradient(rows)
        taken = time.perf_counter() - started
    return taken

"""What a GPU of a given size would do with a run; needs neither that GPU, nor rows, nor a network."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

from qlora.layout import Rows, choose_layout
from qlora.published import shape_of
from qlora.settings import QloraSettings
from qlora.shape import Shape

CARDS = (8, 12, 16, 24)
"""Sizes of GPUs, in GB, that every plan speaks of. A card sold as 8 GB has 8 GiB (8.6 GB), of which the driver, and a
screen, take some: 8 GB are counted as free."""
_USUAL_SLOTS, _USUAL_CARRYING = 1.1, 0.6
"""Attention slots per token, and share of the tokens that carry loss, where the rows are not at hand."""


@dataclass(frozen=True)
class CardPlan:
    """What a GPU with so much free memory would do.

    Attributes:
        available: its free bytes.
        fits: whether the run fits.
        micro_tokens, checkpoint_layers, layers: tokens per forward pass; decoder layers under gradient checkpointing,
            of how many.
        memory: bytes at the peak, by part and their sum under `total`.
        advice: where it does not fit, the change that would make it fit.
    """

    available: int
    fits: bool
    micro_tokens: int
    checkpoint_layers: int
    layers: int
    memory: dict[str, int]
    advice: str


def plan_for_card(settings: QloraSettings, available: int) -> CardPlan:
    """What a GPU with so many free bytes would do, without rows, GPU or, for packaged recipes, network.

    Rows are taken to be as long as the context, so the run itself may find room for more.

    Raises:
        InputError, ModelError: there is no such base.
    """
    context = settings.train.context
    rows = Rows(context, context * settings.train.batch_rows, slots=_USUAL_SLOTS, carrying=_USUAL_CARRYING)
    return card_plan(shape_of(settings.base), settings, available, rows)


def card_plan(shape: Shape, settings: QloraSettings, available: int, rows: Rows) -> CardPlan:
    """What a GPU with so many free bytes would do with these rows.

    In bfloat16 unless the recipe says otherwise.
    """
    width = 4 if settings.train.compute_dtype == "float32" else 2
    layout, memory = choose_layout(shape, settings, width, available, on_gpu=True, rows=rows)
    fits = memory.total <= available
    return CardPlan(
        available=available,
        fits=fits,
        micro_tokens=layout.micro_tokens,
        checkpoint_layers=layout.checkpoint_layers,
        layers=shape.layers,
        memory={**asdict(memory), "total": memory.total},
        advice="" if fits else advice_for(shape, settings, width, available, rows),
    )


def advice_for(shape: Shape, settings: QloraSettings, width: int, available: int, rows: Rows) -> str:
    """The smallest change that makes a run fit, tried one after the other."""
    context = settings.train.context
    freed = {"micro_tokens": "auto", "checkpoint_layers": "auto"}
    paged: dict[str, Any] = {**freed, "optimizer": "paged_adamw_8bit"}
    updates: list[dict[str, Any]] = [{"checkpoint_layers": "auto"}, {**freed}, paged, paged | {"context": context // 2}]
    for update in updates:
        longest = min(rows.longest, update.get("context", context))
        tried = settings.model_copy(update={"train": settings.train.model_copy(update=update)})
        shorter = replace(rows, longest=longest)
        _, memory = choose_layout(shape, tried, width, available, on_gpu=True, rows=shorter)
        if memory.total <= available:
            changed = {key: value for key, value in update.items() if getattr(settings.train, key) != value}
            return " ".join(f"train.{key}={value}" for key, value in changed.items())
    smallest = settings.model_copy(update={"train": settings.train.model_copy(update=freed)})
    for parts in (2, 4, 8):
        _, memory = choose_layout(shape, smallest, width, available, on_gpu=True, rows=rows, parts=parts)
        if memory.total <= available:
            return (
                f"{parts} GPUs like this, each with a part of the base: torchrun --nproc-per-node {parts} -m recipes "
                "train ... train.fsdp=true"
            )
    return "no setting makes it fit; take a smaller base"

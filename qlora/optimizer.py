"""The optimizer and the learning rate, which is a pure function of the step."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from qlora.settings import TrainSettings

if TYPE_CHECKING:
    import torch

    from qlora.adapter import Adapted


def build(adapted: Adapted, settings: TrainSettings) -> torch.optim.Optimizer:
    """The recipe's optimizer over two groups: adapters, and token rows.

    On a CPU a paged optimizer is the same one without pages: its state lies in the host's memory as it is.

    Token rows are never decayed: decay would pull the control tokens towards the origin, away from all other rows.
    """
    tokens = [p for name, p in adapted.trainable().items() if "trainable_tokens_delta" in name]
    others = [p for name, p in adapted.trainable().items() if "trainable_tokens_delta" not in name]
    token_rate = settings.token_learning_rate or settings.learning_rate
    groups: list[dict[str, Any]] = [
        {"params": others, "weight_decay": settings.weight_decay, "ratio": 1.0},
        {"params": tokens, "weight_decay": 0.0, "ratio": token_rate / settings.learning_rate},
    ]
    if settings.optimizer == "adamw":
        import torch

        return torch.optim.AdamW(groups, lr=settings.learning_rate, fused=True)
    from bitsandbytes import optim

    paged = adapted.device.type == "cuda"
    classes = {
        "adamw_8bit": optim.AdamW8bit,
        "paged_adamw_8bit": optim.PagedAdamW8bit if paged else optim.AdamW8bit,
        "paged_adamw_32bit": optim.PagedAdamW32bit if paged else optim.AdamW32bit,
    }
    optimizer: torch.optim.Optimizer = classes[settings.optimizer](groups, lr=settings.learning_rate)
    return optimizer


def learning_rate(step: int, steps: int, settings: TrainSettings) -> float:
    """Learning rate of `step` (from 0) of `steps`: linear warm-up, then the schedule to `min_lr_ratio`.

    Warm-up takes at most a tenth of a run, so that a short trial of a recipe learns something too.
    """
    warmup = min(settings.warmup_steps, math.ceil(steps / 10))
    if step < warmup:
        return settings.learning_rate * (step + 1) / warmup
    if settings.schedule == "constant":
        return settings.learning_rate
    done = (step - warmup) / max(1, steps - warmup)
    left = (1 + math.cos(math.pi * done)) / 2 if settings.schedule == "cosine" else 1 - done
    return settings.learning_rate * (settings.min_lr_ratio + (1 - settings.min_lr_ratio) * left)


def set_learning_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Set the rate of every group, keeping the ratio between them."""
    for group in optimizer.param_groups:
        group["lr"] = rate * group["ratio"]

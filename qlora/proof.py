"""Whether the loop computes a model's own loss: asked before an untested architecture is trained."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from qlora.adapter import inference
from qlora.attention import windows_seen
from qlora.fused import unfused
from qlora.packing import MicroBatch
from qlora.step import Stepper
from runtime.errors import ModelError

LENGTHS = (19, 13)
"""Tokens of the two rows. Unequal, so that a layout that only works for equal rows is found."""
TOLERANCE = {torch.float32: 1e-3}
"""Largest difference of a token's losses, in nats, by compute type."""
_TOLERANCE_16_BITS = 0.1


def prove(stepper: Stepper) -> None:
    """Compare a pack of two short random rows with the model's own loss of each row alone.

    The model's own: its own modules and attention in transformers, without packing. The adapter is still zero.

    Raises:
        ModelError: the losses differ, or the model wants something that `qlora.attention` does not compute.
    """
    adapted = stepper.adapted
    causal = adapted.peft.get_base_model()
    name = type(causal).__name__
    generator = torch.Generator().manual_seed(0)
    rows = [torch.randint(0, adapted.embedding.weight.shape[0], (length,), generator=generator) for length in LENGTHS]
    with inference(adapted):
        own = [_own_losses(stepper, ids) for ids in rows]
        with windows_seen() as windows:
            _, losses = stepper.forward(_pack(rows, packed=stepper.settings.packing))
    if lost := windows.masked - windows.attended:
        raise ModelError(
            f"{name} limits attention to {min(lost)} tokens by a mask alone",
            "rows packed by this project carry no masks, so the limit would be lost; nothing was trained",
            "set train.attention=sdpa",
        )
    tolerance = TOLERANCE.get(adapted.dtype, _TOLERANCE_16_BITS)
    first, second = (
        float((ours.cpu() - theirs).abs().max()) for ours, theirs in zip(losses.split([18, 12]), own, strict=True)
    )
    # Not `>`: a loss that is not a number differs, too.
    if not first <= tolerance:
        raise ModelError(
            f"the loss that training computes for a {name} differs from the model's own by {first:.2g} nats a token",
            "another model than this one would be trained; nothing was trained",
            "choose a base with a tested architecture",
        )
    if not second <= tolerance:
        raise ModelError(
            f"packed rows of a {name} see each other: a neighbour moves a row's loss by {second:.2g} nats a token",
            "rows would be trained on what other rows say; nothing was trained",
            "set train.packing=false, or choose a base with a tested architecture",
        )


def _own_losses(stepper: Stepper, ids: Tensor) -> Tensor:
    """float32 [tokens - 1] losses of one row alone, from transformers' own forward pass."""
    adapted = stepper.adapted
    causal = adapted.peft.get_base_model()
    ours = causal.config._attn_implementation
    causal.set_attn_implementation("sdpa" if causal._supports_sdpa else "eager")
    autocast = torch.autocast(adapted.device.type, adapted.dtype, enabled=adapted.dtype != torch.float32)
    try:
        with unfused(adapted.peft), adapted.peft.disable_adapter(), autocast:
            logits = causal(input_ids=ids[None].to(adapted.device), use_cache=False).logits[0, :-1].float().cpu()
    finally:
        causal.set_attn_implementation(ours)
    return torch.nn.functional.cross_entropy(logits, ids[1:], reduction="none")


def _pack(rows: list[Tensor], *, packed: bool) -> MicroBatch:
    """Both rows as training lays them out, loss on all tokens but the first of each."""
    lengths = [len(row) for row in rows]
    shape = (1, sum(lengths)) if packed else (len(rows), max(lengths))
    offsets = [0, lengths[0] if packed else max(lengths)]
    ids, positions = np.zeros(shape, np.int64), np.zeros(shape, np.int64)
    for offset, row in zip(offsets, rows, strict=True):
        ids.reshape(-1)[offset : offset + len(row)] = row.numpy()
        positions.reshape(-1)[offset : offset + len(row)] = np.arange(len(row))
    predicts = np.concatenate([offset + np.arange(length - 1) for offset, length in zip(offsets, lengths, strict=True)])
    targets = np.concatenate([row.numpy()[1:] for row in rows])
    return MicroBatch([0, 1], lengths, ids, positions, predicts, targets, np.zeros(len(targets), np.int64), packed)

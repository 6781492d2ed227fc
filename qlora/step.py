"""One optimizer step's gradient, exact in any layout; retried smaller when memory runs out."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import numpy as np
import torch
from torch import Tensor

from qlora.adapter import Adapted
from qlora.attention import RowLayout
from qlora.loss import supervised_loss
from qlora.loss_scale import LossScale
from qlora.out_of_memory import is_out_of_memory
from qlora.packing import MicroBatch, group_rows, lay_out
from qlora.processes import Processes
from qlora.settings import TrainSettings
from qlora.tokenized import TokenTable
from runtime.errors import TrainError
from runtime.lce import KINDS

Result = TypeVar("Result")
_GOLDEN = 0x1E3779B97F4A7C15
"""Spreads the seeds of a step's micro-batches, so that they meet none of another step."""


class Tokens(Protocol):
    """Tokenized rows, and the kinds of their tokens that carry loss."""

    @property
    def table(self) -> TokenTable:
        """The rows."""
        ...

    @property
    def supervised(self) -> frozenset[str]:
        """Kinds that carry loss."""
        ...


@dataclass
class StepResult:
    """What a step saw.

    Attributes:
        loss_sum, count: per kind: sum of losses (nats) and supervised tokens.
        tokens: tokens that went through the model.
        slots: the same with padding.
        micro_batches: forward passes.
    """

    loss_sum: dict[str, float]
    count: dict[str, int]
    tokens: int
    slots: int
    micro_batches: int

    @property
    def supervised(self) -> int:
        """Tokens that carried loss."""
        return sum(self.count.values())

    @property
    def loss(self) -> float:
        """Mean over all supervised tokens of the step."""
        return sum(self.loss_sum.values()) / self.supervised

    def add_up(self, processes: Processes) -> None:
        """Replace sums and counts by those over all processes."""
        kinds = sorted(self.loss_sum)
        numbers = [*(self.loss_sum[kind] for kind in kinds), *(float(self.count[kind]) for kind in kinds)]
        total = processes.sums([*numbers, self.tokens, self.slots, self.micro_batches])
        self.loss_sum = dict(zip(kinds, total, strict=False))
        self.count = {kind: int(value) for kind, value in zip(kinds, total[len(kinds) :], strict=False)}
        self.tokens, self.slots, self.micro_batches = (int(value) for value in total[-3:])

    def per_kind(self) -> dict[str, float]:
        """Mean loss of each kind that carried loss."""
        return {kind: self.loss_sum[kind] / count for kind, count in self.count.items() if count}


class Stepper:
    """Accumulates the gradient of a step over its micro-batches.

    Attributes:
        micro_tokens: the limit of tokens per forward pass in force; halved when memory runs out although every layer
            is checkpointed already.
        on_smaller: called after either has changed.
        processes: those that share the micro-batches of a step.
        loss_scale: what losses are multiplied by for the backward pass (float16).
        together: every forward pass is one of all processes, since each holds a part of the base.
        divisor: what a step's summed loss is divided by; None for the tokens that carry loss.
    """

    def __init__(self, adapted: Adapted, prepared: Tokens, settings: TrainSettings, micro_tokens: int) -> None:
        self.adapted = adapted
        self.prepared = prepared
        self.settings = settings
        self.micro_tokens = micro_tokens
        self.on_smaller: Callable[[], None] | None = None
        self.processes = Processes()
        self.loss_scale = LossScale(adapted.dtype)
        self.together = False
        self.divisor: float | None = None

    def micro_batches(self, rows: Sequence[int]) -> list[MicroBatch]:
        """The layout of a step's rows."""
        packed = self.settings.packing
        groups = group_rows(rows, self.prepared.table.lengths, self.micro_tokens, packed=packed)
        return [lay_out(self.prepared.table, group, self.prepared.supervised, packed=packed) for group in groups]

    def clipped_gradient(self, rows: Sequence[int], *, seed: int = 0) -> tuple[StepResult, float]:
        """Put the gradient of all processes, with its norm clipped, into the parameters' `.grad`.

        One that float16 cannot hold is computed again with half the loss scale.

        Returns:
            What the step saw in all processes, and the norm before it was clipped; not finite where the loss is not.

        Raises:
            TrainError: one row alone does not fit in memory.
        """
        while True:
            result = self.gradient(rows, seed=seed)
            trained = list(self.adapted.trainable().values())
            self.processes.add_up(trained)
            result.add_up(self.processes)
            self.loss_scale.unscale(trained)
            norm = torch.nn.utils.clip_grad_norm_(trained, self.settings.max_grad_norm).item()
            if math.isfinite(norm):
                self.loss_scale.count_step()
            elif math.isfinite(result.loss) and self.loss_scale.lower():
                continue
            return result, norm

    def gradient(self, rows: Sequence[int], *, seed: int = 0) -> StepResult:
        """Put the gradient of the mean loss over the supervised tokens of `rows` into the parameters' `.grad`.

        With several processes, this one's share of the sum; every process divides by the count of all. Multiplied by
        the loss scale, which is 1 but for float16.

        Args:
            rows: of the step.
            seed: of its random numbers (dropout, NEFTune); those of a micro-batch are the same in whichever process.

        Raises:
            TrainError: one row alone does not fit in memory.
        """
        return self._smaller_until_it_fits(rows, lambda: self._accumulate(self.micro_batches(rows), seed))

    def _smaller_until_it_fits(self, rows: Sequence[int], work: Callable[[], Result]) -> Result:
        while True:
            self._forget_gradients()
            result, message = None, ""
            try:
                result = work()
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
                message = (str(error).splitlines() or [type(error).__name__])[0]
            # Outside the handler: there the exception still holds the frames, and with them the memory.
            if self.together and message:
                self._refuse_to_halve(rows, message)
            if not self.together and self.processes.any(bool(message)):
                # All lay out the same step, so all must know.
                self._take_less(rows, message or "in another process")
            elif result is not None:
                return result

    def _accumulate(self, micro_batches: list[MicroBatch], seed: int) -> StepResult:
        total = self.divisor or sum(len(micro.predicts) for micro in micro_batches)
        sums, counts = np.zeros(len(KINDS)), np.zeros(len(KINDS), np.int64)
        rank, world = self.processes.rank, self.processes.world
        mine = micro_batches[rank::world]
        every_loss: list[Tensor] = []
        for turn, micro in enumerate(mine):
            torch.manual_seed((seed + (rank + turn * world) * _GOLDEN) % (1 << 63))
            loss, losses = self.forward(micro)
            (loss * (self.loss_scale.value / total)).backward()
            every_loss.append(losses)
        if self.together and len(mine) < math.ceil(len(micro_batches) / world):
            # The others compute one more, for which this process has to give its part of every layer.
            loss, _ = self.forward(min(micro_batches, key=lambda micro: micro.ids.size))
            (loss * 0.0).backward()
        if mine:
            # One copy at the end of a step: a copy after each pass would keep the GPU waiting for the next.
            kinds = np.concatenate([micro.target_kinds for micro in mine])
            sums += np.bincount(kinds, weights=torch.cat(every_loss).cpu().numpy(), minlength=len(KINDS))
            counts += np.bincount(kinds, minlength=len(KINDS))
        return StepResult(
            {kind: float(sums[number]) for number, kind in enumerate(KINDS) if kind in self.prepared.supervised},
            {kind: int(counts[number]) for number, kind in enumerate(KINDS) if kind in self.prepared.supervised},
            sum(micro.tokens for micro in mine),
            sum(micro.ids.size for micro in mine),
            len(mine),
        )

    def forward(self, micro: MicroBatch) -> tuple[Tensor, Tensor]:
        """Sum of the losses of a micro-batch, and each of them in the order of `micro.targets`."""
        hidden, targets = self.hidden(micro)
        head = self.adapted.head
        return supervised_loss(hidden, head.weight, head.rows, head.ids, targets)

    def hidden(self, micro: MicroBatch) -> tuple[Tensor, Tensor]:
        """[supervised, H] whose product with the head's rows predicts `micro.targets`, and those rows."""
        adapted, device = self.adapted, self.adapted.device
        embedded = adapted.embed(torch.from_numpy(micro.ids))
        if self.settings.neftune_alpha is not None:
            embedded = embedded + _neftune(embedded, micro, self.settings.neftune_alpha)
        with torch.autocast(device.type, adapted.dtype, enabled=adapted.dtype != torch.float32):
            output = adapted.backbone(
                inputs_embeds=embedded,
                position_ids=torch.from_numpy(micro.positions).to(device),
                # With a cache transformers takes the rows of a pack for one sequence and lets them see each other.
                use_cache=False,
                **_isolation(adapted, micro),
            )
        hidden = output[0].reshape(-1, output[0].shape[-1])
        hidden = adapted.before_head(hidden.index_select(0, torch.from_numpy(micro.predicts).to(device)))
        return hidden, torch.from_numpy(micro.targets).to(device)

    def dry_run(self, all_rows: Sequence[Sequence[int]], *, optimizer_bytes: int = 0) -> None:
        """Try the heaviest micro-batch of all steps, so that memory runs out in the first minute or never.

        Args:
            all_rows: of every step.
            optimizer_bytes: what the optimizer will take in its first step and has not taken yet.
        """
        lengths = self.prepared.table.lengths
        heaviest = max(
            all_rows, key=lambda rows: (max(lengths[row] for row in rows), sum(lengths[row] for row in rows))
        )

        def work() -> bool:
            micro = max(self.micro_batches(heaviest), key=lambda micro: (micro.ids.size, max(micro.lengths)))
            # In later micro-batches of a step the gradients are there from the beginning, and in later steps the
            # optimizer's state.
            gradients = sum(parameter.nbytes for parameter in self.adapted.trainable().values())
            held = torch.empty(gradients + optimizer_bytes, dtype=torch.uint8, device=self.adapted.device)
            loss, _ = self.forward(micro)
            loss.backward()
            del held
            return True

        self._smaller_until_it_fits(heaviest, work)
        self._forget_gradients()

    def _forget_gradients(self) -> None:
        for parameter in self.adapted.trainable().values():
            parameter.grad = None

    def _refuse_to_halve(self, rows: Sequence[int], message: str) -> None:
        """The other processes wait in the middle of a layer for this one's part of it, and cannot be told."""
        longest = max(int(self.prepared.table.lengths[row]) for row in rows)
        raise TrainError(
            f"memory ran out in one of several processes that share the base ({message})",
            "training cannot go on; the last checkpoint is kept",
            f"set train.micro_tokens={max(longest, self.micro_tokens // 2)} and give the same command again",
        )

    def _take_less(self, rows: Sequence[int], message: str) -> None:
        checkpointing = self.adapted.checkpointing
        longest = max(int(self.prepared.table.lengths[row]) for row in rows)
        if checkpointing.count < checkpointing.layers:
            checkpointing.set(checkpointing.raised())
        elif self.micro_tokens > longest:
            self.micro_tokens = max(longest, self.micro_tokens // 2)
        else:
            raise TrainError(
                f"memory ran out on a single row of {longest} tokens ({message})",
                "training cannot go on; the last checkpoint is kept",
                "lower train.context, end what else uses this memory, or take a smaller base",
            )
        self._forget_gradients()
        if self.adapted.device.type == "cuda":
            torch.cuda.empty_cache()
        if self.on_smaller is not None:
            self.on_smaller()


def _isolation(adapted: Adapted, micro: MicroBatch) -> dict[str, Any]:
    """The keyword that keeps the rows of a pack apart, for the attention in force."""
    if not micro.packed:
        return {}
    if adapted.by_unsloth:
        # On the CPU: unsloth reads them back as a list.
        return {"packed_seq_lengths": torch.tensor(micro.lengths, dtype=torch.int32)}
    return {"row_layout": RowLayout(micro.lengths, adapted.device)}


def _neftune(embedded: Tensor, micro: MicroBatch, alpha: float) -> Tensor:
    """Uniform noise of magnitude alpha / sqrt(L * H), with L the tokens of the row.

    arXiv 2310.05914, algorithm 1.
    """
    lengths = torch.tensor(micro.lengths, device=embedded.device)
    per_token = lengths.repeat_interleave(lengths)[None, :, None] if micro.packed else lengths[:, None, None]
    scale = alpha / (per_token * embedded.shape[-1]).sqrt()
    return (torch.rand_like(embedded) * 2 - 1) * scale.to(embedded.dtype)

"""Cross-entropy in chunks over supervised positions: masked tokens and the vocabulary cost no memory.

With V the vocabulary, H the width and N the supervised positions, the plain way keeps N x V logits for the backward
pass (several GB at V = 32k and more). Here a chunk's logits become its gradient at once, in the forward pass, and are
forgotten: what is kept is one N x H gradient. That the output head is frozen but for the rows of the control tokens
makes this cheap: only those rows need a weight gradient.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from qlora.memory import CHUNK


@dataclass(frozen=True)
class Weighted:
    """What makes a policy gradient of the cross-entropy: each position's loss counts so much.

    Attributes:
        advantages: float32 [N].
        log_mu: float32 [N], the sampler's own log-probabilities of the targets; None where nothing is corrected.
        cap: a position's advantage is multiplied by min(exp(log pi - log mu), cap), a constant for the gradient
            (truncated importance sampling, arXiv 2510.26788).
        barred: bool [S, V], tokens that the sampler could not draw: pi is renormalised over the others, as mu is.
        sets: int64 [N], which row of `barred` holds for each position.
    """

    advantages: Tensor
    log_mu: Tensor | None
    cap: float
    barred: Tensor
    sets: Tensor


class _SupervisedLoss(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, hidden: Tensor, weight: Tensor, rows: Tensor, row_ids: Tensor, targets: Tensor, chunk: int,
        weighted: Weighted | None = None,
    ) -> tuple[Tensor, Tensor, Tensor]:  # fmt: skip
        losses = torch.empty(len(targets), dtype=torch.float32, device=hidden.device)
        entropies = losses.new_zeros(0 if weighted is None else len(targets))
        weights = None if weighted is None else torch.empty_like(losses)
        grad_hidden = torch.empty_like(hidden)
        grad_rows = torch.zeros(rows.shape, dtype=torch.float32, device=rows.device)
        cast = rows.to(hidden.dtype)
        for start in range(0, len(targets), chunk):
            part = slice(start, start + chunk)
            h, target = hidden[part], targets[part, None]
            logits = (h @ weight.T).float()
            logits[:, row_ids] = (h @ cast.T).float()
            if weighted is not None:
                logits.masked_fill_(weighted.barred[weighted.sets[part]], -torch.inf)
            highest = torch.logsumexp(logits, dim=1, keepdim=True)
            losses[part] = (highest - logits.gather(1, target)).squeeze(1)
            # softmax minus one-hot: the gradient of the sum of losses with respect to the logits
            grad = logits.sub_(highest).exp_()
            if weighted is not None:
                entropies[part] = torch.special.entr(grad).sum(1)
            grad.scatter_add_(1, target, torch.full_like(target, -1.0, dtype=grad.dtype))
            if weighted is not None and weights is not None:
                weights[part] = _weights(weighted, part, losses[part])
                grad *= weights[part, None]
            of_rows = grad[:, row_ids]
            grad_rows += of_rows.T @ h.float()
            grad[:, row_ids] = 0
            grad_hidden[part] = grad.to(h.dtype) @ weight + of_rows.to(h.dtype) @ cast
        ctx.save_for_backward(grad_hidden, grad_rows)
        ctx.rows_dtype = rows.dtype
        ctx.mark_non_differentiable(losses, entropies)
        return (losses if weights is None else losses * weights).sum(), losses, entropies

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        grad_hidden, grad_rows = ctx.saved_tensors
        scale = grads[0]
        of_rows = (grad_rows * scale).to(ctx.rows_dtype)
        return grad_hidden * scale.to(grad_hidden.dtype), None, of_rows, None, None, None, None


def _weights(weighted: Weighted, part: slice, losses: Tensor) -> Tensor:
    """What each of these positions counts, given its -log pi."""
    if weighted.log_mu is None:
        return weighted.advantages[part]
    return weighted.advantages[part] * torch.exp(-losses - weighted.log_mu[part]).clamp_max(weighted.cap)


def supervised_loss(
    hidden: Tensor, weight: Tensor, rows: Tensor, row_ids: Tensor, targets: Tensor, *, chunk: int = CHUNK
) -> tuple[Tensor, Tensor]:
    """Sum of the cross-entropies at `hidden`, and each of them.

    Args:
        hidden: [N, H], the final hidden states of the positions that predict a supervised token.
        weight: [V, H], the frozen output head.
        rows: [K, H], trained rows that stand in the head in place of `weight[row_ids]`.
        row_ids: int64 [K].
        targets: int64 [N].
        chunk: positions whose logits exist at one time.

    Returns:
        The sum (nats, differentiable with respect to `hidden` and `rows`) and the float32 [N] losses (not
        differentiable).
    """
    total, losses, _ = _SupervisedLoss.apply(hidden, weight, rows, row_ids, targets, chunk)
    return total, losses


def weighted_loss(
    hidden: Tensor, weight: Tensor, rows: Tensor, row_ids: Tensor, targets: Tensor, weighted: Weighted, *,
    chunk: int = CHUNK,
) -> tuple[Tensor, Tensor, Tensor]:  # fmt: skip
    """Sum of the weighted cross-entropies; its gradient is the policy gradient.

    The weight of a position is known as soon as its -log pi is, in the same pass over the chunk.

    Args:
        hidden, weight, rows, row_ids, targets, chunk: as of `supervised_loss`.
        weighted: how much each position counts.

    Returns:
        The sum (differentiable), and not differentiable, float32 [N] each: -log pi of the targets, and the entropy
        (nats) of what pi might have drawn.
    """
    result: tuple[Tensor, Tensor, Tensor] = _SupervisedLoss.apply(
        hidden, weight, rows, row_ids, targets, chunk, weighted
    )
    return result

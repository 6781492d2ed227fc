"""Cross-entropy over supervised positions only, in chunks: neither masked tokens nor the vocabulary cost memory.

With V the vocabulary, H the width and N the supervised positions, the plain way keeps N x V logits for the backward
pass (several GB at V = 32k and more). Here a chunk's logits become its gradient at once, in the forward pass, and are
forgotten: what is kept is one N x H gradient. That the output head is frozen but for the rows of the control tokens
makes this cheap: only those rows need a weight gradient.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from qlora.memory import CHUNK


class _SupervisedLoss(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, hidden: Tensor, weight: Tensor, rows: Tensor, row_ids: Tensor, targets: Tensor, chunk: int
    ) -> tuple[Tensor, Tensor]:
        losses = torch.empty(len(targets), dtype=torch.float32, device=hidden.device)
        grad_hidden = torch.empty_like(hidden)
        grad_rows = torch.zeros(rows.shape, dtype=torch.float32, device=rows.device)
        cast = rows.to(hidden.dtype)
        for start in range(0, len(targets), chunk):
            h, target = hidden[start : start + chunk], targets[start : start + chunk, None]
            logits = (h @ weight.T).float()
            logits[:, row_ids] = (h @ cast.T).float()
            highest = torch.logsumexp(logits, dim=1, keepdim=True)
            losses[start : start + chunk] = (highest - logits.gather(1, target)).squeeze(1)
            # softmax minus one-hot: the gradient of the sum of losses with respect to the logits
            grad = logits.sub_(highest).exp_()
            grad.scatter_add_(1, target, torch.full_like(target, -1.0, dtype=grad.dtype))
            of_rows = grad[:, row_ids]
            grad_rows += of_rows.T @ h.float()
            grad[:, row_ids] = 0
            grad_hidden[start : start + chunk] = grad.to(h.dtype) @ weight + of_rows.to(h.dtype) @ cast
        ctx.save_for_backward(grad_hidden, grad_rows)
        ctx.rows_dtype = rows.dtype
        ctx.mark_non_differentiable(losses)
        return losses.sum(), losses

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        grad_hidden, grad_rows = ctx.saved_tensors
        scale = grads[0]
        return grad_hidden * scale.to(grad_hidden.dtype), None, (grad_rows * scale).to(ctx.rows_dtype), None, None, None


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
    return _SupervisedLoss.apply(hidden, weight, rows, row_ids, targets, chunk)

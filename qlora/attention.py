"""Attention that works on rows: a pack of rows in, each row attending to itself alone.

The linear layers see one sequence without padding; attention sees the same tokens as a batch, one row per entry,
right-padded, causal, without any mask. A row cannot reach another because it is never in the same attention matrix,
and the cost is that of short rows instead of one long sequence (at 10 rows in 2,048 tokens a quarter on a CPU).

Registered with transformers under `NAME`; the layout travels as the keyword `row_layout` through the model's forward.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from runtime.errors import ModelError

NAME = "mathcoder_rows"
_HARMLESS = frozenset(
    {"position_ids", "use_cache", "cache_position", "output_attentions", "output_hidden_states", "return_dict",
     "num_items_in_batch", "is_causal"}
)  # fmt: skip
"""Keywords that models hand on and that do not change what attention computes here; `is_causal` is looked at."""


@dataclass
class Windows:
    """Sliding windows, in tokens, that masks were asked for and that attention was told of."""

    masked: set[int] = field(default_factory=set)
    attended: set[int] = field(default_factory=set)


_seen: ContextVar[Windows | None] = ContextVar("windows", default=None)


@contextmanager
def windows_seen() -> Iterator[Windows]:
    """Note the sliding windows of the forward passes inside."""
    windows = Windows()
    token = _seen.set(windows)
    try:
        yield windows
    finally:
        _seen.reset(token)


class RowLayout:
    """Where the rows of a pack lie.

    Attributes:
        gather: int64 [rows * longest]: for each slot of the padded batch, its token in the pack (padding: token 0).
        scatter: int64 [tokens]: for each token of the pack, its slot.
    """

    def __init__(self, lengths: Sequence[int], device: torch.device | str = "cpu") -> None:
        self.rows, self.longest = len(lengths), max(lengths)
        self.even = min(lengths) == self.longest
        size = torch.tensor(list(lengths))
        inside = torch.arange(self.longest)[None, :] < size[:, None]
        start = torch.cumsum(size, 0) - size
        gather = torch.where(inside, start[:, None] + torch.arange(self.longest)[None, :], 0)
        self.gather = gather.reshape(-1).to(device)
        self.scatter = torch.nonzero(inside.reshape(-1)).squeeze(1).to(device)

    def batch(self, packed: Tensor) -> Tensor:
        """[1, heads, tokens, width] to [rows, heads, longest, width]."""
        heads, _, width = packed.shape[1:]
        by_token = packed[0].transpose(0, 1)
        if not self.even:
            by_token = by_token.index_select(0, self.gather)
        return by_token.reshape(self.rows, self.longest, heads, width).transpose(1, 2)

    def pack(self, batched: Tensor) -> Tensor:
        """[rows, heads, longest, width] to [1, tokens, heads, width]."""
        heads, width = batched.shape[1], batched.shape[3]
        by_token = batched.transpose(1, 2).reshape(self.rows * self.longest, heads, width)
        return (by_token if self.even else by_token.index_select(0, self.scatter))[None]


def attention(
    module: torch.nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    *,
    dropout: float = 0.0,
    scaling: float | None = None,
    sliding_window: int | None = None,
    row_layout: RowLayout | None = None,
    **others: Any,
) -> tuple[Tensor, None]:
    """The attention function that transformers calls: heads first in, tokens first out, as its own do.

    Raises:
        ModelError: the model asks for something that would change the result and is not computed here.
    """
    if (windows := _seen.get()) is not None and sliding_window is not None:
        windows.attended.add(sliding_window)
    _refuse_what_is_not_computed(module, attention_mask, others)
    if row_layout is not None:
        query, key, value = row_layout.batch(query), row_layout.batch(key), row_layout.batch(value)
    groups = query.shape[1] // key.shape[1]
    asked, longest = query.shape[2], key.shape[2]
    options: dict[str, Any] = {"scale": scaling, "dropout_p": dropout if module.training else 0.0}
    window = sliding_window if sliding_window is not None and longest > sliding_window else None
    if window is None and asked == longest:
        options["is_causal"] = True
    elif window is not None or asked > 1:
        # With a cache in front the queries are the last positions, while `is_causal` counts from the first.
        ago = torch.arange(longest, device=query.device)
        distance = ago[longest - asked :, None] - ago[None, :]
        options["attn_mask"] = (distance >= 0) & (distance < (window or longest))
    if groups > 1 and query.device.type == "cuda":
        options["enable_gqa"] = True
    elif groups > 1:
        key, value = key.repeat_interleave(groups, 1), value.repeat_interleave(groups, 1)
    output = F.scaled_dot_product_attention(query, key, value, **options)
    if row_layout is not None:
        return row_layout.pack(output), None
    return output.transpose(1, 2).contiguous(), None


def _refuse_what_is_not_computed(module: torch.nn.Module, mask: Tensor | None, others: dict[str, Any]) -> None:
    """Soft-capping, sinks and whatever the next model invents: refused by name, never dropped."""
    asked = sorted(name for name, value in others.items() if value is not None and name not in _HARMLESS)
    if mask is not None:
        asked.append("a mask of its own")
    if others.get("is_causal") is False or getattr(module, "is_causal", True) is False:
        asked.append("attention to later tokens")
    if asked:
        raise ModelError(
            f"{type(module).__name__} asks attention for {', '.join(asked)}, which training does not compute",
            "it would be dropped, and another model trained; nothing was trained",
            "choose another base",
        )


def _no_mask(*_: Any, local_size: int | None = None, **__: Any) -> None:
    """Rows are apart and right-padded, so causality is all the masking there is: build no mask at all."""
    if (windows := _seen.get()) is not None and local_size is not None:
        windows.masked.add(local_size)


def register() -> None:
    """Make `NAME` known to transformers; harmless to repeat."""
    from transformers import AttentionInterface
    from transformers.masking_utils import AttentionMaskInterface

    AttentionInterface.register(NAME, attention)
    AttentionMaskInterface.register(NAME, _no_mask)

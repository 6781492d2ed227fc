"""One merged tensor: the base's values as training saw them plus the adapter's change, rounded once.

Values come in pieces of rows, in float32, so that a tensor of any size needs the memory of one piece; only a linear
layer that goes through NF4 is held whole, because the double quantization of its scales needs all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from export.merge.adapter import LowRank
from export.merge.tensors import PIECE_BYTES, TensorInfo, pieces, read_rows
from runtime.errors import ExportError, ModelError

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Values:
    """Where the values of one base tensor come from.

    Attributes:
        info: the stored tensor.
        shape: of the values (a tensor stored in 4 bits has another one on disk).
        whole: computes all of it, float32, where pieces cannot be had.
        load_dtype: dtype training loaded the base in, to which values are rounded first.
    """

    info: TensorInfo
    shape: tuple[int, ...]
    whole: Callable[[], torch.Tensor] | None = None
    load_dtype: str | None = None

    def pieces(self) -> Iterator[tuple[int, torch.Tensor]]:
        """`(first row, rows)`, float32, in row order."""
        import torch

        if self.whole is not None:
            whole = self.whole()
            step = max(1, PIECE_BYTES // (4 * whole.shape[-1]))
            for first in range(0, whole.shape[0], step):
                yield first, whole[first : first + step]
            return
        for first, rows in pieces(self.info):
            value = read_rows(self.info, first, rows)
            if self.load_dtype is not None:
                value = value.to(getattr(torch, self.load_dtype))
            yield first, value.float()

    def mean_row(self) -> torch.Tensor:
        """Mean over all rows, float32; summed in float64."""
        import torch

        total = torch.zeros(self.shape[1], dtype=torch.float64)
        for _, value in self.pieces():
            total += value.double().sum(dim=0)
        return (total / self.shape[0]).float()


def merged_bias(values: Values, pair: LowRank | None, dtype: str, name: str) -> Iterator[torch.Tensor]:
    (_, value), *_ = values.pieces()
    if pair is not None and pair.bias is not None:
        value += pair.scale * read_rows(pair.bias).float()
    yield _checked(value, dtype, name)


def merged_weight(
    values: Values,
    pair: LowRank | None,
    token_rows: tuple[list[int], TensorInfo] | None,
    shape: tuple[int, ...],
    dtype: str,
    name: str,
) -> Iterator[torch.Tensor]:
    """Pieces of one merged weight, in row order."""
    for first, base in _grown(values, shape):
        value = base
        if pair is not None:
            value = base + pair.rows(first, base.shape[0])
            if pair.magnitude is not None:
                # DoRA: direction from base + change, length of each output row from the magnitude vector.
                length = value.norm(dim=1)
                value *= (read_rows(pair.magnitude, first, base.shape[0]).float() / length)[:, None]
        yield _with_token_rows(value, first, token_rows, dtype, name)


def _grown(values: Values, shape: tuple[int, ...]) -> Iterator[tuple[int, torch.Tensor]]:
    """The base's rows, then rows of added tokens at the mean of the base's, as training starts them."""
    yield from values.pieces()
    if len(shape) == 2 and shape[0] > values.shape[0]:
        yield values.shape[0], values.mean_row().repeat(shape[0] - values.shape[0], 1)


def _with_token_rows(
    value: torch.Tensor, first: int, token_rows: tuple[list[int], TensorInfo] | None, dtype: str, name: str
) -> torch.Tensor:
    if token_rows is not None:
        indices, info = token_rows
        inside = [(place, row - first) for place, row in enumerate(indices) if first <= row < first + value.shape[0]]
        if inside:
            trained = read_rows(info).float()
            value = value.clone()
            for place, row in inside:
                value[row] = trained[place]
    return _checked(value, dtype, name)


def _checked(value: torch.Tensor, dtype: str, name: str) -> torch.Tensor:
    import torch

    if not torch.isfinite(value).all():
        raise ModelError(
            f"{name} holds NaN or infinite values",
            "a model with them computes nonsense; nothing was written",
            "check the base and the adapter (a training that diverged leaves NaN)",
        )
    rounded = value.to(getattr(torch, dtype))
    if not torch.isfinite(rounded).all():
        raise ExportError(
            f"{name} has values up to {value.abs().max():.3g}, outside the range of {dtype}",
            "nothing was written",
            "export with dtype: bfloat16",
        )
    return rounded

"""All rows of a run as three flat arrays: token ids, kinds, and where each row begins."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from qlora.data import Row
from qlora.tokens import SegmentTokenizer, segment_tokenizer
from runtime.lce import KINDS

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

KIND_NUMBER = {kind: number for number, kind in enumerate(KINDS)}
_ROWS_AT_ONCE = 2048
"""Rows handed to the tokenizer's threads together: enough to keep them busy, few enough to stay in memory."""


@dataclass(frozen=True)
class TokenTable:
    """Token ids and kinds of many rows.

    Attributes:
        ids: int32 [tokens], rows one after the other.
        kinds: uint8 [tokens], numbers of `KINDS`.
        starts: int64 [rows + 1], where each row begins in `ids`; the last entry is the number of tokens.
    """

    ids: NDArray[np.int32]
    kinds: NDArray[np.uint8]
    starts: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.starts) - 1

    @property
    def lengths(self) -> NDArray[np.int64]:
        """int64 [rows]: tokens of each row."""
        return self.starts[1:] - self.starts[:-1]

    def row(self, index: int) -> tuple[NDArray[np.int32], NDArray[np.uint8]]:
        """Token ids and kinds of one row."""
        span = slice(int(self.starts[index]), int(self.starts[index + 1]))
        return self.ids[span], self.kinds[span]

    def select(self, indices: Sequence[int]) -> TokenTable:
        """A table of the rows at `indices`, in that order."""
        import numpy as np

        rows = [self.row(index) for index in indices]
        ids = np.concatenate([row[0] for row in rows]) if rows else self.ids[:0]
        kinds = np.concatenate([row[1] for row in rows]) if rows else self.kinds[:0]
        starts = np.zeros(len(rows) + 1, np.int64)
        np.cumsum([len(row[0]) for row in rows], out=starts[1:])
        return TokenTable(ids, kinds, starts)

    def tokens_per_kind(self) -> dict[str, int]:
        """How many tokens each kind has."""
        import numpy as np

        # `bincount` would first make eight bytes of every kind.
        return {kind: int(np.count_nonzero(self.kinds == number)) for kind, number in KIND_NUMBER.items()}

    def supervised_per_row(self, supervised: Collection[str]) -> NDArray[np.int64]:
        """int64 [rows]: tokens of each row that carry loss."""
        import numpy as np

        counts = np.zeros(len(self), np.int64)
        filled = self.lengths > 0
        if filled.any():
            carries = supervised_mask(self.kinds, supervised)
            counts[filled] = np.add.reduceat(carries, self.starts[:-1][filled], dtype=np.int64)
        return counts


def supervised_mask(kinds: NDArray[np.uint8], supervised: Collection[str]) -> NDArray[np.bool_]:
    """bool, like `kinds`: whether the token carries loss."""
    import numpy as np

    # A table indexed by the kinds would first make eight bytes of every kind.
    mask = np.zeros(kinds.shape, np.bool_)
    for kind, number in KIND_NUMBER.items():
        if kind in supervised:
            mask |= kinds == number
    return mask


def tokenize_rows(rows: Sequence[Row], tokenizer: Any) -> TokenTable:
    """What `qlora.data.encode` says of every row, many times faster.

    Raises:
        ModelError: the tokenizer is not a fast one, or lacks control tokens.
    """
    import numpy as np

    tokens = segment_tokenizer(tokenizer)
    chunks: list[tuple[NDArray[np.int32], NDArray[np.uint8]]] = []
    lengths: list[int] = []
    for start in range(0, len(rows), _ROWS_AT_ONCE):
        some = list(_tokenize(rows[start : start + _ROWS_AT_ONCE], tokens))
        lengths += [len(ids) for ids, _ in some]
        size = sum(lengths[-len(some) :])
        chunks.append(
            (
                np.fromiter((id_ for ids, _ in some for id_ in ids), np.int32, size),
                np.fromiter((kind for _, kinds in some for kind in kinds), np.uint8, size),
            )
        )
    starts = np.zeros(len(lengths) + 1, np.int64)
    np.cumsum(lengths, out=starts[1:])
    ids, kinds = np.empty(starts[-1], np.int32), np.empty(starts[-1], np.uint8)
    # Chunk by chunk, each dropped once it is copied: all tokens are never there twice.
    end = len(ids)
    while chunks:
        chunk = chunks.pop()
        begin = end - len(chunk[0])
        ids[begin:end], kinds[begin:end] = chunk
        end = begin
    return TokenTable(ids, kinds, starts)


def _tokenize(rows: Sequence[Row], tokens: SegmentTokenizer) -> Iterator[tuple[list[int], list[int]]]:
    pieces = [tokens.segments(row.messages) for row in rows]
    contents = iter(tokens.contents([piece.text for row in pieces for piece in row if not piece.is_control]))
    for row in pieces:
        ids = list(tokens.prefix)
        kinds = [KIND_NUMBER["prompt"]] * len(ids)
        for piece in row:
            new = [tokens.id_of(piece.text)] if piece.is_control else next(contents)
            ids += new
            kinds += [KIND_NUMBER[piece.kind]] * len(new)
        yield ids, kinds

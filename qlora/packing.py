"""Rows of one step to micro-batches: packed without padding, or padded in groups of like length.

A step is a set of rows. How the rows are laid out in micro-batches changes time and memory and nothing else: the loss
of a step is the sum over all its supervised tokens divided by their number, whatever the layout.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from qlora.tokenized import TokenTable, supervised_mask

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True)
class MicroBatch:
    """Rows of one forward pass, as numpy arrays.

    Attributes:
        rows: indices of the rows in the table, in layout order.
        lengths: tokens of each row.
        ids: int64 [1, tokens] packed, or [rows, longest] padded with 0 (labels, not ids, say what is padding).
        positions: int64, like `ids`: position within the row.
        predicts: int64 [supervised]: flat indices of the positions whose next token carries loss.
        targets: int64 [supervised]: that next token.
        target_kinds: uint8 [supervised]: its kind.
        packed: whether rows lie one after the other in one sequence.
    """

    rows: list[int]
    lengths: list[int]
    ids: NDArray[np.int64]
    positions: NDArray[np.int64]
    predicts: NDArray[np.int64]
    targets: NDArray[np.int64]
    target_kinds: NDArray[np.uint8]
    packed: bool

    @property
    def tokens(self) -> int:
        """Real tokens."""
        return sum(self.lengths)

    @property
    def padding(self) -> int:
        """Slots of `ids` that hold no token."""
        return self.ids.size - self.tokens


def group_rows(rows: Sequence[int], lengths: NDArray[np.int64], micro_tokens: int, *, packed: bool) -> list[list[int]]:
    """Split `rows` into groups of at most `micro_tokens` slots, longest first.

    A longer row stands alone.

    Rows of like length share a group: then attention, which works on rows padded to the longest of the group, wastes
    little, and so do padded batches. Groups are evened out, because the last, small one would cost a whole pass. The
    group with the longest rows comes first, so that a memory limit shows at the start of a step.
    """
    import math

    ordered = sorted(rows, key=lambda row: (-int(lengths[row]), row))
    total = sum(int(lengths[row]) for row in ordered)
    share = total / max(1, math.ceil(total / micro_tokens))
    groups: list[list[int]] = []
    slots, done = 0, 0
    for row in ordered:
        length = int(lengths[row])
        width = int(lengths[groups[-1][0]]) if groups else 0
        needed = slots + length if packed else (len(groups[-1]) + 1 if groups else 1) * width
        # Close a group at its fair share of all tokens, or where one row more would break the limit.
        fair = bool(groups) and done + length / 2 > share * len(groups)
        if not groups or needed > micro_tokens or fair:
            groups.append([])
            slots = 0
        groups[-1].append(row)
        slots += length
        done += length
    return groups


def lay_out(table: TokenTable, rows: Sequence[int], supervised: Collection[str], *, packed: bool) -> MicroBatch:
    """The micro-batch of `rows`, packed one after the other or padded to the longest."""
    import numpy as np

    spans = [table.row(row) for row in rows]
    lengths = [len(ids) for ids, _ in spans]
    if packed:
        offsets = np.concatenate([[0], np.cumsum(lengths)[:-1]]).astype(np.int64)
        shape = (1, sum(lengths))
    else:
        longest = max(lengths)
        offsets = np.arange(len(rows), dtype=np.int64) * longest
        shape = (len(rows), longest)
    ids = np.zeros(shape, np.int64)
    positions = np.zeros(shape, np.int64)
    predicts, targets, kinds = [], [], []
    for offset, (row_ids, row_kinds) in zip(offsets, spans, strict=True):
        span = slice(int(offset), int(offset) + len(row_ids))
        ids.reshape(-1)[span] = row_ids
        positions.reshape(-1)[span] = np.arange(len(row_ids))
        # Token i is predicted at position i - 1 of its own row; a row's first token is predicted nowhere.
        carries = np.flatnonzero(supervised_mask(row_kinds[1:], supervised))
        predicts.append(offset + carries)
        targets.append(row_ids[1:][carries])
        kinds.append(row_kinds[1:][carries])
    return MicroBatch(
        list(rows),
        lengths,
        ids,
        positions,
        np.concatenate(predicts).astype(np.int64),
        np.concatenate(targets).astype(np.int64),
        np.concatenate(kinds),
        packed,
    )


class RowOrder:
    """Which rows each step trains on: a new shuffle every epoch, a pure function of (seed, step).

    Nothing needs to be stored to resume: step N draws the same rows in every process.
    """

    def __init__(self, rows: int, batch_rows: int, seed: int) -> None:
        self.rows = rows
        self.batch_rows = min(batch_rows, rows)
        self.seed = seed
        self._epochs: dict[int, NDArray[np.int64]] = {}

    def steps(self, epochs: float) -> int:
        """Steps in `epochs` passes over the rows, at least 1."""
        import math

        return max(1, math.ceil(epochs * self.rows / self.batch_rows - 1e-9))

    def at(self, step: int) -> list[int]:
        """Row indices of step `step` (from 0). Steps run on over the end of an epoch into the next."""
        first = step * self.batch_rows
        places = range(first, first + self.batch_rows)
        return [int(self._shuffled(place // self.rows)[place % self.rows]) for place in places]

    def _shuffled(self, epoch: int) -> NDArray[np.int64]:
        import numpy as np

        if epoch not in self._epochs:
            self._epochs = {key: value for key, value in self._epochs.items() if key >= epoch - 1}
            self._epochs[epoch] = np.random.default_rng([self.seed, epoch]).permutation(self.rows)
        return self._epochs[epoch]

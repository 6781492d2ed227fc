"""Next-token distributions of two models on the same positions, in numbers.

The reference's logits are kept in a file, so that every other model streams past it once, in whatever process it runs.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from export.rows import KIND_GROUPS
from runtime.likeness import log_softmax

if TYPE_CHECKING:
    import numpy as np


@dataclass
class Reference:
    """The reference's logits, float32 `(positions, vocabulary)`, in a file."""

    path: Path
    positions: int
    vocabulary: int

    def open(self, *, write: bool = False) -> np.ndarray:
        """The file as an array."""
        import numpy as np

        shape = (self.positions, self.vocabulary)
        return np.memmap(self.path, dtype=np.float32, mode="w+" if write else "r", shape=shape)


@dataclass
class Tally:
    """Running sums over positions; `add` takes logits in pieces, `result` gives the means.

    Attributes:
        reference: None while the reference itself is measured.
    """

    targets: np.ndarray
    kinds: list[str]
    reference: np.ndarray | None = None
    position: int = 0
    kl: float = 0.0
    same_top: int = 0
    largest_difference: float = 0.0
    not_finite: int = 0
    nll: dict[str, float] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)

    def add(self, logits: np.ndarray) -> None:
        """Take the logits of the next positions, `(rows, vocabulary)`."""
        import numpy as np

        first, last = self.position, self.position + logits.shape[0]
        self.position = last
        bad = ~np.isfinite(logits).all(axis=-1)
        if bad.any():
            self.not_finite += int(bad.sum())
            logits = np.where(bad[:, None], 0.0, logits)
        width = logits.shape[1] if self.reference is None else min(logits.shape[1], self.reference.shape[1])
        ours = log_softmax(logits[:, :width])
        chosen = ours[np.arange(last - first), self.targets[first:last]]
        for kind, value in zip(self.kinds[first:last], chosen, strict=True):
            self.nll[kind] = self.nll.get(kind, 0.0) - float(value)
            self.counts[kind] = self.counts.get(kind, 0) + 1
        if self.reference is not None:
            wanted_logits = np.asarray(self.reference[first:last, :width])
            wanted = log_softmax(wanted_logits)
            self.kl += float((np.exp(wanted) * (wanted - ours)).sum())
            self.same_top += int((wanted.argmax(axis=-1) == ours.argmax(axis=-1)).sum())
            difference = np.abs(wanted_logits.astype(np.float64) - logits[:, :width])
            self.largest_difference = max(self.largest_difference, float(difference.max(initial=0.0)))

    def result(self) -> dict[str, Any]:
        """Means: `kl` in nats, `top1`, `max_logit_difference`, `perplexity` by kind."""
        import math

        groups = {kind: [self.nll.get(kind, 0.0), self.counts.get(kind, 0)] for kind in KIND_GROUPS}
        groups["all"] = [sum(self.nll.values()), sum(self.counts.values())]
        result: dict[str, Any] = {
            "positions": self.position,
            "perplexity": {
                kind: math.exp(min(50.0, nll / count)) if count else None for kind, (nll, count) in groups.items()
            },
        }
        if self.not_finite:
            result["not_finite"] = self.not_finite
        if self.reference is not None and self.position:
            result["kl"] = max(0.0, self.kl / self.position)
            result["top1"] = self.same_top / self.position
            result["max_logit_difference"] = self.largest_difference
        return result

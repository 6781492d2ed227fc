"""How alike two models are: logits at the same positions in, divergence and agreement out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np


def log_softmax(logits: np.ndarray) -> np.ndarray:
    """Log-probabilities over the last axis, float64 inside, for KL values near 1e-7."""
    import numpy as np

    wide = logits.astype(np.float64)
    wide -= wide.max(axis=-1, keepdims=True)
    return np.asarray(wide - np.log(np.exp(wide).sum(axis=-1, keepdims=True)))


@dataclass
class Likeness:
    """Running sums over positions.

    Attributes:
        positions: compared so far.
    """

    positions: int = 0
    _kl: float = 0.0
    _same: int = 0

    def add(self, reference: np.ndarray, logits: np.ndarray) -> None:
        """Take the logits of both at some positions, `(positions, vocabulary)` each."""
        import numpy as np

        wanted, ours = log_softmax(reference), log_softmax(logits)
        self._kl += float((np.exp(wanted) * (wanted - ours)).sum())
        self._same += int((wanted.argmax(axis=-1) == ours.argmax(axis=-1)).sum())
        self.positions += len(wanted)

    @property
    def kl(self) -> float:
        """Mean divergence from the reference, nats a position."""
        return max(0.0, self._kl / max(1, self.positions))

    @property
    def top1(self) -> float:
        """Share of positions where both find the same token the likeliest."""
        return self._same / max(1, self.positions)

"""After each change of the sampler's adapter: does it compute what the trainer computes?

Adapters that were silently not applied, stale or applied twice are the most frequent fault of such loops, and nothing
but a reward that stays where it is tells of them. So one fixed prompt is read by both after every change. What differs
between sampler and trainer anyway (rounding of the file's weights and of llama.cpp's activations) is measured once,
without an adapter, and taken off.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from runtime.errors import EngineError

if TYPE_CHECKING:
    from pathlib import Path

    from recipes.reinforce.policy import Policy
    from runtime.engine.llama.engine import LlamaEngine

FACTOR, FLOOR = 20.0, 1e-6
"""The divergence after a change may be FACTOR times the one without an adapter, and FLOOR nats a token in any case:
rounding grows where the adapter makes activations larger."""
SEEN = 3
"""Adapters of earlier steps that a wrong one is held against."""


class SwapCheck:
    """Changes the sampler's adapter and compares the two on one prompt.

    Attributes:
        base_kl: nats a token between sampler and trainer without an adapter.
    """

    def __init__(self, engine: LlamaEngine, policy: Policy, ids: Sequence[int]) -> None:
        """Take the measure without an adapter. `ids` are the prompt's."""
        self.engine, self.policy, self.ids = engine, policy, list(ids)
        engine.use_adapter(None)
        self.without = policy.log_probabilities(self.ids, 0.0)
        sampled = self._sampled()
        self.offset = sampled - self.without
        self.base_kl = _kl(sampled, self.without)
        self.earlier: list[NDArray[np.float32]] = []

    def _sampled(self) -> NDArray[np.float32]:
        logits = self.engine.logits(self.ids).astype(np.float64)
        highest = logits.max(1, keepdims=True)
        norm = highest + np.log(np.exp(logits - highest).sum(1, keepdims=True))
        result: NDArray[np.float32] = (logits - norm)[:, : self.policy.vocabulary].astype(np.float32)
        return result

    def __call__(self, adapter: Path) -> float:
        """Let the engine use the file `adapter`; returns the divergence (nats a token) that is left.

        Raises:
            EngineError: it does not compute what the trainer computes now.
        """
        self.engine.use_adapter(adapter)
        return self.compare()

    def compare(self) -> float:
        """The comparison alone."""
        now = self.policy.log_probabilities(self.ids)
        sampled = self._sampled() - self.offset
        kl = _kl(sampled, now)
        wrong = [
            ("it was not applied", self.without),
            # As far as a small adapter's effect grows in proportion; to compute it would double what a check costs.
            ("it was applied twice", 2 * now - self.without),
            *(("it is that of an earlier step", earlier) for earlier in self.earlier),
        ]
        likely = [(_kl(sampled, other), why) for why, other in wrong if _lies_nearer(sampled, now, other)]
        reason = min(likely)[1] if likely else ""
        self.earlier = [*self.earlier, now][-SEEN:]
        if reason or kl > max(FLOOR, FACTOR * self.base_kl):
            raise EngineError(
                f"llama.cpp does not compute with the adapter of this step ({reason or 'it is another one'}; "
                f"KL {kl:.1e} nats a token, without an adapter {self.base_kl:.1e})",
                "solutions of another model than the one that is trained teach nothing; the last checkpoint is kept",
                "report this with the versions that `mathcoder doctor` prints",
            )
        return kl


def _kl(first: NDArray[np.float32], second: NDArray[np.float32]) -> float:
    """Mean over positions of KL(first | second), in nats, of log-probabilities.

    The first one need not sum to one: the estimator k3 makes up for it.
    """
    ratio = second.astype(np.float64) - first
    return float((np.exp(first.astype(np.float64)) * (np.expm1(ratio) - ratio)).sum(1).mean())


def _lies_nearer(sampled: NDArray[np.float32], now: NDArray[np.float32], other: NDArray[np.float32]) -> bool:
    """Whether the sample lies over half-way from `now` to `other`, in the measure of likely tokens.

    Rounding has no direction, so it hardly shows on that way even where it is larger than a small step; where it could
    all the same (its scatter over the positions says so), nothing is claimed.
    """
    weight = np.exp(now.astype(np.float64))
    way = other.astype(np.float64) - now
    length = float((weight * way * way).sum())
    if length == 0.0:
        return False  # The two are the same model.
    gone = sampled.astype(np.float64) - now
    share = float((weight * way * gone).sum()) / length
    error = float(np.sqrt((((weight * way * (gone - share * way)).sum(1)) ** 2).sum())) / length
    return share > 0.5 and error < TELLING


TELLING = 0.15
"""Standard error of the share of the way below which a half is three errors away from nothing and from all of it."""

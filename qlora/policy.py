"""The policy gradient of sampled solutions: the training loop's own step with a weighted loss.

A rollout is a row: its prompt and what the runtime put there are as masked as a prompt is in fine-tuning, and each
drawn token counts by its advantage. Layout, memory and the answer to an out-of-memory error are `qlora.step`'s.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from qlora.loss import Weighted, weighted_loss
from qlora.packing import MicroBatch
from qlora.step import Stepper, StepResult
from qlora.tokenized import KIND_NUMBER, TokenTable

if TYPE_CHECKING:
    from qlora.adapter import Adapted
    from qlora.settings import TrainSettings
    from runtime.engine.trajectory import Allowed, Trajectory
    from runtime.lce import Kind

_DRAWN: Kind = "text"
"""The kind that stands for all drawn tokens: one that carries loss."""


@dataclass
class Rollouts:
    """Trajectories as rows to train on.

    Attributes:
        table: their tokens, drawn ones of a kind that carries loss.
        advantages: of each row, for all of its drawn tokens.
        log_mu, sets: float32 and int64 per row, of its drawn tokens in order.
        barred: bool [S, V], see `qlora.loss.Weighted`.
    """

    table: TokenTable
    advantages: list[float]
    log_mu: list[NDArray[np.float32]]
    sets: list[NDArray[np.int64]]
    barred: NDArray[np.bool_]
    supervised: frozenset[str] = field(default=frozenset({_DRAWN}))


def rollouts_of(trajectories: Sequence[Trajectory], advantages: Sequence[float], vocabulary: int) -> Rollouts:
    """Rows of trajectories, which keep their order.

    Args:
        trajectories: each with at least one drawn token; none at all make an empty table.
        advantages: one for each.
        vocabulary: rows of the output head.
    """
    known: list[Allowed] = []
    numbers = []
    for trajectory in trajectories:
        known += [allowed for allowed in trajectory.sets if allowed not in known]
        places = np.array([known.index(allowed) for allowed in trajectory.sets], np.int64)
        numbers.append(places[np.array(trajectory.kinds, np.int64)])
    barred = np.zeros((max(1, len(known)), vocabulary), np.bool_)
    for row, (only, forbidden) in zip(barred, known, strict=False):
        if only is not None:
            row[:] = True
            row[sorted(only)] = False
        else:
            row[sorted(forbidden)] = True
    kinds = []
    for trajectory in trajectories:
        of_row = np.full(len(trajectory.ids), KIND_NUMBER["prompt"], np.uint8)
        of_row[trajectory.places] = KIND_NUMBER[_DRAWN]
        kinds.append(of_row)
    starts = np.zeros(len(trajectories) + 1, np.int64)
    np.cumsum([len(trajectory.ids) for trajectory in trajectories], out=starts[1:])
    ids = np.fromiter((token for trajectory in trajectories for token in trajectory.ids), np.int32, int(starts[-1]))
    return Rollouts(
        TokenTable(ids, np.concatenate([*kinds, np.zeros(0, np.uint8)]), starts),
        list(advantages),
        [np.array(trajectory.log_mu, np.float32) for trajectory in trajectories],
        numbers,
        barred,
    )


@dataclass
class Seen:
    """Per row, of each drawn token: the trainer's log pi and entropy (nats), and the sampler's log mu."""

    log_pi: dict[int, NDArray[np.float32]] = field(default_factory=dict)
    entropy: dict[int, NDArray[np.float32]] = field(default_factory=dict)
    log_mu: dict[int, NDArray[np.float32]] = field(default_factory=dict)

    def figures(self, cap: float) -> dict[str, float]:
        """Entropy, and how far the sampler is from the trainer.

        `mismatch_kl` is the estimator k3 of KL(mu | pi), exp(r) - 1 - r with r = log pi - log mu: never negative, with
        little scatter (http://joschu.net/blog/kl-approx.html).
        """
        if not self.log_pi:
            return {}
        rows = sorted(self.log_pi)
        ratio = np.concatenate([self.log_pi[row].astype(np.float64) - self.log_mu[row] for row in rows])
        entropy = np.concatenate([self.entropy[row] for row in rows])
        return {
            "entropy": float(entropy.mean(dtype=np.float64)),
            "mismatch_kl": float(np.mean(np.expm1(ratio) - ratio)),
            "max_log_ratio": float(np.abs(ratio).max()),
            "capped": float(np.mean(ratio > np.log(cap))),
        }


class PolicyStepper(Stepper):
    """Accumulates the policy gradient of rollouts; see `Stepper`.

    Attributes:
        seen: what the last step saw of each row.
    """

    def __init__(
        self, adapted: Adapted, rollouts: Rollouts, settings: TrainSettings, micro_tokens: int, *, cap: float | None
    ) -> None:
        """
        Args:
            adapted, settings, micro_tokens: as of `Stepper`.
            rollouts: the rows.
            cap: of the importance weight; None corrects nothing (rejection sampling: plain fine-tuning).
        """
        super().__init__(adapted, rollouts, settings, micro_tokens)
        self.rollouts, self.cap = rollouts, cap
        self.barred = torch.from_numpy(rollouts.barred).to(adapted.head.weight.device)
        self.seen = Seen()

    def gradient(self, rows: Sequence[int], *, seed: int = 0) -> StepResult:
        """The policy gradient of `rows` in `.grad`: the sum over their drawn tokens divided by `divisor`."""
        self.seen = Seen()
        return super().gradient(rows, seed=seed)

    def forward(self, micro: MicroBatch) -> tuple[Tensor, Tensor]:
        """Weighted sum of the losses of a micro-batch, and -log pi of each drawn token."""
        hidden, targets = self.hidden(micro)
        rollouts, head, device = self.rollouts, self.adapted.head, hidden.device
        log_mu = np.concatenate([rollouts.log_mu[row] for row in micro.rows])
        counts = [len(rollouts.log_mu[row]) for row in micro.rows]
        advantages = np.repeat([rollouts.advantages[row] for row in micro.rows], counts).astype(np.float32)
        weighted = Weighted(
            torch.from_numpy(advantages).to(device),
            torch.from_numpy(log_mu).to(device) if self.cap is not None else None,
            self.cap or 1.0,
            self.barred,
            torch.from_numpy(np.concatenate([rollouts.sets[row] for row in micro.rows])).to(device),
        )
        total, losses, entropies = weighted_loss(hidden, head.weight, head.rows, head.ids, targets, weighted)
        ends = np.cumsum(counts)[:-1]
        log_pi, entropy = -losses.detach().cpu().numpy(), entropies.detach().cpu().numpy()
        self.seen.log_pi.update(zip(micro.rows, np.split(log_pi, ends), strict=True))
        self.seen.entropy.update(zip(micro.rows, np.split(entropy, ends), strict=True))
        self.seen.log_mu.update((row, rollouts.log_mu[row]) for row in micro.rows)
        return total, losses

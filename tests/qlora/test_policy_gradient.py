"""The weighted loss: fine-tuning's own for weights of 1, finite differences, and TRL's."""

from __future__ import annotations

import importlib.util
from collections import defaultdict
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from qlora.loss import Weighted, supervised_loss, weighted_loss
from qlora.policy import PolicyStepper, rollouts_of
from runtime.engine.trajectory import Trajectory

N, H, V = 23, 12, 40
IDS = torch.tensor([38, 3, 17])


def _tensors(dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    torch.manual_seed(0)
    hidden = torch.randn(N, H, dtype=dtype, requires_grad=True)
    rows = torch.randn(3, H, dtype=dtype, requires_grad=True)
    return hidden, torch.randn(V, H, dtype=dtype), rows, torch.randint(20, V, (N,))


def _weighted(log_mu: Tensor | None, cap: float = 2.0) -> Weighted:
    """Positive and negative advantages; a third of the positions are masked, a third miss some tokens."""
    torch.manual_seed(1)
    barred = torch.zeros(3, V, dtype=torch.bool)
    barred[1, :20] = True
    barred[2, 5:9] = True
    return Weighted(torch.randn(N), log_mu, cap, barred, torch.arange(N) % 3)


def _log_pi(hidden: Tensor, weight: Tensor, rows: Tensor, targets: Tensor, weighted: Weighted) -> Tensor:
    logits = hidden @ weight.index_copy(0, IDS, rows).T
    logits = logits.masked_fill(weighted.barred[weighted.sets], -torch.inf)
    return torch.log_softmax(logits, 1).gather(1, targets[:, None]).squeeze(1)


@pytest.mark.parametrize("chunk", [1, 7, 1000])
def test_weights_of_one_give_the_loss_of_fine_tuning_to_the_bit(chunk: int) -> None:
    hidden, weight, rows, targets = _tensors()
    none = Weighted(torch.ones(N), None, 1.0, torch.zeros(1, V, dtype=torch.bool), torch.zeros(N, dtype=torch.int64))
    plain, each = supervised_loss(hidden, weight, rows, IDS, targets, chunk=chunk)
    expected = torch.autograd.grad(plain, (hidden, rows))
    loss, losses, entropies = weighted_loss(hidden, weight, rows, IDS, targets, none, chunk=chunk)
    assert torch.equal(loss, plain)
    assert torch.equal(losses, each)
    for got, want in zip(torch.autograd.grad(loss, (hidden, rows)), expected, strict=True):
        assert torch.equal(got, want)
    logits = torch.log_softmax(hidden @ weight.index_copy(0, IDS, rows).T, 1)
    torch.testing.assert_close(entropies, -(logits.exp() * logits).sum(1))


@pytest.mark.parametrize("chunk", [1, 7, 1000])
def test_the_gradient_is_that_of_the_weighted_log_probabilities(chunk: int) -> None:
    hidden, weight, rows, targets = _tensors()
    log_mu = _log_pi(hidden, weight, rows, targets, _weighted(None)).detach() + 0.8 * torch.randn(N)
    weighted = _weighted(log_mu)
    log_pi = _log_pi(hidden, weight, rows, targets, weighted)
    factor = (log_pi - log_mu).exp().clamp_max(2.0).detach()
    assert 0 < (factor == 2.0).sum() < N, "some weights are capped"
    expected = torch.autograd.grad(-(weighted.advantages * factor * log_pi).sum(), (hidden, rows))
    loss, losses, _ = weighted_loss(hidden, weight, rows, IDS, targets, weighted, chunk=chunk)
    torch.testing.assert_close(losses, -log_pi)
    for got, want in zip(torch.autograd.grad(loss, (hidden, rows)), expected, strict=True):
        torch.testing.assert_close(got, want)


def test_the_gradient_equals_finite_differences() -> None:
    hidden, weight, rows, targets = _tensors()
    weighted = _weighted(None)
    loss, _, _ = weighted_loss(hidden, weight, rows, IDS, targets, weighted)
    for tensor, gradient in zip((hidden, rows), torch.autograd.grad(loss, (hidden, rows)), strict=True):
        torch.manual_seed(2)
        for _ in range(5):
            way = torch.randn_like(tensor)

            def value(step: float, tensor: Tensor = tensor, way: Tensor = way) -> float:
                wide = [t + step * way if t is tensor else t for t in (hidden, rows)]
                log_pi = _log_pi(wide[0].double(), weight.double(), wide[1].double(), targets, weighted)
                return float(-(weighted.advantages.double() * log_pi).sum().detach())

            slope = (value(1e-3) - value(-1e-3)) / 2e-3
            assert float((gradient * way).sum()) == pytest.approx(slope, rel=2e-3, abs=2e-3)


def test_a_token_that_could_not_be_drawn_gets_no_gradient() -> None:
    hidden, weight, rows, targets = _tensors()
    barred = torch.zeros(1, V, dtype=torch.bool)
    barred[0, IDS] = True
    targets[targets == 38] = 39
    weighted = Weighted(torch.randn(N), None, 1.0, barred, torch.zeros(N, dtype=torch.int64))
    loss, _, entropies = weighted_loss(hidden, weight, rows, IDS, targets, weighted)
    assert torch.isfinite(entropies).all()
    assert not torch.autograd.grad(loss, rows)[0].any()


def test_the_gradient_equals_that_of_trl() -> None:
    """TRL's `dr_grpo` with truncated importance sampling of tokens, on the same logits and advantages."""
    if importlib.util.find_spec("trl") is None:
        pytest.skip("TRL is not installed (pip install --no-deps trl==1.15.0); it is held against in development only")
    from trl.trainer.grpo_trainer import GRPOTrainer

    hidden, weight, rows, targets = _tensors()
    none = torch.zeros(1, V, dtype=torch.bool)
    advantages = torch.tensor([0.7, -0.3, -0.4])
    lengths = [9, 8, 6]
    log_pi = torch.log_softmax(hidden @ weight.index_copy(0, IDS, rows).T, 1).gather(1, targets[:, None]).squeeze(1)
    torch.manual_seed(3)
    log_mu = log_pi.detach() + 0.8 * torch.randn(N)
    per_token = torch.repeat_interleave(advantages, torch.tensor(lengths))
    weighted = Weighted(per_token, log_mu, 2.0, none, torch.zeros(N, dtype=torch.int64))
    longest, budget = 10, 3 * 10
    loss, _, _ = weighted_loss(hidden, weight, rows, IDS, targets, weighted)
    ours = torch.autograd.grad(loss / budget, (hidden, rows))
    theirs_loss = _trl_loss(GRPOTrainer, log_pi, log_mu, advantages, lengths, longest)
    theirs = torch.autograd.grad(theirs_loss, (hidden, rows))
    for got, want in zip(ours, theirs, strict=True):
        torch.testing.assert_close(got, want)


def _trl_loss(
    trainer: Any, log_pi: Tensor, log_mu: Tensor, advantages: Tensor, lengths: list[int], longest: int
) -> Tensor:
    """What TRL's own `_compute_loss` returns for these log-probabilities."""
    mask = torch.zeros(len(lengths), longest)
    for row, length in enumerate(lengths):
        mask[row, :length] = 1
    whole = torch.zeros(len(lengths), longest).masked_scatter(mask.bool(), log_pi)
    ratio = torch.exp(log_pi.detach() - log_mu).clamp_max(2.0)
    accelerator = SimpleNamespace(gather=lambda value: value, reduce=lambda value, reduction: value, num_processes=1)
    model = SimpleNamespace(training=True)
    self = SimpleNamespace(
        model=model,
        _get_per_token_logps_and_entropies=lambda *_, **__: (whole, torch.zeros_like(whole), None),
        aux_loss_enabled=False, top_entropy_quantile=1.0, off_policy_mask_threshold=None,
        importance_sampling_level="token", beta=0.0, loss_type="dr_grpo", epsilon_low=0.2, epsilon_high=0.2,
        args=SimpleNamespace(delta=None), use_vllm=True, vllm_importance_sampling_correction=True,
        max_completion_length=longest, current_gradient_accumulation_steps=1, _entropy_bonus_enabled=False,
        accelerator=accelerator, _metrics={"train": defaultdict(list)}, entropy_coef=0.0,
    )  # fmt: skip
    inputs = {
        "prompt_ids": torch.zeros(len(lengths), 1), "prompt_mask": torch.ones(len(lengths), 1),
        "completion_ids": torch.zeros(len(lengths), longest), "completion_mask": mask, "advantages": advantages,
        "importance_sampling_ratio": torch.zeros_like(mask).masked_scatter(mask.bool(), ratio),
    }  # fmt: skip
    result: Tensor = trainer._compute_loss(self, model, inputs)
    return result


def _trajectories() -> list[Trajectory]:
    rng = np.random.default_rng(0)
    found = []
    for length, drawn in ((30, 11), (24, 5), (41, 17)):
        ids = [int(token) for token in rng.integers(3, 200, length)]
        places = sorted(int(place) for place in rng.choice(np.arange(6, length), drawn, replace=False))
        only = frozenset(ids[place] for place in places[:2]) | {250}
        kinds = [0, 0, *([1] * (drawn - 2))]
        sets = [(only, frozenset[int]()), (None, frozenset({251, 252}))]
        log_mu = [float(value) for value in -rng.random(drawn)]
        found.append(Trajectory(ids, places, log_mu, sets, kinds))
    return found


@pytest.mark.parametrize("packing", [True, False])
def test_the_step_does_not_depend_on_the_layout(base: Any, rows_file: Path, bench: Any, packing: bool) -> None:
    made = bench(base(), rows_file, packing=packing, quantize=False)
    made.randomize_adapter()
    rollouts = rollouts_of(_trajectories(), [0.5, -1.0, 0.25], len(made.adapted.head.weight))

    def gradient(micro_tokens: int, rows: list[int]) -> tuple[Any, dict[str, Tensor]]:
        stepper = PolicyStepper(made.adapted, rollouts, made.options, micro_tokens, cap=2.0)
        stepper.divisor = 50.0
        stepper.gradient(rows)
        found = {n: p.grad.clone() for n, p in made.adapted.trainable().items() if p.grad is not None}
        return stepper.seen, found

    seen, together = gradient(4096, [0, 1, 2])
    again, apart = gradient(16, [2, 0, 1])
    assert any(value.abs().max() > 1e-6 for value in together.values())
    for name, value in together.items():
        torch.testing.assert_close(apart[name], value, rtol=1e-4, atol=1e-6)
    for row, trajectory in enumerate(_trajectories()):
        assert len(seen.log_pi[row]) == len(trajectory.places)
        np.testing.assert_allclose(seen.log_pi[row], again.log_pi[row], rtol=1e-4, atol=1e-5)
    one = sum(
        gradient(4096, [row])[1]["base_model.model.model.layers.0.mlp.up_proj.lora_B.default.weight"]
        for row in range(3)
    )
    torch.testing.assert_close(
        one, together["base_model.model.model.layers.0.mlp.up_proj.lora_B.default.weight"], rtol=1e-4, atol=1e-6
    )

"""float16 and its loss scale: an overflow costs no step and changes no number; resuming is exact."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from test_training_run import adapter_bytes, recipe, run

from qlora import loss_scale
from qlora.loss_scale import LossScale
from qlora.train import Snapshot
from runtime.errors import TrainError

ROWS = list(range(8))


@pytest.fixture(autouse=True, scope="module")
def _no_peak() -> Iterator[None]:
    """Large float16 products take minutes on some CPUs; the peak is no concern here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("qlora.peak.measure", lambda *_: 1e15)
        yield


@pytest.fixture
def scaled(base: Callable[..., Path], rows_file: Path, bench: Any) -> Any:
    """A float32 model with the scale that float16 would have."""
    made = bench(base(), rows_file)
    made.randomize_adapter()
    made.stepper.loss_scale = LossScale(torch.float16)
    return made


def gradients(made: Any) -> dict[str, torch.Tensor]:
    return {name: p.grad.clone() for name, p in made.adapted.trainable().items()}


def overflow_above(made: Any, limit: float) -> list[float]:
    """Let every gradient overflow while the scale is above `limit`; returns the scales that were tried."""
    forward, tried = made.stepper.forward, []

    def overflowing(micro: Any) -> Any:
        loss, losses = forward(micro)
        tried.append(made.stepper.loss_scale.value)
        if made.stepper.loss_scale.value > limit:
            loss.register_hook(lambda grad: grad * torch.inf)
        return loss, losses

    made.stepper.forward = overflowing
    return tried


def test_a_gradient_that_overflows_is_computed_again_with_half_the_scale_and_is_the_same(scaled: Any) -> None:
    expected, norm = scaled.stepper.clipped_gradient(ROWS)
    plain = gradients(scaled)
    tried = overflow_above(scaled, 2.0**14)
    after, again = scaled.stepper.clipped_gradient(ROWS)
    assert tried == [2.0**16, 2.0**15, 2.0**14]
    assert scaled.stepper.loss_scale.value == 2.0**14
    assert (after.loss, again) == (expected.loss, norm)
    for name, gradient in gradients(scaled).items():
        assert torch.equal(gradient, plain[name])  # a power of two moves no digit


def test_the_scale_leaves_no_trace_in_gradient_norm_and_clipping(scaled: Any) -> None:
    scaled.stepper.settings = scaled.stepper.settings.model_copy(update={"max_grad_norm": 0.01})
    _, norm = scaled.stepper.clipped_gradient(ROWS)
    with_scale = gradients(scaled)
    scaled.stepper.loss_scale = LossScale(torch.float32)
    assert scaled.stepper.clipped_gradient(ROWS)[1] == norm > 0.01
    for name, gradient in gradients(scaled).items():
        assert torch.equal(gradient, with_scale[name])


def test_the_scale_grows_again_after_enough_steps(scaled: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loss_scale, "GROW_AFTER", 2)
    values = []
    for _ in range(4):
        scaled.stepper.clipped_gradient(ROWS)
        values.append(scaled.stepper.loss_scale.value)
    assert values == [2.0**16, 2.0**17, 2.0**17, 2.0**18]


def test_a_gradient_that_no_scale_helps_ends_in_a_norm_that_is_no_number(scaled: Any) -> None:
    tried = overflow_above(scaled, 0.0)
    _, norm = scaled.stepper.clipped_gradient(ROWS)
    assert tried[-1] == loss_scale.SMALLEST
    assert norm != norm or norm == float("inf")


@pytest.fixture(scope="module")
def half(base: Callable[..., Path], rows_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Ten steps in float16, whose scale doubles after every three steps."""
    out = tmp_path_factory.mktemp("half")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loss_scale, "GROW_AFTER", 3)
        patch.setattr(loss_scale, "START", 2.0**13)
        summary, screen = run(recipe(base(), rows_file, compute_dtype="float16", sample_every=1), out, on_sample=ignore)
    return out, summary, screen


def ignore(_snapshot: Snapshot) -> dict[str, float]:
    return {}


def log(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]


def test_a_run_in_float16_learns_what_one_in_float32_learns(
    half: Any, base: Callable[..., Path], rows_file: Path, tmp_path: Path
) -> None:
    out, summary, screen = half
    assert "float16 on cpu" in screen
    assert json.loads((out / "run.json").read_text())["quantization"]["load_dtype"] == "float16"
    run(recipe(base(), rows_file, max_steps=10), tmp_path)
    assert [entry["loss"] for entry in log(out)] == pytest.approx([e["loss"] for e in log(tmp_path)], abs=0.02)
    assert summary.last_loss["loss"] < summary.first_loss["loss"]


def test_a_run_in_float16_that_was_stopped_goes_on_with_its_scale_and_ends_in_the_same_bits(
    half: Any, base: Callable[..., Path], rows_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, _, _ = half
    monkeypatch.setattr(loss_scale, "GROW_AFTER", 3)
    monkeypatch.setattr(loss_scale, "START", 2.0**13)
    settings = recipe(base(), rows_file, compute_dtype="float16", sample_every=1)

    class StoppedError(Exception):
        pass

    def stop(snapshot: Snapshot) -> dict[str, float]:
        if snapshot.step == 6:
            raise StoppedError("by the test")
        return {}

    with pytest.raises(StoppedError, match="by the test"):
        run(settings, tmp_path, on_sample=stop)
    state = json.loads((tmp_path / "checkpoints" / "step-5" / "state.json").read_text())
    assert state["loss_scale"] == {"value": 2.0**14, "steps": 2}
    run(settings, tmp_path, on_sample=ignore)
    assert adapter_bytes(tmp_path) == adapter_bytes(out)
    assert [entry["loss"] for entry in log(tmp_path)] == [entry["loss"] for entry in log(out)]


def test_a_base_that_needs_numbers_beyond_float16_is_told_from_a_rate_that_is_too_high(
    base: Callable[..., Path], rows_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from qlora.adapter import Adapted

    embed = Adapted.embed
    monkeypatch.setattr(Adapted, "embed", lambda self, ids: embed(self, ids) * 1e9)
    with pytest.raises(TrainError, match=r"loss of step 1 is nan.*beyond float16: train\.compute_dtype=float32"):
        run(recipe(base(), rows_file, compute_dtype="float16"), tmp_path)

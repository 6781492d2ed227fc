"""A checkpoint gives back the state of every optimizer a recipe can name, in the memory it expects."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from bitsandbytes.optim import AdamW8bit
from test_training_run import adapter_bytes, recipe, run

from qlora import checkpoint
from qlora.train import Snapshot

WIDE = {"r": 64, "alpha": 64, "dropout": 0.1}
"""Matrices of 4,096 numbers and more, from where on bitsandbytes keeps their moments in 8 bits."""


class StoppedError(Exception):
    """Ends a run in the middle."""


@pytest.mark.parametrize("name", ["adamw_8bit", "paged_adamw_8bit", "paged_adamw_32bit"])
def test_five_steps_and_five_more_are_ten_with_bitsandbytes_optimizers(
    name: str, base: Callable[..., Path], rows_file: Path, tmp_path: Path
) -> None:
    settings = recipe(base(), rows_file, optimizer=name, lora=WIDE, sample_every=1)

    def stop(snapshot: Snapshot) -> dict[str, float]:
        if snapshot.step == 7:
            raise StoppedError("by the test")
        return {}

    run(settings, tmp_path / "whole", on_sample=lambda _snapshot: {})
    with pytest.raises(StoppedError, match="by the test"):
        run(settings, tmp_path / "halves", on_sample=stop)
    state = torch.load(tmp_path / "halves" / "checkpoints" / "step-5" / checkpoint.OPTIMIZER, weights_only=True)
    kinds = {tensor.dtype for tensor in tensors(state) if tensor.dim() == 2 and tensor.numel() >= 4096}
    assert kinds == {torch.uint8 if "8bit" in name else torch.float32}
    _, screen = run(settings, tmp_path / "halves", on_sample=lambda _snapshot: {})
    assert "going on after step 5" in screen
    assert adapter_bytes(tmp_path / "halves") == adapter_bytes(tmp_path / "whole")
    logs = [
        [json.loads(line)["loss"] for line in (tmp_path / run / "log.jsonl").read_text().splitlines()]
        for run in ("whole", "halves")
    ]
    assert logs[0] == logs[1]


def tensors(value: Any) -> Iterator[torch.Tensor]:
    """All tensors in there."""
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, dict):
        for part in value.values():
            yield from tensors(part)


class Paged:
    """An 8-bit optimizer that says of its moments that they are pages, as bitsandbytes does on a GPU."""

    def __init__(self, adapted: Any, **settings: Any) -> None:
        self.made: list[torch.Tensor] = []
        self.inner = AdamW8bit(list(adapted.trainable().values()), **settings)
        self.inner.is_paged = True
        self.inner.get_state_buffer = self.pages  # type: ignore[method-assign]

    def pages(self, parameter: torch.Tensor, dtype: torch.dtype = torch.float32) -> torch.Tensor:
        buffer = torch.zeros_like(parameter, dtype=dtype)
        buffer.is_paged = parameter.numel() >= 4096  # type: ignore[attr-defined]
        self.made.append(buffer)
        return buffer


def test_a_paged_optimizer_gets_pages_and_nothing_else_says_that_it_is_one(
    base: Callable[..., Path], rows_file: Path, tmp_path: Path, bench: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = bench(base(), rows_file, lora=WIDE | {"dropout": 0.0})
    before = Paged(made.adapted)
    # What is prefetched has to be pages: bitsandbytes ends the process where it is not.
    prefetched: list[torch.Tensor] = []
    monkeypatch.setattr("bitsandbytes.functional.prefetch_tensor", lambda tensor, **_: prefetched.append(tensor))
    made.stepper.gradient([0, 1, 2])
    before.inner.step()
    saved = checkpoint.save(tmp_path, 1, made.adapted, before.inner, {}, keep=1)
    after = Paged(made.adapted)
    checkpoint.load(saved, made.adapted, after.inner)
    for parameter, state in before.inner.state.items():
        again = after.inner.state[parameter]
        for name, value in state.items():
            assert torch.equal(torch.as_tensor(again[name]), torch.as_tensor(value))
        assert any(again["state1"] is pages for pages in after.made)
        assert any(again["state2"] is pages for pages in after.made)
    prefetched.clear()
    made.stepper.gradient([0, 1, 2])
    after.inner.step()
    assert prefetched
    assert all(any(tensor is pages for pages in after.made) for tensor in prefetched)


def test_a_plain_optimizer_takes_over_nothing_of_the_pages_that_were_saved(
    base: Callable[..., Path], rows_file: Path, tmp_path: Path, bench: Any
) -> None:
    made = bench(base(), rows_file, lora=WIDE | {"dropout": 0.0})
    before = Paged(made.adapted)
    before.inner.is_paged = False  # there is nothing to prefetch on a CPU
    made.stepper.gradient([0, 1, 2])
    before.inner.step()
    assert all(hasattr(state["state1"], "is_paged") for state in before.inner.state.values())
    saved = checkpoint.save(tmp_path, 1, made.adapted, before.inner, {}, keep=1)
    plain = AdamW8bit(list(made.adapted.trainable().values()))
    checkpoint.load(saved, made.adapted, plain)
    assert plain.state
    for state in plain.state.values():
        assert not any(hasattr(tensor, "is_paged") for tensor in tensors(dict(state)))

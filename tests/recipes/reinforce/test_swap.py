"""The check after each change of the adapter: what it lets through, and what it catches."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from qlora.settings import LoraSettings, TrainSettings
from recipes.places import PACKAGED_MODEL
from recipes.reinforce.loop import check_ids
from recipes.reinforce.policy import Policy
from recipes.reinforce.swap import SwapCheck
from runtime.engine.llama.engine import LlamaEngine
from runtime.errors import EngineError
from runtime.lce import DEFAULT_SYSTEM

QUESTIONS = [
    f"{n} friends share {12 * n} marbles equally. How many marbles does each of them get?" for n in range(2, 9)
]


class Pair:
    """Sampler and trainer with an adapter that matters, and files of its states."""

    def __init__(self, policy_class: type[Policy], engine: LlamaEngine, folder: Path) -> None:
        self.engine, self.folder = engine, folder
        self.policy = policy_class(PACKAGED_MODEL, TrainSettings(context=512), LoraSettings(r=4, alpha=8))
        self.check = SwapCheck(engine, self.policy, check_ids(engine, QUESTIONS, DEFAULT_SYSTEM))

    def moved(self, seed: int, size: float = 1e-2) -> Path:
        """A step away from where the adapter stands; its file."""
        torch.manual_seed(seed)
        with torch.no_grad():
            for parameter in self.policy.adapted.trainable().values():
                parameter.add_(torch.randn_like(parameter), alpha=size)
        path = self.folder / f"adapter-{seed}.gguf"
        self.policy.write(path)
        return path


@pytest.fixture
def pair(new_policy: type[Policy], engine: LlamaEngine, tmp_path: Path) -> Pair:
    return Pair(new_policy, engine, tmp_path)


def test_each_adapter_computes_in_llama_cpp_what_it_computes_in_torch(pair: Pair) -> None:
    for size in (1e-5, 1e-4, 1e-3, 1e-2, 2e-2):
        assert pair.check(pair.moved(1, size)) < 20 * pair.check.base_kl


def test_one_that_was_not_applied_is_caught(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    path = pair.moved(1)
    monkeypatch.setattr(pair.engine, "use_adapter", lambda _: None)
    with pytest.raises(EngineError, match="it was not applied"):
        pair.check(path)


def test_that_of_another_step_is_caught(pair: Pair) -> None:
    first = pair.moved(1)
    pair.check(first)
    pair.check(pair.moved(2))
    pair.moved(3)
    with pytest.raises(EngineError, match="that of an earlier step"):
        pair.check(first)


def test_one_applied_twice_is_caught(pair: Pair) -> None:
    pair.check(pair.moved(1))
    pair.moved(2)
    path = pair.folder / "twice.gguf"
    with pair.policy.scaled(2.0):
        pair.policy.write(path)
    with pytest.raises(EngineError, match="applied twice"):
        pair.check(path)


def test_the_file_is_read_back_to_the_bit_by_whoever_goes_on_from_it(pair: Pair) -> None:
    from qlora.start import go_on_from

    path = pair.moved(1)
    before = {name: p.detach().clone() for name, p in pair.policy.adapted.trainable().items()}
    pair.moved(2)
    go_on_from(str(path), pair.policy.adapted, pair.policy.lora, pair.policy.base.config)
    assert all(torch.equal(before[name], p) for name, p in pair.policy.adapted.trainable().items())

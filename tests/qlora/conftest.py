"""Bases and rows shared by the tests of this room."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

# One thread: tests run beside others, and two threads that wait for each other are slower than one that works.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest
from factory import make_base, sum_rows, write_jsonl


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    import torch

    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Folder of a tiny random base, made once per kind: `base("llama", tied=True)`."""
    made: dict[str, Path] = {}

    def get(architecture: str = "llama", **options: Any) -> Path:
        key = f"{architecture}-{sorted(options.items())}"
        if key not in made:
            made[key] = make_base(tmp_path_factory.mktemp(architecture), architecture, **options)
        return made[key]

    return get


@pytest.fixture(scope="session")
def rows_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of 48 short rows."""
    return write_jsonl(tmp_path_factory.mktemp("rows") / "rows.jsonl", sum_rows(48))


class Bench:
    """A base with its adapter and tokenized rows, without a run around them."""

    def __init__(self, folder: Path, rows: Path, *, lora: dict[str, Any] | None = None, **train: Any) -> None:
        from qlora.adapter import add_adapter
        from qlora.base import find_base, load_tokenizer
        from qlora.load import load_model
        from qlora.prepare import prepare
        from qlora.settings import DataSettings, LoraSettings, TrainSettings
        from qlora.step import Stepper

        backend = train.setdefault("backend", "peft")
        self.options = TrainSettings(**train)
        base = find_base(str(folder), untested=self.options.untested_architecture)
        self.tokenizer = load_tokenizer(base)
        model = load_model(base, self.tokenizer, self.options, backend)
        self.initial = {name: p.detach().clone() for name, p in model.named_parameters() if p.dtype.is_floating_point}
        self.adapted = add_adapter(
            model,
            self.tokenizer,
            LoraSettings(**(lora or {"r": 4, "alpha": 8})),
            self.options,
            backend,
            base_name="base",
        )
        self.data = prepare(DataSettings(source=str(rows), held_out_percent=0), self.tokenizer, self.options.context)
        self.stepper = Stepper(
            self.adapted, self.data, self.options, 4096 if train.get("micro_tokens") is None else train["micro_tokens"]
        )

    def randomize_adapter(self, seed: int = 1) -> None:
        """Give the adapter weights that matter: a fresh LoRA adds zero."""
        import torch

        torch.manual_seed(seed)
        with torch.no_grad():
            for name, parameter in self.adapted.trainable().items():
                if "lora_" in name:
                    parameter.normal_(std=0.05)

    def gradients(self, rows: list[int]) -> tuple[float, dict[str, Any]]:
        """Loss and gradient of a step on `rows`."""
        result = self.stepper.gradient(rows)
        return result.loss, {name: p.grad.clone() for name, p in self.adapted.trainable().items() if p.grad is not None}


@pytest.fixture(scope="session")
def bench() -> type[Bench]:
    """The class itself; tests build what they need."""
    return Bench

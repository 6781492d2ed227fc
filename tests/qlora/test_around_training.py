"""What surrounds a run: the token cache, the plots, and the unsloth backend."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from factory import sum_rows, tokenizer_of
from test_training_run import recipe, run

from qlora import token_cache
from qlora.data import Row
from qlora.plots import plot_run
from qlora.settings import DataSettings, QloraSettings
from qlora.tokenized import tokenize_rows
from qlora.tokens import add_control_tokens

ROOT = Path(__file__).parent.parent.parent


def as_rows(values: list[dict[str, Any]]) -> list[Row]:
    return [Row(value["messages"]) for value in values]


def test_tokens_are_remembered_by_content_and_made_anew_where_the_cache_is_damaged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(token_cache, "SMALL", 0)
    tokenizer = tokenizer_of("bytes")
    add_control_tokens(tokenizer)
    rows = as_rows(sum_rows(12))
    expected = tokenize_rows(rows, tokenizer)
    calls: list[int] = []

    def counted(*args: Any) -> Any:
        calls.append(1)
        return tokenize_rows(*args)

    monkeypatch.setattr(token_cache, "tokenize_rows", counted)
    for wanted in (1, 1):
        table = token_cache.cached_table(rows, tokenizer, tmp_path)
        assert len(calls) == wanted
        for name in ("ids", "kinds", "starts"):
            assert np.array_equal(getattr(table, name), getattr(expected, name))
    token_cache.cached_table(as_rows(sum_rows(12, start=1)), tokenizer, tmp_path)
    token_cache.cached_table(rows, _other_tokenizer(), tmp_path)
    assert len(calls) == 3
    assert len(list(tmp_path.iterdir())) == 3
    for file in tmp_path.iterdir():
        file.write_bytes(file.read_bytes()[:100])
    assert np.array_equal(token_cache.cached_table(rows, tokenizer, tmp_path).ids, expected.ids)
    assert len(calls) == 4


def _other_tokenizer() -> Any:
    tokenizer = tokenizer_of("sentencepiece")
    add_control_tokens(tokenizer)
    return tokenizer


def test_a_cache_that_cannot_be_written_costs_nothing_but_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(token_cache, "SMALL", 0)
    blocked = tmp_path / "file"
    blocked.write_text("no folder")
    tokenizer = _other_tokenizer()
    assert len(token_cache.cached_table(as_rows(sum_rows(3)), tokenizer, blocked / "tokens")) == 3


def test_a_run_is_drawn_as_png(tmp_path: Path) -> None:
    log = [
        {
            "step": step,
            "loss": 2 / step,
            "text": 2 / step,
            "code": 1 / step,
            "lr": 1e-3,
            "sample": {"pass_at_1": step / 4},
        }
        for step in range(1, 5)
    ]
    files = plot_run(log, tmp_path)
    assert sorted(file.name for file in files) == ["learning_rate.png", "loss.png", "pass_at_1.png"]
    assert all(file.read_bytes().startswith(b"\x89PNG") for file in files)
    assert plot_run([], tmp_path) == []


def test_a_tracker_gets_every_number_and_one_that_fails_does_not_end_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from types import SimpleNamespace

    from qlora import trackers
    from runtime.errors import TrainError

    logged: list[tuple[int, dict[str, float]]] = []
    started: list[dict[str, Any]] = []
    said: list[str] = []

    def lost(_numbers: dict[str, float], step: int) -> None:
        if step == 2:
            raise OSError("no route to host")

    def no_closing() -> None:
        raise AssertionError("a tracker that failed is not closed")

    known = {
        "wandb": SimpleNamespace(
            init=lambda **options: started.append(options),
            log=lambda numbers, step: logged.append((step, numbers)),
            finish=lambda: logged.append((-1, {})),
        ),
        "trackio": SimpleNamespace(init=lambda **_: None, log=lost, finish=no_closing),
    }

    def find(name: str) -> Any:
        if name not in known:
            raise ImportError(name)
        return known[name]

    monkeypatch.setattr(trackers, "import_module", find)
    settings = QloraSettings.model_validate(
        {"name": "tiny", "base": "x", "data": "y", "train": {"trackers": ["wandb", "trackio"]}}
    )
    opened = trackers.Trackers(tmp_path, settings, lambda text, _style: said.append(text))
    for step in (1, 2, 3):
        opened({"step": step, "loss": 2.0 / step, "sample": {"pass_at_1": 0.5}})
    opened.close()
    assert logged == [*((step, {"loss": 2.0 / step, "pass_at_1": 0.5}) for step in (1, 2, 3)), (-1, {})]
    assert started[0]["name"] == "tiny"
    assert len(said) == 1
    assert said[0].startswith("the tracker trackio failed (OSError: no route to host)")
    del known["wandb"]
    with pytest.raises(TrainError, match="the tracker wandb, which is not installed"):
        trackers.Trackers(tmp_path, settings, print)


def test_a_recipe_may_name_its_data_by_a_bare_string() -> None:
    assert DataSettings.model_validate("rows.jsonl") == DataSettings(source="rows.jsonl")
    with pytest.raises(ValueError, match="Extra inputs"):
        QloraSettings.model_validate({"base": "x", "data": "y", "train": {"learningrate": 1}})


PROCESS = """
import sys
sys.path.insert(0, {root!r})
import torch
torch.set_num_threads(1)
from rich.console import Console
from qlora.settings import QloraSettings
from qlora.train import train
train(QloraSettings.model_validate_json(sys.argv[1]), sys.argv[2], console=Console(width=200))
"""


def start(settings: QloraSettings, out: Path, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", PROCESS.format(root=str(ROOT)), settings.model_dump_json(), str(out)],
        env={**os.environ, "OMP_NUM_THREADS": "1", **environment},
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip


def tensors(out: Path) -> dict[str, Any]:
    from safetensors.numpy import load_file

    return load_file(out / "adapter" / "adapter_model.safetensors")


def losses(out: Path) -> list[float]:
    return [json.loads(line)["loss"] for line in (out / "log.jsonl").read_text().splitlines()]


@pytest.mark.skipif(importlib.util.find_spec("unsloth") is None, reason="unsloth is not installed")
def test_the_unsloth_backend_trains_what_peft_trains(
    base: Callable[..., Path], rows_file: Path, tmp_path: Path
) -> None:
    settings = recipe(base(), rows_file, max_steps=2, lora={"dropout": 0.0})
    unsloth = settings.model_copy(update={"train": settings.train.model_copy(update={"backend": "unsloth"})})
    # In a process of its own: unsloth rewrites transformers and peft for everyone in the process.
    process = start(unsloth, tmp_path / "unsloth")
    said = process.communicate(timeout=280)[0]
    assert process.returncode == 0, said
    assert "backend unsloth: asked for" in said
    run(settings, tmp_path / "peft")
    assert losses(tmp_path / "unsloth") == pytest.approx(losses(tmp_path / "peft"), abs=5e-3)
    assert tensors(tmp_path / "unsloth").keys() == tensors(tmp_path / "peft").keys()
    assert json.loads((tmp_path / "unsloth" / "run.json").read_text())["backend"] == "unsloth"

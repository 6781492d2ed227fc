"""The page for reading trains as the product does."""

from __future__ import annotations

from pathlib import Path

import pytest
from rich.console import Console

from qlora.runfolder import RunFolder
from qlora.train import train as train_for_real
from recipes.examples.train_loop import train
from recipes.nano.rows import write_rows
from recipes.schema import load_recipe

pytest.importorskip("bitsandbytes", reason="the train extra is not installed")


def test_the_loop_on_one_page_takes_the_steps_that_train_takes(tmp_path: Path) -> None:
    write_rows(tmp_path / "rows.jsonl", 40, 1)
    few = [
        f"data.source={tmp_path / 'rows.jsonl'}",
        "data.held_out_percent=0",
        "train.max_steps=3",
        "train.warmup_steps=0",
    ]
    losses = train(tmp_path / "by-hand", few)
    assert (tmp_path / "by-hand" / "adapter_model.safetensors").is_file()
    train_for_real(load_recipe("nano", few).qlora(), tmp_path / "run", console=Console(quiet=True))
    logged = [entry["loss"] for entry in RunFolder(tmp_path / "run").log()]
    assert losses == pytest.approx(logged, rel=1e-4)
    assert losses[-1] < losses[0]

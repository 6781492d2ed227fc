"""What a run says of itself: use of the device, the live view, curves in the terminal, TensorBoard."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from factory import sum_rows, write_jsonl
from rich.console import Console
from test_training_run import recipe, run

from qlora.plan import Shape
from qlora.plots import show_run
from qlora.progress import Progress
from qlora.settings import LAYOUT_KEYS, LoraSettings, TrainSettings
from qlora.train import Snapshot

ENTRY: dict[str, Any] = {
    "step": 3, "loss": 1.25, "text": 1.5, "code": 0.75, "lr": 1e-3, "tokens": 1000, "supervised": 600, "padding": 0.25,
    "seconds": 0.5, "mfu": 0.314, "memory_gb": 1.26,
}  # fmt: skip


@pytest.mark.parametrize(("architecture", "tied"), [("llama", False), ("qwen2", True)])
def test_model_flops_are_those_that_a_step_really_multiplies(
    architecture: str, tied: bool, base: Callable[..., Path], rows_file: Path, bench: Any
) -> None:
    from torch.utils.flop_counter import FlopCounterMode

    made = bench(base(architecture, tied=tied, hidden_size=128, intermediate_size=320), rows_file, quantize=False)
    rows = list(range(12))
    with FlopCounterMode(display=False) as counter:
        result = made.stepper.gradient(rows)
    counted = counter.get_flop_counts()["Global"]
    # Linear layers are products of two matrices; attention's, of batches of them, are counted by the formula as causal.
    products = sum(count for operator, count in counted.items() if str(operator) in ("aten.mm", "aten.addmm"))
    shape = Shape.of(made.adapted.peft.config.to_dict(), len(made.tokenizer))
    lengths = made.data.table.lengths[rows]
    lora = LoraSettings(r=4, alpha=8)
    pairs = sum(int(length) * (int(length) + 1) / 2 for length in lengths)
    attention = 12.0 * shape.layers * shape.queries * pairs
    expected = shape.training_flops(lora, lengths, result.supervised) - attention
    # The counter sees no `addmm_`, with which the adapters' part is added in place, forward and backward.
    unseen = 2.0 * shape.lora_parameters(lora) * int(lengths.sum())
    # The head computes the eight control tokens' rows a second time: forward, and both gradients.
    again = 6.0 * 8 * shape.hidden * result.supervised
    assert products == pytest.approx(expected - unseen + again, rel=1e-6)
    assert shape.training_flops(lora, [10, 10], 0) < shape.training_flops(lora, [20], 0)


def test_the_live_view_says_what_is_asked_of_it_and_keeps_the_last_sample_in_sight() -> None:
    screen = io.StringIO()
    progress = Progress(Console(file=screen, width=300), steps=20, first=0)
    progress.step({**ENTRY, "sample": {"pass_at_1": 0.375}})
    progress.step({**ENTRY, "step": 4})
    one, other = screen.getvalue().splitlines()
    for said in ("step 3/20", "text 1.500", "code 0.750", "2,000 tokens/s", "1,200 supervised", "25% padding",
                 "MFU 31%", "1.3 GB", "pass@1 38%", " left"):  # fmt: skip
        assert said in one
    assert "pass@1 38%" in other


def test_a_narrow_terminal_shows_every_number_of_the_live_view() -> None:
    screen = io.StringIO()
    progress = Progress(Console(file=screen, width=60, force_terminal=True), steps=20, first=0)
    with progress.live():
        progress.step({**ENTRY, "sample": {"pass_at_1": 0.375}})
    shown = " ".join(screen.getvalue().split())
    for said in ("3/20", "1,200 supervised", "25% padding", "MFU 31%", "1.3 GB", "pass@1 38%"):
        assert said in shown


def test_the_curves_are_drawn_in_a_terminal_with_text_and_code_apart() -> None:
    log = [{**ENTRY, "step": step, "text": 3 / step, "code": 1 / step} for step in range(1, 9)]
    log[3]["sample"], log[7]["sample"] = {"pass_at_1": 0.25}, {"pass_at_1": 0.5}
    screen = io.StringIO()
    assert show_run(log, Console(file=screen, width=90))
    shown = screen.getvalue()
    for said in ("loss (nats per token) by step", "text", "code", "learning rate by step", "pass@1 by step", "0.50"):
        assert said in shown
    assert "\x1b" not in shown  # no terminal, no colours
    assert max(map(len, shown.splitlines())) <= 90
    assert not show_run(log[:1], Console(file=screen))


def test_tensorboard_gets_every_number_of_the_log_and_of_the_samples(
    base: Callable[..., Path], rows_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: dict[str, list[tuple[int, float]]] = {}

    class Writer:
        def __init__(self, folder: str) -> None:
            assert folder == str(tmp_path / "tensorboard")

        def add_scalar(self, name: str, value: float, step: int) -> None:
            written.setdefault(name, []).append((step, value))

        def flush(self) -> None:
            pass

        def close(self) -> None:
            written["closed"] = []

    # The package itself is an option that is not installed for tests; its calls are.
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", SimpleNamespace(SummaryWriter=Writer))
    settings = recipe(base(), rows_file, max_steps=2, sample_every=2, tensorboard=True)
    run(settings, tmp_path, on_sample=lambda _snapshot: {"pass_at_1": 0.5})
    log = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert written["pass_at_1"] == [(2, 0.5)]
    assert "closed" in written
    for name in ("loss", "text", "code", "lr", "padding", "memory_gb"):
        assert written[name] == [(entry["step"], entry[name]) for entry in log]
    assert written.get("mfu", []) == [(entry["step"], entry["mfu"]) for entry in log if "mfu" in entry]
    assert all(0 < entry["mfu"] <= 1 for entry in log if "mfu" in entry)


def test_what_may_change_while_a_run_goes_on_keeps_its_folder(tmp_path: Path) -> None:
    from recipes.schema import load_recipe

    assert LAYOUT_KEYS - set(TrainSettings.model_fields) == {"gradient_checkpointing"}, "a key of version 0.1"
    rows = write_jsonl(tmp_path / "rows.jsonl", sum_rows(2))
    path = tmp_path / "mine.yaml"
    path.write_text(f"name: mine\nbase: nano\ndata: {rows}\n")
    plain = load_recipe(str(path)).run_folder
    assert load_recipe(str(path), ["train.sample_every=5", "train.log_every=2"]).run_folder == plain
    assert load_recipe(str(path), ["train.seed=2"]).run_folder != plain


def test_the_command_line_samples_where_the_recipe_says_so(
    base: Callable[..., Path], rows_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from recipes.cli import main

    path = tmp_path / "mine.yaml"
    path.write_text(
        f"name: mine\nbase: {base()}\ndata: {{source: {rows_file}, held_out_percent: 20}}\n"
        "train: {max_steps: 2, batch_rows: 4, sample_every: 2, sample_rows: 2, sample_tokens: 12, backend: peft}\n"
        "lora: {r: 4, alpha: 8}\n"
    )
    out = tmp_path / "out"
    assert main(["train", str(path), "--out", str(out)]) == 0
    entries = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    assert "sample" not in entries[0]
    assert 0 <= entries[1]["sample"]["pass_at_1"] <= 1
    said = capsys.readouterr().err
    assert "of 2 held-out rows solved" in said
    assert "pass@1" in said
    assert "which MFU is held against" in said


def test_a_snapshot_says_after_which_step_it_was_taken(
    base: Callable[..., Path], rows_file: Path, tmp_path: Path
) -> None:
    steps: list[int] = []

    def remember(snapshot: Snapshot) -> dict[str, float]:
        steps.append(snapshot.step)
        return {}

    run(recipe(base(), rows_file, max_steps=3, sample_every=1), tmp_path, on_sample=remember)
    assert steps == [1, 2, 3]
    assert all("sample" not in json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines())

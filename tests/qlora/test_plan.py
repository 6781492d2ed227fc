"""What `plan` says of a run is what the run turns out to be."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from factory import kept_bytes, row_of, sum_rows, write_jsonl

from qlora.layout import Rows
from qlora.memory import memory_of
from qlora.plan import card_plan, plan
from qlora.settings import QloraSettings
from qlora.shape import Shape

SEVEN_B = {
    "hidden_size": 4096, "intermediate_size": 11008, "num_hidden_layers": 32, "num_attention_heads": 32,
    "num_key_value_heads": 32, "vocab_size": 32016, "tie_word_embeddings": False,
}  # fmt: skip


def recipe(folder: Path, rows: Path, **train: Any) -> QloraSettings:
    return QloraSettings.model_validate(
        {"name": "p", "base": str(folder), "data": {"source": str(rows), "held_out_percent": 0}}
        | {"train": {"backend": "peft", "batch_rows": 8, "epochs": 2} | train, "lora": {"r": 4}}
    )


@pytest.mark.parametrize("tied", [False, True])
def test_the_planned_parameters_tokens_and_steps_are_those_of_the_run(
    tied: bool, base: Callable[..., Path], rows_file: Path, bench: Any
) -> None:
    folder = base("qwen2", tied=tied, style="bytes")
    planned = plan(recipe(folder, rows_file))
    made = bench(folder, rows_file)
    sizes = {name: p.numel() for name, p in made.adapted.trainable().items()}
    assert planned.token_parameters == sum(size for name, size in sizes.items() if "trainable_tokens" in name)
    assert planned.lora_parameters == sum(size for name, size in sizes.items() if "lora_" in name)
    assert planned.tokens == made.data.table.tokens_per_kind()
    assert (planned.rows, planned.steps) == (48, 12)
    assert planned.supervised == int(made.data.supervised_per_row.sum())
    assert 0 < planned.fill <= 1
    assert planned.seconds_per_step is None


def test_the_4_bit_weights_take_the_planned_bytes(base: Callable[..., Path], rows_file: Path, bench: Any) -> None:
    made = bench(base("llama"), rows_file)
    planned = plan(recipe(base("llama"), rows_file)).memory
    held = 0
    for parameter in made.adapted.peft.parameters():
        state = getattr(parameter, "quant_state", None)
        if state is not None:
            held += parameter.numel() + state.absmax.numel() + 4 * state.state2.absmax.numel()
    assert held == pytest.approx(planned["weights"], rel=0.02)
    ends = sum(table.weight.numel() * 4 for table in (made.adapted.embedding, made.adapted.head))
    assert planned["embeddings"] == ends


@pytest.mark.parametrize("architecture", ["llama", "qwen2"])
def test_the_planned_activations_are_within_a_tenth_of_what_a_step_keeps(
    architecture: str, base: Callable[..., Path], rows_file: Path, bench: Any
) -> None:
    folder = base(architecture, hidden_size=128, intermediate_size=320, num_hidden_layers=4)
    made = bench(folder, rows_file)
    micro, kept = kept_bytes(made)
    shape = Shape.of(made.adapted.peft.config.to_dict(), len(made.tokenizer))
    slots = len(micro.lengths) * max(micro.lengths) / micro.tokens
    assert slots > 1.1
    per_token = shape.kept_per_token(4, 4, slots=slots, keys=shape.queries)  # on a CPU keys are repeated for each query
    expected = micro.tokens * (shape.layers * per_token + 4 * 2 * shape.hidden)
    assert kept == pytest.approx(expected, rel=0.1)


def test_a_7b_shape_in_4_bits_is_planned_below_8_gb_and_a_16_bit_one_is_not(
    base: Callable[..., Path], rows_file: Path
) -> None:
    shape = Shape.of(SEVEN_B, 32024)
    assert shape.linear_parameters == 6_476_005_376  # the published 6.74 billion, less embeddings and norms
    settings = recipe(base("llama"), rows_file, checkpoint_layers="all")
    packed = memory_of(shape, settings, 4096, 2, on_gpu=True)
    assert 3.2e9 < packed.weights < 3.5e9
    assert packed.total < 8e9
    whole = settings.model_copy(update={"train": settings.train.model_copy(update={"quantize": False})})
    assert memory_of(shape, whole, 4096, 2, on_gpu=True).total > 13e9


def test_a_gpu_that_is_too_small_gets_the_change_that_would_make_it_fit(
    base: Callable[..., Path], rows_file: Path
) -> None:
    shape, rows = Shape.of(SEVEN_B, 32024), Rows(2048, 40_000)
    settings = recipe(base("llama"), rows_file, checkpoint_layers=0, micro_tokens=8192)
    assert card_plan(shape, settings, 48_000_000_000, rows).fits
    small = card_plan(shape, settings, 12_000_000_000, rows)
    assert (small.fits, small.advice) == (False, "train.checkpoint_layers=auto")
    assert card_plan(shape, settings, 8_000_000_000, rows).advice == (
        "train.micro_tokens=auto train.checkpoint_layers=auto"
    )
    assert card_plan(shape, settings, 1_000_000_000, rows).advice.startswith("no setting makes it fit")


def test_a_base_that_no_setting_makes_fit_is_shared_by_as_few_gpus_as_hold_it(
    base: Callable[..., Path], rows_file: Path
) -> None:
    seventy_b = SEVEN_B | {
        "hidden_size": 8192, "intermediate_size": 28672, "num_hidden_layers": 80, "num_attention_heads": 64,
        "num_key_value_heads": 8,
    }  # fmt: skip
    shape = Shape.of(seventy_b, 32024)
    settings = recipe(base("llama"), rows_file)
    whole = memory_of(shape, settings, 2048, 2, on_gpu=True)
    half = memory_of(shape, settings, 2048, 2, on_gpu=True, parts=2)
    assert 34e9 < whole.weights < 37e9  # 68.5 billion weights at 0.516 bytes
    assert half.weights == pytest.approx(whole.weights * (1 / 2 + 2 / 80), rel=1e-3)
    assert replace(whole, weights=0) == replace(half, weights=0)
    advice = card_plan(shape, settings, 24_000_000_000, Rows(2048, 40_000)).advice
    assert advice.startswith(("2 GPUs", "4 GPUs"))
    assert "train.fsdp=true" in advice
    assert f"--nproc-per-node {advice[0]} " in advice


def test_without_a_gpu_the_plan_counts_the_libraries_of_the_process(base: Callable[..., Path], rows_file: Path) -> None:
    from qlora.record import peak_memory

    planned = plan(recipe(base("llama"), rows_file)).memory
    parts = sum(size for part, size in planned.items() if part != "total")
    assert planned["total"] == parts
    assert 100e6 < planned["libraries"] <= peak_memory(torch.device("cpu")) * 1.01


def test_rows_over_the_context_are_listed(base: Callable[..., Path], tmp_path: Path) -> None:
    path = write_jsonl(tmp_path / "rows.jsonl", [*sum_rows(5), row_of("Why?", ("text", "because " * 300))])
    planned = plan(recipe(base("llama"), path, context=300))
    assert [entry["row"] for entry in planned.too_long] == [f"{path}:6"]
    assert planned.too_long[0]["tokens"] > 300


def test_hours_come_from_a_measured_step(base: Callable[..., Path], rows_file: Path) -> None:
    planned = plan(recipe(base("llama"), rows_file), measure=True)
    assert planned.seconds_per_step is not None
    assert planned.seconds_per_step > 0
    assert planned.hours == pytest.approx(planned.seconds_per_step * 12 / 3600)
    assert replace(planned).as_dict()["hours"] == planned.hours

"""How many layers are checkpointed: the gradient never depends on it, memory and time do as planned."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from factory import write_jsonl
from test_training_run import recipe, run

from qlora.layout import Rows, StepLayout, choose_layout, free_memory, spill_warning, whole_memory
from qlora.memory import LIBRARIES, memory_of
from qlora.quiet import expandable_segments_work, no_telemetry
from qlora.settings import QloraSettings, TrainSettings
from qlora.shape import Shape
from runtime.errors import TrainError

ROWS = list(range(8))
LAYERS = 4


@pytest.fixture(scope="module")
def model(base: Callable[..., Path], rows_file: Path, bench: Any) -> Any:
    made = bench(base("llama", hidden_size=128, intermediate_size=344, num_hidden_layers=LAYERS), rows_file)
    made.randomize_adapter()
    return made


def peak_of_tensors(work: Callable[[], Any]) -> int:
    """Bytes of all tensors at the worst moment of `work`, beyond those there before."""
    from torch.profiler import ProfilerActivity, profile

    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        work()
    held = peak = 0
    for event in profiler.profiler.kineto_results.events():
        if event.name() == "[memory]":
            held += event.nbytes()
            peak = max(peak, held)
    return peak


def test_on_a_cpu_no_layer_is_checkpointed_unless_told(model: Any, base: Any, rows_file: Path, bench: Any) -> None:
    assert (model.adapted.checkpointing.count, model.adapted.checkpointing.layers) == (0, LAYERS)
    for said, count in (("all", 2), (1, 1), (99, 2)):
        assert bench(base("llama"), rows_file, checkpoint_layers=said).adapted.checkpointing.count == count


@pytest.mark.parametrize("count", range(1, LAYERS + 1))
def test_the_gradient_is_the_same_for_every_number_of_checkpointed_layers(count: int, model: Any) -> None:
    model.adapted.checkpointing.set(0)
    loss, expected = model.gradients(ROWS)
    calls = 0

    def counted(*_: Any) -> None:
        nonlocal calls
        calls += 1

    hooks = [layer.mlp.register_forward_pre_hook(counted) for layer in model.adapted.backbone.layers]
    try:
        model.adapted.checkpointing.set(count)
        again, found = model.gradients(ROWS)
    finally:
        model.adapted.checkpointing.set(0)
        for hook in hooks:
            hook.remove()
    assert calls == LAYERS + count  # the checkpointed ones compute twice
    assert again == pytest.approx(loss, abs=1e-6)
    for name, gradient in expected.items():
        torch.testing.assert_close(found[name], gradient, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("vocabulary", [None, 8000])
@pytest.mark.parametrize("count", range(LAYERS + 1))
def test_the_planned_peak_of_a_step_is_within_a_tenth_of_the_real_one(
    count: int, vocabulary: int | None, base: Callable[..., Path], rows_file: Path, bench: Any
) -> None:
    over = {} if vocabulary is None else {"vocab_size": vocabulary}
    folder = base("llama", hidden_size=128, intermediate_size=344, num_hidden_layers=LAYERS, **over)
    made = bench(folder, rows_file, checkpoint_layers=count)
    (micro,) = made.stepper.micro_batches(ROWS)

    def step() -> None:
        loss, _ = made.stepper.forward(micro)
        loss.backward()

    step()  # afterwards the gradients are there, as in every micro-batch but the first
    shape = Shape.of(made.adapted.peft.config.to_dict(), len(made.tokenizer))
    settings = recipe(folder, rows_file, lora={"r": 4}, checkpoint_layers=count)
    planned = memory_of(
        shape, settings, micro.tokens, 4, on_gpu=False,
        slots=len(micro.lengths) * max(micro.lengths) / micro.tokens, carrying=len(micro.targets) / micro.tokens,
    )  # fmt: skip
    assert planned.activations + planned.working == pytest.approx(peak_of_tensors(step), rel=0.1)


def test_offloaded_checkpoints_leave_the_card_and_the_settings_of_0_1_are_understood() -> None:
    shape = Shape(4096, 11008, 32, 32024, 4096, 4096, False)
    settings = QloraSettings(base="b", data={"source": "d"}, train={"checkpoint_layers": "all"})  # type: ignore[arg-type]
    offloading = settings.model_copy(update={"train": settings.train.model_copy(update={"offload_checkpoints": True})})
    held, away = (memory_of(shape, s, 8192, 2, on_gpu=True).activations for s in (settings, offloading))
    assert held - away == pytest.approx(32 * 4096 * 2 * 8192 * 1.05)
    for said, count in ((True, "all"), (False, 0), (None, "auto")):
        old = TrainSettings.model_validate({"gradient_checkpointing": said, "micro_tokens": None})
        assert (old.checkpoint_layers, old.micro_tokens) == (count, "auto")
    with pytest.raises(ValueError, match="gradient_checkpointing"):
        TrainSettings.model_validate({"gradient_checkpointing": True, "checkpoint_layers": 3})


@pytest.mark.slow
def test_seconds_lie_between_those_of_no_and_of_all_layers(base: Any, rows_file: Path, bench: Any) -> None:
    folder = base("llama", hidden_size=256, intermediate_size=688, num_hidden_layers=8)
    made = bench(folder, rows_file, quantize=False)
    rows = list(range(24))
    taken: dict[int, list[float]] = {0: [], 4: [], 8: []}
    for _ in range(5):
        for count, seconds in taken.items():
            made.adapted.checkpointing.set(count)
            began = time.process_time()
            made.stepper.gradient(rows)
            seconds.append(time.process_time() - began)
    none, half, every = (min(taken[count]) for count in (0, 4, 8))
    assert none < half < every


SEVEN_B = {
    "hidden_size": 4096, "intermediate_size": 11008, "num_hidden_layers": 32, "num_attention_heads": 32,
    "num_key_value_heads": 32, "vocab_size": 32000,
}  # fmt: skip
EIGHT_B = SEVEN_B | {"intermediate_size": 14336, "num_key_value_heads": 8, "vocab_size": 128256}
FOUR_B = {
    "hidden_size": 2560, "intermediate_size": 9728, "num_hidden_layers": 36, "num_attention_heads": 32,
    "num_key_value_heads": 8, "head_dim": 128, "vocab_size": 151936, "tie_word_embeddings": True,
}  # fmt: skip


def chosen(config: dict[str, Any], gigabytes: float, **train: Any) -> tuple[StepLayout, bool]:
    """The layout in a pretended free memory, for rows like those of MathCodeInstruct."""
    options = {"optimizer": "paged_adamw_8bit", "batch_rows": 128} | train
    settings = QloraSettings.model_validate(
        {"base": "b", "data": "d", "train": options, "lora": {"r": 32 if config is FOUR_B else 16}}
    )
    shape = Shape.of(config, config["vocab_size"] + (0 if config is FOUR_B else 8))
    available = int(gigabytes * 1e9)
    rows = Rows(longest=2048, step_tokens=38_000, slots=1.05, carrying=0.6)
    layout, memory = choose_layout(shape, settings, 2, available, on_gpu=True, rows=rows)
    return layout, memory.total <= available


def test_a_7b_base_fits_8_gb_at_4096_tokens_and_a_fuller_card_at_2048() -> None:
    layout, fits = chosen(SEVEN_B, 8)
    assert fits
    assert layout.micro_tokens == 4096
    assert layout.checkpoint_layers >= 30
    assert chosen(SEVEN_B, 8, micro_tokens=8192)[1] is False  # the fixed default of version 0.1
    desktop, fits = chosen(SEVEN_B, 6.8)
    assert fits
    assert desktop.micro_tokens == 2048


def test_the_more_memory_the_fewer_layers_are_checkpointed() -> None:
    counts = [chosen(SEVEN_B, size, micro_tokens=4096)[0].checkpoint_layers for size in (8, 12, 16, 24, 32)]
    assert counts == sorted(counts, reverse=True)
    assert counts[0] >= 30
    assert 4 <= counts[3] <= 8  # a 24 GB card keeps 26 of 32 layers, give or take 2
    assert counts[4] == 0
    free = [chosen(SEVEN_B, size)[0] for size in (8, 12, 16, 24)]
    assert [layout.checkpoint_layers for layout in free] == sorted((x.checkpoint_layers for x in free), reverse=True)
    assert free[3].checkpoint_layers == 0
    assert 2048 <= free[3].micro_tokens <= 4096
    large, _ = chosen(SEVEN_B, 141)
    assert large.checkpoint_layers == 0
    assert large.micro_tokens >= 16_384


def test_a_vocabulary_of_128k_wants_more_than_8_gb_and_a_4b_base_does_not() -> None:
    assert [chosen(EIGHT_B, size)[1] for size in (8, 12, 16, 24)] == [False, True, True, True]
    assert [chosen(FOUR_B, size)[1] for size in (8, 12, 16, 24)] == [True] * 4


def test_what_the_recipe_fixes_stays_and_a_pass_holds_the_longest_row_and_no_more_than_a_step() -> None:
    assert chosen(SEVEN_B, 24, micro_tokens=1024)[0].micro_tokens == 2048
    assert chosen(SEVEN_B, 8, checkpoint_layers=3) == (StepLayout(2048, 3), False)
    shape = Shape.of(FOUR_B, 151936)
    settings = QloraSettings(base="b", data={"source": "d"})  # type: ignore[arg-type]
    layout, _ = choose_layout(shape, settings, 2, 141_000_000_000, on_gpu=True, rows=Rows(500, 3000))
    assert layout == StepLayout(3072, 0)
    on_cpu, _ = choose_layout(shape, settings, 4, None, on_gpu=False, rows=Rows(500, 30_000))
    assert on_cpu == StepLayout(4096, 0)
    tight, _ = choose_layout(shape, settings, 4, 24_000_000_000, on_gpu=False, rows=Rows(500, 30_000))
    assert tight.micro_tokens < 4096
    assert tight.checkpoint_layers == 0


def test_a_run_resumes_with_the_layout_that_was_found_to_fit(
    base: Callable[..., Path], rows_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from qlora.step import Stepper

    settings = recipe(base(), rows_file, max_steps=4, save_every=2, sample_every=2, lora={"dropout": 0.0})
    forward, seen = Stepper.forward, []

    def narrow(self: Any, micro: Any) -> Any:
        seen.append((micro.ids.size, self.adapted.checkpointing.count))
        if narrow.limit and micro.ids.size > narrow.limit:
            raise torch.OutOfMemoryError("tried to allocate")
        return forward(self, micro)

    narrow.limit = 300  # type: ignore[attr-defined]
    monkeypatch.setattr(Stepper, "forward", narrow)

    def interrupt(_snapshot: Any) -> dict[str, float]:
        import os
        import signal

        os.kill(os.getpid(), signal.SIGINT)
        return {}

    summary, screen = run(settings, tmp_path, on_sample=interrupt)
    assert (summary.status, summary.steps, summary.micro_tokens) == ("interrupted", 2, 256)
    assert "micro-batches of at most 256 tokens" in screen
    assert json.loads((tmp_path / "run.json").read_text())["checkpoint_layers"] == 2
    narrow.limit = 0  # type: ignore[attr-defined]
    seen.clear()
    summary, screen = run(settings, tmp_path)
    assert (summary.status, summary.micro_tokens) == ("finished", 256)
    assert "memory ran out" not in screen
    assert "up to 256 tokens a pass, 2 of 2 layers under gradient checkpointing" in screen
    assert max(size for size, _ in seen) <= 256
    assert {count for _, count in seen} == {2}
    # The halved run trains what a run with room for everything trains.
    whole, _ = run(settings.model_copy(), tmp_path / "whole")
    for kind, loss in whole.last_loss.items():
        assert summary.last_loss[kind] == pytest.approx(loss, abs=1e-5)


@pytest.mark.parametrize(
    ("free", "whole", "said"),
    [
        (3_000, 8_500_000_000, "other processes hold 8.5 GB.*end what else uses it"),
        (3_000, 3_100, "take a smaller base"),
    ],
)
def test_memory_that_cannot_hold_the_base_is_refused_before_it_is_loaded(
    free: int, whole: int, said: str, base: Any, rows_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import qlora.train as training

    monkeypatch.setattr(training, "free_memory", lambda _device: free)
    monkeypatch.setattr(training, "whole_memory", lambda _device: whole)
    monkeypatch.setattr(training, "load_model", lambda *_args, **_options: pytest.fail("the base was loaded"))
    with pytest.raises(TrainError, match=said):
        run(recipe(base(), rows_file), tmp_path)


def test_memory_that_may_not_hold_a_step_is_told_and_tried(
    base: Any, rows_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import qlora.train as training

    monkeypatch.setattr(training, "free_memory", lambda _device: 2_000_000)
    monkeypatch.setattr(training, "whole_memory", lambda _device: 2_000_000)
    summary, screen = run(recipe(base(), rows_file, max_steps=1), tmp_path)
    assert summary.status == "finished"
    assert "it is tried nevertheless" in screen


def test_the_first_step_finds_room_for_the_optimizers_state(model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    held: list[int] = []
    empty = torch.empty

    def watched(*args: Any, **options: Any) -> torch.Tensor:
        if options.get("dtype") == torch.uint8 and args and isinstance(args[0], int):
            held.append(args[0])
        return empty(*args, **options)

    monkeypatch.setattr(torch, "empty", watched)
    model.stepper.dry_run([ROWS], optimizer_bytes=1_000_000)
    gradients = sum(parameter.numel() * 4 for parameter in model.adapted.trainable().values())
    assert held == [gradients + 1_000_000]
    assert all(parameter.grad is None for parameter in model.adapted.trainable().values())


def test_rows_of_one_step_are_what_a_layout_is_chosen_by(base: Any, tmp_path: Path, bench: Any) -> None:
    from factory import sum_rows

    made = bench(base("llama"), write_jsonl(tmp_path / "rows.jsonl", sum_rows(12)))
    lengths = made.data.table.lengths
    rows = Rows.of(made.data, [[0, 1], [2, 3, 4]], packing=True)
    assert rows.longest == int(lengths.max())
    assert rows.step_tokens == max(int(lengths[[0, 1]].sum()), int(lengths[[2, 3, 4]].sum()))
    assert rows.slots >= 1
    assert 0 < rows.carrying < 1


def test_a_step_waits_for_the_device_once_and_not_after_every_pass(
    base: Any, rows_file: Path, bench: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = bench(base("llama"), rows_file, micro_tokens=200)
    waits: list[str] = []
    for name in ("cpu", "item", "tolist", "numpy"):
        original = getattr(torch.Tensor, name)

        def counted(tensor: Any, *args: Any, _original: Any = original, _name: str = name, **options: Any) -> Any:
            waits.append(_name)
            return _original(tensor, *args, **options)

        monkeypatch.setattr(torch.Tensor, name, counted)
    result = made.stepper.gradient(ROWS)
    monkeypatch.undo()
    assert result.micro_batches > 3
    assert waits.count("cpu") == 1
    assert not {"item", "tolist"} & set(waits)


@pytest.mark.parametrize(
    ("system", "release", "expected"),
    [
        ("Linux", "6.8.0-45-generic", True),
        ("Linux", "5.15.153.1-microsoft-standard-WSL2", False),
        ("Windows", "11", False),
        ("Darwin", "24.1.0", False),
    ],
)
def test_segments_grow_where_the_driver_can_map_them(system: str, release: str, expected: bool) -> None:
    assert expandable_segments_work(system, release) is expected


def test_what_the_user_has_said_of_the_allocator_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("qlora.quiet.expandable_segments_work", lambda: True)
    for name in ("PYTORCH_ALLOC_CONF", "PYTORCH_CUDA_ALLOC_CONF"):
        monkeypatch.delenv("PYTORCH_ALLOC_CONF", raising=False)
        monkeypatch.setenv(name, "max_split_size_mb:64")
        no_telemetry()
        assert os.environ[name] == "max_split_size_mb:64"
        assert os.environ.get("PYTORCH_ALLOC_CONF", "") in ("", "max_split_size_mb:64")
        monkeypatch.delenv(name)
    no_telemetry()
    assert os.environ["PYTORCH_ALLOC_CONF"] == "expandable_segments:True"


def test_a_card_that_spills_to_the_host_is_told_after_the_dry_run(monkeypatch: pytest.MonkeyPatch) -> None:
    device = torch.device("cuda", 0)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _device: (10**9, 8_000_000_000))
    for reserved, said in ((7_000_000_000, ""), (9_500_000_000, "9.5 GB are reserved on a card of 8.0 GB")):
        monkeypatch.setattr(torch.cuda, "max_memory_reserved", lambda _device, _reserved=reserved: _reserved)
        warning = spill_warning(device)
        assert warning.startswith(said)
        assert bool(warning) is bool(said)
    assert spill_warning(torch.device("cpu")) == ""


def test_the_free_memory_of_a_gpu_counts_its_context_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _device: (7_000_000_000, 8_000_000_000))
    assert free_memory(torch.device("cuda", 0)) == 7_000_000_000 + LIBRARIES
    assert whole_memory(torch.device("cuda", 0)) == 8_000_000_000

"""Whole runs of `train` on tiny bases: what they write, how they stop, and how they go on."""

from __future__ import annotations

import errno
import io
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from factory import row_of, sum_rows, write_jsonl
from rich.console import Console

from qlora import checkpoint
from qlora.data import is_held_out
from qlora.settings import QloraSettings
from qlora.train import RunSummary, Snapshot, train
from runtime.errors import InputError, TrainError
from runtime.lce import CONTROL_TOKENS

HERE = Path(__file__).parent


def recipe(folder: Path, rows: Path, **over: Any) -> QloraSettings:
    options: dict[str, Any] = {
        "backend": "peft", "batch_rows": 6, "max_steps": 10, "learning_rate": 5e-3, "warmup_steps": 2, "save_every": 5,
    }  # fmt: skip
    data = {"source": str(rows), "held_out_percent": 10}
    sections = {
        "data": data | over.pop("data", {}),
        "lora": {"r": 4, "alpha": 8, "dropout": 0.1} | over.pop("lora", {}),
    }
    return QloraSettings.model_validate({"name": "tiny", "base": str(folder), "train": options | over, **sections})


def run(settings: QloraSettings, out: Path, **options: Any) -> tuple[RunSummary, str]:
    screen = io.StringIO()
    summary = train(settings, out, console=Console(file=screen, width=200), **options)
    return summary, screen.getvalue()


def adapter_bytes(out: Path) -> bytes:
    return (out / "adapter" / "adapter_model.safetensors").read_bytes()


@pytest.fixture(scope="module")
def whole(base: Callable[..., Path], rows_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Ten steps without a break."""
    out = tmp_path_factory.mktemp("whole")
    summary, screen = run(recipe(base(), rows_file), out, fresh=True)
    return out, summary, screen


def test_a_run_learns_and_leaves_all_that_an_export_needs(
    whole: Any, base: Callable[..., Path], rows_file: Path
) -> None:
    from runtime.files import sha256_file

    out, summary, screen = whole
    assert summary.status == "finished"
    assert summary.steps == summary.total_steps == 10
    for kind in ("loss", "text", "code", "control"):
        assert summary.last_loss[kind] < summary.first_loss[kind]
    record = json.loads((out / "run.json").read_text())
    assert record["status"] == "finished"
    assert record["base_sha256"] == sha256_file(base() / "model.safetensors")
    assert record["data"]["sha256"] == sha256_file(rows_file)
    assert record["quantization"]["type"] == "nf4"
    assert record["quantization"]["double_quant"] is True
    assert record["versions"]["torch"].startswith(torch.__version__.split("+")[0])
    held = [json.loads(line) for line in (out / "held_out.jsonl").read_text().splitlines()]
    assert len(held) == record["data"]["held_out"] == summary.held_out > 0
    assert all(is_held_out(row["messages"][1]["content"][0]["content"], 10) for row in held)
    assert len(record["held_out"]) == len(held)
    log = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    assert [entry["step"] for entry in log] == list(range(1, 11))
    assert sorted(path.name for path in (out / "checkpoints").iterdir()) == ["step-10", "step-5"]
    assert "backend peft: asked for" in screen
    assert "code" in screen


def test_the_saved_tokenizer_knows_the_control_tokens_by_the_trained_ids(whole: Any) -> None:
    from transformers import AutoTokenizer

    out, _, _ = whole
    tokenizer = AutoTokenizer.from_pretrained(out / "tokenizer")
    ids = tokenizer.convert_tokens_to_ids(list(CONTROL_TOKENS))
    config = json.loads((out / "adapter" / "adapter_config.json").read_text())
    assert config["trainable_token_indices"] == {"embed_tokens": ids, "lm_head": ids}
    assert len(set(ids)) == 8


@pytest.mark.parametrize("tied", [False, True])
def test_the_saved_adapter_on_a_fresh_base_computes_what_was_trained(
    tied: bool, base: Callable[..., Path], rows_file: Path, tmp_path: Path
) -> None:
    from peft import PeftModel

    from qlora.adapter import inference
    from qlora.base import find_base, load_tokenizer
    from qlora.load import load_model

    seen: dict[str, torch.Tensor] = {}
    ids = torch.tensor([[1, 40, 641, 642, 50, 645]])

    def remember(snapshot: Snapshot) -> dict[str, float]:
        with inference(snapshot.adapted):
            seen["logits"] = snapshot.adapted.peft(input_ids=ids, use_cache=False).logits
        return {"pass_at_1": 0.5}

    settings = recipe(base(tied=tied), rows_file, max_steps=3, sample_every=3)
    summary, _ = run(settings, tmp_path, on_sample=remember)
    assert summary.steps == 3
    assert json.loads((tmp_path / "log.jsonl").read_text().splitlines()[-1])["sample"] == {"pass_at_1": 0.5}
    found = find_base(str(base(tied=tied)))
    fresh = load_model(found, load_tokenizer(found), settings.train, "peft")
    reloaded = PeftModel.from_pretrained(fresh, tmp_path / "adapter")
    reloaded.train()
    for module in reloaded.modules():
        if isinstance(module, torch.nn.Dropout):
            module.eval()
    with torch.no_grad():
        logits = reloaded(input_ids=ids, use_cache=False).logits
    torch.testing.assert_close(logits, seen["logits"], rtol=1e-4, atol=1e-4)


CHILD = """
import os, signal, sys
sys.path[:0] = [{root!r}, {here!r}]
import torch
torch.set_num_threads(1)
from rich.console import Console
from qlora.settings import QloraSettings
from qlora.train import train

def kill(snapshot):
    if snapshot.step == 7:
        os.kill(os.getpid(), signal.SIGKILL)
    return {{}}

train(QloraSettings.model_validate_json(sys.argv[1]), sys.argv[2], console=Console(quiet=True), on_sample=kill)
"""


def test_five_steps_a_kill_and_five_more_are_ten_steps_to_the_bit(
    whole: Any, base: Callable[..., Path], rows_file: Path, tmp_path: Path
) -> None:
    out, _, _ = whole
    settings = recipe(base(), rows_file, sample_every=1)
    code = CHILD.format(root=str(HERE.parent.parent), here=str(HERE))
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    child = subprocess.run([sys.executable, "-c", code, settings.model_dump_json(), str(tmp_path)], env=environment)
    assert child.returncode == -signal.SIGKILL
    record = json.loads((tmp_path / "run.json").read_text())
    assert record["status"] == "running"
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == ["step-5"]
    assert len((tmp_path / "log.jsonl").read_text().splitlines()) == 6  # six and seven are taken again
    summary, screen = run(settings, tmp_path)
    assert summary.status == "finished"
    assert "going on after step 5" in screen
    assert adapter_bytes(tmp_path) == adapter_bytes(out)
    logs = [
        [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()] for folder in (out, tmp_path)
    ]
    for one, other in zip(*logs, strict=True):
        assert (one["step"], one["loss"], one["grad_norm"]) == (other["step"], other["loss"], other["grad_norm"])


def test_ctrl_c_stops_after_the_step_and_the_same_call_goes_on_to_the_same_end(
    whole: Any, base: Callable[..., Path], rows_file: Path, tmp_path: Path
) -> None:
    out, _, _ = whole
    settings = recipe(base(), rows_file, sample_every=3)
    handler = signal.getsignal(signal.SIGINT)

    def interrupt(snapshot: Snapshot) -> dict[str, float]:
        if snapshot.step == 3:
            os.kill(os.getpid(), signal.SIGINT)
        return {}

    summary, screen = run(settings, tmp_path, on_sample=interrupt)
    assert (summary.status, summary.steps) == ("interrupted", 3)
    assert "stopped after step 3 of 10" in screen
    assert signal.getsignal(signal.SIGINT) is handler
    assert json.loads((tmp_path / "run.json").read_text())["status"] == "interrupted"
    summary, _ = run(settings, tmp_path)
    assert summary.status == "finished"
    assert adapter_bytes(tmp_path) == adapter_bytes(out)


def test_a_run_killed_behind_its_last_step_is_finished_by_the_next_call(
    whole: Any, base: Callable[..., Path], rows_file: Path, tmp_path: Path
) -> None:
    out, _, _ = whole
    folder = shutil.copytree(out, tmp_path / "run")
    record = json.loads((folder / "run.json").read_text())
    (folder / "run.json").write_text(json.dumps(record | {"status": "running"}))
    next(folder.rglob("adapter_model.safetensors")).unlink()
    summary, screen = run(recipe(base(), rows_file), folder)
    assert (summary.status, summary.steps) == ("finished", 10)
    assert "going on after step 10" in screen
    assert adapter_bytes(folder) == adapter_bytes(out)


def test_a_finished_run_is_not_repeated_and_another_recipe_is_not_mixed_in(
    whole: Any, base: Callable[..., Path], rows_file: Path
) -> None:
    out, first, _ = whole
    before = adapter_bytes(out)
    again, screen = run(recipe(base(), rows_file), out)
    assert again == first
    assert "is finished" in screen
    with pytest.raises(InputError, match=r"train\.learning_rate was 0\.005, is 0\.001"):
        run(recipe(base(), rows_file, learning_rate=1e-3), out)
    other = write_jsonl(out / "other.jsonl", sum_rows(9))
    with pytest.raises(InputError, match=r"data\.sha256 was"):
        run(recipe(base(), other), out)
    assert adapter_bytes(out) == before


def test_a_damaged_or_half_written_checkpoint_is_passed_over(whole: Any, tmp_path: Path) -> None:
    import shutil

    out, _, _ = whole
    folder = tmp_path / "checkpoints"
    shutil.copytree(out / "checkpoints", folder)
    (folder / ".step-11.tmp").mkdir()
    assert checkpoint.latest(folder) == folder / "step-10"
    damaged = folder / "step-10" / checkpoint.OPTIMIZER
    damaged.write_bytes(damaged.read_bytes()[:-10])
    assert checkpoint.latest(folder) == folder / "step-5"
    (folder / "step-5" / checkpoint.STATE).unlink()
    assert checkpoint.latest(folder) is None


def test_rows_over_the_context_are_dropped_and_listed_and_never_cut(base: Callable[..., Path], tmp_path: Path) -> None:
    rows = [*sum_rows(6), row_of("Why?", ("text", "because " * 300))]
    path = write_jsonl(tmp_path / "rows.jsonl", rows)
    settings = recipe(base(), path, context=256, max_steps=1, data={"held_out_percent": 0})
    summary, screen = run(settings, tmp_path / "out")
    assert (summary.rows, summary.too_long) == (6, 1)
    assert f"dropped: {path}:7 has" in screen
    listed = json.loads((tmp_path / "out" / "run.json").read_text())["data"]["too_long"]
    assert [entry["row"] for entry in listed] == [f"{path}:7"]


def test_a_loss_that_is_no_number_stops_the_run_names_the_rows_and_spares_the_checkpoint(
    base: Callable[..., Path], rows_file: Path, tmp_path: Path
) -> None:
    settings = recipe(base(), rows_file, learning_rate=1e30, save_every=1, warmup_steps=0)
    with pytest.raises(TrainError, match=r"the loss of step 2 is .*rows .*rows\.jsonl:\d+.*step-1 are the last good"):
        run(settings, tmp_path)
    assert checkpoint.latest(tmp_path / "checkpoints") == tmp_path / "checkpoints" / "step-1"


def test_a_full_disk_is_one_clear_error(
    base: Callable[..., Path], rows_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_args: Any, **_kwargs: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("safetensors.torch.save_file", full)
    with pytest.raises(TrainError, match=r"the disk of .* is full"):
        run(recipe(base(), rows_file, max_steps=1), tmp_path)
    assert list((tmp_path / "checkpoints").iterdir()) == []


def test_two_processes_cannot_train_in_one_folder(base: Callable[..., Path], rows_file: Path, tmp_path: Path) -> None:
    from qlora.runfolder import RunFolder

    with RunFolder(tmp_path).locked(), pytest.raises(TrainError, match="another process is training"):
        run(recipe(base(), rows_file), tmp_path)


@pytest.mark.parametrize(
    ("over", "message"),
    [
        ({"lora": {"dora": True, "dropout": 0.0}}, None),
        ({"lora": {"rslora": True, "dropout": 0.0}, "neftune_alpha": 5.0}, None),
        ({"quantize": False, "packing": False, "gradient_checkpointing": True}, None),
        ({"data": {"train_on_execution": True}}, None),
        ({"data": {"blocks": "text"}}, None),
        ({"data": {"blocks": "code"}}, None),
        ({"optimizer": "paged_adamw_8bit"}, None),
        ({"optimizer": "paged_adamw_32bit"}, None),
        ({"context": 4096}, "exceeds max_position_embeddings=2048"),
        ({"context": 16}, "none is left to train on"),
    ],
    ids=lambda value: json.dumps(value) if isinstance(value, dict) else "",
)
def test_recipe_keys_train_or_say_why_not(
    over: dict[str, Any], message: str | None, base: Callable[..., Path], rows_file: Path, tmp_path: Path
) -> None:
    settings = recipe(base(), rows_file, max_steps=2, **over)
    if message is not None:
        with pytest.raises((TrainError, InputError), match=message):
            run(settings, tmp_path)
        return
    summary, _ = run(settings, tmp_path)
    assert summary.status == "finished"
    expected = {"text", "code", "control", "loss"}
    expected |= {"execution"} if settings.data.train_on_execution else set()
    expected -= {"code"} if settings.data.blocks == "text" else {"text"} if settings.data.blocks == "code" else set()
    assert set(summary.first_loss) == expected


def test_a_deterministic_run_tells_torch_so_and_takes_it_back(
    base: Callable[..., Path], rows_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", "")  # so that it is put back
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG")
    seen: list[bool] = []

    def look(_snapshot: Snapshot) -> dict[str, float]:
        seen.append(torch.are_deterministic_algorithms_enabled())
        seen.append(torch.is_deterministic_algorithms_warn_only_enabled())
        seen.append(not torch.backends.cuda.mem_efficient_sdp_enabled())
        seen.append(os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8")
        return {}

    settings = recipe(base(), rows_file, max_steps=1, sample_every=1, deterministic=True)
    run(settings, tmp_path, on_sample=look)
    assert seen == [True] * 4
    assert not torch.are_deterministic_algorithms_enabled()
    assert torch.backends.cuda.mem_efficient_sdp_enabled()
    # It changes the order of sums and not what is computed: a run may go on without it.
    assert run(recipe(base(), rows_file, max_steps=1, sample_every=1), tmp_path)[0].status == "finished"


def test_a_process_takes_its_gpu_before_unsloth_starts_cuda_on_one(
    base: Callable[..., Path], rows_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from qlora.processes import Processes

    order: list[str] = []

    def join() -> Processes:
        order.append("join")
        return Processes()

    def unsloth() -> None:
        order.append("unsloth")
        raise TrainError("far enough")

    monkeypatch.setattr("importlib.util.find_spec", lambda _name: object())
    monkeypatch.setattr("qlora.train.join", join)
    monkeypatch.setattr("qlora.train.import_unsloth_first", unsloth)
    with pytest.raises(TrainError, match="far enough"):
        run(recipe(base(), rows_file, backend="unsloth"), tmp_path)
    assert order == ["join", "unsloth"]


def test_what_unsloth_compiles_goes_to_our_cache_and_not_where_the_command_was_called(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from qlora.quiet import no_telemetry

    monkeypatch.setenv("MATHCODER_CACHE", str(tmp_path))
    for name in ("UNSLOTH_COMPILE_LOCATION", "UNSLOTH_BLOCK_COMPILE"):
        monkeypatch.setenv(name, "")  # so that it is put back
        monkeypatch.delenv(name)
    no_telemetry()
    assert os.environ["UNSLOTH_COMPILE_LOCATION"] == str(tmp_path / "unsloth_compiled")
    assert os.environ["UNSLOTH_BLOCK_COMPILE"] == "0"

"""The merged model computes what the adapter model computes."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from export.merge.merge import merge, plan_merge, read_layout
from export.merge.source import open_source
from export.merge.tensors import TensorFolder
from export.settings import ExportSettings
from runtime.errors import InputError, ModelError
from runtime.files import sha256_file
from tests.export.factory import SHAPES, make_run


def merged_folder(run: Path, target: Path, *, dtype: str = "float32", into: str | None = None, **options: Any) -> Path:
    source = open_source(run, ExportSettings())
    plan = plan_merge(source, read_layout(source.base), into=into or source.merge_into, dtype=dtype)
    merge(source, plan, target, dtype=dtype, **{"shard_bytes": 10**9, "fingerprint": "x", **options})
    return target


def largest_difference(model: Any, folder: Path) -> float:
    import torch
    from transformers import AutoModelForCausalLM

    merged = AutoModelForCausalLM.from_pretrained(str(folder), dtype=torch.float32).eval()
    generator = torch.Generator().manual_seed(3)
    # Every id occurs, the added rows (400 to 407) too.
    ids = torch.randperm(408, generator=generator)[None]
    with torch.inference_mode():
        return float((merged(input_ids=ids).logits - model(input_ids=ids).logits).abs().max())


CASES = [(shape, tied, {}) for shape in SHAPES for tied in (False, True)] + [
    ("llama", False, {"use_rslora": True, "rank_pattern": {"o_proj": 8}, "alpha_pattern": {"down_proj": 3}}),
    ("llama", True, {"use_dora": True}),
    ("llama", False, {"nf4": False}),
    ("qwen2", False, {"bias": "all", "nf4": False}),
]


@pytest.mark.parametrize(("shape", "tied", "lora"), CASES)
def test_merged_logits_equal_the_adapter_models(shape: str, tied: bool, lora: dict[str, Any], tmp_path: Path) -> None:
    model = make_run(tmp_path, shape, tied=tied, steps=0, **lora)
    folder = merged_folder(tmp_path / "run", tmp_path / "merged")
    assert largest_difference(model, folder) < 1e-3
    assert json.loads((folder / "config.json").read_text())["tie_word_embeddings"] is tied
    assert ("lm_head.weight" in TensorFolder(folder)) is not tied


def test_an_adapter_on_a_tied_head_unties_it(tmp_path: Path) -> None:
    targets = ["q_proj", "lm_head"]
    model = make_run(tmp_path, tied=True, nf4=False, steps=0, target_modules=targets, trainable_token_indices=None)
    folder = merged_folder(tmp_path / "run", tmp_path / "merged")
    assert json.loads((folder / "config.json").read_text())["tie_word_embeddings"] is False
    assert largest_difference(model, folder) < 1e-3


def test_a_base_that_is_stored_in_four_bits_is_merged_as_it_is(tmp_path: Path) -> None:
    from tests.export.factory import load_for_training

    model = make_run(tmp_path, steps=0)
    tokenizer = type("Four hundred", (), {"__len__": lambda _: 400})()
    four_bits = load_for_training(tmp_path / "base", tokenizer, nf4=True)
    for name in ("model.safetensors", "config.json"):
        (tmp_path / "base" / name).unlink()
    four_bits.save_pretrained(str(tmp_path / "base"))
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    (tmp_path / "run" / "run.json").write_text(json.dumps(record | {"base_sha256": None}))
    folder = merged_folder(tmp_path / "run", tmp_path / "merged")
    assert largest_difference(model, folder) < 1e-3
    assert "quantization_config" not in json.loads((folder / "config.json").read_text())


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run nothing is trained in; tests copy what they change."""
    folder = tmp_path_factory.mktemp("plain")
    make_run(folder, steps=0)
    return folder


def test_trained_rows_are_the_adapters_and_no_other_row_moves(plain: Path, tmp_path: Path) -> None:
    import torch

    tensors = TensorFolder(merged_folder(plain / "run", tmp_path / "merged"))
    base = TensorFolder(plain / "base")
    trained = TensorFolder(plain / "run" / "adapter", stem="adapter_model")
    for name in ("model.embed_tokens", "lm_head"):
        rows = tensors.read(f"{name}.weight")
        assert torch.equal(rows[:400], base.read(f"{name}.weight").float())
        key = next(key for key in trained if name.split(".")[-1] in key and "trainable_tokens_delta" in key)
        indices = json.loads((plain / "run" / "adapter" / "adapter_config.json").read_text())["trainable_token_indices"]
        assert torch.equal(rows[indices[name.split(".")[-1]]], trained.read(key).float())


def test_added_rows_that_were_not_trained_are_the_mean_of_the_bases(tmp_path: Path) -> None:
    import torch

    make_run(tmp_path, steps=0, trainable_token_indices={"embed_tokens": [400], "lm_head": [400]})
    tensors = TensorFolder(merged_folder(tmp_path / "run", tmp_path / "merged"))
    mean = TensorFolder(tmp_path / "base").read("lm_head.weight").double().mean(0).float()
    assert torch.allclose(tensors.read("lm_head.weight")[401:], mean.expand(7, -1), atol=1e-7)


def test_merging_into_the_other_base_is_a_different_model(plain: Path, tmp_path: Path) -> None:
    import torch

    four, sixteen = (
        TensorFolder(merged_folder(plain / "run", tmp_path / into, into=into)).read("model.layers.0.mlp.up_proj.weight")
        for into in ("nf4", "16bit")
    )
    assert not torch.allclose(four, sixteen, atol=1e-3)


def test_a_killed_merge_goes_on_and_ends_with_the_same_bytes(plain: Path, tmp_path: Path) -> None:
    whole = merged_folder(plain / "run", tmp_path / "whole", shard_bytes=20_000)
    shards = sorted(path.name for path in whole.glob("*.safetensors"))
    assert len(shards) > 5

    class KilledError(BaseException):
        pass

    def kill_at(share: float) -> Any:
        def progress(_name: str, done: float) -> None:
            if done > share:
                raise KilledError("by the test")

        return progress

    for share in (0.1, 0.5, 0.9):
        with pytest.raises(KilledError, match="by the test"):
            merged_folder(plain / "run", tmp_path / "killed", shard_bytes=20_000, progress=kill_at(share))
    kept = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "killed").glob("*.safetensors")}
    assert kept
    merged_folder(plain / "run", tmp_path / "killed", shard_bytes=20_000)
    assert {name: (tmp_path / "killed" / name).stat().st_mtime_ns for name in kept} == kept
    for name in [*shards, "model.safetensors.index.json", "config.json"]:
        assert sha256_file(tmp_path / "killed" / name) == sha256_file(whole / name)


def test_shards_of_another_run_are_not_taken_over(plain: Path, tmp_path: Path) -> None:
    target = merged_folder(plain / "run", tmp_path / "merged", fingerprint="one")
    before = (target / "model.safetensors").stat().st_mtime_ns
    merged_folder(plain / "run", target, fingerprint="two")
    assert (target / "model.safetensors").stat().st_mtime_ns != before


# Bad input


def copy_of(plain: Path, tmp_path: Path) -> Path:
    """A copy of the run whose base lies in the copy, unchecked, so that it can be damaged."""
    shutil.copytree(plain, tmp_path / "copy")
    run = tmp_path / "copy" / "run"
    record = json.loads((run / "run.json").read_text())
    record["base_path"] = str(tmp_path / "copy" / "base")
    (run / "run.json").write_text(json.dumps(record | {"base_sha256": None}))
    return run


def rewrite(file: Path, change: Any) -> None:
    from safetensors.torch import load_file, save_file

    tensors = load_file(file)
    change(tensors)
    save_file(tensors, file, metadata={"format": "pt"})


def test_a_base_with_nan_is_refused_by_name(plain: Path, tmp_path: Path) -> None:
    run = copy_of(plain, tmp_path)

    def spoil(tensors: Any) -> None:
        tensors["model.norm.weight"][3] = float("nan")

    rewrite(run.parent / "base" / "model.safetensors", spoil)
    with pytest.raises(ModelError, match=r"model\.norm\.weight holds NaN"):
        merged_folder(run, tmp_path / "merged")
    assert not (tmp_path / "merged" / "model.safetensors").exists()


def test_the_base_of_another_run_is_refused_before_work(plain: Path, tmp_path: Path) -> None:
    run = copy_of(plain, tmp_path)
    record = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps(record | {"base_sha256": "0" * 64}))
    with pytest.raises(ModelError, match="not the one this adapter was trained on"):
        open_source(run, ExportSettings())


def test_an_adapter_of_another_shape_is_refused_by_name(plain: Path, tmp_path: Path) -> None:
    run = copy_of(plain, tmp_path)

    def widen(tensors: Any) -> None:
        name = "model.layers.1.mlp.down_proj.weight"
        tensors[name] = tensors[name].repeat(1, 2)

    rewrite(run.parent / "base" / "model.safetensors", widen)
    with pytest.raises(ModelError, match=r"down_proj is \(64, 256\) in the base and \(64, 128\) in the adapter"):
        open_source(run, ExportSettings())


def test_a_missing_shard_is_named(plain: Path, tmp_path: Path) -> None:
    run = copy_of(plain, tmp_path)
    base = run.parent / "base"
    index = {"weight_map": {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}}
    (base / "model.safetensors").rename(base / "model-00001-of-00002.safetensors")
    (base / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(ModelError, match=r"lacks 1 of 2 shards: model-00002-of-00002\.safetensors"):
        open_source(run, ExportSettings())


@pytest.mark.parametrize("keep", [0.5, 0.0005])
def test_a_truncated_base_is_refused(plain: Path, tmp_path: Path, keep: float) -> None:
    run = copy_of(plain, tmp_path)
    file = run.parent / "base" / "model.safetensors"
    content = file.read_bytes()
    file.write_bytes(content[: int(len(content) * keep)])
    with pytest.raises(ModelError, match="is not a whole safetensors file"):
        open_source(run, ExportSettings())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"init_lora_weights": "pissa"}, "changes the base's weights"),
        ({"peft_type": "LOHA"}, "only LoRA"),
        ({"use_qalora": True}, "use_qalora"),
        ({"r": 3}, "rank 4, the config says 3"),
        ({"trainable_token_indices": {"embed_tokens": [1]}}, "cannot be placed"),
    ],
)
def test_an_adapter_that_cannot_be_merged_exactly_is_refused(
    plain: Path, tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    run = copy_of(plain, tmp_path)
    file = run / "adapter" / "adapter_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | change))
    with pytest.raises(ModelError, match=message):
        open_source(run, ExportSettings())


def test_an_unfinished_run_is_no_traceback(plain: Path, tmp_path: Path) -> None:
    run = copy_of(plain, tmp_path)
    shutil.rmtree(run / "adapter")
    with pytest.raises(InputError, match="no trained adapter yet"):
        open_source(run, ExportSettings())


def test_a_folder_without_anything_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds neither"):
        open_source(tmp_path, ExportSettings())
    with pytest.raises(InputError, match="does not exist"):
        open_source(tmp_path / "nowhere", ExportSettings())


def test_a_plain_peft_folder_is_merged_too(plain: Path, tmp_path: Path) -> None:
    adapter = tmp_path / "adapter"
    shutil.copytree(plain / "run" / "adapter", adapter)
    for file in (plain / "run" / "tokenizer").iterdir():
        shutil.copyfile(file, adapter / file.name)
    config = json.loads((adapter / "adapter_config.json").read_text())
    (adapter / "adapter_config.json").write_text(json.dumps(config | {"base_model_name_or_path": str(plain / "base")}))
    ours, theirs = (TensorFolder(merged_folder(run, tmp_path / f"of-{run.name}")) for run in (adapter, plain / "run"))
    for name in ("lm_head.weight", "model.embed_tokens.weight", "model.norm.weight"):
        assert ours.read(name).equal(theirs.read(name))
    # A plain folder does not record in which dtype the base was loaded, so its NF4 values are rounded to 16 bits.
    name = "model.layers.0.mlp.up_proj.weight"
    assert (ours.read(name) - theirs.read(name)).abs().max() < 2e-3 * theirs.read(name).abs().max()

"""Bases that cannot be trained are refused before anything is loaded, each with one clear error."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from qlora.backend import choose_backend, device_and_dtype
from qlora.base import find_base, load_tokenizer
from qlora.load import load_model
from qlora.settings import TrainSettings
from runtime.errors import InputError, ModelError, TrainError


@pytest.fixture
def copy(base: Callable[..., Path], tmp_path: Path) -> Path:
    return Path(shutil.copytree(base(), tmp_path / "base"))


def change_config(folder: Path, **values: Any) -> None:
    file = folder / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | values))


def test_a_base_that_does_not_exist_is_the_callers_mistake() -> None:
    with pytest.raises(InputError, match="there is no base model /nowhere"):
        find_base("/nowhere")


def test_a_folder_without_a_config_is_no_base(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"has no config\.json"):
        find_base(str(tmp_path))


def test_another_architecture_is_refused_with_the_supported_ones(copy: Path) -> None:
    change_config(copy, architectures=["GPT2LMHeadModel"])
    with pytest.raises(ModelError, match=r"is a GPT2LMHeadModel.*supported: LlamaForCausalLM"):
        find_base(str(copy))


def test_a_base_quantized_another_way_is_refused(copy: Path) -> None:
    change_config(copy, quantization_config={"quant_method": "gptq", "bits": 4})
    with pytest.raises(ModelError, match="already quantized with gptq"):
        find_base(str(copy))


def test_a_base_whose_weights_are_missing_is_refused(copy: Path) -> None:
    (copy / "model.safetensors").unlink()
    with pytest.raises(ModelError, match=r"lacks model\.safetensors"):
        find_base(str(copy))


def test_a_base_whose_weights_are_cut_short_is_refused(copy: Path) -> None:
    file = copy / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-1000])
    found = find_base(str(copy))
    with pytest.raises(ModelError, match=r"the weights of .* cannot be loaded"):
        load_model(found, load_tokenizer(found), TrainSettings(), "peft")


def test_a_base_whose_tokenizer_is_broken_is_refused(copy: Path) -> None:
    (copy / "tokenizer.json").write_text("{")
    with pytest.raises(ModelError, match=r"tokenizer of .* cannot be loaded"):
        load_tokenizer(find_base(str(copy)))


def test_the_backend_is_chosen_with_a_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    assert choose_backend("peft") == ("peft", "asked for")
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    assert choose_backend("auto") == ("peft", "unsloth is not installed")
    with pytest.raises(TrainError, match="unsloth, which is not installed"):
        choose_backend("unsloth")


def test_auto_is_peft_on_a_gpu_too_and_says_why_and_unsloth_stays_one_key_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: object())
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    backend, reason = choose_backend("auto")
    assert backend == "peft"
    assert "has not been proved on a GPU by benchmarks/qlora_gpu.py; train.backend=unsloth takes it" in reason
    assert choose_backend("unsloth") == ("unsloth", "asked for")


def test_unsloth_is_refused_for_an_architecture_it_has_no_packed_forward_pass_for(copy: Path) -> None:
    found = find_base(str(copy))
    other = replace(found, config={**found.config, "architectures": ["Olmo2ForCausalLM"]})
    with pytest.raises(TrainError, match="whose kernels were not tested with a Olmo2ForCausalLM"):
        load_model(other, load_tokenizer(found), TrainSettings(), "unsloth")


def hub_cache(base: Path, folder: Path, name: str) -> Path:
    """A base as the hub's cache holds it: its weights are a link to a blob of that name."""
    blobs, snapshot = folder / "models--org--tiny" / "blobs", folder / "models--org--tiny" / "snapshots" / "1"
    blobs.mkdir(parents=True)
    shutil.copytree(base, snapshot)
    shutil.move(snapshot / "model.safetensors", blobs / name)
    (snapshot / "model.safetensors").symlink_to(blobs / name)
    return snapshot


def test_the_hash_of_a_base_from_the_hub_is_the_name_of_its_blob(
    base: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from runtime.files import sha256_file

    expected = sha256_file(base() / "model.safetensors")
    by_sha256, by_git = (hub_cache(base(), tmp_path / str(len(name)), name) for name in (expected, "0" * 40))
    assert find_base(str(by_git)).sha256() == expected
    monkeypatch.setattr("qlora.base.sha256_file", lambda path: pytest.fail(f"{path} was read"))
    assert find_base(str(by_sha256)).sha256() == expected


def test_the_weights_in_another_format_beside_the_usual_ones_are_not_fetched(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: dict[str, Any] = {}

    def fetch(_name: str, **options: Any) -> str:
        asked.update(options)
        raise OSError("no network")

    monkeypatch.setattr("huggingface_hub.snapshot_download", fetch)
    with pytest.raises(InputError, match="could not be fetched"):
        find_base("org/tiny")
    files = ["config.json", "model-00001-of-00002.safetensors", "consolidated.safetensors", "tokenizer.json"]
    from huggingface_hub.utils import filter_repo_objects

    kept = list(
        filter_repo_objects(files, allow_patterns=asked["allow_patterns"], ignore_patterns=asked["ignore_patterns"])
    )
    assert kept == ["config.json", "model-00001-of-00002.safetensors", "tokenizer.json"]


def test_a_gpu_without_bfloat16_computes_in_float16_whatever_is_said_of_emulation(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import torch

    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.current_device", lambda: 0)
    for supported in (True, False):  # without unsloth and with it
        monkeypatch.setattr("torch.cuda.is_bf16_supported", lambda *_args, answer=supported, **_options: answer)
        for capability, expected in (
            ((7, 5), torch.float16), ((8, 0), torch.bfloat16), ((8, 9), torch.bfloat16), ((12, 0), torch.bfloat16),
        ):  # fmt: skip
            monkeypatch.setattr("torch.cuda.get_device_capability", lambda *_args, answer=capability: answer)
            assert device_and_dtype(TrainSettings())[1] is expected
    assert device_and_dtype(TrainSettings(compute_dtype="float32"))[1] is torch.float32


def test_linear_layers_are_in_4_bits_and_the_embedding_is_not(base: Callable[..., Path]) -> None:
    import torch

    found = find_base(str(base()))
    model = load_model(found, load_tokenizer(found), TrainSettings(), "peft")
    state = model.model.layers[0].mlp.up_proj.weight.quant_state
    assert (state.quant_type, state.blocksize, state.nested) == ("nf4", 64, True)
    assert model.get_input_embeddings().weight.dtype == torch.float32
    assert model.get_input_embeddings().weight.shape[0] == 648

"""Bases that cannot be trained are refused before anything is loaded, each with one clear error."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from qlora.base import choose_backend, find_base, load_model, load_tokenizer
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


def test_linear_layers_are_in_4_bits_and_the_embedding_is_not(base: Callable[..., Path]) -> None:
    import torch

    found = find_base(str(base()))
    model = load_model(found, load_tokenizer(found), TrainSettings(), "peft")
    state = model.model.layers[0].mlp.up_proj.weight.quant_state
    assert (state.quant_type, state.blocksize, state.nested) == ("nf4", 64, True)
    assert model.get_input_embeddings().weight.dtype == torch.float32
    assert model.get_input_embeddings().weight.shape[0] == 648

"""A run trains the control tokens' rows at both ends, in the format that was meant, or does not start."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import peft
import pytest
import torch
from torch import nn

from qlora.adapter import Adapted, add_adapter, refuse_unlike_meant
from qlora.base import find_base, load_tokenizer
from qlora.load import load_model
from qlora.settings import LoraSettings, TrainSettings
from runtime.errors import TrainError

HERE = Path(__file__).parent
PEFT = TrainSettings(backend="peft")


@pytest.fixture(params=[False, True], ids=["two ends", "tied ends"])
def made(request: pytest.FixtureRequest, base: Callable[..., Path], bench: Any, rows_file: Path) -> Any:
    return bench(base(tied=request.param), rows_file)


def freeze_all_but_lora(model: nn.Module) -> None:
    """What unsloth's preparation for training does to a peft model."""
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(".lora_A." in name or ".lora_B." in name)


def test_rows_that_a_backend_froze_are_trained_all_the_same(
    made: Any, base: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    get_peft_model = peft.get_peft_model

    def frozen(*args: Any, **options: Any) -> Any:
        model = get_peft_model(*args, **options)
        freeze_all_but_lora(model)
        return model

    monkeypatch.setattr(peft, "get_peft_model", frozen)
    found = find_base(str(base(tied=made.adapted.tied)))
    tokenizer = load_tokenizer(found)
    model = load_model(found, tokenizer, PEFT, "peft")
    adapted = add_adapter(model, tokenizer, LoraSettings(r=4), PEFT, "peft", base_name="base")
    rows = [name for name in adapted.trainable() if "trainable_tokens_delta" in name]
    assert len(rows) == (1 if adapted.tied else 2)
    assert adapted.trainable().keys() == made.adapted.trainable().keys()


def test_a_run_whose_rows_are_frozen_refuses_to_start(made: Any) -> None:
    refuse_unlike_meant(made.adapted, tied=made.adapted.tied, dtype=torch.float32)
    freeze_all_but_lora(made.adapted.peft)
    with pytest.raises(TrainError, match=r"rows of the control tokens in the embedding are frozen.*never be learned"):
        refuse_unlike_meant(made.adapted, tied=made.adapted.tied, dtype=torch.float32)
    made.adapted.embedding.rows.requires_grad_(True)
    if not made.adapted.tied:
        with pytest.raises(TrainError, match=r"rows of the control tokens in the output head are frozen"):
            refuse_unlike_meant(made.adapted, tied=False, dtype=torch.float32)


def test_a_run_that_would_compute_in_another_number_format_refuses_to_start(made: Any) -> None:
    message = r"loaded in torch\.float32, and the run is to compute in torch\.float16.*train\.compute_dtype=float32"
    with pytest.raises(TrainError, match=message):
        refuse_unlike_meant(made.adapted, tied=made.adapted.tied, dtype=torch.float16)


def test_a_run_whose_tied_ends_came_untied_refuses_to_start(
    base: Callable[..., Path], bench: Any, rows_file: Path
) -> None:
    adapted = bench(base(tied=False), rows_file).adapted
    with pytest.raises(TrainError, match=r"one matrix for both ends.*has made two of it"):
        refuse_unlike_meant(adapted, tied=True, dtype=torch.float32)


def test_layers_and_not_the_embedding_say_where_a_model_computes(
    base: Callable[..., Path], bench: Any, rows_file: Path
) -> None:
    adapted: Adapted = bench(base(), rows_file).adapted
    layer = adapted.peft.get_base_model().get_input_embeddings().token_adapter
    layer.base_layer.to("meta")
    adapted.locate()
    assert adapted.embedding.weight.device.type == "meta"
    assert adapted.device.type == "cpu"


def test_the_gradient_of_token_rows_is_summed_in_float32(
    base: Callable[..., Path], bench: Any, rows_file: Path
) -> None:
    adapted: Adapted = bench(base(), rows_file, compute_dtype="bfloat16").adapted
    row = int(adapted.embedding.ids[3])
    ids = torch.full((1, 4000), row)
    torch.manual_seed(0)
    # All of one sign, as for a marker that always stands in the same place.
    grad = torch.rand(1, 4000, 64).to(torch.bfloat16)
    with torch.autocast("cpu", torch.bfloat16):
        embedded = adapted.embed(ids)
        assert embedded.dtype == torch.bfloat16
    embedded.backward(grad)
    assert adapted.embedding.rows.grad is not None
    expected = grad.double().sum((0, 1))
    torch.testing.assert_close(adapted.embedding.rows.grad[3].double(), expected, rtol=1e-5, atol=0)
    assert adapted.embedding.rows.grad[:3].abs().max() == 0


class LlamaRotaryEmbedding(nn.Module):
    """As unsloth leaves its own behind in transformers for every model that is loaded later."""

    def __init__(self, *_args: Any, **_options: Any) -> None:
        super().__init__()


def test_a_process_whose_transformers_are_partly_unsloths_trains_no_peft_model(
    base: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(LlamaRotaryEmbedding, "__module__", "unsloth.models.llama")
    monkeypatch.setattr("transformers.models.llama.modeling_llama.LlamaRotaryEmbedding", LlamaRotaryEmbedding)
    found = find_base(str(base()))
    with pytest.raises(TrainError, match=r"unsloth has replaced parts of transformers.*\(LlamaRotaryEmbedding\)"):
        load_model(found, load_tokenizer(found), PEFT, "peft")


class FastLanguageModel:
    """Notes what unsloth is asked for, and does it as transformers and peft do."""

    def __init__(self) -> None:
        self.asked: dict[str, Any] = {}

    def from_pretrained(self, path: str, **options: Any) -> tuple[Any, None]:
        from transformers import AutoModelForCausalLM

        self.asked = {"path": path, **options}
        model = AutoModelForCausalLM.from_pretrained(path, dtype=options["dtype"])
        model.model.embed_tokens.padding_idx = 0
        with torch.no_grad():
            model.model.embed_tokens.weight[0] = 0  # its choice of a token for padding
        return model, None

    def get_peft_model(self, model: Any, *, use_gradient_checkpointing: Any, random_state: int, **options: Any) -> Any:
        torch.manual_seed(random_state)
        made = peft.get_peft_model(model, peft.LoraConfig(task_type="CAUSAL_LM", **options))
        if use_gradient_checkpointing:
            made._set_gradient_checkpointing()
        freeze_all_but_lora(made)
        return made


def test_unsloth_is_asked_for_this_very_folder_on_this_device_and_for_checkpoints_without_a_warning(
    base: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    fast = FastLanguageModel()
    module = ModuleType("unsloth")
    module.FastLanguageModel = fast  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "unsloth", module)
    monkeypatch.chdir(base().parent)
    settings = TrainSettings(backend="unsloth", quantize=False, gradient_checkpointing=True)
    found = find_base(base().name)  # relative, as a hub id is
    tokenizer = load_tokenizer(found)
    model = load_model(found, tokenizer, settings, "unsloth")
    assert Path(fast.asked["path"]) == base().resolve()
    assert fast.asked["use_exact_model_name"] is True
    assert fast.asked["offload_embedding"] is False
    assert fast.asked["device_map"] == {"": torch.device("cpu")}
    assert (fast.asked["dtype"], fast.asked["use_gradient_checkpointing"]) == (torch.float32, False)
    monkeypatch.setattr("qlora.adapter.device_and_dtype", lambda _settings: (torch.device("cuda"), torch.float32))
    plain = load_model(found, tokenizer, settings.model_copy(update={"backend": "peft"}), "peft")
    assert torch.equal(model.get_input_embeddings().weight, plain.get_input_embeddings().weight)
    adapted = add_adapter(model, tokenizer, LoraSettings(r=4), settings, "unsloth", base_name="base")
    for layer in adapted.backbone.layers:
        assert layer._gradient_checkpointing_func.keywords == {"use_reentrant": True}
    assert sum("trainable_tokens_delta" in name for name in adapted.trainable()) == 2


AS_UNSLOTH_PREPARES = """
import os, sys
sys.path[:0] = [{root!r}, {here!r}]
os.environ["UNSLOTH_IS_PRESENT"] = "1"  # unsloth sets it, and unsloth_zoo wants it
from unsloth_zoo.training_utils import prepare_model_for_training
import peft
from qlora.adapter import add_adapter
from qlora.base import find_base, load_tokenizer
from qlora.load import load_model
from qlora.settings import LoraSettings, TrainSettings

plain = peft.get_peft_model
peft.get_peft_model = lambda *args: prepare_model_for_training(plain(*args), use_gradient_checkpointing=False)
found = find_base(sys.argv[1])
tokenizer = load_tokenizer(found)
settings = TrainSettings(backend="peft")
model = load_model(found, tokenizer, settings, "peft")
print(*add_adapter(model, tokenizer, LoraSettings(r=4), settings, "peft", base_name="base").trainable(), sep="\\n")
"""


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("unsloth_zoo") is None, reason="unsloth_zoo is not installed")
def test_rows_are_trained_after_unsloths_own_preparation(made: Any, base: Callable[..., Path]) -> None:
    code = AS_UNSLOTH_PREPARES.format(root=str(HERE.parent.parent), here=str(HERE))
    # In a process of its own: unsloth rewrites transformers and peft for everyone in the process.
    child = subprocess.run(
        [sys.executable, "-c", code, str(base(tied=made.adapted.tied))],
        env={**os.environ, "OMP_NUM_THREADS": "1", "UNSLOTH_FORCE_CPU": "1", "UNSLOTH_DISABLE_STATISTICS": "1"},
        capture_output=True, text=True, timeout=250,
    )  # fmt: skip
    assert child.returncode == 0, child.stderr[-2000:]
    assert set(made.adapted.trainable()) <= set(child.stdout.splitlines())

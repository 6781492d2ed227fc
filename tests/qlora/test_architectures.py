"""Every tested architecture trains on its own loss; others are proved first, or refused by name."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from factory import kept_bytes

from qlora.architectures import ARCHITECTURES
from qlora.base import find_base
from qlora.fused import unfused
from qlora.packing import lay_out
from qlora.proof import prove
from qlora.shape import Shape
from runtime.errors import ModelError, TrainError
from tests.architectures import SHAPES

ROWS = [3, 4, 5]


def own_losses(made: Any, row: int) -> torch.Tensor:
    """Losses of one row alone from transformers' own forward pass, without anything of ours."""
    micro = lay_out(made.data.table, [row], made.data.supervised, packed=True)
    peft = made.adapted.peft
    peft.get_base_model().set_attn_implementation("sdpa")
    with torch.no_grad(), unfused(peft):
        logits = peft(input_ids=torch.from_numpy(micro.ids), use_cache=False).logits[0]
    peft.get_base_model().set_attn_implementation("mathcoder_rows")
    return torch.nn.functional.cross_entropy(
        logits[torch.from_numpy(micro.predicts)], torch.from_numpy(micro.targets), reduction="none"
    )


@pytest.fixture(scope="module", params=sorted(SHAPES))
def made(request: pytest.FixtureRequest, base: Callable[..., Path], rows_file: Path, bench: Any) -> Any:
    built = bench(base(request.param, style="bytes", **SHAPES[request.param]), rows_file)
    built.randomize_adapter()
    return built


def test_a_pack_has_the_losses_that_transformers_computes_for_each_row_alone(made: Any) -> None:
    micro = lay_out(made.data.table, ROWS, made.data.supervised, packed=True)
    assert min(micro.lengths) > 32, "longer than the sliding windows"
    with torch.no_grad():
        _, losses = made.stepper.forward(micro)
    torch.testing.assert_close(losses, torch.cat([own_losses(made, row) for row in ROWS]), rtol=0, atol=2e-5)


def test_a_step_moves_the_adapter_and_all_eight_token_rows(made: Any) -> None:
    _, gradients = made.gradients(ROWS)
    assert gradients.keys() == made.adapted.trainable().keys()
    assert all(torch.isfinite(gradient).all() for gradient in gradients.values())
    ends = [name for name in gradients if "trainable_tokens" in name]
    assert len(ends) == (1 if made.adapted.tied else 2)
    # Five of the eight stand in these rows' targets; as a wrong answer each moves in the head.
    assert (gradients[ends[-1]] != 0).any(1).all()


def test_the_plan_counts_what_is_trained_and_what_a_step_keeps(made: Any) -> None:
    from qlora.settings import LoraSettings

    shape = Shape.of(made.adapted.peft.config.to_dict(), len(made.tokenizer))
    sizes = {name: parameter.numel() for name, parameter in made.adapted.trainable().items()}
    lora = LoraSettings(r=4)
    assert shape.lora_parameters(lora) == sum(n for name, n in sizes.items() if "lora_" in name)
    assert shape.token_parameters(lora) == sum(n for name, n in sizes.items() if "trainable_tokens" in name)
    micro, kept = kept_bytes(made)
    slots = len(micro.lengths) * max(micro.lengths) / micro.tokens
    per_token = shape.kept_per_token(4, 4, slots=slots, keys=shape.queries)
    planned = micro.tokens * (shape.layers * per_token + 4 * 2 * shape.hidden)
    assert kept == pytest.approx(planned, rel=0.1)


def test_the_table_of_architectures_is_what_the_tests_train() -> None:
    from transformers import AutoConfig, AutoModelForCausalLM

    names = {AutoModelForCausalLM._model_mapping[type(AutoConfig.for_model(kind))].__name__ for kind in SHAPES}
    assert names == set(ARCHITECTURES)


# Outside the table


def changed(folder: Path, **values: Any) -> Path:
    """`folder` with other values in its config.json."""
    file = folder / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | values))
    return folder


def make(tmp_path: Path, architecture: str, **over: Any) -> Path:
    from factory import make_base

    return make_base(tmp_path / architecture, architecture, style="bytes", **over)


def test_an_architecture_outside_the_table_is_offered_as_an_attempt(tmp_path: Path) -> None:
    folder = make(tmp_path, "arcee")
    with pytest.raises(ModelError, match=r"ArceeForCausalLM.*train\.untested_architecture=true"):
        find_base(str(folder))
    assert not find_base(str(folder), untested=True).is_tested


def test_an_architecture_outside_the_table_is_proved_and_trained(tmp_path: Path, rows_file: Path, bench: Any) -> None:
    made = bench(make(tmp_path, "arcee"), rows_file, untested_architecture=True)
    prove(made.stepper)
    assert made.adapted.peft.config._attn_implementation == "mathcoder_rows"
    loss, _ = made.gradients(ROWS)
    assert loss > 0


def test_a_model_that_lets_packed_rows_see_each_other_is_refused(tmp_path: Path, rows_file: Path, bench: Any) -> None:
    made = bench(make(tmp_path, "stablelm", pad_token_id=None), rows_file, untested_architecture=True)
    with pytest.raises(ModelError, match="packed rows of a StableLmForCausalLM see each other"):
        prove(made.stepper)


def test_a_model_whose_logits_are_computed_another_way_is_refused(
    base: Callable[..., Path], rows_file: Path, bench: Any
) -> None:
    from dataclasses import replace

    made = bench(base("granite", style="bytes", **SHAPES["granite"]), rows_file)
    prove(made.stepper)
    made.adapted.head = replace(made.adapted.head, factor=1.0)
    with pytest.raises(ModelError, match=r"the loss .* a GraniteForCausalLM differs from the model's own"):
        prove(made.stepper)


def test_attention_refuses_by_name_what_it_does_not_compute() -> None:
    from qlora.attention import attention

    q = torch.randn(1, 2, 4, 8)
    module = torch.nn.Module()
    assert attention(module, q, q, q, None, position_ids=torch.arange(4), softcap=None)[0].shape == (1, 4, 2, 8)
    for name, value in (("softcap", 50.0), ("s_aux", torch.zeros(2)), ("something_new", 1)):
        with pytest.raises(ModelError, match=name):
            attention(module, q, q, q, None, **{name: value})
    with pytest.raises(ModelError, match="a mask of its own"):
        attention(module, q, q, q, torch.ones(4, 4, dtype=torch.bool))
    with pytest.raises(ModelError, match="attention to later tokens"):
        attention(module, q, q, q, None, is_causal=False)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"attn_logit_softcapping": 50.0}, r"soft-capping \(attn_logit_softcapping=50\.0\)"),
        ({"final_logit_softcapping": 30.0}, "soft-capping"),
        ({"layer_types": ["linear_attention", "full_attention"]}, "layers of the kind linear_attention"),
        ({"mamba_d_state": 16}, r"a recurrent state \(mamba_d_state\)"),
        ({"attention_chunk_size": 8192}, "chunked attention"),
        ({"use_bidirectional_attention": True}, "attention to later tokens"),
        ({"num_attention_heads": None}, "does not say num_attention_heads"),
    ],
)
@pytest.mark.parametrize("architecture", ["LlamaForCausalLM", "SomethingForCausalLM"])
def test_what_training_would_drop_is_refused_before_anything_is_loaded(
    architecture: str, values: dict[str, Any], said: str, tmp_path: Path, base: Callable[..., Path]
) -> None:
    import shutil

    folder = Path(shutil.copytree(base(), tmp_path / "base"))
    changed(folder, architectures=[architecture], **values)
    with pytest.raises(ModelError, match=said):
        find_base(str(folder), untested=True)


def test_unsloth_is_refused_for_an_architecture_its_kernels_were_not_tested_with(
    base: Callable[..., Path], rows_file: Path, bench: Any
) -> None:
    with pytest.raises(TrainError, match=r"not tested with a Olmo2ForCausalLM.*set train\.backend=peft"):
        bench(base("olmo2", style="bytes"), rows_file, backend="unsloth")


def test_a_block_token_that_the_base_owns_keeps_its_row_and_is_trained(
    tmp_path: Path, rows_file: Path, bench: Any
) -> None:
    from factory import make_base

    owned = ["<|system|>", "<|user|>", "<|assistant|>"]
    folder = make_base(tmp_path / "glm4", "glm4", style="bytes", owned=owned, **SHAPES["glm4"])
    made = bench(folder, rows_file)
    ids = made.tokenizer.convert_tokens_to_ids(owned)
    table = made.adapted.embedding
    initial = made.initial["model.embed_tokens.weight"]
    assert set(ids) <= set(table.ids.tolist())
    for index in ids:
        assert torch.equal(table.rows[table.slot[index]], initial[index])
        assert not torch.allclose(initial[index], initial[: min(ids)].mean(0)), "not a fresh row"
    new = np.setdiff1d(table.ids.numpy(), ids)
    assert len(new) == 5
    _, gradients = made.gradients(ROWS)
    assert all((gradient != 0).any(1).all() for name, gradient in gradients.items() if "lm_head.token" in name)

"""Block tokens whose roles are played by tokens that the base has, and adapters that are gone on from."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from qlora.adapter import add_adapter
from qlora.base import find_base, load_tokenizer
from qlora.data import encode
from qlora.load import load_model
from qlora.plan import plan
from qlora.roles import refuse_equal_rows
from qlora.settings import LoraSettings, QloraSettings, TrainSettings
from qlora.start import go_on_from
from qlora.tokens import control_names, segment_tokenizer
from qlora.train import train
from runtime.errors import ModelError
from runtime.lce import CONTROL_TOKENS, ROLES, segments
from tests.qlora.factory import row_of, sum_rows, write_jsonl

NAMES = {role: f"<own_{role}>" for role in ROLES}


@pytest.fixture
def owned(base: Any, tmp_path: Path) -> Path:
    """A base that has eight control tokens of its own beside one that ends generation."""
    import shutil

    from tokenizers import AddedToken
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = tmp_path / "base"
    shutil.copytree(base(), folder)
    tokenizer = AutoTokenizer.from_pretrained(str(folder))
    tokenizer.add_tokens([AddedToken(name, special=True, normalized=False) for name in NAMES.values()], True)
    tokenizer.eos_token = NAMES["endofmessage"]
    tokenizer.save_pretrained(str(folder))
    model = AutoModelForCausalLM.from_pretrained(str(folder))
    model.resize_token_embeddings(len(tokenizer), mean_resizing=False)  # rows drawn anew, not equal ones
    model.save_pretrained(str(folder))
    return folder


def lora(**changes: Any) -> LoraSettings:
    return LoraSettings(**{"r": 4, "alpha": 8, "control_tokens": "reuse", "reuse_tokens": NAMES, **changes})


def test_the_roles_are_played_by_the_base_s_tokens_and_none_is_added(owned: Path, tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    before = len(AutoTokenizer.from_pretrained(str(owned)))
    tokenizer = load_tokenizer(find_base(str(owned)), lora())
    assert len(tokenizer) == before
    vocabulary = tokenizer.get_vocab()
    assert segment_tokenizer(tokenizer).control == {token: vocabulary[NAMES[role]] for role, token in ROLES.items()}
    row = row_of("What is 2 + 3?", ("code", "2 + 3"), ("execution", "5"), ("text", "It is 5."))
    ids = encode(row, tokenizer).input_ids
    wanted = [vocabulary[NAMES[s.text[2:-2]]] for s in segments(row["messages"]) if s.is_control]
    assert [token for token in ids if token in set(wanted)] == wanted
    tokenizer.save_pretrained(str(tmp_path / "saved"))
    again = AutoTokenizer.from_pretrained(str(tmp_path / "saved"))
    assert control_names(again) == control_names(tokenizer)
    assert encode(row, again).input_ids == ids


def test_the_plan_counts_token_rows_only_where_they_are_trained(owned: Path, tmp_path: Path) -> None:
    rows = write_jsonl(tmp_path / "rows.jsonl", sum_rows(8))
    settings = QloraSettings.model_validate(
        {"name": "p", "base": str(owned), "data": {"source": str(rows)}, "train": {"backend": "peft"}, "lora": lora()}
    )
    reused = plan(settings)
    new = plan(settings.model_copy(update={"lora": LoraSettings(r=4, alpha=8)}))
    assert (reused.token_parameters, new.token_parameters > 0) == (0, True)
    assert reused.lora_parameters == new.lora_parameters
    # Of each trained parameter: weight, gradient and two moments of the optimizer.
    assert new.memory["adapter"] - reused.memory["adapter"] in (16 * new.token_parameters, 10 * new.token_parameters)
    assert new.disk > reused.disk


@pytest.mark.parametrize(
    ("role", "token", "why"),
    [
        ("code", "<nowhere>", "the base has no such token"),
        ("code", "a", "not a control token of the base"),
        ("code", "<own_endofmessage>", "would play two roles"),
        ("endofmessage", "<own_more>", "does not end generation"),
        ("text", "<own_end>", "only the end of a message may"),
    ],
)
def test_a_token_that_cannot_play_a_role_is_refused(owned: Path, role: str, token: str, why: str) -> None:
    from tokenizers import AddedToken
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(str(owned))
    tokenizer.add_tokens([AddedToken(name, special=True) for name in ("<own_more>", "<own_end>")], True)
    tokenizer.init_kwargs["mathcoder_ends"] = tokenizer.convert_tokens_to_ids(["<own_endofmessage>", "<own_end>"])
    tokenizer.save_pretrained(str(owned))
    with pytest.raises((ModelError, ValueError), match=why):
        load_tokenizer(find_base(str(owned)), lora(reuse_tokens={**NAMES, role: token}))


def test_a_role_without_a_token_and_a_role_that_is_none_are_named() -> None:
    with pytest.raises(ValueError, match="no token for text"):
        lora(reuse_tokens={role: name for role, name in NAMES.items() if role != "text"})
    with pytest.raises(ValueError, match="names texts; the roles are system"):
        lora(reuse_tokens={**NAMES, "texts": "<x>"})
    with pytest.raises(ValueError, match="belongs to control_tokens: reuse"):
        LoraSettings(reuse_tokens=NAMES)


def test_roles_on_rows_that_are_equal_are_refused() -> None:
    head = torch.randn(16, 8)
    ids = {token: number for number, token in enumerate(CONTROL_TOKENS)}
    refuse_equal_rows(head, ids, lora())
    head[ids["<|code|>"]] = head[ids["<|text|>"]] * 1.001
    with pytest.raises(ModelError, match=r"<own_text> \(<\|text\|>\) and <own_code> .* could not choose"):
        refuse_equal_rows(head, ids, lora())
    head = torch.randn(16, 8)
    head[ids["<|user|>"]] = head[ids["<|system|>"]]
    refuse_equal_rows(head, ids, lora())


def settings(owned: Path, rows: Path, **changes: Any) -> Any:
    from qlora.settings import QloraSettings

    options = {"quantize": False, "batch_rows": 4, "max_steps": 3, "warmup_steps": 0, "learning_rate": 1e-2}
    return QloraSettings(
        base=str(owned),
        data={"source": str(rows)},
        train=TrainSettings(**options, backend="peft"),
        lora=lora(**changes),
    )


def test_a_run_trains_low_rank_pairs_alone_and_another_goes_on_from_it(owned: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file

    rows = write_jsonl(tmp_path / "rows.jsonl", sum_rows(24))
    first = train(settings(owned, rows), tmp_path / "first")
    assert first.status == "finished"
    tensors = load_file(tmp_path / "first" / "adapter" / "adapter_model.safetensors")
    assert tensors
    assert all(".lora_" in name for name in tensors)
    assert "mathcoder_control_tokens" in json.loads(
        (tmp_path / "first" / "tokenizer" / "tokenizer_config.json").read_text()
    )
    second = train(settings(owned, rows, start=str(tmp_path / "first")), tmp_path / "second")
    assert second.first_loss["loss"] < first.first_loss["loss"], "it begins where the first one ended"


def test_an_adapter_of_another_rank_is_not_gone_on_from(owned: Path, tmp_path: Path) -> None:
    rows = write_jsonl(tmp_path / "rows.jsonl", sum_rows(24))
    train(settings(owned, rows), tmp_path / "first")
    with pytest.raises(ModelError, match=r"is \(4, .*\) in the adapter .* and \(8, .*\) here"):
        train(settings(owned, rows, r=8, start=str(tmp_path / "first")), tmp_path / "second")


def test_a_lora_gguf_gives_back_the_pairs_it_was_made_from(owned: Path, tmp_path: Path) -> None:
    """Query and key rows stand in llama.cpp's order in the file."""
    import gguf

    found = find_base(str(owned))
    tokenizer = load_tokenizer(found, lora())
    options = TrainSettings(quantize=False, backend="peft")
    wanted, fresh = (
        add_adapter(load_model(found, tokenizer, options, "peft"), tokenizer, lora(), options, "peft", base_name="x")
        for _ in range(2)
    )
    config = found.config
    names = {"q_proj": "attn_q", "k_proj": "attn_k", "v_proj": "attn_v", "o_proj": "attn_output",
             "gate_proj": "ffn_gate", "up_proj": "ffn_up", "down_proj": "ffn_down"}  # fmt: skip
    writer = gguf.GGUFWriter(tmp_path / "adapter.gguf", "llama")
    writer.add_type("adapter")
    writer.add_string("adapter.type", "lora")
    writer.add_float32("adapter.lora.alpha", 8.0)
    for name, parameter in wanted.trainable().items():
        torch.nn.init.normal_(parameter)
        parts = name.split(".")
        layer, module = parts[parts.index("layers") + 1], next(p for p in parts if p in names)
        value = parameter.detach()
        if "lora_B" in name and module in ("q_proj", "k_proj"):
            heads = config["num_attention_heads"] if module == "q_proj" else config["num_key_value_heads"]
            # As LlamaModel.permute of llama.cpp's converter does it.
            value = value.reshape(heads, 2, value.shape[0] // heads // 2, -1).swapaxes(1, 2).reshape(value.shape)
        letter = "a" if "lora_A" in name else "b"
        writer.add_tensor(f"blk.{layer}.{names[module]}.weight.lora_{letter}", value.numpy().copy())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    go_on_from(str(tmp_path / "adapter.gguf"), fresh, lora(), config)
    for name, parameter in fresh.trainable().items():
        assert torch.equal(parameter, wanted.trainable()[name]), name

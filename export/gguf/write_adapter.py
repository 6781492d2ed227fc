"""A LoRA adapter in torch's memory as a GGUF file, without the converter, in milliseconds.

Only plain low-rank pairs on linear layers, which is what reinforcement trains. `export.gguf.adapter` writes adapters of
every kind that llama.cpp can hold, in a process of its own that takes seconds.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from runtime.errors import ModelError
from runtime.files import atomic_path

if TYPE_CHECKING:
    import torch

PERMUTED = {"llama": ("attn_q", "attn_k")}
"""Architecture -> tensors whose rows llama.cpp's converter reorders (`LlamaModel.permute`)."""


def write_adapter(
    target: str | os.PathLike[str],
    parameters: Mapping[str, torch.Tensor],
    config: Mapping[str, Any],
    architecture: str,
    alpha: float,
    strings: Mapping[str, str] | None = None,
) -> None:
    """Write low-rank pairs to `target`, atomically, in float32.

    Args:
        target: the file.
        parameters: as peft names them (`base_model.model.model.layers.0.mlp.up_proj.lora_A.default.weight`), A of
            [rank, in], B of [out, rank].
        config: the base's config.json.
        architecture: of the base's GGUF (`general.architecture`).
        alpha: llama.cpp multiplies `B A` by `alpha / rank`.
        strings: further metadata.

    Raises:
        ModelError: a parameter that is no low-rank pair, or one that llama.cpp has no name for.
        WriteError: the file cannot be written.
    """
    import gguf

    kinds = {name: kind for kind, name in gguf.MODEL_ARCH_NAMES.items()}
    if architecture not in kinds:
        raise ModelError(f"gguf-py knows no architecture {architecture}", "the adapter was not written")
    names = gguf.get_tensor_name_map(kinds[architecture], int(config["num_hidden_layers"]))
    heads = int(config["num_attention_heads"])
    groups = int(config.get("num_key_value_heads") or heads)
    tensors = {}
    for name, value in parameters.items():
        module, found, part = name.removeprefix("base_model.model.").partition(".lora_")
        theirs = names.get_name(module) if found else None
        if theirs is None:
            raise ModelError(
                f"{name} is not a low-rank pair that llama.cpp knows of {architecture}", "the adapter was not written"
            )
        rows = value.detach().float().cpu()
        if part.startswith("B") and theirs.endswith(PERMUTED.get(architecture, ())):
            rows = _permuted(rows, heads if theirs.endswith("attn_q") else groups)
        tensors[f"{theirs}.weight.lora_{part[0].lower()}"] = rows.contiguous().numpy()
    with atomic_path(target) as temporary:
        writer = gguf.GGUFWriter(temporary, architecture)
        writer.add_type(gguf.GGUFType.ADAPTER)
        writer.add_string(gguf.Keys.Adapter.TYPE, "lora")
        writer.add_float32(gguf.Keys.Adapter.LORA_ALPHA, alpha)
        for key, text in (strings or {}).items():
            writer.add_string(key, text)
        for name, array in tensors.items():
            writer.add_tensor(name, array)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()


def _permuted(rows: torch.Tensor, heads: int) -> torch.Tensor:
    """Rows in llama.cpp's order (the halves of each head's rotation interleaved), from transformers'."""
    return rows.reshape(heads, 2, rows.shape[0] // heads // 2, *rows.shape[1:]).swapaxes(1, 2).reshape(rows.shape)

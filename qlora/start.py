"""Going on from an adapter that was trained before: a run's, a peft folder's, or a LoRA GGUF's.

A LoRA GGUF holds the same pairs under llama.cpp's names, and for Llama with the rows of query and key in the order of
llama.cpp's rotary halves; both are undone here. One in Q8_0 has lost what its blocks' scales rounded away (about 0.4 %
of a weight), which the first steps make good.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qlora.settings import LoraSettings
from runtime.errors import InputError, ModelError

if TYPE_CHECKING:
    import torch

    from qlora.adapter import Adapted

_PERMUTED = {"llama": ("attn_q", "attn_k")}
"""Architecture -> tensors whose rows llama.cpp's converter reorders (`LlamaModel.permute`)."""


def go_on_from(start: str, adapted: Adapted, lora: LoraSettings, config: dict[str, Any]) -> None:
    """Put the low-rank pairs of the adapter `start` into `adapted`.

    Args:
        start: `LoraSettings.start`.
        adapted: the base with a fresh adapter.
        lora: rank and alpha of the fresh one.
        config: the base's config.json.

    Raises:
        InputError: there is no adapter there.
        ModelError: it has other modules, or another rank.
    """
    import torch

    path = Path(start).expanduser()
    pairs, scale = _of_gguf(path, config) if path.is_file() else _of_folder(path)
    wanted = {name: parameter for name, parameter in adapted.trainable().items() if ".lora_" in name}
    missing = [name for name in wanted if _plain(name) not in pairs]
    extra = pairs.keys() - {_plain(name) for name in wanted}
    if missing or extra:
        named = _plain(missing[0]) if missing else sorted(extra)[0]
        raise ModelError(
            f"the adapter {start} and this recipe's differ in their modules ({named})",
            "training cannot go on from it",
            "give an adapter of the same base and kind, or leave lora.start away",
        )
    own = lora.alpha / (lora.r**0.5 if lora.rslora else lora.r)
    with torch.no_grad():
        for name, parameter in wanted.items():
            value = pairs[_plain(name)]
            if tuple(value.shape) != tuple(parameter.shape):
                raise ModelError(
                    f"{_plain(name)} is {tuple(value.shape)} in the adapter {start} and {tuple(parameter.shape)} here",
                    "training cannot go on from it",
                    "set lora.r to the adapter's rank, and the base to its base",
                )
            factor = scale / own if ".lora_B" in name else 1.0
            parameter.copy_(value.to(parameter.dtype) * factor)


def _plain(name: str) -> str:
    """`model.layers.0.mlp.up_proj.lora_A` from any spelling of it."""
    return name.removeprefix("base_model.model.").replace(".default", "").removesuffix(".weight")


def _of_folder(path: Path) -> tuple[dict[str, torch.Tensor], float]:
    from safetensors.torch import load_file

    folder = path / "adapter" if (path / "adapter").is_dir() else path
    try:
        config = json.loads((folder / "adapter_config.json").read_text(encoding="utf-8"))
        tensors = load_file(folder / "adapter_model.safetensors")
    except (OSError, ValueError) as error:
        raise InputError(
            f"{path} holds no adapter that can be read ({error})",
            "nothing was trained",
            "give a run folder, a peft folder or a LoRA GGUF as lora.start",
        ) from error
    rank = config["r"]
    scale = config["lora_alpha"] / (rank**0.5 if config.get("use_rslora") else rank)
    return {_plain(name): tensor for name, tensor in tensors.items() if ".lora_" in name}, float(scale)


def _of_gguf(path: Path, config: dict[str, Any]) -> tuple[dict[str, torch.Tensor], float]:
    import gguf
    import torch

    try:
        reader = gguf.GGUFReader(str(path))
    except (ValueError, IndexError, OSError) as error:
        raise ModelError(
            f"{path} is not a whole GGUF file ({error})", "nothing was trained", "copy it again"
        ) from error
    fields = {key: reader.fields[key].contents() for key in reader.fields if "adapter" in key or "architecture" in key}
    if fields.get("adapter.type") != "lora":
        raise ModelError(f"{path} is not a LoRA adapter", "nothing was trained", "give one as lora.start")
    architecture = str(fields["general.architecture"])
    names = dict(_hub_names(architecture, int(config["num_hidden_layers"])))
    heads, groups = int(config["num_attention_heads"]), int(config.get("num_key_value_heads") or 0)
    pairs: dict[str, torch.Tensor] = {}
    rank = 0
    for tensor in reader.tensors:
        module, _, part = tensor.name.rpartition(".weight.lora_")
        if module not in names:
            raise ModelError(
                f"{path}: {tensor.name} is not a tensor of {architecture}", "nothing was trained", "give the run folder"
            )
        value = torch.from_numpy(gguf.dequantize(tensor.data, tensor.tensor_type).copy())
        if part == "a":
            rank = value.shape[0]
        elif module.endswith(_PERMUTED.get(architecture, ())):
            value = _unpermuted(value, heads if module.endswith("attn_q") else groups or heads)
        pairs[f"{names[module]}.lora_{part.upper()}"] = value
    return pairs, float(fields["adapter.lora.alpha"]) / max(1, rank)


def _hub_names(architecture: str, layers: int) -> Iterator[tuple[str, str]]:
    """(llama.cpp's name, module path) of every linear layer of a decoder."""
    parts = {"attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj", "attn_v": "self_attn.v_proj",
             "attn_output": "self_attn.o_proj", "ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj",
             "ffn_down": "mlp.down_proj"}  # fmt: skip
    if architecture not in ("llama", "qwen2", "qwen3"):
        raise ModelError(
            f"an adapter GGUF of the architecture {architecture} cannot be read back",
            "nothing was trained",
            "give the run folder as lora.start",
        )
    for layer in range(layers):
        for short, path in parts.items():
            yield f"blk.{layer}.{short}", f"model.layers.{layer}.{path}"


def _unpermuted(rows: torch.Tensor, heads: int) -> torch.Tensor:
    """Rows in transformers' order, from llama.cpp's, which interleaves the halves of a head's rotation."""
    return rows.reshape(heads, rows.shape[0] // heads // 2, 2, *rows.shape[1:]).swapaxes(1, 2).reshape(rows.shape)

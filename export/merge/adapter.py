"""What a peft adapter does to each tensor of its base, read from its two files.

`adapter_config.json` and `adapter_model.safetensors` say everything: low-rank pairs with their scale (alpha / r, or
alpha / sqrt(r) with rsLoRA, arXiv 2312.03732), DoRA magnitudes (arXiv 2402.09353), trained token rows, whole replaced
tensors (`modules_to_save`, resized embeddings, biases). Nothing of peft is imported, so that the certificate, which
runs the adapter through peft itself, is an independent witness.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from export.merge.tensors import TensorFolder, TensorInfo, read_rows
from qlora.weights import read_object
from runtime.errors import InputError, ModelError

if TYPE_CHECKING:
    import torch

_PREFIX = re.compile(r"^(base_model\.model\.|base_model\.)")
_LORA = re.compile(r"^(?P<module>.+?)\.(?P<part>lora_A|lora_B|lora_embedding_A|lora_embedding_B)(\.\w+)??(\.weight)?$")
_LORA_BIAS = re.compile(r"^(?P<module>.+?)\.lora_B(\.\w+)??\.bias$")
_MAGNITUDE = re.compile(r"^(?P<module>.+?)\.lora_magnitude_vector(\.\w+)?$")
_TOKENS = re.compile(r"^(?P<module>.+?)\.(token_adapter\.)?trainable_tokens_delta(\.\w+)?$")
_WRAPPERS = re.compile(r"\.(base_layer|token_adapter|original_module|modules_to_save(\.\w+)?)(?=\.)")

_CHANGES_BASE = ("pissa", "olora", "corda", "loftq", "lora_ga", "eva")
"""Initialisations after which the base's own weights are no longer what the adapter sits on."""
_UNKNOWN_VARIANTS = ("use_qalora", "use_bdlora", "layer_replication", "megatron_config", "arrow_config",
                     "target_parameters", "alora_invocation_tokens", "monteclora_config")  # fmt: skip


@dataclass
class LowRank:
    """One low-rank pair: the weight gains `scale * B @ A`; with `magnitude`, rows are renormed to it.

    Shapes: A `(r, in)`, B `(out, r)`, magnitude `(out,)`. For an embedding A is `(r, rows)` and B `(hidden, r)`, and
    the weight gains `scale * (B @ A).T`.
    """

    scale: float
    a: TensorInfo | None = None
    b: TensorInfo | None = None
    magnitude: TensorInfo | None = None
    bias: TensorInfo | None = None
    is_embedding: bool = False

    def rows(self, first: int, rows: int) -> torch.Tensor:
        """Rows `first` to `first + rows` of the change, float32, of the module's `(out, in)` weight."""
        assert self.a is not None
        assert self.b is not None
        if self.is_embedding:
            columns = read_rows(self.a).float()[:, first : first + rows]
            return self.scale * (columns.T @ read_rows(self.b).float().T)
        return self.scale * (read_rows(self.b, first, rows).float() @ read_rows(self.a).float())

    @property
    def shape(self) -> tuple[int, int]:
        """Shape of the weight this pair belongs to."""
        assert self.a is not None
        assert self.b is not None
        if self.is_embedding:
            return self.a.shape[1], self.b.shape[0]
        return self.b.shape[0], self.a.shape[1]


@dataclass
class Adapter:
    """All changes of one adapter, by module path of the base model (`model.layers.0.self_attn.q_proj`)."""

    folder: Path
    config: dict[str, Any]
    low_rank: dict[str, LowRank] = field(default_factory=dict)
    token_rows: dict[str, tuple[list[int], TensorInfo]] = field(default_factory=dict)
    replaced: dict[str, TensorInfo] = field(default_factory=dict)
    """Whole tensors by parameter name (`lm_head.weight`, `…q_proj.bias`)."""

    @property
    def modules(self) -> set[str]:
        """Modules that anything is done to."""
        return {*self.low_rank, *self.token_rows, *(name.rpartition(".")[0] for name in self.replaced)}

    @property
    def is_zero(self) -> bool:
        """Whether every low-rank change is exactly zero: an adapter that was saved before it was trained."""
        pairs = [pair.b for pair in self.low_rank.values() if pair.b is not None]
        return bool(pairs) and all(not read_rows(info).any() for info in pairs)


def read_adapter(folder: Path) -> Adapter:
    """The adapter in `folder`.

    Raises:
        InputError: the folder holds no adapter.
        ModelError: a file is broken, or the adapter is of a kind that cannot be merged exactly.
    """
    config_file = folder / "adapter_config.json"
    if not config_file.is_file():
        raise InputError(f"{folder} holds no adapter_config.json", "there is nothing to merge", "check the path")
    config = read_object(config_file, "the adapter cannot be merged")
    _refuse_unmergeable(config, folder)
    adapter = Adapter(folder, config)
    tensors = TensorFolder(folder, stem="adapter_model")
    for key, info in tensors.tensors.items():
        _place(adapter, _PREFIX.sub("", key), info)
    for module, pair in adapter.low_rank.items():
        if pair.a is None or pair.b is None:
            raise ModelError(
                f"{folder}: {module} has only half of its low-rank pair",
                "the adapter cannot be merged",
                "save it again with peft",
            )
        pair.scale = _scale(config, module, rank=pair.b.shape[1])
    if not adapter.modules:
        raise ModelError(
            f"{folder} holds no weights this project knows how to merge",
            "nothing was merged",
            "give a folder that peft or `mathcoder train` wrote",
        )
    return adapter


def _refuse_unmergeable(config: dict[str, Any], folder: Path) -> None:
    if config.get("peft_type") != "LORA":
        raise ModelError(
            f"{folder} is an adapter of type {config.get('peft_type')}",
            "only LoRA can be merged",
            "merge it with peft first",
        )
    start = config.get("init_lora_weights")
    if isinstance(start, str) and start.lower().startswith(_CHANGES_BASE):
        raise ModelError(
            f"{folder} was initialised with {start!r}, which changes the base's weights as well",
            "merging it into the untouched base would be wrong",
            "convert it to plain LoRA with peft first (save_pretrained with path_initial_model_for_weight_conversion)",
        )
    if variants := [name for name in _UNKNOWN_VARIANTS if config.get(name)]:
        raise ModelError(
            f"{folder} uses {', '.join(variants)}",
            "this kind of LoRA cannot be merged exactly here",
            "merge it with peft first",
        )


def _place(adapter: Adapter, key: str, info: TensorInfo) -> None:
    if match := _LORA.match(key):
        pair = adapter.low_rank.setdefault(match["module"], LowRank(scale=math.nan))
        pair.is_embedding = "embedding" in match["part"]
        if match["part"].endswith("A"):
            pair.a = info
        else:
            pair.b = info
    elif match := _LORA_BIAS.match(key):
        adapter.low_rank.setdefault(match["module"], LowRank(scale=math.nan)).bias = info
    elif match := _MAGNITUDE.match(key):
        adapter.low_rank.setdefault(match["module"], LowRank(scale=math.nan)).magnitude = info
    elif match := _TOKENS.match(key):
        module = match["module"]
        adapter.token_rows[module] = (_token_indices(adapter.config, module, info), info)
    elif key.endswith((".weight", ".bias")):
        adapter.replaced[_WRAPPERS.sub("", key)] = info
    else:
        raise ModelError(
            f"{adapter.folder}: {key} is of a kind this project cannot merge",
            "nothing was merged",
            "merge it with peft first",
        )


def _token_indices(config: dict[str, Any], module: str, info: TensorInfo) -> list[int]:
    listed = config.get("trainable_token_indices")
    if isinstance(listed, dict):
        # Keys are suffixes of module paths, as in target_modules.
        listed = next((rows for name, rows in listed.items() if module == name or module.endswith("." + name)), None)
    if not isinstance(listed, list) or len(listed) != info.shape[0]:
        raise ModelError(
            f"the adapter has {info.shape[0]} trained token rows for {module}, its config lists "
            f"{len(listed) if isinstance(listed, list) else 'none'}",
            "the rows cannot be placed",
            "save the adapter again with peft",
        )
    return [int(index) for index in listed]


def _scale(config: dict[str, Any], module: str, rank: int) -> float:
    """The factor of `B @ A`. peft looks patterns up by regular expression on the end of the module path."""
    alpha = _by_pattern(config.get("alpha_pattern") or {}, module, config["lora_alpha"])
    expected = _by_pattern(config.get("rank_pattern") or {}, module, config["r"])
    if expected != rank:
        raise ModelError(
            f"{module} has rank {rank}, the config says {expected}",
            "the scale is not known",
            "save the adapter again with peft",
        )
    return float(alpha) / (math.sqrt(rank) if config.get("use_rslora") else rank)


def _by_pattern(patterns: dict[str, Any], module: str, default: Any) -> Any:
    for pattern, value in patterns.items():
        if re.match(rf"(.*\.)?({pattern})$", module):
            return value
    return default

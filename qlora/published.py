"""Shapes of the published bases that recipes name, so that a plan for them needs no network."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from qlora.quiet import quiet_libraries
from qlora.shape import Shape
from qlora.weights import read_object
from runtime.errors import InputError, ModelError

_COLUMNS = (
    "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "num_key_value_heads",
    "head_dim", "vocab_size", "tie_word_embeddings",
)  # fmt: skip
_PUBLISHED: dict[str, tuple[int | bool, ...]] = {
    "smollm2": (576, 1536, 30, 9, 3, 64, 49152, True),
    "Qwen/Qwen2.5-Math-1.5B": (1536, 8960, 28, 12, 2, 128, 151936, True),
    "Qwen/Qwen2.5-Math-7B": (3584, 18944, 28, 28, 4, 128, 152064, False),
    "Qwen/Qwen3-4B-Base": (2560, 9728, 36, 32, 8, 128, 151936, True),
    "Qwen/Qwen3-4B-Instruct-2507": (2560, 9728, 36, 32, 8, 128, 151936, True),
    "Qwen/Qwen3-1.7B": (2048, 6144, 28, 16, 8, 128, 151936, True),
    "meta-llama/Llama-3.2-3B": (3072, 8192, 28, 24, 8, 128, 128256, True),
    "meta-llama/Llama-3.2-3B-Instruct": (3072, 8192, 28, 24, 8, 128, 128256, True),
    "meta-llama/Llama-3.1-8B": (4096, 14336, 32, 32, 8, 128, 128256, False),
    "mistralai/Mistral-7B-v0.1": (4096, 14336, 32, 32, 8, 128, 32000, False),
    "meta-llama/Llama-2-7b-hf": (4096, 11008, 32, 32, 32, 128, 32000, False),
    "meta-llama/Llama-2-13b-hf": (5120, 13824, 40, 40, 40, 128, 32000, False),
    "meta-llama/Llama-2-70b-hf": (8192, 28672, 80, 64, 8, 128, 32000, False),
    "codellama/CodeLlama-7b-Instruct-hf": (4096, 11008, 32, 32, 32, 128, 32016, False),
    "codellama/CodeLlama-13b-Instruct-hf": (5120, 13824, 40, 40, 40, 128, 32016, False),
    "codellama/CodeLlama-34b-Instruct-hf": (8192, 22016, 48, 64, 8, 128, 32000, False),
}
"""Numbers of their config.json files, of those above as published in November 2026."""
_NEW_TOKENS = 8
_SPARE_ROWS = {151936, 152064}
"""Vocabularies that are padded, with room for the control tokens (Qwen)."""


def shape_of(base: str) -> Shape:
    """The shape of a base by folder or hub id, for those listed above without a network.

    For others it is read from their config.json.

    Raises:
        InputError: there is no such base, or it could not be asked for.
        ModelError: its config.json does not say what is needed.
    """
    config = _config_of(base)
    try:
        vocabulary = config["vocab_size"]
        return Shape.of(config, vocabulary if vocabulary in _SPARE_ROWS else vocabulary + _NEW_TOKENS)
    except (KeyError, TypeError) as error:
        raise ModelError(
            f"config.json of {base} does not say {error}", "its memory cannot be planned", "fetch the base again"
        ) from error


def _config_of(base: str) -> dict[str, Any]:
    file = Path(base).expanduser() / "config.json"
    if not file.is_file():
        if base in _PUBLISHED:
            return {"architectures": [_architecture(base)], **dict(zip(_COLUMNS, _PUBLISHED[base], strict=True))}
        file = _from_hub(base)
    return read_object(file, "its memory cannot be planned")


def _architecture(base: str) -> str:
    family = next((name for name in ("Qwen3", "Qwen2", "Mistral") if name in base), "Llama")
    return f"{family}ForCausalLM"


def _from_hub(base: str) -> Path:
    if base.startswith((".", "/", "~")) or base.count("/") != 1:
        raise InputError(f"there is no base model {base}", "", "give a folder or a hub id ORG/NAME")
    with quiet_libraries():
        try:
            from huggingface_hub import hf_hub_download
        except ImportError as error:
            raise InputError(
                f"the base {base} is not one of those known here, and its config.json cannot be fetched",
                "its memory cannot be planned",
                "install the training libraries, or give a folder with its config.json",
            ) from error
        try:
            return Path(hf_hub_download(base, "config.json"))
        except Exception as error:
            # Not narrower: the errors of huggingface_hub and of httpx below it share no root but Exception.
            raise InputError(
                f"config.json of {base} could not be fetched ({type(error).__name__})",
                "its memory cannot be planned",
                "check the name and the network, or give a folder",
            ) from error

"""Which architectures can be trained: those tested with the loop; and what any other is refused for."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from runtime.errors import ModelError


@dataclass(frozen=True)
class Architecture:
    """A tested architecture.

    Attributes:
        models: published models of it.
        is_qkv_fused: whether queries, keys and values are one linear layer.
        is_gate_up_fused: whether the two widening layers of the MLP are one.
        norms: norms of the model's width in a decoder layer.
        has_qk_norms: whether queries and keys are normed, too.
        has_silu: whether the MLP's gate is a SiLU, which is fused and computed again in the backward pass.
        is_tied: whether the head is the embedding where config.json does not say.
        has_unsloth: whether unsloth's own kernels were tested with it.
    """

    models: str
    is_qkv_fused: bool = False
    is_gate_up_fused: bool = False
    norms: int = 2
    has_qk_norms: bool = False
    has_silu: bool = True
    is_tied: bool = False
    has_unsloth: bool = False


OTHER = Architecture("")
"""What is assumed of an architecture that was not tested."""

ARCHITECTURES = {
    "LlamaForCausalLM": Architecture("Llama 2 and 3, CodeLlama", has_unsloth=True),
    "MistralForCausalLM": Architecture("Mistral 7B", has_unsloth=True),
    "Qwen2ForCausalLM": Architecture("Qwen2, Qwen2.5", has_unsloth=True),
    "Qwen3ForCausalLM": Architecture("Qwen3", has_qk_norms=True, has_unsloth=True),
    "SmolLM3ForCausalLM": Architecture("SmolLM3"),
    "Phi3ForCausalLM": Architecture("Phi-3, Phi-4", is_qkv_fused=True, is_gate_up_fused=True),
    "Olmo2ForCausalLM": Architecture("OLMo 2", has_qk_norms=True),
    "Olmo3ForCausalLM": Architecture("OLMo 3", has_qk_norms=True),
    "Ministral3ForCausalLM": Architecture("Ministral 3"),
    "Exaone4ForCausalLM": Architecture("EXAONE 4", has_qk_norms=True),
    "Glm4ForCausalLM": Architecture("GLM-4", is_gate_up_fused=True, norms=4),
    "GraniteForCausalLM": Architecture("Granite 3"),
    "Gemma3ForCausalLM": Architecture("Gemma 3, text", norms=4, has_qk_norms=True, has_silu=False, is_tied=True),
    "Cohere2ForCausalLM": Architecture("Command R7B", norms=1, is_tied=True),
}
"""Architectures that the tests train, merge, export and solve with."""

NEEDED = ("hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "vocab_size")
"""Keys of a config.json that sizes and checks are computed from."""

_LAYERS = ("full_attention", "sliding_attention")
"""Kinds of layers (`layer_types`) that `qlora.attention` computes."""
_RECURRENT = ("mamba_d_state", "ssm_state_size", "state_size", "ssm_cfg", "linear_num_value_heads", "conv_L_cache")
_SOFT_CAPS = ("attn_logit_softcapping", "final_logit_softcapping")


def architecture_of(config: dict[str, Any]) -> str:
    """Name of the model class that a config.json asks for."""
    return str((config.get("architectures") or ["no architecture"])[0])


def tested(config: dict[str, Any]) -> Architecture | None:
    """The tested architecture of a config.json, None where it is another."""
    return ARCHITECTURES.get(architecture_of(config))


def refuse_untrainable(name: str, config: dict[str, Any], *, untested: bool) -> None:
    """Refuse a base whose forward pass would not be computed as it is.

    Args:
        name: of the base, for the message.
        config: its config.json.
        untested: whether an architecture outside the tested ones may be tried (`train.untested_architecture`).

    Raises:
        ModelError: the architecture is not supported, or the model uses what training does not compute.
    """
    architecture = architecture_of(config)
    if architecture not in ARCHITECTURES and not untested:
        supported = ", ".join(f"{key} ({value.models})" for key, value in ARCHITECTURES.items())
        raise ModelError(
            f"{name} is a {architecture}, which training was not tested with",
            "nothing was trained",
            f"supported: {supported}; or set train.untested_architecture=true, with which a run first proves on the "
            "loaded model that it computes the model's own loss and that packed rows do not see each other",
        )
    if reasons := list(_not_computed(config)):
        raise ModelError(
            f"{name} ({architecture}) has {' and '.join(reasons)}",
            "training would compute something else than the model does; nothing was trained",
            "choose another base",
        )
    text = config.get("text_config") or config
    if missing := [key for key in NEEDED if not isinstance(text.get(key), int)]:
        raise ModelError(
            f"the config.json of {name} ({architecture}) does not say {', '.join(missing)}",
            "the sizes of its layers are not known; nothing was trained",
            "choose another base",
        )


def _not_computed(config: dict[str, Any]) -> Iterator[str]:
    """What of a model neither `qlora.attention` nor the loss computes, in words."""
    text = config.get("text_config") or config
    for key in _SOFT_CAPS:
        if text.get(key) is not None:
            yield f"soft-capping ({key}={text[key]})"
    other = sorted({str(kind) for kind in text.get("layer_types") or () if kind not in _LAYERS})
    if other:
        yield f"layers of the kind {', '.join(other)}"
    recurrent = [key for key in _RECURRENT if text.get(key) is not None]
    if recurrent and not other:
        yield f"layers with a recurrent state ({recurrent[0]})"
    if text.get("attention_chunk_size") is not None:
        yield f"chunked attention (attention_chunk_size={text['attention_chunk_size']})"
    if text.get("use_bidirectional_attention"):
        yield "attention to later tokens (use_bidirectional_attention)"

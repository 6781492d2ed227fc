"""Tiny shapes of the tested architectures that show, in a few layers, what each has of its own."""

from __future__ import annotations

from typing import Any

_SLIDING = {"sliding_window": 16, "layer_types": ["sliding_attention", "full_attention"]}

SHAPES: dict[str, dict[str, Any]] = {
    "llama": {},
    "mistral": {"sliding_window": 16},
    "qwen2": {},
    "qwen3": {"head_dim": 16},
    # Every fourth layer of a SmolLM3 knows no positions.
    "smollm3": {"num_hidden_layers": 4, "no_rope_layers": [1, 1, 1, 0], "pad_token_id": None},
    "phi3": {"sliding_window": 16, "pad_token_id": None},
    "olmo2": {},
    "olmo3": _SLIDING,
    "ministral3": {"head_dim": 16},
    "exaone4": _SLIDING,
    "glm4": {"head_dim": 16, "pad_token_id": None},
    "granite": {
        "logits_scaling": 4.0, "embedding_multiplier": 3.0, "residual_multiplier": 0.4, "attention_multiplier": 0.2,
    },
    # llama.cpp knows which of their layers slide by the number of the layer: all but every sixth, and every fourth.
    "gemma3_text": {
        "num_hidden_layers": 6, "sliding_window": 16, "head_dim": 16, "query_pre_attn_scalar": 16,
        "pad_token_id": None, "tie_word_embeddings": True,
    },
    "cohere2": {
        "num_hidden_layers": 4, "sliding_window": 16, "logit_scale": 0.25, "rotary_pct": 1.0, "pad_token_id": None,
        "tie_word_embeddings": True,
    },
}  # fmt: skip
"""By transformers' `model_type`: what is set besides the common sizes."""

"""The sizes of a decoder that decide about memory and arithmetic, from its config.json."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from qlora.architectures import OTHER, Architecture, tested
from qlora.settings import LoraSettings

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Shape:
    """The sizes of a decoder that decide about memory and arithmetic.

    Attributes:
        hidden, inner, layers, vocabulary: widths and counts; `vocabulary` with the control tokens.
        queries, keys: width of all query heads together, and of all key heads.
        tied: whether the head is the embedding.
        grows: whether the ends have no spare rows for the control tokens.
        architecture: which linear layers are one, and how many norms there are.
    """

    hidden: int
    inner: int
    layers: int
    vocabulary: int
    queries: int
    keys: int
    tied: bool
    grows: bool = False
    architecture: Architecture = OTHER

    @classmethod
    def of(cls, config: dict[str, Any], tokens: int) -> Shape:
        """From a config.json and the number of tokens of the grown tokenizer."""
        architecture = tested(config) or OTHER
        config = config.get("text_config") or config
        heads = config["num_attention_heads"]
        width = config.get("head_dim") or config["hidden_size"] // heads
        return cls(
            config["hidden_size"],
            config["intermediate_size"],
            config["num_hidden_layers"],
            max(tokens, config["vocab_size"]),
            heads * width,
            (config.get("num_key_value_heads") or heads) * width,
            bool(config.get("tie_word_embeddings", architecture.is_tied)),
            tokens > config["vocab_size"],
            architecture,
        )

    @property
    def linears(self) -> list[tuple[int, int]]:
        """(in, out) of the linear layers of one decoder layer: seven, fewer where some are one."""
        h, q, k, i = self.hidden, self.queries, self.keys, self.inner
        attention = [(h, q + 2 * k)] if self.architecture.is_qkv_fused else [(h, q), (h, k), (h, k)]
        widening = [(h, 2 * i)] if self.architecture.is_gate_up_fused else [(h, i), (h, i)]
        return [*attention, (q, h), *widening, (i, h)]

    @property
    def linear_parameters(self) -> int:
        """Weights of all linear layers of the decoder."""
        return self.layers * sum(a * b for a, b in self.linears)

    def lora_parameters(self, lora: LoraSettings) -> int:
        """Trained parameters of the adapters."""
        extra = sum(b for _, b in self.linears) if lora.dora else 0
        return self.layers * (lora.r * sum(a + b for a, b in self.linears) + extra)

    def token_parameters(self, lora: LoraSettings) -> int:
        """Trained parameters of the rows of added control tokens; none where the base's own tokens serve."""
        return 8 * self.hidden * (1 if self.tied else 2) if lora.control_tokens == "new" else 0

    def kept_per_token(self, r: int, width: int, *, slots: float = 1.0, keys: int | None = None) -> float:
        """Bytes per token that one layer keeps for the backward pass, its input included.

        Args:
            r: rank of the adapters.
            width: bytes of a number.
            slots: attention slots per token: rows of a pack are padded to the longest there.
            keys: width of the keys as attention sees them, where they are repeated for each query head.
        """
        norms = self.architecture.norms * (self.hidden * width + 4)  # each norm's input, and its scale in float32
        if self.architecture.has_qk_norms:
            norms += width * (self.queries + self.keys)
        inputs = 2 * self.hidden + self.queries + self.inner  # of q/k/v, of gate/up, of o, of down
        attention = 2 * self.queries + 2 * (keys or self.keys)  # queries, keys, values and the output
        gates = 2 * self.inner if self.architecture.has_silu else 3 * self.inner
        return norms + width * (inputs + slots * attention + gates + len(self.linears) * r)

    def training_flops(self, lora: LoraSettings, lengths: Sequence[int] | NDArray[np.int64], supervised: int) -> float:
        """Floating-point operations that training on rows of these lengths needs, forward and backward.

        The model FLOPs of the PaLM report (arXiv 2204.02311, appendix B) for a frozen base: per token 2 forward and 2
        backward for each weight, since a frozen weight needs no gradient (6 for one of the adapters); the head only
        where a token carries loss; attention only between a token and those before it, in its own row. What is computed
        again (gradient checkpointing, dequantization) does not count.

        Args:
            lora: the adapters.
            lengths: tokens of each row.
            supervised: tokens that carry loss.
        """
        tokens, pairs = 0.0, 0.0
        for length in lengths:
            tokens += int(length)
            pairs += int(length) * (int(length) + 1) / 2
        linear = tokens * (4.0 * self.linear_parameters + 6.0 * self.lora_parameters(lora))
        head = 4.0 * supervised * self.vocabulary * self.hidden
        # Two products, queries with keys and weights with values, each 2 forward and 4 backward.
        return linear + head + 12.0 * self.layers * self.queries * pairs

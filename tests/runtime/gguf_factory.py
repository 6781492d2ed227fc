"""Tiny random GGUF files for tests and benchmarks: Llama, a SentencePiece-like vocabulary."""

from __future__ import annotations

import string
from pathlib import Path

import gguf
import numpy as np

from runtime.lce import CONTROL_TOKENS, END_OF_MESSAGE

_WORDS = ["the", "an", "is", "in", "er", "on", "re", "th", "he", "print", "= ", "answer", "import", "sympy"]
LONG_PIECE = "▁" * 40
"""A token of 40 spaces (120 bytes as the file spells it): longer than the buffer some bindings detokenize with."""


def vocabulary(size: int, control: tuple[str, ...] = CONTROL_TOKENS) -> tuple[list[str], list[float], list[int]]:
    """Tokens, scores, types: unknown, BOS, EOS, 256 bytes, characters, pieces, control tokens last."""
    kind = gguf.TokenType
    rows: list[tuple[str, float, int]] = [
        ("<unk>", 0.0, kind.UNKNOWN),
        ("<s>", 0.0, kind.CONTROL),
        ("</s>", 0.0, kind.CONTROL),
    ]
    rows += [(f"<0x{byte:02X}>", 0.0, kind.BYTE) for byte in range(256)]
    singles = ["▁", *string.ascii_letters, *string.digits, *(c for c in string.punctuation)]
    pieces = list(dict.fromkeys(["▁" * 2, "▁" * 4, "▁" * 8, "▁" * 16, "▁" * 32, LONG_PIECE, *_grown(_WORDS)]))
    # SentencePiece merges the pair with the best score first: earlier pieces win.
    rows += [(piece, -1.0 - number, kind.NORMAL) for number, piece in enumerate(pieces)]
    rows += [(piece, -1000.0 - number, kind.NORMAL) for number, piece in enumerate(singles)]
    filler = size - len(rows) - len(control)
    assert filler >= 0, f"a vocabulary of {size} cannot hold {len(rows) + len(control)} tokens"
    rows += [(f"filler{number}", -5000.0 - number, kind.NORMAL) for number in range(filler)]
    rows += [(name, 0.0, kind.CONTROL) for name in control]
    return [r[0] for r in rows], [r[1] for r in rows], [int(r[2]) for r in rows]


def _grown(words: list[str]) -> list[str]:
    # A word of several characters is reachable only through prefixes that are pieces too.
    return [word[:end] for word in words for end in range(2, len(word) + 1)]


def write_model(
    path: Path,
    *,
    hidden: int = 64,
    feed_forward: int = 128,
    layers: int = 2,
    heads: int = 4,
    kv_heads: int = 2,
    vocab: int = 512,
    context: int = 1024,
    seed: int = 0,
    control: tuple[str, ...] = CONTROL_TOKENS,
    control_type: int = gguf.TokenType.CONTROL,
    chat_template: str | None = None,
    space_prefix: bool = False,
    dtype: type = np.float32,
    end: str | None = END_OF_MESSAGE,
    spread: float = 0.05,
    loud_control: float = 1.0,
    plain: bool = False,
    file_type: int | None = None,
    user_defined: tuple[str, ...] = (),
    says: dict[str, str] | None = None,
) -> Path:
    """Write a random Llama-architecture model to `path` and return it.

    `loud_control` scales the output rows of the control tokens: above 1 they are drawn far more often than by chance
    (the end of the message excepted, so that there are several blocks). `plain`: greedy decoding draws ordinary pieces
    only, no bytes (servers hold back text while its bytes are no UTF-8) and no control tokens. `file_type`:
    what the file says of its weights, true or not. `user_defined`: tokens after the control tokens, of that type.
    `says`: further metadata.
    """
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_name("tiny random llama")
    if file_type is not None:
        writer.add_file_type(file_type)
    writer.add_context_length(context)
    writer.add_embedding_length(hidden)
    writer.add_block_count(layers)
    writer.add_feed_forward_length(feed_forward)
    writer.add_head_count(heads)
    writer.add_head_count_kv(kv_heads)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_dimension_count(hidden // heads)
    writer.add_vocab_size(vocab)
    tokens, scores, types = vocabulary(vocab, (*control, *user_defined))
    types = [
        gguf.TokenType.USER_DEFINED if token in user_defined else kind
        for token, kind in zip(tokens, types, strict=True)
    ]
    if control_type != gguf.TokenType.CONTROL:
        types = [control_type if token in control else kind for token, kind in zip(tokens, types, strict=True)]
    writer.add_tokenizer_model("llama")
    writer.add_tokenizer_pre("default")
    writer.add_token_list(tokens)
    writer.add_token_scores(scores)
    writer.add_token_types(types)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    if end in tokens:
        writer.add_eot_token_id(tokens.index(end))
    writer.add_add_bos_token(True)
    writer.add_add_space_prefix(space_prefix)
    if chat_template is not None:
        writer.add_chat_template(chat_template)
    for key, value in (says or {}).items():
        writer.add_string(key, value)
    random = np.random.default_rng(seed)

    def tensor(name: str, *shape: int) -> None:
        writer.add_tensor(name, (random.standard_normal(shape) * spread).astype(dtype))

    kv = hidden // heads * kv_heads
    tensor("token_embd.weight", vocab, hidden)
    head = (random.standard_normal((vocab, hidden)) * spread).astype(dtype)
    head[[tokens.index(name) for name in control]] *= loud_control
    if loud_control > 1 and end in tokens:
        head[tokens.index(end)] = 0
    if plain:
        head[[number for number, kind in enumerate(types) if kind != gguf.TokenType.NORMAL]] = 0
    writer.add_tensor("output.weight", head)
    writer.add_tensor("output_norm.weight", np.ones(hidden, dtype=np.float32))
    for layer in range(layers):
        prefix = f"blk.{layer}"
        tensor(f"{prefix}.attn_q.weight", hidden, hidden)
        tensor(f"{prefix}.attn_k.weight", kv, hidden)
        tensor(f"{prefix}.attn_v.weight", kv, hidden)
        tensor(f"{prefix}.attn_output.weight", hidden, hidden)
        tensor(f"{prefix}.ffn_gate.weight", feed_forward, hidden)
        tensor(f"{prefix}.ffn_up.weight", feed_forward, hidden)
        tensor(f"{prefix}.ffn_down.weight", hidden, feed_forward)
        writer.add_tensor(f"{prefix}.attn_norm.weight", np.ones(hidden, dtype=np.float32))
        writer.add_tensor(f"{prefix}.ffn_norm.weight", np.ones(hidden, dtype=np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def write_adapter(
    path: Path, *, hidden: int = 64, rank: int = 4, arch: str = "llama", seed: int = 1, spread: float = 0.5
) -> Path:
    """Write a LoRA adapter in GGUF form for the first layer's query projection of a model of that width."""
    writer = gguf.GGUFWriter(path, arch)
    writer.add_type("adapter")
    writer.add_string("adapter.type", "lora")
    writer.add_float32("adapter.lora.alpha", 8.0)
    random = np.random.default_rng(seed)
    for name, shape in (("lora_a", (rank, hidden)), ("lora_b", (hidden, rank))):
        values = (random.standard_normal(shape) * spread).astype(np.float32)
        writer.add_tensor(f"blk.0.attn_q.weight.{name}", values)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path

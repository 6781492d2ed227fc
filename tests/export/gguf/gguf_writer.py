"""A minimal GGUF writer, so that files with any fault can be made without llama.cpp."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np

from export.gguf.template import chat_template
from runtime.lce import CONTROL_TOKENS


def metadata(**changes: Any) -> dict[str, Any]:
    """Metadata of a good file."""
    tokens = ["<unk>", "<s>", "</s>", "a", *CONTROL_TOKENS]
    good: dict[str, Any] = {
        "general.architecture": "llama", "llama.context_length": 512, "llama.rope.freq_base": 10000.0,
        "tokenizer.ggml.model": "llama", "tokenizer.ggml.tokens": tokens,
        "tokenizer.ggml.token_type": [2, 3, 3, 1] + [3] * 8, "tokenizer.ggml.eos_token_id": 2,
        "tokenizer.ggml.eot_token_id": tokens.index("<|endofmessage|>"), "tokenizer.ggml.add_bos_token": False,
        "tokenizer.chat_template": chat_template(adds_bos=False),
    }  # fmt: skip
    good |= {key.replace("__", "."): value for key, value in changes.items()}
    return {key: value for key, value in good.items() if value is not None}


def tensors(**changes: Any) -> dict[str, np.ndarray]:
    """Tensors of a good file, torch order."""
    good = {"token_embd.weight": np.ones((12, 32), np.float32), "output_norm.weight": np.ones(32, np.float32)}
    return good | {key.replace("__", "."): value for key, value in changes.items()}


def _string(text: str) -> bytes:
    data = text.encode()
    return struct.pack("<Q", len(data)) + data


def _value(value: Any) -> bytes:
    if isinstance(value, bool):
        return struct.pack("<I?", 7, value)
    if isinstance(value, int):
        return struct.pack("<Ii", 5, value) if value < 0 else struct.pack("<II", 4, value)
    if isinstance(value, float):
        return struct.pack("<If", 6, value)
    if isinstance(value, str):
        return struct.pack("<I", 8) + _string(value)
    if value and isinstance(value[0], str):
        return struct.pack("<IIQ", 9, 8, len(value)) + b"".join(_string(item) for item in value)
    return struct.pack("<IIQ", 9, 5, len(value)) + struct.pack(f"<{len(value)}i", *value)


def write_gguf(path: Path, pairs: dict[str, Any], arrays: dict[str, np.ndarray]) -> Path:
    """Write a version 3 file with float32 and float16 tensors."""
    head = b"GGUF" + struct.pack("<IQQ", 3, len(arrays), len(pairs))
    head += b"".join(_string(key) + _value(value) for key, value in pairs.items())
    data = b""
    for name, array in arrays.items():
        shape = array.shape[::-1]
        head += _string(name) + struct.pack("<I", len(shape)) + struct.pack(f"<{len(shape)}Q", *shape)
        head += struct.pack("<IQ", 0 if array.dtype == np.float32 else 1, len(data))
        data += array.tobytes() + b"\0" * (-array.nbytes % 32)
    path.write_bytes(head + b"\0" * (-len(head) % 32) + data)
    return path

"""The first keys of a GGUF file, read without its weights and without gguf-py, which a laptop lacks."""

from __future__ import annotations

import struct
from pathlib import Path

_READ = 1 << 16
"""Bytes; the keys under `general.` stand in front of the vocabulary, which takes megabytes."""
_FIXED = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
"""Types of values of fixed size (docs/gguf.md of ggml); 8 is a string and 9 an array."""


def read_header(path: Path) -> dict[str, str | float | bool] | None:
    """Strings and numbers among a GGUF file's first keys; None where it is not a GGUF file.

    They end at the first array.

    A damaged header gives the keys in front of the damage.

    Raises:
        OSError: it cannot be read.
    """
    with open(path, "rb") as handle:
        data = handle.read(_READ)
    if data[:4] != b"GGUF":
        return None
    keys: dict[str, str | float | bool] = {}
    try:
        count = struct.unpack_from("<Q", data, 16)[0]
        at = 24
        for _ in range(min(count, 1000)):
            key, at = _string(data, at)
            kind = struct.unpack_from("<I", data, at)[0]
            at += 4
            if kind == 8:
                keys[key], at = _string(data, at)
            elif kind in _FIXED:
                keys[key] = struct.unpack_from(f"<{_FIXED[kind]}", data, at)[0]
                at += struct.calcsize(f"<{_FIXED[kind]}")
            else:
                break
    except struct.error:  # beyond what was read
        pass
    return keys


def _string(data: bytes, at: int) -> tuple[str, int]:
    length = struct.unpack_from("<Q", data, at)[0]
    end = at + 8 + length
    if end > len(data):
        raise struct.error("a string that ends beyond what was read")
    return data[at + 8 : end].decode("utf-8", "replace"), end

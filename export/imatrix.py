"""Importance matrices: how much each input column of a weight matters, for quantization below 5 bits.

llama.cpp's `llama-imatrix` writes two kinds of file: a GGUF with `NAME.in_sum2` and `NAME.counts` tensors, and an older
binary. Both are read here.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import TYPE_CHECKING

from export.gguf_file import read_gguf
from runtime.errors import InputError, ModelError

if TYPE_CHECKING:
    import numpy as np


def read_imatrix(path: Path) -> dict[str, np.ndarray]:
    """Mean squared activation of every input column, float32 `(columns,)`, by tensor name.

    Raises:
        InputError: no such file.
        ModelError: the file is no importance matrix.
    """
    if not path.is_file():
        raise InputError(f"the importance matrix {path} does not exist", "nothing was exported", "check imatrix")
    with open(path, "rb") as handle:
        is_gguf = handle.read(4) == b"GGUF"
    matrix = _from_gguf(path) if is_gguf else _from_binary(path)
    if not matrix:
        raise ModelError(f"{path} holds no importance matrix", "nothing was exported", "make it with llama-imatrix")
    return matrix


def _from_gguf(path: Path) -> dict[str, np.ndarray]:
    import numpy as np

    file = read_gguf(path)
    result = {}
    for name in file.tensors:
        if name.endswith(".in_sum2"):
            stem = name.removesuffix(".in_sum2")
            sums = file.rows(name)
            counts = file.rows(f"{stem}.counts").reshape(-1, 1) if f"{stem}.counts" in file.tensors else np.ones((1, 1))
            sums = sums.reshape(counts.shape[0], -1)
            # Experts that saw no token count as all equal, as llama.cpp has it.
            mean = np.where(counts > 0, sums / np.maximum(counts, 1), 1.0)
            result[stem] = np.ascontiguousarray(mean.reshape(-1), dtype=np.float32)
    return result


def _from_binary(path: Path) -> dict[str, np.ndarray]:
    import numpy as np

    raw = path.read_bytes()
    result = {}
    try:
        (entries,) = struct.unpack_from("<i", raw, 0)
        position = 4
        if not 0 < entries < 100_000:
            raise ValueError("no plausible number of entries")
        for _ in range(entries):
            (length,) = struct.unpack_from("<i", raw, position)
            name = raw[position + 4 : position + 4 + length].decode("utf-8")
            position += 4 + length
            calls, count = struct.unpack_from("<ii", raw, position)
            position += 8
            if length <= 0 or count <= 0 or position + 4 * count > len(raw):
                raise ValueError("an entry is cut")
            values = np.frombuffer(raw, dtype="<f4", count=count, offset=position).astype(np.float32)
            position += 4 * count
            result[name] = values / max(1, calls)
    except (struct.error, ValueError, UnicodeDecodeError) as error:
        raise ModelError(f"{path} is no importance matrix ({error})", "nothing was exported") from error
    return result

"""Reading a GGUF file's header: metadata, tensor list, and whether the file is whole.

Independent of llama.cpp, so that a check of a file does not rest on the library that wrote it, and a broken file is
reported instead of crashing native code. Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
"""

from __future__ import annotations

import math
import os
import struct
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from runtime.errors import InputError, ModelError

if TYPE_CHECKING:
    import numpy as np

_SCALARS = {
    0: "<B", 1: "<b", 2: "<H", 3: "<h", 4: "<I", 5: "<i", 6: "<f", 7: "<?", 10: "<Q", 11: "<q", 12: "<d",
}  # fmt: skip
_STRING, _ARRAY = 8, 9

BLOCKS = {
    0: ("F32", 1, 4), 1: ("F16", 1, 2), 2: ("Q4_0", 32, 18), 3: ("Q4_1", 32, 20), 6: ("Q5_0", 32, 22),
    7: ("Q5_1", 32, 24), 8: ("Q8_0", 32, 34), 10: ("Q2_K", 256, 84), 11: ("Q3_K", 256, 110), 12: ("Q4_K", 256, 144),
    13: ("Q5_K", 256, 176), 14: ("Q6_K", 256, 210), 16: ("IQ2_XXS", 256, 66), 17: ("IQ2_XS", 256, 74),
    18: ("IQ3_XXS", 256, 98), 19: ("IQ1_S", 256, 50), 20: ("IQ4_NL", 32, 18), 21: ("IQ3_S", 256, 110),
    22: ("IQ2_S", 256, 82), 23: ("IQ4_XS", 256, 136), 26: ("I32", 1, 4), 29: ("IQ1_M", 256, 56), 30: ("BF16", 1, 2),
    34: ("TQ1_0", 256, 54), 35: ("TQ2_0", 256, 66), 39: ("MXFP4", 32, 17),
}  # fmt: skip
"""ggml type -> name, weights per block, bytes per block (ggml-common.h)."""

CONTROL, USER_DEFINED, UNUSED = 3, 4, 5
"""Values of `tokenizer.ggml.token_type`."""


@dataclass(frozen=True)
class GgufTensor:
    """One tensor; `shape` is in torch's order (rows first)."""

    name: str
    shape: tuple[int, ...]
    type_id: int
    offset: int

    @property
    def type_name(self) -> str:
        """`F16`, `Q8_0`, …"""
        return BLOCKS[self.type_id][0] if self.type_id in BLOCKS else f"type {self.type_id}"

    @property
    def nbytes(self) -> int | None:
        """Size on disk, None for types this table does not know."""
        if self.type_id not in BLOCKS:
            return None
        _, per_block, size = BLOCKS[self.type_id]
        return math.prod(self.shape) // per_block * size


@dataclass
class GgufFile:
    """Header of a GGUF file."""

    path: Path
    metadata: dict[str, Any]
    tensors: dict[str, GgufTensor] = field(repr=False)
    data_start: int = 0

    @property
    def architecture(self) -> str:
        """`llama`, `qwen2`, …"""
        return str(self.metadata.get("general.architecture", "unknown"))

    def parameter(self, name: str) -> Any:
        """A hyperparameter of the architecture, e.g. `rope.freq_base`; None where it is not set."""
        return self.metadata.get(f"{self.architecture}.{name}")

    @property
    def tokens(self) -> list[str]:
        """The vocabulary."""
        return list(self.metadata.get("tokenizer.ggml.tokens", []))

    def token_type(self, index: int) -> int | None:
        """`tokenizer.ggml.token_type` of one id."""
        types = self.metadata.get("tokenizer.ggml.token_type", [])
        return types[index] if 0 <= index < len(types) else None

    def rows(self, name: str, first: int = 0, rows: int | None = None) -> np.ndarray:
        """Rows of an F32, F16 or BF16 tensor as float32.

        Raises:
            ModelError: the tensor is quantized.
        """
        import numpy as np

        tensor = self.tensors[name]
        width = math.prod(tensor.shape[1:]) if len(tensor.shape) > 1 else 1
        count = (tensor.shape[0] - first if rows is None else rows) * width
        if tensor.type_name not in ("F32", "F16", "BF16"):
            raise ModelError(f"{name} is quantized ({tensor.type_name})", "its rows cannot be read here")
        item = 4 if tensor.type_name == "F32" else 2
        raw = self.read(tensor.offset + first * width * item, count * item)
        if tensor.type_name == "BF16":
            values = (np.frombuffer(raw, dtype="<u2").astype(np.uint32) << 16).view(np.float32)
        else:
            values = np.frombuffer(raw, dtype="<f4" if item == 4 else "<f2").astype(np.float32)
        return values.reshape(-1, *tensor.shape[1:]) if len(tensor.shape) > 1 else values

    def read(self, offset: int, size: int) -> bytes:
        """Raw bytes of the data section."""
        with open(self.path, "rb") as handle:
            handle.seek(self.data_start + offset)
            return handle.read(size)


def read_gguf(path: str | os.PathLike[str]) -> GgufFile:
    """The header of a GGUF file.

    Raises:
        InputError: there is no such file.
        ModelError: it is no GGUF, of an unknown version, or cut off.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path} does not exist", "", "check the path")
    size = path.stat().st_size
    try:
        with open(path, "rb") as handle:
            if handle.read(4) != b"GGUF":
                raise ModelError(f"{path} is no GGUF file", "it cannot be used", "give a .gguf file")
            version, tensor_count, pair_count = struct.unpack("<IQQ", handle.read(20))
            if version not in (2, 3) or tensor_count > 1_000_000 or pair_count > 1_000_000:
                raise ModelError(f"{path} is a GGUF of version {version}", "only versions 2 and 3 are known")
            metadata = {}
            for _ in range(pair_count):
                key = _string(handle)
                metadata[key] = _value(handle, _number(handle, "<I"))
            tensors = {}
            for _ in range(tensor_count):
                name = _string(handle)
                shape = tuple(_number(handle, "<Q") for _ in range(_number(handle, "<I")))
                tensors[name] = GgufTensor(name, shape[::-1], _number(handle, "<I"), _number(handle, "<Q"))
            alignment = int(metadata.get("general.alignment", 32))
            start = -(-handle.tell() // alignment) * alignment
    except (struct.error, UnicodeDecodeError, KeyError, MemoryError, OverflowError) as error:
        raise ModelError(f"{path} is cut off or damaged ({error})", "it cannot be used", "copy it again") from error
    end = max((start + tensor.offset + (tensor.nbytes or 0) for tensor in tensors.values()), default=start)
    if size < end:
        raise ModelError(f"{path} has {size} of {end} bytes", "it is cut off and cannot be used", "copy it again")
    return GgufFile(path, metadata, tensors, start)


def _number(handle: BinaryIO, form: str) -> int:
    return int(struct.unpack(form, handle.read(struct.calcsize(form)))[0])


def _string(handle: BinaryIO) -> str:
    length = _number(handle, "<Q")
    if length > 100_000_000:
        raise struct.error("a string of impossible length")
    text = handle.read(length)
    if len(text) < length:
        raise struct.error("the header is cut")
    return text.decode("utf-8", "surrogateescape")


def _value(handle: BinaryIO, kind: int) -> Any:
    if kind == _STRING:
        return _string(handle)
    if kind == _ARRAY:
        inner, count = _number(handle, "<I"), _number(handle, "<Q")
        if inner in _SCALARS:
            size = struct.calcsize(_SCALARS[inner])
            raw = handle.read(size * count)
            return [item for (item,) in struct.iter_unpack(_SCALARS[inner], raw)]
        return [_value(handle, inner) for _ in range(count)]
    form = _SCALARS[kind]
    return struct.unpack(form, handle.read(struct.calcsize(form)))[0]

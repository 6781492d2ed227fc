"""Reading a GGUF file's header: metadata, tensor list, and whether the file is whole.

Independent of llama.cpp, so that a check of a file does not rest on the library that wrote it, and a broken file is
reported instead of crashing native code. Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
"""

from __future__ import annotations

import contextlib
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
_DIMENSIONS = 4
"""Of a tensor, at most (GGML_MAX_DIMS)."""
_FIRST_BYTES = 1 << 16
"""The keys under `general.` stand in front of the vocabulary, which takes megabytes."""
_HEADER_BYTES = 256 * 1024 * 1024
_HEADER_ITEMS = 8_000_000
"""Most bytes and most items in all arrays of a header. Published models have 30 MB and 1.5 million."""

BLOCKS = {
    0: ("F32", 1, 4), 1: ("F16", 1, 2), 2: ("Q4_0", 32, 18), 3: ("Q4_1", 32, 20), 6: ("Q5_0", 32, 22),
    7: ("Q5_1", 32, 24), 8: ("Q8_0", 32, 34), 10: ("Q2_K", 256, 84), 11: ("Q3_K", 256, 110), 12: ("Q4_K", 256, 144),
    13: ("Q5_K", 256, 176), 14: ("Q6_K", 256, 210), 16: ("IQ2_XXS", 256, 66), 17: ("IQ2_XS", 256, 74),
    18: ("IQ3_XXS", 256, 98), 19: ("IQ1_S", 256, 50), 20: ("IQ4_NL", 32, 18), 21: ("IQ3_S", 256, 110),
    22: ("IQ2_S", 256, 82), 23: ("IQ4_XS", 256, 136), 26: ("I32", 1, 4), 29: ("IQ1_M", 256, 56), 30: ("BF16", 1, 2),
    34: ("TQ1_0", 256, 54), 35: ("TQ2_0", 256, 66), 39: ("MXFP4", 32, 17),
}  # fmt: skip
"""ggml type -> name, weights per block, bytes per block (ggml-common.h)."""

CONTROL, USER_DEFINED = 3, 4
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
    def context(self) -> int | None:
        """Tokens the model was made for; None where that is not stated."""
        context = self.parameter("context_length")
        is_count = isinstance(context, int) and not isinstance(context, bool) and context > 0
        return context if is_count else None

    @property
    def tokens(self) -> list[str]:
        """The vocabulary; empty where there is none."""
        tokens = self.metadata.get("tokenizer.ggml.tokens")
        return tokens if isinstance(tokens, list) and all(isinstance(token, str) for token in tokens) else []

    def token_type(self, index: int) -> int | None:
        """`tokenizer.ggml.token_type` of one id."""
        types = self.metadata.get("tokenizer.ggml.token_type")
        return types[index] if isinstance(types, list) and 0 <= index < len(types) else None

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
            raise ModelError(
                f"{name} is quantized ({tensor.type_name})",
                "its rows cannot be read here",
                "give the file in F16, BF16 or F32",
            )
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
    """The header of a GGUF file; nothing in it is believed before it is checked against the file's size.

    Raises:
        InputError: there is no such file.
        ModelError: it is not a GGUF, of an unknown version, cut off, or damaged.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path} does not exist", "", "check the path")
    size = path.stat().st_size
    try:
        with open(path, "rb") as handle:
            return _read(path, _Header(handle, size), size)
    except _DamagedError as error:
        raise ModelError(f"{path} is cut off or damaged ({error})", "it cannot be used", "copy it again") from error
    except OSError as error:
        raise ModelError(f"{path} cannot be read ({error.strerror})", "it cannot be used", "check the file") from error


def first_keys(path: Path) -> dict[str, Any] | None:
    """Strings and numbers among a GGUF file's first keys, up to the first array; None for other files.

    A damaged header gives the keys in front of the damage.

    Raises:
        OSError: it cannot be read.
    """
    keys: dict[str, Any] = {}
    with open(path, "rb") as handle, contextlib.suppress(_DamagedError):
        header = _Header(handle, min(path.stat().st_size, _FIRST_BYTES))
        if header.left < 4 or header.take(4) != b"GGUF":
            return None
        _, _, count = header.number("<I"), header.number("<Q"), header.number("<Q")
        for _ in range(min(count, 1000)):
            key, kind = header.string(), header.number("<I")
            if kind == _ARRAY:
                break
            keys[key] = header.value(kind)
    return keys


def _read(path: Path, header: _Header, size: int) -> GgufFile:
    if header.left < 4 or header.take(4) != b"GGUF":
        raise ModelError(f"{path} is not a GGUF file", "it cannot be used", "give a .gguf file")
    version, tensor_count, pair_count = header.number("<I"), header.number("<Q"), header.number("<Q")
    if version not in (2, 3):
        raise ModelError(
            f"{path} is a GGUF of version {version}", "only versions 2 and 3 can be read", "convert the model again"
        )
    metadata: dict[str, Any] = {}
    # A pair takes 13 bytes and more, a tensor 32: numbers that do not fit are found before anything is read for them.
    for _ in range(header.affordable(pair_count, 13, "metadata pairs")):
        key = header.string()
        if key in metadata:
            raise _DamagedError(f"the key {key} stands twice")
        metadata[key] = header.value(header.number("<I"))
    tensors: dict[str, GgufTensor] = {}
    for _ in range(header.affordable(tensor_count, 32, "tensors")):
        tensor = header.tensor()
        if tensor.name in tensors:
            raise _DamagedError(f"the tensor {tensor.name} stands twice")
        tensors[tensor.name] = tensor
    alignment = metadata.get("general.alignment", 32)
    if not isinstance(alignment, int) or not 0 < alignment <= 1 << 20 or alignment & (alignment - 1):
        raise _DamagedError(f"general.alignment is {alignment!r}, not a power of two")
    start = -(-header.position // alignment) * alignment
    _check_places(tensors, start, size, alignment)
    return GgufFile(path, metadata, tensors, start)


def _check_places(tensors: dict[str, GgufTensor], start: int, size: int, alignment: int) -> None:
    """Every tensor lies after the header, whole, and on no other one."""
    end = 0
    for tensor in sorted(tensors.values(), key=lambda tensor: tensor.offset):
        if tensor.offset % alignment:
            raise _DamagedError(f"{tensor.name} begins at {tensor.offset}, which is not aligned to {alignment} bytes")
        if tensor.offset < end:
            raise _DamagedError(f"{tensor.name} begins inside another tensor")
        end = tensor.offset + (tensor.nbytes or 0)
        if start + end > size:
            raise _DamagedError(f"{tensor.name} ends at byte {start + end} of {size}")


class _DamagedError(ValueError):
    """What is wrong with a header."""


class _Header:
    """Reads a header, never more of it than the file, `_HEADER_BYTES` and `_HEADER_ITEMS` allow."""

    def __init__(self, handle: BinaryIO, size: int) -> None:
        self.handle = handle
        self.left = min(size, _HEADER_BYTES)
        self.items = _HEADER_ITEMS
        self.position = 0

    def take(self, count: int) -> bytes:
        """The next `count` bytes."""
        if count > self.left:
            raise _DamagedError(f"{count} bytes are announced, {self.left} are left")
        raw = self.handle.read(count)
        if len(raw) < count:
            raise _DamagedError("it ends in its header")
        self.left -= count
        self.position += count
        return raw

    def affordable(self, count: int, smallest: int, what: str) -> int:
        """`count`, where that many things of `smallest` bytes can still come."""
        if count * smallest > self.left or count > self.items:
            raise _DamagedError(f"{count} {what} are announced, {self.left} bytes are left")
        self.items -= count
        return count

    def number(self, form: str) -> int:
        """A whole number."""
        return int(struct.unpack(form, self.take(struct.calcsize(form)))[0])

    def string(self) -> str:
        """A string; bytes that are not UTF-8 come as escapes, so that it can be printed."""
        return self.take(self.number("<Q")).decode("utf-8", "backslashreplace")

    def value(self, kind: int) -> Any:
        """A metadata value of the type `kind`."""
        if kind == _STRING:
            return self.string()
        if kind == _ARRAY:
            return self.array()
        if kind not in _SCALARS:
            raise _DamagedError(f"a value has the unknown type {kind}")
        form = _SCALARS[kind]
        return struct.unpack(form, self.take(struct.calcsize(form)))[0]

    def array(self) -> list[Any]:
        """A list of scalars or strings. Arrays of arrays, which llama.cpp does not read either, are refused."""
        inner, count = self.number("<I"), self.number("<Q")
        if inner == _STRING:
            return [self.string() for _ in range(self.affordable(count, 8, "strings"))]
        if inner not in _SCALARS:
            raise _DamagedError("an array of arrays" if inner == _ARRAY else f"an array of the unknown type {inner}")
        size = struct.calcsize(_SCALARS[inner])
        raw = self.take(size * self.affordable(count, size, "numbers"))
        return [item for (item,) in struct.iter_unpack(_SCALARS[inner], raw)]

    def tensor(self) -> GgufTensor:
        """The next entry of the tensor list."""
        name, dimensions = self.string(), self.number("<I")
        if dimensions > _DIMENSIONS:
            raise _DamagedError(f"{name} has {dimensions} dimensions")
        shape = tuple(self.number("<Q") for _ in range(dimensions))[::-1]
        tensor = GgufTensor(name, shape, self.number("<I"), self.number("<Q"))
        if tensor.type_id in BLOCKS and shape and shape[-1] % BLOCKS[tensor.type_id][1]:
            raise _DamagedError(f"the rows of {name}, {shape[-1]} wide, are not whole blocks of {tensor.type_name}")
        return tensor

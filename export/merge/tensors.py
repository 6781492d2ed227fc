"""Safetensors files read and written in pieces, so that memory holds rows of a tensor and never a model.

The safetensors library maps whole files into memory and writes a file from tensors it is handed together. The format
itself is a length, a JSON header with dtype, shape and offsets, and raw little-endian data; reading rows with plain
file reads and writing a file from a header planned in advance keeps the resident memory at the size of one piece.
"""

from __future__ import annotations

import json
import math
import os
import struct
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runtime.errors import ModelError
from runtime.files import atomic_path

if TYPE_CHECKING:
    import torch

ITEM_BYTES = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I64": 8, "I32": 4, "I16": 2, "I8": 1, "U8": 1, "BOOL": 1}
_TORCH = {
    "F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16", "I64": "int64", "I32": "int32",
    "I16": "int16", "I8": "int8", "U8": "uint8", "BOOL": "bool",
}  # fmt: skip
SAFETENSORS_NAME = {name: key for key, name in _TORCH.items()}
"""`{"float16": "F16", ...}`."""

PIECE_BYTES = 32 * 1024 * 1024
"""Size of one piece of a tensor that is handled row by row, in its stored dtype."""


@dataclass(frozen=True)
class TensorInfo:
    """Where one tensor lies."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    file: Path
    offset: int

    @property
    def items(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        """Size on disk."""
        return self.items * ITEM_BYTES[self.dtype]


class TensorFolder:
    """The tensors of a model folder (one `model.safetensors`, or shards with an index) or of one file.

    Raises:
        ModelError: no safetensors, a missing shard, a truncated or unreadable file.
    """

    def __init__(self, path: str | os.PathLike[str], stem: str = "model") -> None:
        self.path = Path(path)
        self.files = [self.path] if self.path.is_file() else _shards(self.path, stem)
        self.tensors: dict[str, TensorInfo] = {}
        for file in self.files:
            self.tensors.update((info.name, info) for info in read_header(file))

    def __contains__(self, name: object) -> bool:
        return name in self.tensors

    def __getitem__(self, name: str) -> TensorInfo:
        return self.tensors[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.tensors)

    def __len__(self) -> int:
        return len(self.tensors)

    def read(self, name: str, first: int = 0, rows: int | None = None) -> torch.Tensor:
        """Rows `first` to `first + rows` of a tensor in its stored dtype (all of it by default)."""
        return read_rows(self.tensors[name], first, rows)

    def read_pieces(self, name: str) -> Iterator[tuple[int, torch.Tensor]]:
        """`(first row, rows)` of a tensor in row order, in its stored dtype."""
        for first, rows in pieces(self.tensors[name]):
            yield first, self.read(name, first, rows)

    def metadata(self) -> dict[str, str]:
        """The free-text metadata of the first file."""
        return dict(_header(self.files[0])[0].get("__metadata__", {}))


def _shards(folder: Path, stem: str) -> list[Path]:
    index = folder / f"{stem}.safetensors.index.json"
    if index.is_file():
        try:
            names = sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))
        except (ValueError, KeyError, AttributeError) as error:
            raise ModelError(f"{index} is no shard index ({error})", "the model cannot be read") from error
        if missing := [name for name in names if not (folder / name).is_file()]:
            raise ModelError(
                f"{folder} lacks {len(missing)} of {len(names)} shards: {', '.join(missing[:4])}",
                "the model cannot be read",
                "finish the download",
            )
        return [folder / name for name in names]
    single = folder / f"{stem}.safetensors"
    if single.is_file():
        return [single]
    other = sorted(path.name for path in folder.glob("pytorch_model*.bin"))
    raise ModelError(
        f"{folder} holds no {stem}.safetensors" + (f", only {', '.join(other[:3])}" if other else ""),
        "the weights cannot be read",
        "save the model as safetensors" if other else "check the folder",
    )


def _header(file: Path) -> tuple[dict[str, Any], int]:
    """A file's JSON header and the position where its data begins."""
    try:
        with open(file, "rb") as handle:
            start = handle.read(8)
            length = struct.unpack("<Q", start)[0] if len(start) == 8 else 0
            if not 2 <= length <= 200_000_000:
                raise ValueError("no header")
            text = handle.read(length)
        if len(text) < length:
            raise ValueError("the header is cut")
        return json.loads(text), 8 + length
    except (OSError, ValueError) as error:
        raise ModelError(f"{file} is no whole safetensors file ({error})", "it is not used", "copy it again") from error


def read_header(file: Path) -> list[TensorInfo]:
    """The tensors of one file.

    Raises:
        ModelError: the file is no safetensors file, or shorter than its header says.
    """
    header, start = _header(file)
    result = []
    end = start
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        try:
            dtype, shape, offsets = entry["dtype"], tuple(entry["shape"]), entry["data_offsets"]
            if dtype not in ITEM_BYTES:
                raise ModelError(f"{file.name}: {name} has the dtype {dtype}", "it cannot be merged")
            if offsets[1] - offsets[0] != math.prod(shape) * ITEM_BYTES[dtype]:
                raise ValueError(f"{name} has a size that does not fit its shape")
        except (KeyError, TypeError, ValueError, IndexError) as error:
            raise ModelError(f"{file} has a broken header ({error})", "it is not used", "copy it again") from error
        result.append(TensorInfo(name, dtype, shape, file, start + offsets[0]))
        end = max(end, start + offsets[1])
    if (size := file.stat().st_size) < end:
        raise ModelError(f"{file} has {size} of {end} bytes", "it is cut off and not used", "copy it again")
    return result


def read_rows(info: TensorInfo, first: int = 0, rows: int | None = None) -> torch.Tensor:
    """Rows of a tensor as a new torch tensor in its stored dtype."""
    import torch

    dtype = getattr(torch, _TORCH[info.dtype])
    if not info.shape:
        shape: tuple[int, ...] = ()
        first = 0
    else:
        shape = (info.shape[0] - first if rows is None else rows, *info.shape[1:])
    row_bytes = math.prod(info.shape[1:]) * ITEM_BYTES[info.dtype]
    tensor = torch.empty(shape, dtype=dtype)
    if tensor.numel():
        buffer = memoryview(_bytes(tensor))
        with open(info.file, "rb", buffering=0) as handle:
            handle.seek(info.offset + first * row_bytes)
            position = 0
            while position < len(buffer):
                got = handle.readinto(buffer[position:])
                if not got:
                    raise ModelError(f"{info.file} ended while reading {info.name}", "it is not used")
                position += got
    return tensor


def _bytes(tensor: torch.Tensor) -> Any:
    """The tensor's memory as a numpy array of bytes, shared."""
    import torch

    return tensor.reshape(-1).view(torch.uint8).numpy()


def pieces(info: TensorInfo, piece_bytes: int = PIECE_BYTES) -> Iterator[tuple[int, int]]:
    """`(first row, rows)` of pieces of about `piece_bytes`, at least one row each; one piece for a scalar or vector."""
    if len(info.shape) < 2:
        yield 0, info.shape[0] if info.shape else 0
        return
    row_bytes = max(1, math.prod(info.shape[1:]) * ITEM_BYTES[info.dtype])
    step = max(1, piece_bytes // row_bytes)
    for first in range(0, info.shape[0], step):
        yield first, min(step, info.shape[0] - first)


@dataclass(frozen=True)
class Planned:
    """A tensor that will be written: its name, shape and the pieces it comes in, in order."""

    name: str
    dtype: str
    shape: tuple[int, ...]

    @property
    def nbytes(self) -> int:
        """Size on disk."""
        return math.prod(self.shape) * ITEM_BYTES[self.dtype]


def write_safetensors(
    file: Path, planned: Iterable[Planned], produce: Mapping[str, Any], metadata: Mapping[str, str]
) -> None:
    """Write one file atomically, tensor after tensor.

    Args:
        file: target.
        planned: tensors in the order they are written.
        produce: `{name: function without arguments}` that yields the tensor's pieces, in row order, in its dtype.
        metadata: free text for the header.
    """

    plan = list(planned)
    header: dict[str, Any] = {"__metadata__": dict(metadata)}
    position = 0
    for tensor in plan:
        end = position + tensor.nbytes
        header[tensor.name] = {"dtype": tensor.dtype, "shape": list(tensor.shape), "data_offsets": [position, end]}
        position = end
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with atomic_path(file) as temporary, open(temporary, "wb") as handle:
        handle.write(struct.pack("<Q", len(text)) + text)
        for tensor in plan:
            before = handle.tell()
            for piece in produce[tensor.name]():
                handle.write(memoryview(_bytes(piece.contiguous())))
            if handle.tell() - before != tensor.nbytes:
                raise AssertionError(f"{tensor.name}: wrote {handle.tell() - before} of {tensor.nbytes} bytes")

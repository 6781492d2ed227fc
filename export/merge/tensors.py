"""Safetensors files read and written in pieces: memory holds rows of a tensor, never a model.

Reading is the safetensors library's, which checks a header before it believes it; a file is mapped for one piece at a
time, so that the pages of the others are not held. The library writes a file only from tensors it is handed together;
writing from a header planned in advance keeps the resident memory at the size of one piece.
"""

from __future__ import annotations

import json
import math
import os
import struct
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qlora.weights import weight_files
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
    """One tensor of one file."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    file: Path

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
        self.files = [self.path] if self.path.is_file() else weight_files(self.path, stem)
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

    def metadata(self) -> dict[str, str]:
        """The free-text metadata of the first file."""
        with _opened(self.files[0], "numpy") as handle:
            return dict(handle.metadata() or {})


@contextmanager
def _opened(file: Path, framework: str) -> Iterator[Any]:
    """The library's handle of a file; with `numpy` for a header alone, since that needs no torch."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(str(file), framework=framework) as handle:
            yield handle
    except (SafetensorError, OSError) as error:
        raise ModelError(
            f"{file} is not a whole safetensors file ({error})", "it is not used", "copy it again"
        ) from error


def read_header(file: Path) -> list[TensorInfo]:
    """The tensors of one file.

    Raises:
        ModelError: the file is not a safetensors file, its header is damaged, or it is shorter than its header says.
    """
    result = []
    with _opened(file, "numpy") as handle:
        for name in handle.offset_keys():
            entry = handle.get_slice(name)
            if entry.get_dtype() not in ITEM_BYTES:
                raise ModelError(
                    f"{file.name}: {name} has the dtype {entry.get_dtype()}",
                    "it cannot be merged",
                    "give the base in 16 or 32 bits",
                )
            result.append(TensorInfo(name, entry.get_dtype(), tuple(entry.get_shape()), file))
    return result


def read_rows(info: TensorInfo, first: int = 0, rows: int | None = None) -> torch.Tensor:
    """Rows of a tensor as a new torch tensor in its stored dtype."""
    with _opened(info.file, "pt") as handle:
        if not info.shape:
            whole: torch.Tensor = handle.get_tensor(info.name)
            return whole.clone()
        last = info.shape[0] if rows is None else first + rows
        piece: torch.Tensor = handle.get_slice(info.name)[first:last]
        # Not a view of the mapping, which ends here.
        return piece.clone()


def _bytes(tensor: torch.Tensor) -> Any:
    """The tensor's memory as a numpy array of bytes, shared."""
    import torch

    return tensor.reshape(-1).view(torch.uint8).numpy()


def pieces(info: TensorInfo, piece_bytes: int = PIECE_BYTES) -> Iterator[tuple[int, int]]:
    """`(first row, rows)` of pieces of about `piece_bytes`, each at least one row.

    A scalar or vector is one piece.
    """
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

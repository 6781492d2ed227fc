"""Reading and writing safetensors in pieces agrees with the library that defines the format."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import pytest

from export.merge.tensors import Planned, TensorFolder, pieces, read_rows, write_safetensors
from runtime.errors import ModelError


def test_rows_are_those_the_library_reads(tmp_path: Path) -> None:
    import torch
    from safetensors.torch import save_file

    tensors = {
        "wide": torch.randn(7, 5).bfloat16(), "half": torch.randn(3).half(), "scalar": torch.tensor(2.5),
        "bytes": torch.arange(12, dtype=torch.uint8).reshape(4, 3),
    }  # fmt: skip
    save_file(tensors, tmp_path / "model.safetensors", metadata={"format": "pt"})
    folder = TensorFolder(tmp_path)
    for name, tensor in tensors.items():
        assert torch.equal(folder.read(name), tensor)
    assert torch.equal(folder.read("wide", 2, 3), tensors["wide"][2:5])
    assert folder.metadata() == {"format": "pt"}


def test_what_is_written_in_pieces_is_read_whole_by_the_library(tmp_path: Path) -> None:
    import torch
    from safetensors.torch import load_file

    whole = torch.randn(10, 4).half()
    planned = [Planned("a", "F16", (10, 4)), Planned("b", "F32", (2,))]
    produce = {"a": lambda: iter([whole[:3], whole[3:]]), "b": lambda: iter([torch.tensor([1.0, 2.0])])}
    write_safetensors(tmp_path / "x.safetensors", planned, produce, {"k": "v"})
    read = load_file(tmp_path / "x.safetensors")
    assert torch.equal(read["a"], whole)
    assert read["b"].tolist() == [1.0, 2.0]


def test_a_piece_too_few_is_noticed_and_leaves_no_file(tmp_path: Path) -> None:
    import torch

    with pytest.raises(AssertionError, match="wrote 8 of 16 bytes"):
        write_safetensors(
            tmp_path / "x.safetensors", [Planned("a", "F32", (4,))], {"a": lambda: iter([torch.zeros(2)])}, {}
        )
    assert list(tmp_path.iterdir()) == []


def test_pieces_cover_every_row_once(tmp_path: Path) -> None:
    import torch
    from safetensors.torch import save_file

    save_file({"a": torch.zeros(10, 8)}, tmp_path / "model.safetensors")
    info = TensorFolder(tmp_path)["a"]
    assert list(pieces(info, piece_bytes=3 * 32)) == [(0, 3), (3, 3), (6, 3), (9, 1)]
    assert list(pieces(info, piece_bytes=1)) == [(row, 1) for row in range(10)]
    assert read_rows(info, 9, 1).shape == (1, 8)


@pytest.mark.parametrize("content", [b"", b"short", b"\xff" * 100, b'\x10\0\0\0\0\0\0\0{"a": 1}        '])
def test_a_file_that_is_none_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "model.safetensors").write_bytes(content)
    with pytest.raises(ModelError, match="is not a whole safetensors file"):
        TensorFolder(tmp_path)


def lying(more: dict[str, Any] | None = None, **entry: Any) -> bytes:
    """A file of 16 bytes of data whose header says something else about it; `more` is a second tensor."""
    good = {"dtype": "F32", "shape": [4], "data_offsets": [0, 16]}
    head = json.dumps({"a": good | entry} | ({} if more is None else {"b": more})).encode()
    return struct.pack("<Q", len(head)) + head + bytes(16)


LIES = {
    "an offset before the data": lying(data_offsets=[-16, 0]),
    "an end before its beginning": lying(data_offsets=[16, 0]),
    "an end behind the file": lying(shape=[1 << 40], data_offsets=[0, 1 << 42]),
    "a shape of another size": lying(shape=[5]),
    "a negative shape": lying(shape=[-2, -2]),
    "a shape beyond all numbers": lying(shape=[1 << 62, 1 << 62]),
    "offsets that are texts": lying(data_offsets=["0", "16"]),
    "a type that is none": lying(dtype="F31"),
    "a gap": lying(shape=[2], data_offsets=[8, 16]),
    "a header of other things": struct.pack("<Q", 6) + b"[1, 2]" + bytes(16),
    "a header longer than the file": struct.pack("<Q", 1 << 60) + b"{}",
    "a header nested a hundred thousand deep": struct.pack("<Q", 200_004) + b'{"a":' + b"[" * 199_999 + bytes(16),
    "tensors on each other": lying(more={"dtype": "F32", "shape": [2], "data_offsets": [8, 16]}),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_header_that_lies_is_refused_in_a_sentence(lie: str, tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(LIES[lie])
    with pytest.raises(ModelError, match=r"model\.safetensors is not a whole safetensors file \("):
        TensorFolder(tmp_path)


def test_a_type_that_cannot_be_merged_is_named(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(lying(dtype="F8_E4M3", shape=[16]))
    with pytest.raises(ModelError, match="a has the dtype F8_E4M3"):
        TensorFolder(tmp_path)


def test_pickled_weights_are_refused_with_the_remedy(tmp_path: Path) -> None:
    (tmp_path / "pytorch_model.bin").write_bytes(b"x")
    with pytest.raises(ModelError, match=r"only pytorch_model\.bin.*save the model as safetensors"):
        TensorFolder(tmp_path)

"""A GGUF header that lies is one clear error: no exception of Python's, little memory and time."""

from __future__ import annotations

import struct
import time
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from export.gguf.file import read_gguf
from runtime.errors import ModelError
from tests.export.gguf.gguf_writer import metadata, tensors, write_gguf


def text(value: str) -> bytes:
    return struct.pack("<Q", len(value)) + value.encode()


def header(*pairs: bytes, tensor: bytes = b"", tensors: int = 0, count: int | None = None) -> bytes:
    numbers = struct.pack("<IQQ", 3, tensors, len(pairs) if count is None else count)
    return b"GGUF" + numbers + b"".join(pairs) + tensor


def entry(name: str, shape: tuple[int, ...], kind: int = 0, offset: int = 0) -> bytes:
    return text(name) + struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, kind, offset)


ARRAY = 9
LIES = {
    "an array of arrays": header(text("a") + struct.pack("<IIQ", ARRAY, ARRAY, 1) + struct.pack("<IQ", ARRAY, 1)),
    "arrays nested a thousand deep": header(text("a") + struct.pack("<I", ARRAY) + struct.pack("<IQ", ARRAY, 1) * 1000),
    "more strings than bytes": header(text("a") + struct.pack("<IIQ", ARRAY, 8, 1 << 60)),
    "more numbers than bytes": header(text("a") + struct.pack("<IIQ", ARRAY, 0, (1 << 64) - 1)),
    "a string longer than the file": header(struct.pack("<Q", 1 << 62) + b"a"),
    "more pairs than bytes": header(count=1 << 60),
    "more tensors than bytes": header(tensors=1 << 50),
    "a value of an unknown type": header(text("a") + struct.pack("<I", 77)),
    "an array of an unknown type": header(text("a") + struct.pack("<IIQ", ARRAY, 77, 1)),
    "a key twice": header(*[text("a") + struct.pack("<IB", 0, 1)] * 2),
    "an alignment of zero": header(text("general.alignment") + struct.pack("<II", 4, 0)),
    "an alignment that is a text": header(text("general.alignment") + struct.pack("<I", 8) + text("32")),
    "a negative alignment": header(text("general.alignment") + struct.pack("<Ii", 5, -32)),
    "a tensor of a hundred dimensions": header(tensor=entry("t", (1,) * 100), tensors=1),
    "a tensor larger than the file": header(tensor=entry("t", (1 << 40, 1 << 40)), tensors=1),
    "a tensor far behind the file": header(tensor=entry("t", (8,), offset=1 << 63), tensors=1),
    "a tensor that is not aligned": header(tensor=entry("t", (8,), offset=7), tensors=1) + bytes(200),
    "a tensor twice": header(tensor=entry("t", (8,)) + entry("t", (8,), offset=32), tensors=2) + bytes(200),
    "tensors on each other": header(tensor=entry("t", (16,)) + entry("u", (16,), offset=32), tensors=2) + bytes(400),
    "rows of half a block": header(tensor=entry("t", (48,), kind=8), tensors=1) + bytes(200),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_header_that_lies_is_refused_in_a_sentence(lie: str, tmp_path: Path) -> None:
    file = tmp_path / "x.gguf"
    file.write_bytes(LIES[lie])
    tracemalloc.start()
    began = time.perf_counter()
    with pytest.raises(ModelError, match=r"x\.gguf is cut off or damaged \("):
        read_gguf(file)
    assert time.perf_counter() - began < 1
    assert tracemalloc.get_traced_memory()[1] < 1 << 22
    tracemalloc.stop()


def test_a_long_array_takes_time_in_proportion_to_its_length(tmp_path: Path) -> None:
    seconds = []
    for count in (100_000, 400_000):
        file = write_gguf(tmp_path / "x.gguf", metadata(tokenizer__ggml__tokens=["abc"] * count), tensors())
        seconds.append(min(_timed(file) for _ in range(3)))
    assert seconds[1] < 4 * 3 * seconds[0]


def _timed(file: Path) -> float:
    began = time.perf_counter()
    assert len(read_gguf(file).tokens) >= 100_000
    return time.perf_counter() - began


def test_text_that_is_not_utf_8_can_be_printed(tmp_path: Path) -> None:
    file = tmp_path / "x.gguf"
    file.write_bytes(header(text("a") + struct.pack("<IQ", 8, 2) + b"\xff\xfe"))
    assert read_gguf(file).metadata["a"] == "\\xff\\xfe"


@pytest.mark.parametrize("context", [-1, 0, "many", 2.5, True, [1]])
def test_a_context_that_is_no_number_of_tokens_is_not_stated(context: Any, tmp_path: Path) -> None:
    file = read_gguf(write_gguf(tmp_path / "x.gguf", metadata(llama__context_length=context), tensors()))
    assert file.context is None


def test_a_good_file_is_read(tmp_path: Path) -> None:
    file = read_gguf(write_gguf(tmp_path / "x.gguf", metadata(), tensors()))
    assert file.context == 512
    assert np.array_equal(file.rows("output_norm.weight"), np.ones(32, np.float32))

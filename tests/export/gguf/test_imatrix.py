"""Importance matrices: both forms of file are read, and one of rows is what llama.cpp would collect."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest

from export.certify.measure_torch import load_merged_model
from export.gguf.file import read_gguf
from export.gguf.imatrix import collect_imatrix, read_imatrix, write_imatrix
from export.gguf.quantize import quantize
from export.merge.vocabulary import load_tokenizer
from export.rows import read_samples
from export.settings import ExportSettings
from runtime.errors import ExportError, ModelError
from tests.export.conftest import Exported
from tests.export.gguf.gguf_writer import write_gguf

# Ten seconds on an idle machine: a conversion starts a process that imports torch.
pytestmark = pytest.mark.timeout(1200)


def test_what_is_written_is_read(tmp_path: Path) -> None:
    matrix = {"blk.0.attn_q.weight": np.arange(8, dtype=np.float32), "output.weight": np.ones(4, np.float32)}
    write_imatrix(matrix, tmp_path / "x.dat")
    read = read_imatrix(tmp_path / "x.dat")
    assert read.keys() == matrix.keys()
    assert all(np.array_equal(read[name], matrix[name]) for name in matrix)


def test_the_gguf_form_is_a_sum_over_counts(tmp_path: Path) -> None:
    arrays = {"a.in_sum2": np.array([[2.0, 4.0]], np.float32), "a.counts": np.array([[2.0]], np.float32)}
    write_gguf(tmp_path / "x.gguf", {"general.type": "imatrix"}, arrays)
    assert read_imatrix(tmp_path / "x.gguf")["a"].tolist() == [1.0, 2.0]


@pytest.mark.parametrize(
    ("sums", "counts"), [((2, 3), (4,)), ((0,), (1,)), ((4,), (0,))], ids=["not divisible", "no sums", "no counts"]
)
def test_sums_and_counts_that_do_not_fit_are_refused(
    sums: tuple[int, ...], counts: tuple[int, ...], tmp_path: Path
) -> None:
    arrays = {"a.in_sum2": np.ones(sums, np.float32), "a.counts": np.ones(counts, np.float32)}
    write_gguf(tmp_path / "x.gguf", {"general.type": "imatrix"}, arrays)
    with pytest.raises(ModelError, match="is not an importance matrix"):
        read_imatrix(tmp_path / "x.gguf")


@pytest.mark.parametrize(
    "content", [b"", struct.pack("<ii", 1, -9), b"\1\0\0\0\4\0\0\0abcd\1\0\0\0\xff\0\0\0", struct.pack("<i", -5)]
)
def test_what_is_no_matrix_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.dat").write_bytes(content)
    with pytest.raises(ModelError, match="importance matrix"):
        read_imatrix(tmp_path / "x.dat")


def test_a_matrix_from_rows_covers_every_layer_and_changes_the_file(llama_export: Exported, tmp_path: Path) -> None:
    tokenizer = load_tokenizer(llama_export.run / "tokenizer")
    samples = read_samples(llama_export.run / "held_out.jsonl", tokenizer, rows=8, context=512, max_positions=10_000)
    matrix = collect_imatrix(load_merged_model(llama_export.out / "tiny-merged"), samples)
    wide = llama_export.summary.files["F16"]
    names = {name for name, tensor in read_gguf(wide).tensors.items() if len(tensor.shape) == 2}
    assert set(matrix) == names - {"token_embd.weight"}
    for name, values in matrix.items():
        assert values.shape == read_gguf(wide).tensors[name].shape[1:]
        assert (values > 0).all()
    write_imatrix(matrix, tmp_path / "x.dat")
    settings = ExportSettings(quant=("IQ4_NL",))
    quantize(wide, tmp_path / "with.gguf", "IQ4_NL", settings, tmp_path / "x.dat")
    quantize(wide, tmp_path / "without.gguf", "IQ4_NL", settings)
    assert (tmp_path / "with.gguf").read_bytes() != (tmp_path / "without.gguf").read_bytes()


def test_a_file_llama_cpp_cannot_read_leaves_no_result(llama_export: Exported, tmp_path: Path) -> None:
    whole = llama_export.summary.files["F16"].read_bytes()
    (tmp_path / "cut.gguf").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ExportError, match="could not write Q8_0"):
        quantize(tmp_path / "cut.gguf", tmp_path / "x.gguf", "Q8_0", ExportSettings())
    assert [path.name for path in tmp_path.iterdir()] == ["cut.gguf"]

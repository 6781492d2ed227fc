"""`--check` finds what is wrong with a GGUF file and says it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from export.certify.check import check_gguf
from export.gguf.file import read_gguf
from runtime.errors import InputError, ModelError
from runtime.lce import CONTROL_TOKENS
from tests.export.gguf.gguf_writer import metadata, tensors, write_gguf


def test_a_good_file_has_no_problems(tmp_path: Path) -> None:
    report = check_gguf(write_gguf(tmp_path / "good.gguf", metadata(), tensors()))
    assert report.ok
    assert report.problems == []
    assert report.warnings == []
    assert list(report.control) == [token for token in metadata()["tokenizer.ggml.tokens"] if token in CONTROL_TOKENS]


FAULTS: list[tuple[dict[str, Any], dict[str, Any], str]] = [
    ({"tokenizer__ggml__eos_token_id": 4}, {}, "ends generation: the model would stop in the middle"),
    ({"tokenizer__ggml__token_type": [2, 3, 3, 1] + [3] * 7 + [4]}, {}, "not CONTROL"),
    ({"tokenizer__ggml__tokens": ["<unk>", "<s>", "<|text|>", "a", *CONTROL_TOKENS]}, {}, "stands 2 times"),
    ({"tokenizer__ggml__eot_token_id": None}, {}, "does not end generation"),
    ({"tokenizer__ggml__tokens": []}, {}, "no vocabulary"),
    ({"tokenizer__ggml__tokens": 7}, {}, "no vocabulary"),
    ({"tokenizer__ggml__tokens": [1, 2]}, {}, "no vocabulary"),
    ({}, {"token_embd__weight": np.ones((11, 32), np.float32)}, "11 embedding rows for 12 tokens"),
    ({}, {"output_norm__weight": np.full(32, np.nan, np.float32)}, "output_norm.weight holds NaN"),
    ({}, {"output_norm__weight": np.zeros(32, np.float16)}, "output_norm.weight is all zero"),
]


@pytest.mark.parametrize(("pairs", "arrays", "message"), FAULTS)
def test_each_fault_is_named(tmp_path: Path, pairs: dict[str, Any], arrays: dict[str, Any], message: str) -> None:
    report = check_gguf(write_gguf(tmp_path / "bad.gguf", metadata(**pairs), tensors(**arrays)))
    assert not report.ok
    assert any(message in problem for problem in report.problems), report.problems


def test_a_file_without_block_tokens_is_used_with_the_dialect_that_fits_it(tmp_path: Path) -> None:
    chatml = ["<|im_start|>", "<|im_end|>"]
    for tokens, dialect in ((["a"] * 10, "tora"), (["a"] * 8 + chatml, "qwen-math")):
        pairs = metadata(
            tokenizer__ggml__tokens=["<s>", "</s>", *tokens], tokenizer__ggml__token_type=[3, 3, *[1] * 8, 3, 3],
            tokenizer__chat_template="{{ x }}", tokenizer__ggml__eos_token_id=1, tokenizer__ggml__eot_token_id=None,
        )  # fmt: skip
        report = check_gguf(write_gguf(tmp_path / "x.gguf", pairs, tensors()))
        assert report.ok, report.problems
        assert report.dialect == dialect
        assert f"it can be used with --dialect {dialect}" in report.warnings[0]
        assert report.facts["the solver will"].endswith(f"--dialect {dialect}")


def test_a_foreign_template_is_a_warning(tmp_path: Path) -> None:
    report = check_gguf(write_gguf(tmp_path / "x.gguf", metadata(tokenizer__chat_template="{{ x }}"), tensors()))
    assert report.ok
    assert "chat template" in report.warnings[0]


def test_a_cut_file_is_refused_at_every_length(tmp_path: Path) -> None:
    whole = write_gguf(tmp_path / "good.gguf", metadata(), tensors()).read_bytes()
    for length in (4, 23, 30, 200, len(whole) // 2, len(whole) - 1):
        (tmp_path / "cut.gguf").write_bytes(whole[:length])
        with pytest.raises(ModelError, match="cut off or damaged"):
            check_gguf(tmp_path / "cut.gguf")


def test_what_is_no_gguf_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.gguf").write_bytes(b"PK\x03\x04" + b"\0" * 100)
    with pytest.raises(ModelError, match="is not a GGUF"):
        check_gguf(tmp_path / "x.gguf")
    with pytest.raises(InputError, match="does not exist"):
        check_gguf(tmp_path / "nowhere.gguf")


def test_rows_come_back_as_they_were_written(tmp_path: Path) -> None:
    rows = np.arange(12 * 32, dtype=np.float16).reshape(12, 32)
    file = read_gguf(write_gguf(tmp_path / "x.gguf", metadata(), tensors(token_embd__weight=rows)))
    assert np.array_equal(file.rows("token_embd.weight", 3, 2), rows[3:5].astype(np.float32))
    assert file.parameter("rope.freq_base") == 10000.0

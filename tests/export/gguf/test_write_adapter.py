"""Adapters written and merged without the converter compute what they do in torch and llama.cpp."""

from __future__ import annotations

from pathlib import Path

import gguf
import numpy as np
import pytest
from gguf_factory import write_adapter as random_adapter
from gguf_factory import write_model

from export.gguf.rewrite import half_precision, merge_adapter
from export.gguf.write_adapter import write_adapter
from runtime.engine.llama.engine import LlamaEngine
from runtime.errors import ModelError
from runtime.settings import EngineSettings

IDS = list(range(260, 300))


def _logits(model: Path, lora: Path | None = None) -> np.ndarray:
    with LlamaEngine(model, EngineSettings(threads=1), lora=lora) as engine:
        return engine.logits(IDS)


def test_a_merged_file_computes_what_base_and_adapter_compute(tmp_path: Path) -> None:
    base = write_model(tmp_path / "base.gguf")
    adapter = random_adapter(tmp_path / "adapter.gguf")
    merged = tmp_path / "merged.gguf"
    merge_adapter(base, adapter, merged)
    alone, together, found = _logits(base), _logits(base, adapter), _logits(merged)
    assert np.abs(together - alone).max() > 20 * np.abs(found - together).max(), "the adapter matters"
    kinds = {tensor.tensor_type for tensor in gguf.GGUFReader(str(merged)).tensors}
    assert gguf.GGMLQuantizationType.Q8_0 in kinds
    with pytest.raises(ModelError, match="is not an adapter for"):
        merge_adapter(base, base, tmp_path / "none.gguf")
    assert not (tmp_path / "none.gguf").exists()


def test_a_copy_in_16_bits_holds_the_same_model(tmp_path: Path) -> None:
    base = write_model(tmp_path / "base.gguf")
    merged, copy = tmp_path / "merged.gguf", tmp_path / "copy.gguf"
    merge_adapter(base, random_adapter(tmp_path / "adapter.gguf"), merged)
    half_precision(merged, copy)
    kinds = {tensor.tensor_type.name for tensor in gguf.GGUFReader(str(copy)).tensors}
    assert kinds <= {"F16", "F32"}
    assert np.abs(_logits(copy) - _logits(merged)).max() < 0.05 * np.abs(_logits(base) - _logits(merged)).max()


def test_what_is_no_low_rank_pair_is_refused_and_nothing_is_written(tmp_path: Path) -> None:
    import torch

    config = {"num_hidden_layers": 2, "num_attention_heads": 4}
    name = "base_model.model.model.embed_tokens.token_adapter.trainable_tokens_delta.default"
    with pytest.raises(ModelError, match="not a low-rank pair"):
        write_adapter(tmp_path / "a.gguf", {name: torch.zeros(8, 16)}, config, "llama", 8.0)
    with pytest.raises(ModelError, match="no architecture nonsense"):
        write_adapter(tmp_path / "a.gguf", {}, config, "nonsense", 8.0)
    assert list(tmp_path.iterdir()) == []

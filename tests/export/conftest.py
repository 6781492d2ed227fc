"""Runs and exports that several tests look at; made once, never changed by a test."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from runtime.errors import ExportError


@dataclass
class Exported:
    """A run, the live adapter model it came from, and what the export made of it."""

    run: Path
    out: Path
    model: Any
    summary: Any


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> Iterator[None]:
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def converter() -> Any:
    """llama.cpp's converter.

    Tests that need it skip where it is neither in the cache nor in reach, and fail under CI, where nobody would see
    that nothing was proved.
    """
    from export.gguf.llamacpp import find

    try:
        return find()
    except ExportError as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def llama_export(tmp_path_factory: pytest.TempPathFactory, converter: Any) -> Exported:
    """A Llama with a SentencePiece tokenizer and an untied head, exported to three certified types."""
    from export.pipeline import export
    from export.settings import ExportSettings
    from tests.export.factory import make_run

    folder = tmp_path_factory.mktemp("llama")
    model = make_run(folder, steps=30)
    settings = ExportSettings(quant=("F16", "Q8_0", "Q4_K_M"), keep_merged=True, llama_cpp=converter.folder)
    return Exported(folder / "run", folder / "out", model, export(folder / "run", settings, folder / "out"))


@pytest.fixture(scope="session")
def qwen2_export(tmp_path_factory: pytest.TempPathFactory, converter: Any) -> Exported:
    """A Qwen2 with a byte-level tokenizer of its own and a tied head."""
    from export.pipeline import export
    from export.settings import ExportSettings
    from tests.export.factory import make_run

    folder = tmp_path_factory.mktemp("qwen2")
    model = make_run(folder, "qwen2", tied=True, steps=40)
    settings = ExportSettings(quant=("Q8_0",), llama_cpp=converter.folder)
    return Exported(folder / "run", folder / "out", model, export(folder / "run", settings, folder / "out"))

"""The packaged model as sampler and trainer, loaded once for the tests of this folder."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest

from recipes.places import PACKAGED_MODEL
from recipes.reinforce.policy import Policy
from runtime.engine import load
from runtime.engine.llama.engine import LlamaEngine


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    import torch

    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def base_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache for the dequantized base, the same for all tests of the session."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def new_policy(base_cache: Path, monkeypatch: pytest.MonkeyPatch) -> type[Policy]:
    """The class, with what it dequantizes kept in the session's cache."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(base_cache))
    return Policy


@pytest.fixture
def engine() -> Iterator[LlamaEngine]:
    """The packaged model."""
    made = load(PACKAGED_MODEL, threads=1, n_ctx=512)
    assert isinstance(made, LlamaEngine)
    yield made
    made.close()

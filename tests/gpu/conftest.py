"""Every test in here computes on a GPU."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def _gpu() -> None:
    import torch

    # Not a skip: MATHCODER_TEST_GPU=1 says that there is one.
    assert torch.cuda.is_available(), f"MATHCODER_TEST_GPU=1, but torch {torch.__version__} sees no GPU here"

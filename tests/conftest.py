"""Fixtures that several rooms share."""

from __future__ import annotations

import os
from pathlib import Path

import hypothesis
import pytest

# A property is about values, never about this machine's speed on a busy day.
hypothesis.settings.register_profile("mathcoder", deadline=None)
hypothesis.settings.load_profile("mathcoder")

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of the shared development data; tests that need it skip, saying so, where it is absent."""
    folder = Path(os.environ.get("MATHCODER_SHARED_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"shared development data is not at {folder}; set MATHCODER_SHARED_DATA to where it is")
    return folder


@pytest.fixture(scope="session")
def nano_base() -> Path:
    """Folder of the embedded nano base."""
    return ROOT / "recipes" / "nano" / "base"

"""Whether the tier bubblewrap works on this machine, asked once for all tests."""

from __future__ import annotations

import shutil
from functools import cache

import pytest

from runtime.errors import SandboxError
from runtime.sandbox import host
from runtime.sandbox.boundary import bubblewrap

OLDEST_THAT_RUNS_OUR_HALF = (0, 8)
"""Bubblewrap is used from 0.12 on. An older one takes the same options, and does for testing what we do with it."""


@cache
def why_not() -> str:
    """Why no test runs in the tier bubblewrap; empty where it works."""
    if shutil.which("bwrap") is None:
        return "bubblewrap is not installed"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bubblewrap, "OLDEST", OLDEST_THAT_RUNS_OUR_HALF)
        try:
            host.get("bubblewrap")
        except SandboxError as error:
            return str(error)
    return ""

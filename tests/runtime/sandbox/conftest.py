"""The tiers that this machine can run."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from runtime.errors import SandboxError
from runtime.sandbox import host
from runtime.sandbox.boundary import bubblewrap

OLDEST_THAT_RUNS_OUR_HALF = (0, 8)
"""Bubblewrap is used from 0.12 on. An older one takes the same options, and does for testing what we do with it."""


@pytest.fixture(scope="module", params=["namespaces", "bubblewrap", "reduced"])
def tier(request: pytest.FixtureRequest) -> Iterator[str]:
    """Each tier that works here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bubblewrap, "OLDEST", OLDEST_THAT_RUNS_OUR_HALF)
        try:
            host.get(request.param)
        except SandboxError as error:
            pytest.skip(str(error))
        yield request.param

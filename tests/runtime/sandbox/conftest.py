"""The tiers that this machine can run."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from bubblewrap_here import OLDEST_THAT_RUNS_OUR_HALF, why_not

from runtime.errors import SandboxError
from runtime.sandbox import host
from runtime.sandbox.boundary import bubblewrap

TIERS = ["namespaces", "reduced", *([] if why_not() else ["bubblewrap"])]
"""Of bubblewrap one test says that it is missing (`test_bubblewrap`), not each that would run in it."""


@pytest.fixture(scope="module", params=TIERS)
def tier(request: pytest.FixtureRequest) -> Iterator[str]:
    """Each tier that works here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bubblewrap, "OLDEST", OLDEST_THAT_RUNS_OUR_HALF)
        try:
            host.get(request.param)
        except SandboxError as error:
            pytest.skip(str(error))
        yield request.param

"""What is on this machine and whether it will do: one finding a line, each with its remedy."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from recipes.doctor.files import files
from recipes.doctor.finding import KNOWN_GOOD, Finding
from recipes.doctor.known_models import models
from recipes.doctor.machine import machine
from recipes.doctor.solving import sandbox, solving
from recipes.doctor.training import training

__all__ = ["KNOWN_GOOD", "PARTS", "Finding", "examine"]

Part = Callable[[], Iterator[Finding]]
PARTS: dict[str, Part] = {
    "machine": machine,
    "solving": solving,
    "sandbox": sandbox,
    "models": models,
    "training": training,
    "files": files,
}
"""What is looked at, by the heading it stands under."""


def examine(parts: dict[str, Part] | None = None) -> Iterator[Finding]:
    """Every finding. Nothing here raises: a check that fails becomes a finding itself.

    Args:
        parts: what to look at; default: everything.
    """
    for area, part in (PARTS if parts is None else parts).items():
        try:
            yield from part()
        except Exception as error:
            detail = f"the check itself failed: {type(error).__name__}: {error}"
            yield Finding(area, "check", "bad", detail, "Report this with the output of `mathcoder doctor --json`.")

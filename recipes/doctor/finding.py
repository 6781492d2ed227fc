"""One line of the report of `mathcoder doctor`, and the versions that packages are held against."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Literal

State = Literal["ok", "note", "bad"]

KNOWN_GOOD = {
    "llama-cpp-python": "0.3.36",
    "torch": "2.13.0",
    "transformers": "5.17.0",
    "peft": "0.21.2",
    "bitsandbytes": "0.50.2",
    "datasets": "4.8.5",
    "unsloth": "2026.10.9",
    "unsloth_zoo": "2026.10.9",
}
"""Versions that were tested together; the constraints files pin the same."""


@dataclass(frozen=True)
class Finding:
    """One line of the report.

    Attributes:
        area: the heading it stands under.
        name: what was looked at.
        state: ok; note: works, with a limitation; bad: broken.
        detail: what was found.
        remedy: what to do where it is not ok.
    """

    area: str
    name: str
    state: State
    detail: str
    remedy: str = ""

    def as_dict(self) -> dict[str, str]:
        """For `--json`."""
        return asdict(self)


def package(area: str, name: str, *, needed: bool, extra: str) -> Finding:
    """Whether a package is installed, in the version that was tested.

    Args:
        area: the heading of the finding.
        name: of the distribution.
        needed: whether its absence is a fault.
        extra: of this project, that brings it; empty: the base install.
    """
    target = f"mathcoder-toolkit[{extra}]" if extra else "mathcoder-toolkit"
    try:
        found = version(name)
    except PackageNotFoundError:
        state: State = "bad" if needed else "note"
        return Finding(area, name, state, "not installed", f"pip install '{target}'")
    known = KNOWN_GOOD.get(name)
    if known is None or found.split("+")[0] == known:
        return Finding(area, name, "ok", found)
    return Finding(area, name, "note", f"{found}; tested with {known}", f"pip install '{name}=={known}'")

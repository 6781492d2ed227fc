"""Whether code helps a model, as it was measured: one verdict a file, by its hash.

A model that was not trained to use an interpreter can do much worse with one. `mathcoder eval --with-and-without`
measures both on the same questions; `chat` and `solve` follow what it found and say so.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from recipes.places import state_folder
from runtime.files import sha256_file, write_text

if TYPE_CHECKING:
    from runtime.evaluate.stats import PairedDifference

Finding = Literal["helps", "hurts", "unclear"]


@dataclass(frozen=True)
class Verdict:
    """What was measured of one file.

    Attributes:
        sha256: of the file.
        size: of it in bytes, so that only files of that size are hashed to find their verdict.
        dialect: in which code was run.
        n: questions.
        without: share solved without code.
        with_code: share solved with it.
        low: bounds of the paired difference, with minus without, 95 %.
        high: see low.
    """

    sha256: str
    size: int
    dialect: str
    n: int
    without: float
    with_code: float
    low: float
    high: float

    @property
    def finding(self) -> Finding:
        """helps or hurts where the interval does not hold 0."""
        return "helps" if self.low > 0 else "hurts" if self.high < 0 else "unclear"

    @property
    def told(self) -> str:
        """The figures in one line."""
        difference = 100 * (self.with_code - self.without)
        interval = f"[{100 * self.low:+.1f}, {100 * self.high:+.1f}]"
        return (
            f"code {self.finding if self.finding != 'unclear' else 'makes no clear difference'}: "
            f"{100 * self.with_code:.1f} % with it, {100 * self.without:.1f} % without, "
            f"{difference:+.1f} {interval} on {self.n} questions (dialect {self.dialect})"
        )


def verdict_from(model: Path, dialect: str, difference: PairedDifference) -> Verdict:
    """The verdict that a paired comparison (first without code, then with it) gives of `model`."""
    size = model.stat().st_size
    shares = difference.first, difference.second
    return Verdict(sha256_file(model), size, dialect, difference.n, *shares, difference.low, difference.high)


def remember(verdict: Verdict) -> Path:
    """Keep a verdict; one of the same file is replaced."""
    path = _folder() / f"{verdict.sha256[:32]}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, json.dumps(asdict(verdict), indent=1) + "\n")
    return path


def verdict_of(model: Path) -> Verdict | None:
    """What was measured of `model`, if anything was. A record that cannot be read counts for nothing."""
    if not model.is_file():
        return None
    size = model.stat().st_size
    known = [found for path in sorted(_folder().glob("*.json")) if (found := _read(path)) and found.size == size]
    if not known:
        return None
    digest = sha256_file(model)
    return next((one for one in known if one.sha256 == digest), None)


def _folder() -> Path:
    return state_folder() / "verdicts"


def _read(path: Path) -> Verdict | None:
    try:
        return Verdict(**json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None

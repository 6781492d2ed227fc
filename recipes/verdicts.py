"""Whether code helps a model, as it was measured: one verdict a file, adapter and dialect.

A model that was not trained to use an interpreter can do much worse with one. `mathcoder eval --with-and-without`
measures both on the same questions; `chat` and `solve` follow what it found and say so. What was measured with an
adapter says nothing about the file alone, and what was measured in one dialect nothing about another.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from recipes.places import state_folder
from runtime.files import sha256_file, write_text

if TYPE_CHECKING:
    from runtime.engine import Engine
    from runtime.evaluate.stats import PairedDifference

Finding = Literal["helps", "hurts", "unclear"]
LATE_SHARE = 0.05
"""Share of solutions that may end for want of time in a comparison whose verdict is kept."""


class Subject(NamedTuple):
    """What a verdict is on: a file, the adapter on top of it, and the dialect in which its code is run."""

    model: Path
    adapter: Path | None
    dialect: str


@dataclass(frozen=True)
class Verdict:
    """What was measured of one subject.

    Attributes:
        sha256: of the file.
        size: of it in bytes, so that only files of that size are hashed to find their verdict.
        adapter: SHA-256 of the adapter, empty for none.
        dialect: in which code was run.
        n: questions.
        without: share solved without code.
        with_code: share solved with it.
        low: bounds of the paired difference, with minus without, 95 %.
        high: see low.
    """

    sha256: str
    size: int
    adapter: str
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


def subject_of(engine: Engine, dialect: str) -> Subject | None:
    """What a verdict on the loaded model would be on; None behind a server, whose file nobody sees."""
    from runtime.engine.llama.engine import LlamaEngine

    return Subject(engine.path, engine.lora, dialect) if isinstance(engine, LlamaEngine) else None


def verdict_from(subject: Subject, difference: PairedDifference) -> Verdict:
    """The verdict that a paired comparison (first without code, then with it) gives."""
    key = sha256_file(subject.model), subject.model.stat().st_size, _adapter_hash(subject), subject.dialect
    shares = difference.first, difference.second
    return Verdict(*key, difference.n, *shares, difference.low, difference.high)


def why_not_kept(verdict: Verdict, results: Sequence[Path]) -> str:
    """Why `results`, without code and with it, say nothing of the model; empty where they do."""
    from runtime.evaluate.records import read_records

    late = sum(record.line.get("status") == "time_limit" for path in results for record in read_records(path))
    if late > LATE_SHARE * 2 * verdict.n:
        return (
            f"{late} solutions ended for want of time, which tells of this machine and not of the model. Give more "
            "with --max-seconds"
        )
    if not any(record.line.get("cells") for record in read_records(results[-1])):
        return "no solution ran code, so that what differs is how the model was asked"
    return ""


def remember(verdict: Verdict) -> Path:
    """Keep a verdict in place of one on the same subject, or on the file without naming an adapter."""
    name = f"{verdict.sha256[:32]}-{verdict.adapter[:16] or 'bare'}-{verdict.dialect}.json"
    path = _folder() / name
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, json.dumps(asdict(verdict), indent=1) + "\n")
    (_folder() / f"{verdict.sha256[:32]}.json").unlink(missing_ok=True)
    return path


def verdict_of(subject: Subject) -> Verdict | None:
    """What was measured of `subject`, if anything was. A record that cannot be read counts for nothing."""
    records = _records_of(subject.model)
    if not records:
        return None
    wanted = {"adapter": _adapter_hash(subject), "dialect": subject.dialect}
    for record in records:
        if wanted.items() <= record.items():
            try:
                return Verdict(**record)
            except TypeError:
                continue
    return None


def has_outdated_verdict(model: Path) -> bool:
    """Whether `model` was measured by a version that kept no adapter, so that nobody knows with which one."""
    return any("adapter" not in record for record in _records_of(model))


def _records_of(model: Path) -> list[dict[str, Any]]:
    """What is kept on a file; it is hashed only where something is kept on one of its size."""
    if not model.is_file():
        return []
    size = model.stat().st_size
    records = [record for path in sorted(_folder().glob("*.json")) if (record := _read(path)).get("size") == size]
    digest = sha256_file(model) if records else ""
    return [record for record in records if record.get("sha256") == digest]


def _adapter_hash(subject: Subject) -> str:
    return sha256_file(subject.adapter) if subject.adapter is not None else ""


def _folder() -> Path:
    return state_folder() / "verdicts"


def _read(path: Path) -> dict[str, Any]:
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return record if isinstance(record, dict) else {}

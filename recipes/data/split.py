"""`data split`: rows into parts by the hash of their question, which stands in one part only.

The rule is that of training's own held-out rows (`qlora.data.is_held_out`): sha256(question) modulo 100, counted from
zero through the parts in the order given. So `split --parts heldout=1,train=99` cuts where training would.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from qlora.data import percentile, question_of
from recipes.data.rows import Refused, files_of, read_lines, sha256_of, why_no_row
from runtime.errors import InputError
from runtime.files import atomic_path, json_line, write_text


@dataclass
class SplitReport:
    """Rows and different questions of each part; `invalid` lines are in none of them."""

    rows: Counter[str] = field(default_factory=Counter)
    questions: Counter[str] = field(default_factory=Counter)
    invalid: Refused = field(default_factory=Refused)


def parse_parts(text: str) -> dict[str, int]:
    """`heldout=1,train=99` as a mapping.

    Raises:
        InputError: not of that form, or the shares do not add up to 100.
    """
    parts: dict[str, int] = {}
    for item in text.split(","):
        name, _, share = item.strip().partition("=")
        if not name or not name.replace("-", "").replace("_", "").isalnum() or not share.isdecimal() or name in parts:
            raise InputError(
                f"{item.strip()!r} is not NAME=PERCENT",
                "nothing was written",
                "write NAME=PERCENT,NAME=PERCENT, each name once",
            )
        parts[name] = int(share)
    if sum(parts.values()) != 100:
        raise InputError(
            f"the parts add up to {sum(parts.values())} %", "nothing was written", "make them add up to 100"
        )
    return parts


def part_of(question: str, parts: Mapping[str, int]) -> str:
    """The part that rows with this question belong to."""
    bucket = percentile(question)
    for name, share in parts.items():
        if bucket < share:
            return name
        bucket -= share
    raise InputError("the parts do not add up to 100 %", "some rows belong to none", "make them add up to 100")


def split(source: str, folder: str | Path, parts: Mapping[str, int]) -> SplitReport:
    """Write `folder/PART.jsonl` for each part, and `split.json` with what was done.

    Raises:
        InputError: no such source.
        DataError: a file that cannot be read to its end.
    """
    folder = Path(folder)
    report = SplitReport()
    seen: dict[str, set[bytes]] = {name: set() for name in parts}
    files = files_of(source)
    with ExitStack() as stack:
        paths = {name: stack.enter_context(atomic_path(folder / f"{name}.jsonl")) for name in parts}
        handles = {name: stack.enter_context(open(path, "w", encoding="utf-8")) for name, path in paths.items()}
        for line in read_lines(files):
            reason = why_no_row(line.value)
            if reason is not None:
                report.invalid.add(line.place, reason)
                continue
            question = question_of(line.value["messages"])
            name = part_of(question, parts)
            handles[name].write(json_line(line.value))
            report.rows[name] += 1
            seen[name].add(hashlib.sha256(question.encode()).digest()[:12])
    report.questions.update({name: len(questions) for name, questions in seen.items()})
    facts: dict[str, Any] = {
        "source": source,
        "sha256": sha256_of(files),
        "rule": "sha256(question) modulo 100, counted through the parts in this order",
        "parts": [
            {"name": name, "percent": share, "rows": report.rows[name], "questions": report.questions[name]}
            for name, share in parts.items()
        ],
        "invalid": {"rows": report.invalid.total, "first": report.invalid.listed[:100]},
    }
    write_text(folder / "split.json", json.dumps(facts, indent=2, ensure_ascii=False) + "\n")
    return report

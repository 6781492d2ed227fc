"""Small rows for the tests of `recipes.data`."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from runtime.lce import Block, conversation


def row(question: str, *blocks: tuple[str, str]) -> dict[str, Any]:
    """A row in the hub schema."""
    return {"messages": conversation(question, [Block(kind, content) for kind, content in blocks])}  # type: ignore[arg-type]


def good_row(a: int = 2, b: int = 3) -> dict[str, Any]:
    """A row whose every execution is what its code prints."""
    return row(
        f"Ann has {a} boxes of {b} apples and eats one apple on her way home. How many apples are left?",
        ("text", "All apples first."),
        ("code", f"total = {a} * {b}\ntotal"),
        ("execution", str(a * b)),
        ("text", "She eats one."),
        ("code", "left = total - 1\nleft"),
        ("execution", str(a * b - 1)),
        ("text", f"So \\boxed{{{a * b - 1}}} apples are left."),
        ("text", str(a * b - 1)),
    )


def write(path: Path, values: Iterable[Any]) -> str:
    """Values as JSON lines (bytes as they are); returns the path as text."""
    with open(path, "wb") as handle:
        for value in values:
            handle.write(value if isinstance(value, bytes) else json.dumps(value).encode() + b"\n")
    return str(path)


def read(path: Path | str) -> list[Any]:
    """The values of a .jsonl file."""
    return [json.loads(line) for line in Path(path).read_text(encoding="utf-8").splitlines()]

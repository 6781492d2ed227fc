"""One row on the screen, coloured by kind, with the tokens of each kind counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from qlora.data import Row, row_segments
from runtime.lce import KINDS, SUPERVISED_KINDS

if TYPE_CHECKING:
    from rich.console import RenderableType

STYLES = {
    "prompt": "dim",
    "text": "green",
    "code": "cyan",
    "execution": "yellow",
    "control": "magenta",
}


def show_row(row: Row | Mapping[str, Any], tokenizer: Any = None) -> RenderableType:
    """A rich renderable of `row`: its segments coloured by kind, then a table of counts.

    With a tokenizer the table counts tokens as training sees them; without one, characters.

    Raises:
        ModelError: the tokenizer is not a fast one, or lacks control tokens.
    """
    from rich.console import Group
    from rich.text import Text

    body = Text()
    counts: Counter[str] = Counter()
    if tokenizer is not None:
        from qlora.tokens import segment_tokenizer

        tokens = segment_tokenizer(tokenizer)
        counts["prompt"] += len(tokens.prefix)
    for segment in row_segments(row, tokenizer):
        body.append(visible(segment.text), style=STYLES[segment.kind])
        if segment.is_control and segment.text in ("<|endofblock|>", "<|endofmessage|>"):
            body.append("\n")
        counts[segment.kind] += len(segment.text) if tokenizer is None else len(tokens.ids(segment))
    return Group(body, _table(counts, "characters" if tokenizer is None else "tokens"))


def _table(counts: Counter[str], unit: str) -> RenderableType:
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    table.add_column("kind")
    table.add_column(unit, justify="right")
    table.add_column("carries loss")
    for kind in KINDS:
        table.add_row(kind, f"{counts[kind]:,}", "yes" if kind in SUPERVISED_KINDS else "no", style=STYLES[kind])
    table.add_row("all", f"{counts.total():,}", f"{sum(counts[kind] for kind in SUPERVISED_KINDS):,}")
    return table


def visible(text: str) -> str:
    """`text` with control characters written out, so that a row cannot drive the terminal it is shown on."""
    return "".join(
        char if char in "\n\t" or (char.isprintable() or char == " ") else char.encode("unicode_escape").decode()
        for char in text
    )

"""`mathcoder data stats`: what is in a source."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from recipes.cli.command import Parser, Ticker, say
from recipes.cli.data.shared import base_argument, source_argument, tokenizer_of


def parser() -> Parser:
    """Arguments of `mathcoder data stats`."""
    result = Parser(
        "data stats",
        "Count what is in a source: rows, tokens of each kind, blocks, lengths, answers, imports, failures.",
        examples=[
            ("mathcoder data stats rows.jsonl", "a table"),
            ("mathcoder data stats rows/ --base nano --plots plots/", "each file apart, in tokens, with histograms"),
        ],
        see_also=["data", "plan"],
    )
    source_argument(result)
    base_argument(result)
    result.add_argument("--plots", type=Path, metavar="DIR", help="write histograms as PNG files here")
    result.add_argument("--json", action="store_true", help="print the counts as JSON")
    return result


def run(args: argparse.Namespace) -> int:
    """Count, print, and draw where asked for."""
    from recipes.data.stats import plot, statistics

    found = statistics(args.source, tokenizer_of(args.base), on_progress=Ticker("rows"))
    drawn = plot(found, args.plots) if args.plots is not None else []
    if args.json:
        print(json.dumps({name: item.as_dict() for name, item in found.items()}, indent=2, ensure_ascii=False))
    else:
        for name, item in found.items():
            _show_table(name, item.as_dict())
    for path in drawn:
        say(f"drawn: {path}")
    return 0 if any(item.rows for item in found.values()) else 1


def _show_table(title: str, facts: Mapping[str, Any]) -> None:
    from rich.table import Table
    from rich.text import Text

    from runtime.show.console import make_console
    from runtime.show.panels import clean

    table = Table(box=None, show_header=False, pad_edge=False, title=Text(clean(title)), title_justify="left")
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in facts.items():
        shown = ", ".join(f"{k} {v:,}" for k, v in value.items()) if isinstance(value, dict) else f"{value:,}"
        table.add_row(name, Text(clean(shown or "none")))
    make_console().print(table)

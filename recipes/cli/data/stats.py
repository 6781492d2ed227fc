"""`mathcoder data stats`: what is in a source."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from recipes.cli.command import Parser, Ticker, say, show_facts
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
    from runtime.show.console import make_console

    found = statistics(args.source, tokenizer_of(args.base), on_progress=Ticker("rows"))
    drawn = plot(found, args.plots) if args.plots is not None else []
    if args.json:
        print(json.dumps({name: item.as_dict() for name, item in found.items()}, indent=2, ensure_ascii=False))
    else:
        for name, item in found.items():
            show_facts(((key, _shown(value)) for key, value in item.as_dict().items()), make_console(), title=name)
    for path in drawn:
        say(f"drawn: {path}")
    return 0 if any(item.rows for item in found.values()) else 1


def _shown(value: Any) -> str:
    if not isinstance(value, dict):
        return f"{value:,}"
    return ", ".join(f"{name} {count:,}" for name, count in value.items()) or "none"

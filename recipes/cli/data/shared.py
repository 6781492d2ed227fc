"""What the actions of `mathcoder data` share: arguments, tables of counts."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recipes.cli.command import Parser, positive_int, say

if TYPE_CHECKING:
    from recipes.data.rows import Refused
    from recipes.data.solve import SelectReport


def source_argument(result: Parser) -> None:
    """The positional argument all actions begin with."""
    result.add_argument(
        "source", metavar="SRC", help="a .jsonl, .jsonl.gz or .parquet file, a folder, a hub id, `nano`"
    )


def model_argument(result: Parser) -> None:
    """`--model`, which is asked."""
    result.add_argument(
        "--model", required=True, metavar="MODEL", help="a GGUF file, a name, or a server's name for it"
    )


def base_argument(result: Parser) -> None:
    """`--base`, whose tokens are counted."""
    result.add_argument("--base", metavar="BASE", help="folder or hub id of a base, or `nano`: count its tokens")


def tokenizer_of(base: str | None) -> Any:
    """The tokenizer that `--base` names; None where it was not given."""
    if base is None:
        return None
    from qlora.base import find_base, load_tokenizer
    from recipes.schema import base_path

    return load_tokenizer(find_base(base_path(base)))


def keep_arguments(result: Parser) -> None:
    """Which solutions become rows, and where the rows go."""
    result.add_argument("--keep", choices=("gold", "agree"), required=True, help="which solutions become rows")
    result.add_argument("--out", type=Path, required=True, metavar="FILE", help="the .jsonl file of rows")
    result.add_argument(
        "--per-question",
        type=positive_int,
        metavar="K",
        help="rows a question may give (default: all with --keep gold, 1 with agree)",
    )
    result.add_argument("--json", action="store_true", help="print the report as JSON")


def show_counts(title: str, counts: Mapping[str, int]) -> None:
    """A title and one count a line."""
    from rich.text import Text

    from runtime.show.console import make_console

    console = make_console()
    console.print(Text(title if counts or not title.endswith(":") else f"{title} none"))
    for name, count in counts.items():
        console.print(Text(f"  {count:>9,}  {name}"))


def show_lines(lines: list[str], limit: int) -> None:
    """The first `limit` lines, shortened, safe for the terminal, and how many more there are."""
    from rich.text import Text

    from runtime.show.console import make_console

    console = make_console()
    for line in lines[:limit]:
        console.print(Text(line[:300], style="warning"))
    if len(lines) > limit > 0:
        console.print(Text(f"and {len(lines) - limit:,} more", style="warning"))


def show_left_out(counts: Mapping[str, int], source: str) -> None:
    """One line for each reason why lines of `source` were left out."""
    for reason, count in counts.items():
        say(f"{source}: {count:,} lines left out: {reason}", style="red")


def show_refused(refused: Refused, source: str) -> None:
    """The same, with the first of the lines."""
    show_left_out(refused.counts, source)
    for line in refused.listed[:5]:
        say(f"  {line}")


def show_selected(args: argparse.Namespace, selected: SelectReport, more: Mapping[str, Any]) -> None:
    """What became rows, and why questions were dropped; `more` goes into the JSON."""
    if args.json:
        told = {
            "rows": selected.rows,
            "questions": selected.questions,
            "kept_questions": selected.kept_questions,
            "dropped": dict(selected.dropped),
            **more,
        }
        print(json.dumps(told, indent=2))
        return
    show_counts(
        f"{args.out}: {selected.rows:,} rows of {selected.kept_questions:,} questions; of {selected.questions:,} "
        "questions dropped:",
        dict(selected.dropped.most_common()),
    )

"""`mathcoder data show`: one row, coloured by what each piece is to training."""

from __future__ import annotations

import argparse

from recipes.cli.command import Parser, say
from recipes.cli.data.shared import base_argument, source_argument, tokenizer_of
from runtime.errors import InputError


def parser() -> Parser:
    """Arguments of `mathcoder data show`."""
    result = Parser(
        "data show",
        "Print a row, coloured by what each piece is to training, with counts.",
        details="With --base the counts are tokens, as training sees them; without, characters.",
        examples=[
            ("mathcoder data show rows.jsonl", "the first row"),
            ("mathcoder data show nano --row 12 --base nano", "counted in the nano base's tokens"),
        ],
        see_also=["data", "plan"],
    )
    source_argument(result)
    result.add_argument("--row", type=int, default=0, metavar="N", help="which row, from 0")
    base_argument(result)
    return result


def run(args: argparse.Namespace) -> int:
    """Print the row."""
    from qlora.data import load_rows
    from qlora.show import show_row
    from recipes.nano.rows import training_rows_path
    from runtime.show.console import make_console

    source = str(training_rows_path()) if args.source == "nano" else args.source
    # A person who looks wants to see what is there; training is where bad rows count.
    rows = load_rows(source, max_bad_percent=100.0)
    if rows.bad:
        say(f"{len(rows.bad):,} bad rows are not counted; `mathcoder data check` lists them")
    if not 0 <= args.row < len(rows):
        raise InputError(f"there is no row {args.row}", "", f"{args.source} has rows 0 to {len(rows) - 1}")
    make_console().print(show_row(rows[args.row], tokenizer_of(args.base)))
    return 0

"""`mathcoder data`: look at rows, check them, count them. Each action has its own parser and its own help."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

from recipes.cli.command import Parser, nearest, say
from runtime.errors import InputError

SOURCE = "a .jsonl, .jsonl.gz or .parquet file, a folder, a hub id, `nano`"
"""What an action can read."""

ACTIONS = {
    "show": "print a row, coloured by what each piece is to training",
}


def parser() -> Parser:
    """What `mathcoder data --help` shows."""
    result = Parser(
        "data",
        "Look at, check, clean, convert and make rows in the schema of MathCodeInstruct.",
        details="Actions:\n"
        + "\n".join(f"  {name:<15}{summary}" for name, summary in ACTIONS.items())
        + "\n\n`mathcoder data ACTION --help` explains one. SRC is a .jsonl, .jsonl.gz or .parquet file, a folder of\n"
        "such files, a hub id, or `nano`, the rows that are generated on this machine.",
        examples=[
            ("mathcoder data show rows.jsonl --row 3", "the fourth row"),
            ("mathcoder data check rows.jsonl", "do the recorded results come out again?"),
            ("mathcoder data stats nano", "what the nano recipe trains on"),
            ("mathcoder data decontaminate rows.jsonl --help", "what an action takes"),
        ],
        see_also=["plan", "train"],
        usage="mathcoder data ACTION SRC [options]",
    )
    result.add_argument("action", metavar="ACTION", choices=tuple(ACTIONS), help=", ".join(ACTIONS))
    return result


def dispatch(words: list[str]) -> int:
    """Run one action; returns the exit code."""
    if not words or words[0] in ("-h", "--help"):
        print(parser().format_help(), end="")
        return 0 if words else 2
    if words[0] not in ACTIONS:
        hint = nearest(words[0], ACTIONS) or f"The actions are {', '.join(ACTIONS)}"
        raise InputError(f"unknown action {words[0]!r} of `mathcoder data`", "", hint)
    build, act = BUILDERS[words[0]]
    args = build().read(words[1:])
    return 0 if args is None else act(args)


def _source(result: Parser) -> None:
    result.add_argument("source", metavar="SRC", help=SOURCE)


def _rows(source: str, max_bad_percent: float = 1.0) -> Any:
    from qlora.data import load_rows

    if source == "nano":
        from recipes.nano.rows import training_rows_path

        source = str(training_rows_path())
    return load_rows(source, max_bad_percent=max_bad_percent)


def _show_parser() -> Parser:
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
    _source(result)
    result.add_argument("--row", type=int, default=0, metavar="N", help="which row, from 0")
    result.add_argument("--base", metavar="BASE", help="folder or hub id of a base, or `nano`: count its tokens")
    return result


def _show(args: argparse.Namespace) -> int:
    from qlora.show import show_row
    from runtime.show.console import make_console

    # A person who looks wants to see what is there; training is where bad rows count.
    rows = _rows(args.source, max_bad_percent=100.0)
    if rows.bad:
        say(f"{len(rows.bad):,} bad rows are not counted; `mathcoder data check` lists them")
    if not 0 <= args.row < len(rows):
        raise InputError(f"there is no row {args.row}", "", f"{args.source} has rows 0 to {len(rows) - 1}")
    tokenizer = None
    if args.base is not None:
        from qlora.base import find_base, load_tokenizer
        from recipes.schema import base_path

        tokenizer = load_tokenizer(find_base(base_path(args.base)))
    make_console().print(show_row(rows[args.row], tokenizer))
    return 0


BUILDERS: dict[str, tuple[Callable[[], Parser], Callable[[argparse.Namespace], int]]] = {
    "show": (_show_parser, _show),
}
"""Action to its parser and what it does."""


def _hook() -> None:
    # The actions that make and check data live with what they do; `show` needs nothing but a row and a tokenizer.
    from recipes.data.cli import add_subcommands

    add_subcommands(ACTIONS, BUILDERS)


_hook()

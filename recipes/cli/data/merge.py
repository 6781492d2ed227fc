"""`mathcoder data merge`: the shards of one `data solve` put together."""

from __future__ import annotations

import argparse

from recipes.cli.command import Parser
from recipes.cli.data.shared import keep_arguments, show_selected


def parser() -> Parser:
    """Arguments of `mathcoder data merge`."""
    result = Parser(
        "data merge",
        "Put the shards of one `data solve` together, as if it had been one call.",
        details="Missing and doubled shards, unfinished ones, and shards of different runs are named and refused.",
        examples=[("mathcoder data merge part1.jsonl part2.jsonl --keep gold --out rows.jsonl", "two shards")],
        see_also=["data solve"],
    )
    result.add_argument("shards", nargs="+", metavar="SHARD", help="the --out of each shard's call")
    keep_arguments(result)
    result.add_argument("--allow-missing", action="store_true", help="merge although shards or samples are missing")
    return result


def run(args: argparse.Namespace) -> int:
    """Select from all shards."""
    from recipes.data.merge import merge

    selected = merge(args.shards, args.out, args.keep, per_question=args.per_question, allow_missing=args.allow_missing)
    show_selected(args, selected, {})
    return 0 if selected.rows else 1

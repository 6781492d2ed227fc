"""`mathcoder data stories`: rows of generated word problems."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from recipes.cli.command import Parser, positive_int, say
from recipes.stories.world import KINDS


def parser() -> Parser:
    """Arguments of `mathcoder data stories`."""
    result = Parser(
        "data stories",
        "Write rows of generated word problems in free English, their code run in the sandbox.",
        details="""\
Each problem comes from a small world (marbles that are won and lost, people on a bus, prices, days of work) that holds
more facts than its question needs: so one text has several questions, and many questions have numbers that do not
matter. Each solution says what is computed, computes it with named variables, and answers. The rows are this
project's own (Apache-2.0), and the same for the same seed.""",
        examples=[("mathcoder data stories --rows 3000 --out stories.jsonl", "three thousand rows")],
        see_also=["data decontaminate", "train"],
    )
    result.add_argument("--rows", type=positive_int, default=3000, metavar="N", help="how many (default 3000)")
    result.add_argument("--seed", type=int, default=1, metavar="S", help="which ones (default 1)")
    result.add_argument("--kinds", nargs="+", choices=KINDS, metavar="KIND", help=f"only of these: {', '.join(KINDS)}")
    result.add_argument("--out", type=Path, required=True, metavar="FILE", help="the .jsonl file to write")
    result.add_argument("--sessions", type=positive_int, default=2, metavar="N", help="sandbox sessions at once")
    result.add_argument("--json", action="store_true", help="print the result as JSON")
    return result


def run(args: argparse.Namespace) -> int:
    """Write the rows."""
    from recipes.stories.rows import write_rows

    write_rows(args.out, args.rows, args.seed, kinds=args.kinds or KINDS, sessions=args.sessions)
    if args.json:
        print(json.dumps({"rows": args.rows, "seed": args.seed, "out": str(args.out)}))
    else:
        say(f"{args.rows:,} rows written to {args.out}")
    return 0

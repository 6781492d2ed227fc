"""`mathcoder data`: look at rows, check, clean, convert and make them.

An action is a module `recipes.cli.data.NAME` with `parser()` and `run(args)`, as a verb is one of `recipes.cli`.
"""

from __future__ import annotations

import argparse

from recipes.cli.command import Parser, actions_text

ACTIONS = {
    "show": "print a row, coloured by what each piece is to training",
    "check": "validate every row, run every code block again, repair what can be repaired",
    "solve": "sample solutions of questions and keep the right or the agreeing ones",
    "merge": "put the shards of one `data solve` together",
    "interpolate": "let a model write problems between an easy and a hard set",
    "decontaminate": "find rows that ask what a benchmark asks",
    "convert": "rows of other formats into ours, and ours into theirs",
    "stats": "count rows, tokens, blocks, imports, answers and failures",
    "split": "divide rows into parts that share no question",
    "stories": "write word problems in free English with solutions whose code was run",
}
"""Action to the one line that `mathcoder data --help` says about it."""


def parser() -> Parser:
    """What `mathcoder data --help` shows."""
    result = Parser(
        "data",
        "Look at, check, clean, convert and make rows in the schema of MathCodeInstruct.",
        details="Actions:\n"
        + actions_text(ACTIONS)
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
    result.add_argument("action", nargs="?", metavar="ACTION", choices=tuple(ACTIONS), help=", ".join(ACTIONS))
    return result


def run(_: argparse.Namespace) -> int:
    """Say what the actions are: none was named."""
    print(parser().format_help(), end="")
    return 2

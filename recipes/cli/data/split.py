"""`mathcoder data split`: parts that share no question."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from recipes.cli.command import Parser
from recipes.cli.data.shared import show_counts, show_left_out, source_argument


def parser() -> Parser:
    """Arguments of `mathcoder data split`."""
    result = Parser(
        "data split",
        "Divide rows into parts by the hash of their question, so that no question stands in two parts.",
        details="""\
The rule is that of training's held-out rows, so `heldout=1,train=99` cuts where training would. Rows keep their
part when the file grows.""",
        examples=[
            (
                "mathcoder data split rows.jsonl --parts test=5,train=95 --out parts/",
                "parts/test.jsonl, parts/train.jsonl",
            )
        ],
        see_also=["data", "train"],
    )
    source_argument(result)
    result.add_argument(
        "--parts", default="heldout=1,train=99", metavar="NAME=PERCENT,...", help="the parts and their shares"
    )
    result.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder to write to")
    result.add_argument("--json", action="store_true", help="print the report as JSON")
    return result


def run(args: argparse.Namespace) -> int:
    """Write the parts."""
    from recipes.data.split import parse_parts, split

    report = split(args.source, args.out, parse_parts(args.parts))
    if args.json:
        told = {"rows": dict(report.rows), "questions": dict(report.questions), "invalid": dict(report.invalid.counts)}
        print(json.dumps(told, indent=2))
    else:
        show_counts(f"rows in {args.out}:", {f"{name}.jsonl": report.rows[name] for name in report.questions})
        show_left_out(report.invalid.counts, args.source)
    return 0 if report.rows else 1

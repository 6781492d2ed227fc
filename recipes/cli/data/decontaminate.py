"""`mathcoder data decontaminate`: rows that ask what a benchmark asks."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from recipes.cli.command import Parser
from recipes.cli.data.shared import show_counts, show_left_out, show_lines, source_argument


def parser() -> Parser:
    """Arguments of `mathcoder data decontaminate`."""
    result = Parser(
        "data decontaminate",
        "Find rows that ask what a benchmark asks.",
        details="""\
Five measures: the same text; the same but for case, spacing, punctuation and typography; the same but for its
numbers; thirteen words in a row in common; a question of 8 to 12 words contained whole. Without --out nothing
is written. With it the clean rows go there and every row left out is listed beside it, with what it shares with
which question.""",
        examples=[
            ("mathcoder data decontaminate rows.jsonl --against gsm8k.jsonl math.jsonl", "count and list"),
            ("mathcoder data decontaminate rows.jsonl --against bench/ --out clean.jsonl", "and write the clean rows"),
        ],
        see_also=["data", "eval"],
    )
    source_argument(result)
    result.add_argument(
        "--against", nargs="+", required=True, metavar="FILE", help="question files, or folders of them"
    )
    result.add_argument("--out", type=Path, metavar="FILE", help="write the rows without a hit here")
    result.add_argument("--show", type=int, default=10, metavar="N", help="hits to print")
    result.add_argument("--json", action="store_true", help="print the report as JSON")
    return result


def run(args: argparse.Namespace) -> int:
    """Count and list the hits; write the clean rows where asked for."""
    from recipes.data.decontaminate import decontaminate

    overlap = decontaminate(args.source, args.against, out=args.out)
    if args.json:
        print(json.dumps(overlap.as_dict(), indent=2, ensure_ascii=False))
        return 0 if overlap.rows else 1
    share = 100 * len(overlap.hits) / overlap.rows if overlap.rows else 0.0
    show_counts(
        f"{overlap.rows:,} rows against {overlap.benchmark_questions:,} questions, {len(overlap.hits):,} hits "
        f"({share:.2f} %):",
        {**overlap.by_reason, **{f"in {name}": count for name, count in overlap.by_benchmark.items()}},
    )
    show_left_out(overlap.unread.counts, args.source)
    show_left_out(overlap.benchmark_unread.counts, "the benchmarks")
    show_lines([f"{h.place}: {h.reason} {h.benchmark}: {h.shared}" for h in overlap.hits], args.show)
    return 0 if overlap.rows else 1

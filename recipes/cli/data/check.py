"""`mathcoder data check`: are the rows valid, and do their recorded executions come out again?"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from recipes.cli.command import Parser, Ticker, positive_int
from recipes.cli.data.shared import show_counts, show_left_out, show_lines, source_argument


def parser() -> Parser:
    """Arguments of `mathcoder data check`."""
    result = Parser(
        "data check",
        "Validate every row, run every code block again and compare with the recorded results.",
        details="""\
The code of a row runs in one fresh session of the sandbox, as it did when the row was made; many sessions run
side by side. A result agrees where it is equal, or equal but for decimals beyond the sixth, the order of a
set, or the layout of a traceback; each is counted apart. Also checked: every code block has an execution, the
answer stands in the last block, and it is what the solution worked out.

A check that was interrupted goes on where it stopped. With --repair the rows are written with their true
executions, and those that cannot be mended are listed beside them with the reason. The exit code is 1 where
anything is wrong.""",
        examples=[
            ("mathcoder data check rows.jsonl", "all rows"),
            ("mathcoder data check rows.jsonl --repair mended.jsonl", "and write what can be kept"),
            ("mathcoder data check rows.jsonl --first 100 --json", "the first hundred, for a program"),
        ],
        see_also=["data", "data stats"],
    )
    source_argument(result)
    result.add_argument("--repair", type=Path, metavar="OUT", help="write the rows with true executions here")
    result.add_argument("--gold", metavar="QUESTIONS", help="also hold answers to the gold ones of this .jsonl file")
    result.add_argument("--first", "--limit", type=positive_int, metavar="N", help="check only the first N rows")
    result.add_argument("--sessions", type=positive_int, metavar="N", help="sessions at once (default: two a core)")
    result.add_argument("--cell-seconds", type=float, default=10.0, metavar="S", help="seconds one cell may take")
    result.add_argument("--memory-mb", type=positive_int, default=1024, metavar="MB", help="memory of a session")
    result.add_argument("--report", type=Path, metavar="FILE", help="write every flagged row's verdict here")
    result.add_argument("--fresh", action="store_true", help="forget an interrupted check")
    result.add_argument("--show", type=int, default=10, metavar="N", help="flagged rows to print")
    result.add_argument("--json", action="store_true", help="print the report as JSON")
    return result


def run(args: argparse.Namespace) -> int:
    """Check the rows and show what is wrong; write repaired rows and a report where asked for."""
    from recipes.data.check import OUTPUT_CHARS, check, repair
    from recipes.data.rows import Refused, read_questions, write_lines
    from runtime.errors import InputError
    from runtime.sandbox import Limits
    from runtime.settings import validated

    limits = validated(
        Limits,
        {"cell_seconds": args.cell_seconds, "memory_mb": args.memory_mb, "output_chars": OUTPUT_CHARS},
        "nothing was checked",
        "see `mathcoder data check --help`",
    )
    gold = None
    if args.gold is not None:
        refused = Refused()
        questions = read_questions(args.gold, refused, need_gold=True)
        gold = {question.question.strip(): question.gold for question in questions if question.gold is not None}
        show_left_out(refused.counts, args.gold)
    report = check(
        args.source,
        limits=limits,
        sessions=args.sessions,
        first=args.first,
        gold=gold,
        fresh=args.fresh,
        on_progress=Ticker("rows"),
    )
    if not report.rows:
        raise InputError(f"{args.source} holds no rows", "nothing was checked", "check the path")
    outcome: dict[str, Any] = report.as_dict()
    if args.report is not None:
        write_lines(args.report, (verdict.as_dict() for verdict in report.flagged))
    if args.repair is not None:
        repaired = repair(args.source, report, args.repair, first=args.first)
        outcome["repair"] = {
            "kept": repaired.kept,
            "mended": repaired.mended,
            "left_out": dict(repaired.left_out),
            "listing": str(repaired.listing),
        }
    if args.json:
        print(json.dumps(outcome, indent=2, ensure_ascii=False))
        return 1 if report.flagged else 0
    share = f", {outcome['equal_percent']} % agree" if report.cells else ""
    show_counts(f"{report.rows:,} rows, {report.cells:,} executions{share}:", outcome["causes"])
    faulty = f"{len(report.flagged):,} of them have a fault" if report.flagged else "No row has a fault"
    show_counts(f"{faulty}; about the row itself:" if outcome["faults"] else f"{faulty}.", outcome["faults"])
    lines = []
    for verdict in report.flagged:
        lines += [f"{verdict.place}: {name}: {detail}" for name, detail in verdict.faults]
        for cell in verdict.differing:
            lines.append(
                f"{verdict.place}, block {cell.block}: {cell.cause}: {_short(cell.recorded)} now {_short(cell.now)}"
            )
    show_lines(lines, args.show)
    if args.repair is not None:
        told = outcome["repair"]
        show_counts(
            f"{args.repair}: {told['kept']:,} rows as they were, {told['mended']:,} mended; left out "
            f"({told['listing']}):",
            told["left_out"],
        )
    return 1 if report.flagged else 0


def _short(text: str | None) -> str:
    return "nothing" if text is None else repr(text if len(text) <= 80 else f"{text[:38]} ... {text[-38:]}")

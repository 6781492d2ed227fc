"""`mathcoder data convert`: rows of other formats into ours, and ours into theirs."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from recipes.cli.command import Parser, Ticker, positive_int, say
from recipes.cli.data.shared import show_counts, source_argument


def parser() -> Parser:
    """Arguments of `mathcoder data convert`."""
    from recipes.data.convert import TARGETS
    from recipes.data.formats import FORMATS

    result = Parser(
        "data convert",
        "Convert rows of other formats into ours, running their code, and ours into theirs.",
        details="""\
Read, each record by what it looks like: our rows and the results of `solve` and `eval` (lce), fenced Python with output
blocks (fenced), ToRA's traces (tora), OpenAI-style tool calls (tools), question and solution with GSM8K's calculator
marks (gsm8k), question, equation in prefix or infix notation, and answer as in MAWPS, ASDiv-A and SVAMP (equations);
as messages, ShareGPT conversations, prompt and completion, query and response, problem and solution.
Written: lce, fenced, tools. What cannot be converted is listed beside OUT with its reason; the exit code is 1 where
that is more than half.

OUT appears when everything is done. A call that was interrupted goes on where it stopped.""",
        examples=[
            ("mathcoder data convert gsm8k_train.jsonl --out rows.jsonl", "marks become code that was run"),
            ("mathcoder data convert rows.jsonl --to tools --out calls.jsonl", "for a trainer that knows tool calls"),
        ],
        see_also=["data check"],
    )
    source_argument(result)
    result.add_argument("--out", type=Path, required=True, metavar="FILE", help="the .jsonl file to write")
    result.add_argument("--to", choices=TARGETS, default="lce", help="format to write")
    result.add_argument(
        "--from",
        dest="declared",
        choices=FORMATS,
        metavar="FORMAT",
        help=f"format of all records: {', '.join(FORMATS)} (default: what each looks like)",
    )
    result.add_argument("--keep-executions", action="store_true", help="do not run code; keep what is recorded")
    result.add_argument(
        "--bare-answer", action="store_true", help="add the boxed answer of a last sentence as a text of its own"
    )
    result.add_argument(
        "--copies",
        type=positive_int,
        default=0,
        metavar="N",
        help="of each question with an equation, N copies with other numbers",
    )
    result.add_argument("--fresh", action="store_true", help="forget what an interrupted call has converted")
    result.add_argument("--sessions", type=positive_int, metavar="N", help="sessions at once (default: two a core)")
    result.add_argument("--show", type=int, default=10, metavar="N", help="reasons to print")
    result.add_argument("--json", action="store_true", help="print the report as JSON")
    return result


def run(args: argparse.Namespace) -> int:
    """Write the converted rows."""
    from recipes.data.convert import convert
    from recipes.data.rows import beside

    run = False if args.keep_executions else None
    report = convert(
        args.source,
        args.out,
        args.to,
        declared=args.declared,
        run=run,
        bare_answer=args.bare_answer,
        copies=args.copies,
        sessions=args.sessions,
        fresh=args.fresh,
        on_progress=Ticker("records"),
    )
    told = report.as_dict()
    if args.json:
        print(json.dumps(told, indent=2, ensure_ascii=False))
    else:
        show_counts(f"{report.written:,} of {report.read.total():,} records written to {args.out}; read:", told["read"])
        if report.cells:
            show_counts(
                f"{report.cells:,} cells run:",
                {"failed": report.failed_cells, "differ from what was recorded": report.differing},
            )
        show_counts(f"left out ({beside(args.out, 'left-out')}):", told["left_out"])
    if report.written * 2 < report.read.total():
        say(f"more than half of the records were left out; {beside(args.out, 'left-out')} says why", style="red")
        return 1
    return 0

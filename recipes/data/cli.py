"""The actions of `mathcoder data` that work on rows; `add_subcommands` hooks them, and those with a model, into it."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from recipes.cli.command import Parser, positive_int, say

Builder = tuple[Callable[[], Parser], Callable[[argparse.Namespace], int]]

SUMMARIES = {
    "check": "validate every row, run every code block again, repair what can be repaired",
    "solve": "sample solutions of questions and keep the right or the agreeing ones",
    "merge": "put the shards of one `data solve` together",
    "interpolate": "let a model write problems between an easy and a hard set",
    "decontaminate": "find rows that ask what a benchmark asks",
    "convert": "rows of other formats into ours, and ours into theirs",
    "stats": "count rows, tokens, blocks, imports, answers and failures",
    "split": "cut rows into parts that share no question",
    "stories": "write word problems in free English with solutions whose code was run",
}


def add_subcommands(summaries: dict[str, str], builders: dict[str, Builder]) -> None:
    """Add these actions to the tables of `mathcoder data`, in place of actions of the same name.

    Args:
        summaries: action to the line that `mathcoder data --help` says about it.
        builders: action to (function that builds its parser, function that runs it).
    """
    from recipes.data import cli_models
    from recipes.stories import cli as stories

    summaries.update(SUMMARIES)
    actions: dict[str, Builder] = {
        "check": (_check_parser, _check),
        "decontaminate": (_decontaminate_parser, _decontaminate),
        "convert": (_convert_parser, _convert),
        "stats": (_stats_parser, _stats),
        "split": (_split_parser, _split),
        "stories": (stories.parser, stories.run),
        **cli_models.BUILDERS,
    }
    builders.update(actions)


class Ticker:
    """A line of progress now and then: every 2 seconds at a terminal, every 20 elsewhere."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._began = self._said = time.monotonic()

    def __call__(self, count: int, total: int | None = None) -> None:
        """`count` are done."""
        now = time.monotonic()
        if now - self._said >= (2 if sys.stderr.isatty() else 20):
            self._said = now
            of = f" of {total:,}" if total else ""
            say(f"{count:,}{of} {self._what}, {60 * count / (now - self._began):,.0f} a minute")


def source_argument(result: Parser, name: str = "source", metavar: str = "SRC") -> None:
    """The positional argument all actions begin with."""
    result.add_argument(name, metavar=metavar, help="a .jsonl, .jsonl.gz or .parquet file, a folder, a hub id, `nano`")


def show_counts(title: str, counts: Mapping[str, int]) -> None:
    """A title and one count a line."""
    from rich.text import Text

    from runtime.show.console import make_console
    from runtime.show.panels import clean

    console = make_console()
    console.print(Text(clean(title if counts or not title.endswith(":") else f"{title} none")))
    for name, count in counts.items():
        console.print(Text(clean(f"  {count:>9,}  {name}")))


def show_lines(lines: list[str], limit: int) -> None:
    """The first `limit` lines, shortened, safe for the terminal, and how many more there are."""
    from rich.text import Text

    from runtime.show.console import make_console
    from runtime.show.panels import clean

    console = make_console()
    for line in lines[:limit]:
        console.print(Text(clean(line[:300]), style="warning"))
    if len(lines) > limit > 0:
        console.print(Text(f"and {len(lines) - limit:,} more", style="warning"))


# check


def _check_parser() -> Parser:
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


def _check(args: argparse.Namespace) -> int:
    from pydantic import ValidationError

    from recipes.data.check import OUTPUT_CHARS, check, repair
    from recipes.data.rows import Refused, read_questions, write_lines
    from runtime.errors import InputError
    from runtime.sandbox import Limits

    try:
        limits = Limits(cell_seconds=args.cell_seconds, memory_mb=args.memory_mb, output_chars=OUTPUT_CHARS)
    except ValidationError as error:
        first = error.errors()[0]
        flag = f"--{str(first['loc'][0]).replace('_', '-')}"
        raise InputError(
            f"{flag}: {first['msg']} (got {first['input']!r})",
            "nothing was checked",
            "see `mathcoder data check --help`",
        ) from None
    gold = None
    if args.gold is not None:
        refused = Refused()
        questions = read_questions(args.gold, refused, need_gold=True)
        gold = {question.question.strip(): question.gold for question in questions if question.gold is not None}
        _mention(refused.counts, args.gold)
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


def _mention(counts: Mapping[str, int], source: str) -> None:
    for reason, count in counts.items():
        say(f"{source}: {count:,} lines left out: {reason}", style="red")


# decontaminate


def _decontaminate_parser() -> Parser:
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


def _decontaminate(args: argparse.Namespace) -> int:
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
    _mention(overlap.unread.counts, args.source)
    _mention(overlap.benchmark_unread.counts, "the benchmarks")
    show_lines([f"{h.place}: {h.reason} {h.benchmark}: {h.shared}" for h in overlap.hits], args.show)
    return 0 if overlap.rows else 1


# convert


def _convert_parser() -> Parser:
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
        "--from", dest="declared", choices=FORMATS, help="format of all records (default: what each looks like)"
    )
    result.add_argument("--keep-executions", action="store_true", help="do not run code; keep what is recorded")
    result.add_argument(
        "--bare-answer", action="store_true", help="add the boxed answer of a last sentence as a text of its own"
    )
    result.add_argument("--fresh", action="store_true", help="forget what an interrupted call has converted")
    result.add_argument("--sessions", type=positive_int, metavar="N", help="sessions at once (default: two a core)")
    result.add_argument("--show", type=int, default=10, metavar="N", help="reasons to print")
    result.add_argument("--json", action="store_true", help="print the report as JSON")
    return result


def _convert(args: argparse.Namespace) -> int:
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


# stats


def _stats_parser() -> Parser:
    result = Parser(
        "data stats",
        "Count what is in a source: rows, tokens of each kind, blocks, lengths, answers, imports, failures.",
        examples=[
            ("mathcoder data stats rows.jsonl", "a table"),
            ("mathcoder data stats rows/ --base nano --plots plots/", "each file apart, in tokens, with histograms"),
        ],
        see_also=["data", "plan"],
    )
    source_argument(result)
    result.add_argument("--base", metavar="BASE", help="folder or hub id of a base, or `nano`: count its tokens")
    result.add_argument("--plots", type=Path, metavar="DIR", help="write histograms as PNG files here")
    result.add_argument("--json", action="store_true", help="print the counts as JSON")
    return result


def _stats(args: argparse.Namespace) -> int:
    from recipes.data.stats import plot, statistics

    tokenizer = None
    if args.base is not None:
        from qlora.base import find_base, load_tokenizer
        from recipes.schema import base_path

        tokenizer = load_tokenizer(find_base(base_path(args.base)))
    found = statistics(args.source, tokenizer, on_progress=Ticker("rows"))
    drawn = plot(found, args.plots) if args.plots is not None else []
    if args.json:
        print(json.dumps({name: item.as_dict() for name, item in found.items()}, indent=2, ensure_ascii=False))
    else:
        for name, item in found.items():
            _show_table(name, item.as_dict())
    for path in drawn:
        say(f"drawn: {path}")
    return 0 if any(item.rows for item in found.values()) else 1


def _show_table(title: str, facts: Mapping[str, Any]) -> None:
    from rich.table import Table
    from rich.text import Text

    from runtime.show.console import make_console
    from runtime.show.panels import clean

    table = Table(box=None, show_header=False, pad_edge=False, title=Text(clean(title)), title_justify="left")
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in facts.items():
        shown = ", ".join(f"{k} {v:,}" for k, v in value.items()) if isinstance(value, dict) else f"{value:,}"
        table.add_row(name, Text(clean(shown or "none")))
    make_console().print(table)


# split


def _split_parser() -> Parser:
    result = Parser(
        "data split",
        "Cut rows into parts by the hash of their question, so that no question stands in two parts.",
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
    result.add_argument("--parts", default="heldout=1,train=99", metavar="NAME=PERCENT,...", help="what to cut into")
    result.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder to write to")
    result.add_argument("--json", action="store_true", help="print the report as JSON")
    return result


def _split(args: argparse.Namespace) -> int:
    from recipes.data.split import parse_parts, split

    report = split(args.source, args.out, parse_parts(args.parts))
    if args.json:
        told = {"rows": dict(report.rows), "questions": dict(report.questions), "invalid": dict(report.invalid.counts)}
        print(json.dumps(told, indent=2))
    else:
        show_counts(f"rows in {args.out}:", {f"{name}.jsonl": report.rows[name] for name in report.questions})
        _mention(report.invalid.counts, args.source)
    return 0 if report.rows else 1

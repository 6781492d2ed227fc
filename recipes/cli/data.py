"""`mathcoder data`: look at rows, check them, count them. Each action has its own parser and its own help."""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Callable
from typing import Any

from recipes.cli.command import Parser, nearest, positive_int, say
from runtime.errors import InputError

ACTIONS = {
    "show": "print a row, coloured by what each piece is to training",
    "check": "validate every row and run every code block again",
    "stats": "count rows, blocks, imports and answers",
}


def parser() -> Parser:
    """What `mathcoder data --help` shows."""
    result = Parser(
        "data",
        "Look at rows in the schema of MathCodeInstruct.",
        details="Actions:\n"
        + "\n".join(f"  {name:<8}{summary}" for name, summary in ACTIONS.items())
        + "\n\n`mathcoder data ACTION --help` explains one. SRC is a .jsonl, .jsonl.gz or .parquet file, a folder of\n"
        "such files, a hub id, or `nano`, the rows that are generated on this machine.",
        examples=[
            ("mathcoder data show rows.jsonl --row 3", "the fourth row"),
            ("mathcoder data check rows.jsonl", "do the recorded results come out again?"),
            ("mathcoder data stats nano", "what the nano recipe trains on"),
        ],
        see_also=["plan", "train"],
        usage="mathcoder data ACTION SRC [options]",
    )
    result.add_argument("action", metavar="ACTION", choices=tuple(ACTIONS), help=", ".join(ACTIONS))
    return result


def dispatch(words: list[str]) -> int:
    """Run one action; returns the exit code."""
    if not words or words[0] in ("-h", "--help"):
        print(parser().format_help(), end="")
        return 0 if words else 2
    if words[0] not in ACTIONS:
        hint = nearest(words[0], ACTIONS) or f"The actions are {', '.join(ACTIONS)}"
        raise InputError(f"unknown action {words[0]!r} of `mathcoder data`", "", hint)
    build, act = BUILDERS[words[0]]
    args = build().read(words[1:])
    return 0 if args is None else act(args)


def _source(result: Parser) -> None:
    result.add_argument("source", metavar="SRC", help="file, folder, hub id, or `nano`")


def _rows(source: str, max_bad_percent: float = 1.0) -> Any:
    from qlora.data import load_rows

    if source == "nano":
        from recipes.nano.rows import training_rows_path

        source = str(training_rows_path())
    return load_rows(source, max_bad_percent=max_bad_percent)


def _show_parser() -> Parser:
    result = Parser(
        "data show",
        "Print a row, coloured by what each piece is to training, with counts.",
        details="With --base the counts are tokens, as training sees them; without, characters.",
        examples=[
            ("mathcoder data show rows.jsonl", "the first row"),
            ("mathcoder data show nano --row 12 --base nano", "counted in the nano base's tokens"),
        ],
        see_also=["data", "plan"],
    )
    _source(result)
    result.add_argument("--row", type=int, default=0, metavar="N", help="which row, from 0")
    result.add_argument("--base", metavar="BASE", help="folder or hub id of a base, or `nano`: count its tokens")
    return result


def _show(args: argparse.Namespace) -> int:
    from qlora.show import show_row
    from runtime.render import make_console

    rows = _rows(args.source)
    if not 0 <= args.row < len(rows):
        raise InputError(f"there is no row {args.row}", "", f"{args.source} has rows 0 to {len(rows) - 1}")
    tokenizer = None
    if args.base is not None:
        from qlora.base import find_base, load_tokenizer
        from recipes.schema import base_path

        tokenizer = load_tokenizer(find_base(base_path(args.base)))
    make_console().print(show_row(rows[args.row], tokenizer))
    return 0


def _check_parser() -> Parser:
    result = Parser(
        "data check",
        "Validate every row, run every code block again and compare with the recorded results.",
        details="""\
The code of a row runs in one fresh session of the sandbox, as it did when the row was made. The exit code is 1
where a row is invalid or a result differs.""",
        examples=[
            ("mathcoder data check rows.jsonl", "all rows"),
            ("mathcoder data check rows.jsonl --limit 100 --json", "the first hundred, for a program"),
        ],
        see_also=["data"],
    )
    _source(result)
    result.add_argument("--limit", type=positive_int, metavar="N", help="check only the first N rows")
    result.add_argument("--show", type=int, default=5, metavar="N", help="differences to print")
    result.add_argument("--json", action="store_true", help="print the report as JSON")
    return result


def _check(args: argparse.Namespace) -> int:
    from recipes.reexecute import reexecute

    rows = _rows(args.source, max_bad_percent=100.0)
    chosen = list(rows)[: args.limit]
    report = reexecute(chosen, on_row=_every(500, len(chosen)))
    bad = [str(row) for row in rows.bad]
    outcome = {"rows": len(chosen), "invalid": len(bad), "cells": report.cells, "causes": dict(report.causes)}
    if args.json:
        print(
            json.dumps(
                {**outcome, "invalid_rows": bad, "differences": [d.as_dict() for d in report.differences]}, indent=2
            )
        )
    else:
        from rich.text import Text

        from runtime.render import clean, make_console

        console = make_console()
        console.print(f"{len(chosen)} rows, {len(bad)} invalid; {report.cells} cells run again:")
        for cause, count in report.causes.most_common():
            console.print(f"  {count:>7}  {cause}")
        for line in bad[: args.show]:
            console.print(Text(line, style="warning"))
        for difference in report.differences[: args.show]:
            console.print(Text(f"{difference.place}, block {difference.block}: {difference.cause}", style="warning"))
            console.print(Text(clean(f"  recorded {difference.recorded[:200]!r}\n  now      {difference.now[:200]!r}")))
    return 1 if bad or report.differences else 0


def _every(step: int, total: int) -> Any:
    def report(count: int) -> None:
        if count % step == 0 and count < total:
            say(f"{count} of {total} rows")

    return report


def _stats_parser() -> Parser:
    result = Parser(
        "data stats",
        "Count what is in a source: rows, blocks, lengths, imports, answers.",
        examples=[("mathcoder data stats rows.jsonl", "a table"), ("mathcoder data stats nano --json", "as JSON")],
        see_also=["data", "plan"],
    )
    _source(result)
    result.add_argument("--json", action="store_true", help="print the counts as JSON")
    return result


def _stats(args: argparse.Namespace) -> int:
    rows = _rows(args.source, max_bad_percent=100.0)
    facts = statistics(rows)
    if args.json:
        print(json.dumps(facts, indent=2))
        return 0
    from rich.table import Table

    from runtime.render import make_console

    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in facts.items():
        shown = (
            ", ".join(f"{key} {count:,}" for key, count in value.items()) if isinstance(value, dict) else f"{value:,}"
        )
        table.add_row(name, shown)
    make_console().print(table)
    return 0


def statistics(rows: Any) -> dict[str, Any]:
    """Counts over a `qlora.data.RowSet`."""
    from recipes.reexecute import imports_of
    from runtime.grade import final_answer
    from runtime.lce import EMPTY_EXECUTION, Block

    blocks: Counter[str] = Counter()
    cells: Counter[str] = Counter()
    imports: Counter[str] = Counter()
    answered = empty = failed = 0
    characters: list[int] = []
    for row in rows:
        answer = [
            Block(b["type"], b["content"]) for m in row.messages if m["role"] == "assistant" for b in m["content"]
        ]
        blocks.update(block.type for block in answer)
        codes = [block.content for block in answer if block.type == "code"]
        cells[str(len(codes)) if len(codes) < 5 else "5 or more"] += 1
        imports.update(name for code in codes for name in imports_of(code))
        executions = [block.content for block in answer if block.type == "execution"]
        empty += sum(text == EMPTY_EXECUTION for text in executions)
        failed += sum("Traceback (most recent call last)" in text for text in executions)
        answered += final_answer(answer) is not None
        characters.append(sum(len(block.content) for block in answer))
    characters.sort()
    return {
        "rows": len(rows),
        "invalid rows": len(rows.bad),
        "different questions": len({row.question for row in rows}),
        "rows with a final answer": answered,
        "blocks": dict(blocks.most_common()),
        "code blocks in a row": dict(sorted(cells.items())),
        "executions without output": empty,
        "executions that failed": failed,
        "characters of a solution, median": characters[len(characters) // 2] if characters else 0,
        "characters of a solution, longest": characters[-1] if characters else 0,
        "imports": dict(imports.most_common(12)),
    }


def run(args: argparse.Namespace) -> int:
    """Never called: `dispatch` takes the words."""
    raise InputError(f"unknown action {args.action!r}")


BUILDERS: dict[str, tuple[Callable[[], Parser], Callable[[argparse.Namespace], int]]] = {
    "show": (_show_parser, _show),
    "check": (_check_parser, _check),
    "stats": (_stats_parser, _stats),
}
"""Action to its parser and what it does."""

"""`mathcoder doctor`: what is installed, what works, and what to do about the rest."""

from __future__ import annotations

import argparse
import json

from recipes.cli.command import Parser


def parser() -> Parser:
    """Arguments of `mathcoder doctor`."""
    result = Parser(
        "doctor",
        "Check this machine, line by line: fine, a limitation with its remedy, or a fault with its remedy.",
        details="""\
Looked at: the machine, Python, llama.cpp and what it was built with, the sandbox with each of its layers, the
packaged model, disk and caches, your settings, and, where installed, torch, bitsandbytes and unsloth, each
against the versions that are known to work together. A GPU is tried: its memory, 16-bit products, NF4, attention
and Triton, in processes that may crash or hang. Of some models that are known to solve well with Python it says
which fit the memory, with their published scores and the source. The exit code is 1 where something is broken.""",
        examples=[
            ("mathcoder doctor", "everything"),
            ("mathcoder doctor --json", "the same for a program or a bug report"),
        ],
        see_also=["plan", "models"],
    )
    result.add_argument("--json", action="store_true", help="print the findings as JSON")
    return result


def run(args: argparse.Namespace) -> int:
    """Check and print."""
    from recipes.doctor import examine

    findings = list(examine())
    failed = any(finding.state == "bad" for finding in findings)
    if args.json:
        print(json.dumps({"ok": not failed, "findings": [finding.as_dict() for finding in findings]}, indent=2))
        return int(failed)
    from rich.table import Table
    from rich.text import Text

    from runtime.show.console import make_console

    console = make_console()
    # Wide enough for all names but the longest, and never more than a third of the screen.
    names = min(26, max(len(finding.name) for finding in findings), console.width // 3)
    marks = {"ok": ("ok", "green"), "note": ("note", "yellow"), "bad": ("BAD", "red")}
    area = ""
    for finding in findings:
        if finding.area != area:
            if area:
                console.print()
            area = finding.area
            console.print(Text(area, style="bold"))
        table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 1, 0, 0))
        table.add_column(width=6)
        table.add_column(width=names, overflow="fold")
        table.add_column(overflow="fold")
        word, colour = marks[finding.state]
        detail = Text(finding.detail)
        if finding.remedy:
            detail.append(f"\n{finding.remedy}", style=colour)
        table.add_row(Text(f"  {word}", style=colour), Text(finding.name), detail)
        console.print(table)
    count = sum(finding.state == "bad" for finding in findings)
    console.print(Text("Everything that is needed works." if not failed else f"{count} to repair.", style="bold"))
    return int(failed)

"""A certificate for people: a table of what was measured, and notes about what it has no room for."""

from __future__ import annotations

from typing import Any

from rich.box import SIMPLE_HEAD
from rich.table import Table

from runtime.text import size_text


def certificate_table(certificate: dict[str, Any]) -> Table:
    """The certificate for people."""
    rows = certificate["rows"]
    table = Table(
        box=SIMPLE_HEAD,
        # All these columns of figures on eighty characters: the names wrap, the figures never do. The box itself puts a
        # space between columns; with padding too, nothing is left for the names.
        padding=0,
        pad_edge=False,
        title=f"Certificate of {certificate['name']}",
        caption=f"{rows['compared']} held-out rows, {rows['positions']:,} supervised positions; KL in nats per token; "
        "perplexity of text and code",
    )
    solved = any("solved" in entry for entry in certificate["models"].values())
    headings = [
        "",
        "ids",
        "KL",
        "top-1",
        "text",
        "code",
        *(["solved"] if solved else []),
        "size",
        "tok/s",
        "",
    ]
    for heading in headings:
        table.add_column(heading, justify="left" if heading == "" else "right", no_wrap=heading != "")
    table.columns[0].min_width = 8
    table.columns[-1].no_wrap = True
    for name, entry in certificate["models"].items():
        speed = entry.get("tokens_per_second", {}).get("generation")
        perplexity = entry.get("perplexity", {})
        cells = [
            name,
            {"True": "equal", "False": "[red]differ[/]"}.get(str(entry.get("token_ids_equal")), ""),
            f"{entry['kl']:.1e}" if "kl" in entry else "",
            f"{entry['top1']:.2%}" if "top1" in entry else "",
            _number(perplexity.get("text")),
            _number(perplexity.get("code")),
        ]
        if solved:
            cells.append("{correct}/{of}".format(**entry["solved"]) if "solved" in entry else "")
        cells += [
            size_text(entry["bytes"]) if "bytes" in entry else "",
            f"{speed:,.0f}" if speed else "",
            _verdict(entry),
        ]
        table.add_row(*cells)
    return table


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:,.4g}"


def _verdict(entry: dict[str, Any]) -> str:
    if "not_measured" in entry:
        return "[yellow]not measured[/]"
    if "certified" not in entry:
        return ""
    return "[green]certified[/]" if entry["certified"] else "[red]not certified[/]"


def certificate_notes(certificate: dict[str, Any]) -> list[str]:
    """What the table has no room for: faults, why a model is not certified, what was not measured."""
    notes = [f"[red]fault:[/] {fault}" for fault in certificate["faults"]]
    notes += [f"[yellow]warning:[/] {warning}" for warning in certificate.get("warnings", [])]
    for name, entry in certificate["models"].items():
        if "not_measured" in entry:
            notes.append(f"[yellow]{name} not measured:[/] {entry['not_measured']}")
        own = [reason for reason in entry.get("reasons", []) if reason not in certificate["faults"]]
        if own:
            notes.append(f"[red]{name} not certified:[/] {'; '.join(own)}")
    return notes

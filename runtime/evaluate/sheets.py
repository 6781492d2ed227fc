"""A table that can be pasted: Markdown, a LaTeX tabular, CSV, or text for a terminal."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from runtime.errors import InputError
from runtime.text import did_you_mean

if TYPE_CHECKING:
    from rich.table import Table

FORMATS = ("text", "markdown", "latex", "csv")
_LATEX = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "±": r"$\pm$", "−": "$-$",
}  # fmt: skip


@dataclass(frozen=True)
class Sheet:
    """Cells of one table; the first `left` columns are words, the others numbers.

    Raises:
        ValueError: a row has another number of cells than the header.
    """

    title: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    left: int = 1
    note: str = ""

    def __post_init__(self) -> None:
        if any(len(row) != len(self.header) for row in self.rows):
            raise ValueError(f"a row of {self.title!r} has another number of cells than its header")

    def markdown(self) -> str:
        """The table in Markdown; a bar in a cell is escaped, a line break becomes a space."""
        lines = [[_one_line(cell).replace("|", r"\|") for cell in line] for line in (self.header, *self.rows)]
        rule = ["---" if index < self.left else "---:" for index in range(len(self.header))]
        head, *body = lines
        drawn = ["| " + " | ".join(line) + " |" for line in (head, rule, *body)]
        return "\n".join([f"**{self.title}**", "", *drawn, *(["", self.note] if self.note else [])]) + "\n"

    def latex(self) -> str:
        """A tabular of the package booktabs in a table with its caption."""
        columns = "l" * self.left + "r" * (len(self.header) - self.left)
        lines = [" & ".join(map(_escaped, line)) + r" \\" for line in (self.header, *self.rows)]
        caption = _escaped(f"{self.title}. {self.note}".rstrip(". ") + ".")
        return "\n".join(
            [
                r"\begin{table}", r"\centering", rf"\caption{{{caption}}}", rf"\begin{{tabular}}{{{columns}}}",
                r"\toprule", lines[0], r"\midrule", *lines[1:], r"\bottomrule", r"\end{tabular}", r"\end{table}",
            ]
        ) + "\n"  # fmt: skip

    def csv(self) -> str:
        """Comma-separated values (RFC 4180), the title as a column so that several tables can share a file."""
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(["table", *self.header])
        writer.writerows([self.title, *map(_one_line, row)] for row in self.rows)
        return out.getvalue()

    def rich(self) -> Table:
        """The table for a terminal."""
        from rich.table import Table
        from rich.text import Text

        table = Table(title=self.title, box=None, pad_edge=False, header_style="bold", caption=self.note or None)
        for index, cell in enumerate(self.header):
            # In a narrow terminal intervals go over two lines before a name is cut.
            table.add_column(cell, justify="left" if index < self.left else "right", no_wrap=index == 0)
        for row in self.rows:
            table.add_row(*(Text(_one_line(cell)) for cell in row))
        return table


def written(sheets: Iterable[Sheet], form: str) -> str:
    """All sheets in one of FORMATS.

    Raises:
        InputError: an unknown format.
    """
    if form not in FORMATS:
        raise InputError(
            f"unknown format {form!r}",
            "nothing was written",
            did_you_mean(form, FORMATS, "did you mean {}? ") + f"the formats are {', '.join(FORMATS)}",
        )
    if form == "text":
        from rich.console import Console

        out = io.StringIO()
        console = Console(file=out, width=160, no_color=True)
        for sheet in sheets:
            console.print(sheet.rich())
        return "\n".join(line.rstrip() for line in out.getvalue().splitlines()) + "\n"
    return "\n".join(getattr(sheet, form)() for sheet in sheets)


def _one_line(cell: str) -> str:
    return " ".join(cell.split())


def _escaped(cell: str) -> str:
    return "".join(_LATEX.get(char, char) for char in _one_line(cell))

"""The table that an evaluation shows while it runs."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table


@dataclass
class _Count:
    total: int
    right: int = 0
    wrong: int = 0
    no_answer: int = 0
    errors: int = 0
    solved_here: int = 0
    started: float | None = None

    @property
    def done(self) -> int:
        return self.right + self.wrong + self.no_answer + self.errors

    @property
    def share(self) -> str:
        """Percent right of those that were graded."""
        graded = self.done - self.errors
        return f"{100 * self.right / graded:.1f}" if graded else "-"

    def is_due(self) -> bool:
        """Whether a line is due here: about ten a set."""
        return self.done == self.total or self.done % max(1, self.total // 10) == 0

    def line(self, name: str) -> str:
        """How far the set is."""
        told = f"{self.right} right ({self.share} %), {self.wrong} wrong, {self.no_answer} without answer"
        failed = f", {self.errors} failed by this machine" if self.errors else ""
        left = f"  {self.eta()} left" if self.done < self.total else ""
        return f"{name} {self.done}/{self.total}  {told}{failed}{left}"

    def eta(self) -> str:
        """Time left, from the solutions of this session alone: another one's speed says nothing."""
        left = self.total - self.done
        if left == 0:
            return "done"
        if not self.solved_here or self.started is None:
            return "-"
        seconds = (time.monotonic() - self.started) / self.solved_here * left
        minutes, rest = divmod(round(seconds), 60)
        return f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}"


class LiveTable:
    """Counts solutions per set: a live table at a terminal, lines as training's elsewhere."""

    def __init__(self, totals: Mapping[str, int], console: Console | None) -> None:
        self.counts = {name: _Count(total) for name, total in totals.items()}
        self._console = console
        self._live: Any = None
        self._last_line = time.monotonic()

    def __enter__(self) -> LiveTable:
        if self._console is not None and self._console.is_terminal:
            from rich.live import Live

            self._live = Live(self.table(), console=self._console, refresh_per_second=4)
            self._live.__enter__()
        return self

    def __exit__(self, *exception: Any) -> None:
        if self._live is not None:
            self._live.update(self.table())
            self._live.__exit__(*exception)

    def saved(self, name: str, correct: bool, answered: bool) -> None:
        """Count a solution of an earlier session."""
        self._count(name, correct, answered)

    def solved(self, name: str, line: Mapping[str, Any]) -> None:
        """Count a solution and show it."""
        count = self.counts[name]
        if count.started is None:
            # Solutions finish side by side; the clock starts with the first one's own beginning.
            count.started = time.monotonic() - line["ms"].get("wall", 0.0) / 1000
        count.solved_here += 1
        if line["status"] == "error":
            count.errors += 1
        else:
            self._count(name, line["correct"], line["answer"] is not None)
        if self._live is not None:
            self._live.update(self.table())
        elif self._console is not None and (count.is_due() or time.monotonic() - self._last_line > 60):
            self._last_line = time.monotonic()
            # Whole, whatever the width: a log is read by line.
            self._console.print(count.line(name), markup=False, highlight=False, soft_wrap=True)

    def _count(self, name: str, correct: bool, answered: bool) -> None:
        count = self.counts.get(name)
        if count is None:
            return
        count.right += correct
        count.wrong += answered and not correct
        count.no_answer += not answered and not correct

    def table(self) -> Table:
        """The table as it stands."""
        from rich.table import Table

        table = Table(box=None, pad_edge=False, header_style="bold")
        for title in ("set", "done", "right", "wrong", "no answer", "right %", "left"):
            table.add_column(title, justify="left" if title == "set" else "right")
        for name, count in self.counts.items():
            table.add_row(
                name,
                f"{count.done}/{count.total}",
                f"[green]{count.right}[/green]",
                f"[red]{count.wrong}[/red]",
                str(count.no_answer),
                count.share,
                count.eta(),
            )
        return table

"""The live view of a run: a progress bar with the losses, or plain lines where there is no terminal."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console, Group
    from rich.progress import TaskID

LOSS_KINDS = ("text", "code", "control", "execution")


class Progress:
    """Shows steps as they come. Use `with progress.live():` around the loop."""

    def __init__(self, console: Console, steps: int, first: int) -> None:
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as Bar

        self.console = console
        self.steps = steps
        self._bar = Bar(
            TextColumn("step"),
            MofNCompleteColumn(),
            BarColumn(bar_width=None),
            TimeRemainingColumn(),
            console=console,
            expand=True,
        )
        self._task: TaskID = self._bar.add_task("train", total=steps, completed=first)
        self._numbers = ""
        # Away from a terminal: about twenty lines a run, and one at least every minute.
        self._line_every = max(1, steps // 20)
        self._last_line = time.monotonic()
        self._began, self._first = self._last_line, first
        self._sample: dict[str, float] = {}

    @contextmanager
    def live(self) -> Iterator[None]:
        """Show the bar and, below it, the numbers while the loop runs; both go when it ends."""
        if not self.console.is_terminal:
            yield
            return
        from rich.live import Live

        with Live(get_renderable=self._view, console=self.console, transient=True, refresh_per_second=4):
            yield

    def _view(self) -> Group:
        from rich.console import Group
        from rich.text import Text

        # On a line of their own: beside a bar, most of the numbers would be cut off in a window of 80 columns.
        return Group(self._bar, Text(self._numbers))

    def step(self, entry: dict[str, Any]) -> None:
        """Show one line of the log."""
        self._sample = entry.get("sample", self._sample)
        numbers = numbers_of({**entry, "sample": self._sample})
        self._bar.update(self._task, completed=entry["step"])
        self._numbers = numbers
        due = entry["step"] % self._line_every == 0 or entry["step"] in (1, self.steps)
        if not self.console.is_terminal and (due or time.monotonic() - self._last_line > 60):
            self._last_line = time.monotonic()
            line = f"step {entry['step']}/{self.steps}  {numbers}  {self._left(entry['step'])}"
            self.console.print(line.rstrip(), highlight=False, soft_wrap=not self.console.is_terminal)

    def _left(self, step: int) -> str:
        """Time left at the speed of this call so far (the bar has a column of its own for it)."""
        seconds = round((time.monotonic() - self._began) / max(1, step - self._first) * (self.steps - step))
        return f"{seconds // 3600}:{seconds // 60 % 60:02d}:{seconds % 60:02d} left" if step < self.steps else ""

    def say(self, message: str, style: str = "") -> None:
        """A line that stays."""
        self.console.print(message, style=style, highlight=False, soft_wrap=not self.console.is_terminal)


def numbers_of(entry: dict[str, Any]) -> str:
    """The numbers of one step on one line."""
    kinds = " ".join(f"{kind} {entry[kind]:.3f}" for kind in LOSS_KINDS if kind in entry)
    rate = entry["tokens"] / entry["seconds"]
    useful = entry["supervised"] / entry["seconds"]
    use = f"  MFU {entry['mfu']:.0%}" if "mfu" in entry else ""
    sampled = "".join(f"  {name.replace('_at_', '@')} {value:.0%}" for name, value in entry.get("sample", {}).items())
    return (
        f"loss {entry['loss']:.3f} ({kinds})  lr {entry['lr']:.1e}  "
        f"{rate:,.0f} tokens/s ({useful:,.0f} supervised, {entry['padding']:.0%} padding){use}  "
        f"{entry['memory_gb']:.1f} GB{sampled}"
    )

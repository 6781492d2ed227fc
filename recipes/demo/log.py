"""What the demo tells on its console, and the figures that it keeps."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from rich.console import Console


@dataclass
class DemoLog:
    """What happened so far: the console it is told on, the times of the steps, the numbers for demo.json."""

    console: Console
    began: float = field(default_factory=time.monotonic)
    seconds: dict[str, float] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)

    @contextmanager
    def step(self, title: str) -> Iterator[None]:
        """A numbered heading, then the work, then how long it took."""
        self.console.print()
        self.console.rule(f"[bold]{len(self.seconds) + 1}. {title}", align="left", style="dim")
        began = time.monotonic()
        yield
        self.seconds[title] = round(time.monotonic() - began, 1)
        self.console.print(f"[dim]{self.seconds[title]:.1f} s")

    def say(self, text: str) -> None:
        """A line of narration."""
        self.console.print(text)

    @contextmanager
    def bar(self, label: str, total: int) -> Iterator[Callable[[int], None]]:
        """A progress bar that leaves nothing behind; silent where the screen cannot redraw."""
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

        from runtime.show.console import can_animate

        if not can_animate(self.console):
            yield lambda _count: None
            return
        columns = (TextColumn(f"{label:<28}"), BarColumn(bar_width=28), MofNCompleteColumn(), TimeElapsedColumn())
        with Progress(*columns, console=self.console, transient=True) as progress:
            task = progress.add_task(label, total=total)
            yield lambda count: progress.update(task, completed=count)

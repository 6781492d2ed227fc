"""What a reinforcement run shows: a bar with the phase at work and the last step's numbers, or lines."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console, Group


class View:
    """Shows steps as they come. Use `with view.live():` around the loop."""

    def __init__(self, console: Console, steps: int, first: int) -> None:
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        self.console, self.steps = console, steps
        self._bar = Progress(
            TextColumn("step"), MofNCompleteColumn(), BarColumn(bar_width=None), TimeRemainingColumn(),
            console=console, expand=True,
        )  # fmt: skip
        self._task = self._bar.add_task("reinforce", total=steps, completed=first)
        self._phase = self._numbers = ""

    @contextmanager
    def live(self) -> Iterator[None]:
        """Show the bar while the loop runs; it goes when the loop ends."""
        if not self.console.is_terminal:
            yield
            return
        from rich.live import Live

        with Live(get_renderable=self._view, console=self.console, transient=True, refresh_per_second=4):
            yield

    def _view(self) -> Group:
        from rich.console import Group
        from rich.text import Text

        return Group(self._bar, Text(self._phase, style="dim"), Text(self._numbers))

    def phase(self, name: str, done: int = 0, of: int = 0) -> None:
        """What is at work now."""
        self._phase = f"{name} {done:,} of {of:,}" if of else name

    def step(self, entry: dict[str, Any]) -> None:
        """One line of the log."""
        self._numbers = numbers_of(entry)
        self._bar.update(self._task, completed=entry["step"])
        if not self.console.is_terminal:
            self.say(f"step {entry['step']}/{self.steps}  {self._numbers}")

    def say(self, message: str, style: str = "") -> None:
        """A line that stays."""
        self.console.print(message, style=style, highlight=False, markup=False, soft_wrap=not self.console.is_terminal)


def numbers_of(entry: dict[str, Any]) -> str:
    """The numbers of one step on one line."""
    seconds = entry["seconds"]
    parts = [
        f"pass@1 {entry['pass_at_1']:.0%}",
        f"pass@k {entry['pass_at_k']:.0%}",
        f"flat {entry['flat_share']:.0%}",
        f"void {entry['void_share']:.0%}",
        f"length {entry['length_mean']:.0f}",
        f"entropy {entry.get('entropy', 0.0):.3f}",
        f"mismatch {entry.get('mismatch_kl', 0.0):.1e}",
        f"grad {entry.get('grad_norm', 0.0):.2f}",
        " ".join(f"{name} {value:.1f}s" for name, value in seconds.items() if name != "cells" and value >= 0.05),
    ]
    return "  ".join(parts)


def evaluation_line(step: int, found: dict[str, Any]) -> str:
    """One evaluation in words."""
    text = (
        f"step {step}: {found['pass_at_1']:.1%} of {found['n']} held-out questions "
        f"[{found['low']:.1%}, {found['high']:.1%}]"
    )
    if "gain" in found:
        text += f", {100 * found['gain']:+.1f} points [{100 * found['gain_low']:+.1f}, {100 * found['gain_high']:+.1f}]"
    return text

"""What a reinforcement run shows: a bar with the phase at work and the last step's numbers, or lines."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from qlora.progress import StepBar

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text


PARTS = ("sample", "cells", "grade", "train", "swap", "eval")
"""Of a step's seconds; `cells` is part of `sample`."""


class View(StepBar):
    """Shows the steps of a reinforcement run as they come, and the phase at work."""

    def __init__(self, console: Console, steps: int, first: int) -> None:
        super().__init__(console, steps, first)
        self._phase = self._numbers = ""
        self._last_line = time.monotonic()

    def below(self) -> list[Text]:
        """The phase at work and the last step's numbers."""
        from rich.text import Text

        return [Text(self._phase, style="dim"), Text(self._numbers)]

    def phase(self, name: str, done: int = 0, of: int = 0) -> None:
        """Say what is at work now; in a file or a pipe, once a minute."""
        self._phase = f"{name} {done:,} of {of:,}" if of else name
        if not self.console.is_terminal and time.monotonic() - self._last_line > 60:
            self.say(self._phase)

    def say(self, message: str, style: str = "") -> None:
        """Print a line that stays."""
        self._last_line = time.monotonic()
        super().say(message, style)

    def step(self, entry: dict[str, Any]) -> None:
        """Show one line of the log."""
        self._numbers = numbers_of(entry)
        self.advance(entry["step"])
        if not self.console.is_terminal:
            self.say(f"step {entry['step']}/{self.steps}  {self._numbers}")


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
        " ".join(f"{name} {value:.1f}s" for name, value in seconds.items() if name != "cells_beside" and value >= 0.05),
    ]
    return "  ".join(parts)


def summary(log: Sequence[Mapping[str, Any]]) -> str:
    """Where the time of a run's steps went; of cells, only what was waited for counts."""
    total = {name: sum(entry["seconds"].get(name, 0.0) for entry in log) for name in ("step", *PARTS)}
    whole = total["step"] or 1.0
    shares = ", ".join(f"{name} {total[name] / whole:.0%}" for name in PARTS if name != "cells")
    return (
        f"{log[-1]['rollouts_so_far']:,} solutions in {len(log)} steps of {whole / len(log):.0f} seconds: {shares}; "
        f"waiting for cells {total['cells'] / whole:.1%}"
    )


def evaluation_line(step: int, found: dict[str, Any]) -> str:
    """One evaluation in words."""
    text = (
        f"step {step}: {found['pass_at_1']:.1%} of {found['n']} held-out questions "
        f"[{found['low']:.1%}, {found['high']:.1%}]"
    )
    if "pass_at_k" in found:
        text += f", {found['pass_at_k']:.0%} of {found['k_of']} by any of {found['k']}"
    if "follows" in found:
        text += f"; {found['follows']:.0%} of {found['follows_of']} right answers change with their cells' results"
    if "gain" in found:
        text += f", {100 * found['gain']:+.1f} points [{100 * found['gain_low']:+.1f}, {100 * found['gain_high']:+.1f}]"
    return text

"""What a run shows: its beginning in numbers, then a bar with the losses, or lines elsewhere."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from runtime.lce import KINDS

if TYPE_CHECKING:
    from rich.console import Console, Group
    from rich.text import Text

    from qlora.adapter import Adapted
    from qlora.base import Base
    from qlora.peak import Peak
    from qlora.prepare import Prepared
    from qlora.settings import TrainSettings
    from qlora.sharding import ShardedBase

LOSS_KINDS = ("text", "code", "control", "execution")


class StepBar:
    """A bar of steps with lines below it. Use `with bar.live():` around the loop."""

    def __init__(self, console: Console, steps: int, first: int) -> None:
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as Bar

        self.console = console
        self.steps = steps
        self._bar = Bar(
            TextColumn("step"), MofNCompleteColumn(), BarColumn(bar_width=None), TimeRemainingColumn(),
            console=console, expand=True,
        )  # fmt: skip
        self._task = self._bar.add_task("steps", total=steps, completed=first)

    @contextmanager
    def live(self) -> Iterator[None]:
        """Show the bar and what is below it while the loop runs; both go when it ends."""
        if not self.console.is_terminal:
            yield
            return
        from rich.live import Live

        with Live(get_renderable=self._view, console=self.console, transient=True, refresh_per_second=4):
            yield

    def _view(self) -> Group:
        from rich.console import Group

        # On lines of their own: beside a bar, most of the numbers would be cut off in a window of 80 columns.
        return Group(self._bar, *self.below())

    def below(self) -> list[Text]:
        """The lines below the bar."""
        raise NotImplementedError

    def advance(self, step: int) -> None:
        """`step` steps are done."""
        self._bar.update(self._task, completed=step)

    def say(self, message: str, style: str = "") -> None:
        """Print a line that stays."""
        self.console.print(message, style=style, highlight=False, markup=False, soft_wrap=not self.console.is_terminal)


class Progress(StepBar):
    """Shows the steps of a training run as they come."""

    def __init__(self, console: Console, steps: int, first: int) -> None:
        super().__init__(console, steps, first)
        self._numbers = ""
        # Away from a terminal: about twenty lines a run, and one at least every minute.
        self._line_every = max(1, steps // 20)
        self._last_line = time.monotonic()
        self._began, self._first = self._last_line, first
        self._sample: dict[str, float] = {}

    def below(self) -> list[Text]:
        """The last step's numbers."""
        from rich.text import Text

        return [Text(self._numbers)]

    def step(self, entry: dict[str, Any]) -> None:
        """Show one line of the log."""
        self._sample = entry.get("sample", self._sample)
        self._numbers = numbers_of({**entry, "sample": self._sample})
        self.advance(entry["step"])
        due = entry["step"] % self._line_every == 0 or entry["step"] in (1, self.steps)
        if not self.console.is_terminal and (due or time.monotonic() - self._last_line > 60):
            self._last_line = time.monotonic()
            self.say(f"step {entry['step']}/{self.steps}  {self._numbers}  {self._left(entry['step'])}".rstrip())

    def _left(self, step: int) -> str:
        """Time left at the speed of this call so far (the bar has a column of its own for it)."""
        seconds = round((time.monotonic() - self._began) / max(1, step - self._first) * (self.steps - step))
        return f"{seconds // 3600}:{seconds // 60 % 60:02d}:{seconds % 60:02d} left" if step < self.steps else ""


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


def announce(
    console: Console, base: Base, data: Prepared, adapted: Adapted, backend: tuple[str, str],
    options: TrainSettings, steps: int, done: int, world: int, peak: Peak, micro_tokens: int,
    sharded: ShardedBase | None,
) -> None:  # fmt: skip
    """What is about to happen, in numbers."""
    counts = data.table.tokens_per_kind()
    carrying = sum(counts[kind] for kind in data.supervised)
    trained = sum(parameter.numel() for parameter in adapted.trainable().values())
    dtype = str(adapted.dtype).removeprefix("torch.")
    form = "NF4, double quantization" if options.quantize else "not quantized"
    checkpointing = adapted.checkpointing
    lines = [
        f"base      {base.name} ({form}; {dtype} on {adapted.device.type}; backend {backend[0]}: {backend[1]})",
        f"rows      {len(data.rows):,} to train on, {len(data.held_out):,} held out, {len(data.bad):,} bad, "
        f"{len(data.too_long):,} over {options.context:,} tokens"
        + "".join(f", {count:,} left out by {name}" for name, count in data.left_out.items()),
        f"tokens    {counts_line(counts)}; {carrying:,} carry loss",
        f"trained   {trained:,} parameters: LoRA on all linear layers, and {len(adapted.embedding.ids)} token rows "
        + ("at both ends (tied)" if adapted.tied else "in the embedding and as many in the head"),
        f"steps     {steps:,} of {min(options.batch_rows, len(data.rows)):,} rows, warm-up "
        f"{min(options.warmup_steps, math.ceil(steps / 10))}"
        + (f"; {world} processes" if world > 1 else "")
        + (f"; going on after step {done}" if done else ""),
        f"layout    up to {micro_tokens:,} tokens a pass, "
        f"{checkpointing.count} of {checkpointing.layers} layers under gradient checkpointing",
        *([] if sharded is None else [f"shard     {sharded.account()} MB of linear weights in this process"]),
        f"peak      {peak.flops / 1e12:,.2f} TFLOP/s ({peak.source}), which MFU is held against",
    ]
    for line in lines:
        console.print(line, highlight=False, soft_wrap=not console.is_terminal)
    for row, tokens in data.too_long[:5]:
        console.print(f"  dropped: {row.place} has {tokens:,} tokens", style="yellow", highlight=False)
    for bad in data.bad[:5]:
        console.print(f"  bad: {bad}", style="yellow", highlight=False, markup=False)


def counts_line(counts: dict[str, int]) -> str:
    """`prompt 1,234, text ...` in the order of the kinds."""
    return ", ".join(f"{kind} {counts[kind]:,}" for kind in KINDS)

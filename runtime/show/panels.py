"""Solutions on a screen: panels for text, code, execution and answer, live and afterwards.

Whatever came from a model or from a cell is shown as plain text: cleaned of control bytes, never parsed as rich markup,
without links. On a terminal that cannot move its cursor (`TERM=dumb`) and into a pipe, the same blocks come as plain
lines.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from runtime.lce import EMPTY_EXECUTION, Block
from runtime.show.console import LONGEST_COLOURED, can_animate
from runtime.show.latex import formula, readable
from runtime.show.thinking import thinking_panel

if TYPE_CHECKING:
    from runtime.solver import Event, Solution
from runtime.text import for_screen

FRAMES_PER_SECOND = 15
"""Redraws while a block is written: looks continuous and does not slow decoding."""
SHOWN_LINES = 40
"""Longest execution result on the screen; the whole of it is kept and exported."""
ANSWER_CHARS = 60
"""A last text block up to this long is the bare answer (see `runtime.grade.final_answer`) and gets the answer panel."""

WHY = {
    "answered": "The model finished and gave an answer.",
    "no_answer": "The model finished without an answer that could be read: no short last block, no \\boxed{}.",
    "block_limit": "The solution reached the limit of blocks.",
    "token_limit": "The solution reached the limit of tokens.",
    "time_limit": "The solution reached its time limit.",
    "context_full": "The model's context is full.",
    "repeated_error": "The same cell failed again and again.",
    "interrupted": "You stopped it.",
    "error": "It could not be solved.",
}
"""Status of a solution in words."""


# Panels


def text_panel(content: str, *, open_: bool = False) -> RenderableType:
    """A text block: Markdown with its LaTeX made readable."""
    return Panel(_markdown(content), border_style="text.border", title_align="left", title="…" if open_ else None)


def code_panel(content: str, console: Console) -> RenderableType:
    """A code block with syntax colours, plain where it is longer than `LONGEST_COLOURED`."""
    from rich.syntax import Syntax

    theme = getattr(console, "code_theme", "ansi_dark")
    language = "python" if len(content) <= LONGEST_COLOURED else "text"
    body = Syntax(for_screen(content).rstrip("\n"), language, theme=theme, word_wrap=True, background_color="default")
    return Panel(body, border_style="code.border", title="code", title_align="left")


def execution_panel(output: str, status: str = "ok", seconds: float | None = None) -> RenderableType:
    """An execution result; long ones show their beginning and their end."""
    failed = (
        status not in ("ok", "disabled", "imagined")
        or output.startswith("Traceback")
        or "Traceback (most recent" in output
    )
    note = "" if seconds is None else f" · {duration(seconds)}"
    label = {"timeout": "time-out", "killed": "killed", "error": "error", "imagined": "imagined"}.get(status, "")
    title = f"execution{note}" + (f" · {label}" if label else "")
    body = Text("(no output)", style="note") if output == EMPTY_EXECUTION else Text(shortened(for_screen(output)))
    border = "execution.failed" if failed else "execution.border"
    return Panel(body, border_style=border, title=title, title_align="left")


def answer_panel(answer: str) -> RenderableType:
    """The final answer, set apart."""
    return Panel(
        Text(answer_text(answer), style="answer"), border_style="answer.border", title="answer", title_align="left"
    )


def answer_text(answer: str) -> str:
    """An answer as one readable piece of text."""
    shown = for_screen(answer)
    return readable(shown) if "$" in shown or "\\(" in shown else formula(shown) if "\\" in shown else shown


def shortened(text: str, lines: int = SHOWN_LINES) -> str:
    """`text` with the middle left out where it has more than `lines` lines."""
    every = text.split("\n")
    if len(every) <= lines:
        return text
    head = lines * 2 // 3
    tail = lines - head
    return "\n".join([*every[:head], f"… {len(every) - lines} more lines …", *every[-tail:]])


def duration(seconds: float) -> str:
    """Seconds as a person reads them."""
    if seconds < 0.995:
        return f"{seconds * 1000:.0f} ms"
    return f"{seconds:.1f} s" if seconds < 60 else f"{int(seconds // 60)} min {int(seconds % 60)} s"


def _markdown(content: str) -> RenderableType:
    from rich.markdown import Markdown

    prepared = readable(for_screen(content), markdown=True)
    return Markdown(prepared, hyperlinks=False, code_theme="ansi_dark")


def block_renderables(blocks: Sequence[Block], console: Console, answer: str | None = None) -> list[RenderableType]:
    """Finished blocks as panels, the last one left out where it is only the answer."""
    shown: list[RenderableType] = []
    for position, block in enumerate(blocks):
        if block.type == "code":
            shown.append(code_panel(block.content, console))
        elif block.type == "execution":
            shown.append(execution_panel(block.content))
        elif block.thinking:
            shown.append(thinking_panel(block.content))
        elif not (position == len(blocks) - 1 and is_bare_answer(block.content, answer)):
            shown.append(text_panel(block.content))
    return shown


def is_bare_answer(content: str, answer: str | None) -> bool:
    """Whether a text block says nothing but `answer`."""
    return (
        answer is not None and len(content) <= ANSWER_CHARS and content.strip().strip("$") == answer.strip().strip("$")
    )


def show_solution(console: Console, blocks: Sequence[Block], answer: str | None, status: str, detail: str = "") -> None:
    """Print a finished solution."""
    for item in block_renderables(blocks, console, answer):
        console.print(item)
    show_end(console, answer, status, detail)


def show_end(console: Console, answer: str | None, status: str, detail: str = "") -> None:
    """Print the answer and, where the model did not end by itself, why it stopped."""
    if answer is not None:
        console.print(answer_panel(answer) if console.is_terminal else Text(f"answer: {answer_text(answer)}"))
    if status != "answered":
        console.print(Text(why(status, detail), style="warning"))


def why(status: str, detail: str = "") -> str:
    """One sentence on how a solution ended."""
    sentence = WHY.get(status, status)
    return f"{sentence} ({for_screen(detail)})" if detail and status not in ("answered", "interrupted") else sentence


def why_table(solution: Solution) -> Table:
    """How a solution ended, with its figures."""
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="note")
    table.add_column()
    for name, value in facts(solution):
        table.add_row(name, Text(value))
    return table


def facts(solution: Solution) -> Iterable[tuple[str, str]]:
    """Figures of one solution as (name, value)."""
    tokens, decode = solution.tokens, solution.ms["decode"] / 1000
    yield "ended", why(solution.status, solution.detail)
    yield (
        "time",
        f"{duration(solution.seconds)} (model {duration(decode)}, cells {duration(solution.ms['execution'] / 1000)})",
    )
    speed = f", {tokens['generated'] / decode:.0f} a second" if decode > 0 else ""
    yield "tokens", f"{tokens['prompt']} prompt, {tokens['generated']} written{speed}, {tokens['execution']} from cells"
    yield "cells", f"{solution.cells} run, {solution.failed_cells} failed"
    yield "seed", str(solution.seed)


# While it is written


class SolutionView:
    """Shows a solution while it is written.

    Give `on_event` to `Solver.solve` inside `with view:`, then call `finish`.

    Only the open block is redrawn; finished blocks are printed once and belong to the terminal's own scroll-back, so
    that a long solution, a resize or a narrow screen cannot garble what stands already.

    Args:
        console: where to.
        on_image: called with the PNG bytes of each figure after its execution panel.
        quiet: show nothing but a spinner with what is going on.
    """

    def __init__(
        self, console: Console, *, on_image: Callable[[bytes], object] | None = None, quiet: bool = False
    ) -> None:
        self.console = console
        self.on_image = on_image
        self.quiet = quiet
        self.animated = can_animate(console)
        self._live: Live | None = None
        self._type = ""
        self._text: list[str] = []
        self._held: str | None = None
        self._execution: tuple[str, float] | None = None
        self._images: tuple[bytes, ...] = ()
        self._drawn = 0.0
        self.first_shown: float | None = None
        """`time.monotonic()` at which the first piece of the solution reached the screen."""

    def __enter__(self) -> SolutionView:
        if self.animated:
            self._open_live(Spinner("dots", Text("reading", style="note")))
        return self

    def __exit__(self, *_: object) -> None:
        self._close_live()
        if self._held is not None:
            self._print_text(self._held)
            self._held = None

    def on_event(self, event: Event) -> None:
        """Take one event of the solver."""
        from runtime.solver import BlockEnded, BlockStarted, Execution, TextPiece

        if isinstance(event, TextPiece):
            self._text.append(event.text)
            self._draw()
        elif isinstance(event, BlockStarted):
            self._started(event.type, event.thinking)
        elif isinstance(event, Execution):
            self._execution = (event.status, event.seconds)
            self._images = event.images
        elif isinstance(event, BlockEnded):
            self._ended(event.block)

    def finish(self, solution: Solution) -> None:
        """Show how it ended; call it when the solver has returned."""
        self._close_live()
        held, self._held = self._held, None
        if held is not None and not is_bare_answer(held, solution.answer):
            self._print_text(held)
        if self._text:  # cut in the middle of a block, by a limit or by Ctrl-C
            content, thinking = "".join(self._text), self._type == "thinking"
            self._print_block(Block("code" if self._type == "code" else "text", content, thinking))
            self._text = []
        if not self.quiet:
            show_end(self.console, solution.answer, solution.status, solution.detail)

    def _started(self, block_type: str, thinking: bool = False) -> None:
        if self._held is not None:
            self._print_text(self._held)
            self._held = None
        self._type, self._text, self._drawn = "thinking" if thinking else block_type, [], 0.0
        if block_type == "execution" and self.animated:
            self._show(Spinner("dots", _Elapsed("running the code")))

    def _ended(self, block: Block) -> None:
        self._text = []
        if block.type == "text" and not block.thinking and len(block.content) <= ANSWER_CHARS:
            self._held = block.content  # maybe the bare answer; the next event tells
            return
        self._print_block(block)
        if block.type == "execution":
            self._execution = None
            images, self._images = self._images, ()
            for image in images:
                if self.on_image is not None:
                    self.on_image(image)
        if self.animated:
            self._show(Spinner("dots", Text("thinking", style="note")))

    def _print_text(self, content: str) -> None:
        self._print_block(Block("text", content))

    def _print_block(self, block: Block) -> None:
        if self.quiet or not block.content.strip():
            return
        self.first_shown = self.first_shown or time.monotonic()
        if not self.console.is_terminal or self.console.is_dumb_terminal:
            self._print_plain(block)
        elif block.type == "code":
            self.console.print(code_panel(block.content, self.console))
        elif block.type == "execution":
            status, seconds = self._execution or ("ok", None)
            self.console.print(execution_panel(block.content, status, seconds))
        elif block.thinking:
            self.console.print(thinking_panel(block.content))
        else:
            self.console.print(text_panel(block.content))

    def _print_plain(self, block: Block) -> None:
        """Blocks without frames, for pipes and for terminals that are no more than paper."""
        if block.thinking:
            self.console.print(Text(f"(thinking, {len(block.content.split()):,} words)", style="note"))
        elif block.type == "text":
            self.console.print(Text(readable(for_screen(block.content)).strip()))
        else:
            mark = ">>> " if block.type == "code" else ""
            body = for_screen(block.content) if block.type == "code" else shortened(for_screen(block.content))
            self.console.print(Text("\n".join(mark + line for line in body.strip("\n").split("\n"))))

    def _draw(self) -> None:
        now = time.monotonic()
        if not self.animated or self.quiet or now - self._drawn < 1 / FRAMES_PER_SECOND:
            return
        self._drawn = now
        content = "".join(self._text)
        lines = max(4, self.console.height - 4)
        if self._type == "code":
            # The tail: what is being written stays in sight, the whole is printed when the block is complete.
            self._show(code_panel("\n".join(content.split("\n")[-lines:]), self.console))
        elif self._type == "thinking":
            self._show(thinking_panel(content[-lines * self.console.width :], open_=True))
        else:
            self._show(text_panel(content[-lines * self.console.width :], open_=True))
        self.first_shown = self.first_shown or now

    def _open_live(self, first: RenderableType) -> None:
        self._live = _Region(
            first,
            console=self.console,
            transient=True,
            auto_refresh=True,
            refresh_per_second=12,
            vertical_overflow="crop",
        )
        self._live.start()

    def _show(self, item: RenderableType) -> None:
        if self._live is None:
            self._open_live(item)
        else:
            self._live.update(item, refresh=True)

    def _close_live(self) -> None:
        if self._live is not None:
            live, self._live = self._live, None
            live.update(Group())
            live.stop()


class _Region(Live):
    """The lines being redrawn, which also survive a terminal that becomes narrower meanwhile.

    Terminals then break the lines that stand into several rows; rich would erase only as many rows as it drew lines.
    xterm cuts them off instead.
    """

    _width = 0

    def refresh(self) -> None:
        """Draw anew in place."""
        with self._lock:
            self._count_broken_lines()
            super().refresh()

    def stop(self) -> None:
        """Erase what is drawn."""
        with self._lock:
            self._count_broken_lines()
        super().stop()

    def _count_broken_lines(self) -> None:
        before, self._width = self._width, self.console.width
        shape = self._live_render._shape
        if shape is not None and self._width < before and "XTERM_VERSION" not in os.environ:
            columns, rows = shape
            self._live_render._shape = (columns, rows * -(-columns // self._width))


class _Elapsed:
    """A label that counts seconds, for a spinner that turns while a cell runs."""

    def __init__(self, label: str) -> None:
        self.label = label
        self.began = time.monotonic()

    def __rich__(self) -> Text:
        return Text(f"{self.label} · {time.monotonic() - self.began:.1f} s", style="note")


def is_interactive() -> bool:
    """Whether a person sits at both ends."""
    return sys.stdin.isatty() and sys.stdout.isatty()

"""The one door to the screen for what is drawn: a console that no foreign text can drive."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import IO

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.theme import Theme

from runtime.text import for_screen

STYLES = {
    "text": "none",
    "text.border": "dim",
    "code.border": "blue",
    "execution": "none",
    "execution.border": "yellow",
    "execution.failed": "red",
    "answer": "bold",
    "answer.border": "green",
    "note": "dim",
    "warning": "yellow",
    "markdown.code": "cyan",
}
"""Names of the styles our panels use, for a console of another make."""
LONGEST_COLOURED = 10_000
"""Characters of code that get syntax colours: on some texts Pygments takes time with the square of their length."""


class SafeConsole(Console):
    """A console that takes out of every text what a terminal would act on.

    File names, keys, names in model files.

    What rich itself draws with (colours, cursor movements) is not text and stays.
    """

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """The segments of `renderable`, their text made harmless."""
        for segment in super().render(renderable, options):
            harmless = segment.control is not None or segment.text == "\n" or segment.text.isprintable()
            yield segment if harmless else Segment(for_screen(segment.text), segment.style)


def make_console(
    *, theme: str = "auto", stderr: bool = False, file: IO[str] | None = None, terminal: bool | None = None
) -> Console:
    """A console for a terminal, dark or light, that honours NO_COLOR, TERM=dumb and COLUMNS.

    `terminal` says whether `file` is one, where it cannot tell itself.
    """
    console = SafeConsole(theme=Theme(STYLES), highlight=False, stderr=stderr, file=file, force_terminal=terminal)
    console.code_theme = "ansi_light" if is_light(theme) else "ansi_dark"  # type: ignore[attr-defined]
    return console


def is_light(theme: str) -> bool:
    """Whether to use colours for a light background; `auto` asks COLORFGBG, which some terminals set."""
    if theme != "auto":
        return theme == "light"
    background = os.environ.get("COLORFGBG", "").rpartition(";")[2]
    return background in ("7", "15")


def can_animate(console: Console) -> bool:
    """Whether panels may be redrawn in place."""
    return console.is_terminal and not console.is_dumb_terminal

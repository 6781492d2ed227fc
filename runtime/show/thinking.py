"""What a reasoning model thinks to itself, on a screen: folded, because nobody reads all of it."""

from __future__ import annotations

from rich.console import RenderableType
from rich.panel import Panel
from rich.text import Text

from runtime.text import for_screen

_LINES = 6
"""Shown of thinking while it is written."""


def thinking_panel(content: str, *, open_: bool = False) -> RenderableType:
    """How much thinking there is and how it begins; while it is written its last lines."""
    text = for_screen(content).strip()
    words = len(text.split())
    lines = [line for line in text.split("\n") if line.strip()]
    body = "\n".join(lines[-_LINES:] if open_ else [*lines[:1], "…"] if len(lines) > 1 else lines)
    title = f"thinking · {words:,} words" + (" …" if open_ else "")
    return Panel(Text(body, style="note"), border_style="note", title=title, title_align="left")

"""The door to the screen, to the model and to files for text that others wrote.

The output of a cell, a file's name or a server's message is hostile text. On a terminal it can move the cursor, set the
clipboard or hide what comes after it; in a prompt it can spell a control token; half of a surrogate pair in it can be
encoded by nobody. All functions are pure and cheap.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from typing import Any

# C0 without newline and tab, DEL, C1. Without an ESC in front, what follows of a sequence is harmless text.
_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")
# Bidirectional controls and isolates, and line and paragraph separators.
_DIRECTION = re.compile("[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\u2028\u2029]")
_INVISIBLE = re.compile(
    "[\u00ad\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180e\u200b-\u200d\u2060-\u2064\u206a-\u206f\ufe00-\ufe0f\ufeff\ufff9-\ufffb\U000e0000-\U000e0fff]"
)
_SURROGATES = re.compile("[\ud800-\udfff]")
MAX_COMBINING = 8
"""Combining marks kept on one character; a run of thousands paints over the lines around it."""


def well_formed(text: str) -> str:
    """`text` with U+FFFD for every half of a surrogate pair: what Unicode has no encoding for."""
    return _SURROGATES.sub("\ufffd", text)


def is_well_formed(text: str) -> bool:
    """Whether `text` holds no half of a surrogate pair, so that it can be encoded."""
    return _SURROGATES.search(text) is None


def well_formed_json(value: Any) -> Any:
    """A value read from JSON with every text in it, keys included, made well-formed."""
    if isinstance(value, str):
        return well_formed(value)
    if isinstance(value, list):
        return [well_formed_json(inner) for inner in value]
    if isinstance(value, dict):
        return {well_formed(key): well_formed_json(inner) for key, inner in value.items()}
    return value


def for_screen(text: str) -> str:
    """`text` with nothing in it that a terminal acts on: plain characters, newlines and tabs.

    A carriage return becomes a newline, so that nothing shown can be overwritten. The result is text, never markup:
    callers print it with markup off.
    """
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    text = _DIRECTION.sub("", _CONTROLS.sub("", well_formed(text)))
    return _bound_combining(text)


def indented(text: str, marker: str) -> str:
    """`text` with a space before each line that a reader would take for one that begins with `marker`.

    What hides a marker from a simple look does not hide it here: carriage returns that begin a line, control
    characters, zero-width ones and those of direction.
    """
    if marker not in _visible(text):
        return text
    lines = _LINES.split(text)  # lines and what ends them, in turn
    return "".join(" " + line if _visible(line).startswith(marker) else line for line in lines)


def _visible(text: str) -> str:
    return _DIRECTION.sub("", _INVISIBLE.sub("", _CONTROLS.sub("", text)))


_LINES = re.compile("(\r\n|\r|\n)")


def for_model(text: str, limit: int) -> str:
    """`text` for an execution block: at most `limit` characters, head and tail, all of it visible.

    It may still *spell* a control token. That is for tokenization to prevent (special parsing off, then a check of the
    ids), because a marker inserted here would change what honest code printed.
    """
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    text = _DIRECTION.sub("", _INVISIBLE.sub("", _CONTROLS.sub("", well_formed(text))))
    return cut(_bound_combining(text), limit)


def cut(text: str, limit: int) -> str:
    """The first two thirds and the last third of `limit` characters, the gap announced in between.

    The announcement comes on top of `limit`.
    """
    if len(text) <= limit:
        return text
    head = limit * 2 // 3
    tail = limit - head
    return f"{text[:head]}\n[... {len(text) - limit} characters left out ...]\n{text[len(text) - tail :]}"


def _bound_combining(text: str) -> str:
    if text.isascii():
        return text
    kept: list[str] = []
    run = 0
    for character in text:
        run = run + 1 if unicodedata.category(character) in ("Mn", "Me", "Mc") else 0
        if run <= MAX_COMBINING:
            kept.append(character)
    return "".join(kept)


def nearest(word: str, known: Iterable[str], cutoff: float = 0.6) -> str | None:
    """The one of `known` that a mistyped `word` most resembles; None where none is near enough.

    `cutoff` (0 to 1) says how near.
    """
    import difflib

    return next(iter(difflib.get_close_matches(word, list(known), n=1, cutoff=cutoff)), None)


def did_you_mean(word: str, known: Iterable[str], template: str = "Did you mean {}?", cutoff: float = 0.6) -> str:
    """A suggestion for a mistyped `word`, or an empty string."""
    near = nearest(word, known, cutoff)
    return template.format(near) if near else ""


def size_text(size: int) -> str:
    """Bytes as a person reads them."""
    value, unit = float(size), "B"
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if value < 1000 or unit == "TB":
            break
        value /= 1000
    return f"{value:.0f} {unit}" if value >= 100 or unit == "B" else f"{value:.1f} {unit}"

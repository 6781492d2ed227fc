"""Content that spells a marker, divided so that a tokenizer cannot match it.

Published models delimit calls and results by tokens such as `<tool_call>`, `<|channel|>` or Gemma's `<|"|>`. Many of
them are not special tokens (llama.cpp: USER_DEFINED), and tokenizers match such tokens in any text. Training and the
solver both cut content here before they tokenize it, so that they see the same ids.
"""

from __future__ import annotations

import re
from collections.abc import Iterable


def is_marker(spelling: str) -> bool:
    """Whether a token that occurs in a chat template is a marker, and not a digit, word or white space."""
    # Vocabularies have runs of spaces, digits and HTML among their added tokens; a template may hold any of them.
    first, last = spelling[:1], spelling[-1:]
    framed = not (first.isalnum() or first.isspace() or first == "▁" or last.isalnum() or last.isspace())
    return len(spelling) > 2 and framed and any(char.isalpha() or char == "|" for char in spelling)


def marker_pattern(spellings: Iterable[str]) -> re.Pattern[str] | None:
    """A pattern for the first of `spellings`, the longest where several begin; None without any.

    A single character cannot be cut, and is left out.
    """
    ordered = sorted({spelling for spelling in spellings if len(spelling) > 1}, key=lambda s: (-len(s), s))
    return re.compile("|".join(map(re.escape, ordered))) if ordered else None


def apart(text: str, pattern: re.Pattern[str] | None) -> list[str]:
    """`text` in pieces that together are the text and none of which holds a spelling that `pattern` finds."""
    if pattern is None or (match := pattern.search(text)) is None:
        return [text] if text else []
    pieces: list[str] = []
    position = 0
    while match is not None:
        middle = match.start() + len(match.group()) // 2
        # Half a marker can hold a shorter one.
        pieces += [text[position : match.start()], *apart(text[match.start() : middle], pattern)]
        pieces += apart(text[middle : match.end()], pattern)
        position = match.end()
        match = pattern.search(text, position)
    return [piece for piece in [*pieces, text[position:]] if piece]

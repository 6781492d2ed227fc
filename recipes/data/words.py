"""Questions as words, the way overlap is measured: case, spacing, punctuation and typography do not count."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence

_TYPOGRAPHY = str.maketrans({"’": "'", "‘": "'", "“": '"', "”": '"', "−": "-", "–": "-", "—": "-", "×": "*", "÷": "/"})
_TOKEN = re.compile(r"\d+(?:[.,]\d+)*|[^\W\d_]+(?:'[^\W\d_]+)*|[-+*/^=<>%!|]")
_DRAWING = re.compile(r"\[asy\].*?\[/asy\]", re.S)
_THOUSANDS = re.compile(r"(?<=\d),(?=\d{3}(?!\d))")


def tokens(text: str) -> list[str]:
    """Words, numbers and operators of `text`, case folded; operators stay, since `x + 1` and `x - 1` ask two things."""
    text = unicodedata.normalize("NFKC", text).translate(_TYPOGRAPHY).casefold()
    return _TOKEN.findall(_THOUSANDS.sub("", text))


def key(text: str) -> str:
    """Equal for texts that differ in case, spacing, punctuation or typography only. Empty where nothing is left."""
    return "".join(tokens(text))


def words(text: str) -> list[str]:
    """Words and numbers, without operators and without drawings, whose code many problems share."""
    return [token for token in tokens(_DRAWING.sub(" ", text)) if token[0].isalnum()]


def grams(sequence: Sequence[str], n: int) -> Iterator[tuple[str, ...]]:
    """All runs of `n` items."""
    return (tuple(sequence[start : start + n]) for start in range(len(sequence) - n + 1))

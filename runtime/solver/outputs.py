"""Outputs of cells as a model reads them."""

from __future__ import annotations

from runtime.engine import Vocabulary
from runtime.lce import EMPTY_EXECUTION
from runtime.text import for_model


def cleaned(output: str) -> str:
    """An execution result as the model reads it; never empty.

    Without characters it has never seen and that can hide text from a reader of the transcript (NUL, zero-width,
    bidirectional controls).
    """
    output = for_model(output, len(output))
    return output if output.strip() else EMPTY_EXECUTION


def _cut_middle(text: str, keep: int) -> str:
    half = max(1, keep // 2)
    return f"{text[:half]}\n[... {len(text) - 2 * half} characters left out ...]\n{text[-half:]}"


def shortened(output: str, limit: int, vocabulary: Vocabulary | None) -> str:
    """`output` without its middle where it has more than `limit` tokens."""
    if vocabulary is None:
        # Four characters a token is the usual density.
        return output if len(output) <= 4 * limit else _cut_middle(output, 4 * limit)
    # Content has at most one token a byte, so most outputs need no counting.
    if len(output) * 4 <= limit:
        return output
    shown, keep = output, len(output)
    while (count := len(vocabulary.encode(shown))) > limit:
        # Digits are one token each: the density of this very text decides how much is kept. It
        # shrinks every time, so that this ends.
        keep = min(keep - 1, keep * limit * 9 // (count * 10))
        if keep < 2:
            return "[...]"
        shown = _cut_middle(output, keep)
    return shown

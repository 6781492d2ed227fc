"""Rewrites of text: patterns, each with what takes its place, applied one after the other."""

from __future__ import annotations

import re
from collections.abc import Sequence

Rewrites = list[tuple[re.Pattern[str], str]]


def rewrites(rules: Sequence[tuple[str, str]]) -> Rewrites:
    """Rules of (pattern, replacement), compiled."""
    return [(re.compile(pattern), replacement) for pattern, replacement in rules]


def rewritten(text: str, rules: Rewrites) -> str:
    """`text` after all rules."""
    for pattern, replacement in rules:
        text = pattern.sub(replacement, text)
    return text

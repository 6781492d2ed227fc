r"""Boxes: what stands in the last `\boxed{}`, `\fbox{}` or one of their relatives."""

from __future__ import annotations

import re

# \x08 is what a JSON or Python string makes of the backslash and the b of `\boxed`.
_BOX = re.compile(r"(?:\\(?:f?boxed|fbox|framebox|bbox)|\x08oxed)(?![A-Za-z])")
_OPENED = re.compile(r"\s{0,9}(?:\[[^\[\]{}]{0,80}\]\s{0,9})?\{")
_BARE = re.compile(r"\s{1,9}([^\s{}$\\]{1,40})")
_BRACE = re.compile(r"\\.|[{}]", re.DOTALL)


def last_boxed(text: str) -> str | None:
    r"""Content of the last box whose braces balance, or None; of nested boxes the outer one counts."""
    partners: dict[int, int] | None = None
    found: list[tuple[int, int, int]] = []  # where the box begins, its content, and where that ends
    for box in _BOX.finditer(text):
        opened = _OPENED.match(text, box.end())
        if opened is None:
            bare = _BARE.match(text, box.end())
            if bare:
                found.append((box.start(), bare.start(1), bare.end(1)))
            continue
        if partners is None:
            partners = _partners(text)
        if (end := partners.get(opened.end() - 1)) is not None:
            found.append((box.start(), opened.end(), end))
    if not found:
        return None
    last = 0
    for index, (begin, _, _) in enumerate(found):
        if begin >= found[last][2]:
            last = index
    start, end = found[last][1:]
    for begin, inner_start, inner_end in found[last + 1 :]:
        # A box that holds nothing but a box.
        if text[start:begin].strip() or text[inner_end + 1 : end].strip():
            break
        start, end = inner_start, inner_end
    content = text[start:end].strip()
    return (content if text.startswith("}", end) else content.rstrip(".,;")) or None


def _partners(text: str) -> dict[int, int]:
    r"""Where each opening brace is closed, in one pass; escaped braces do not count."""
    partners: dict[int, int] = {}
    opened: list[int] = []
    for match in _BRACE.finditer(text):
        if match.group() == "{":
            opened.append(match.start())
        elif match.group() == "}" and opened:
            partners[opened.pop()] = match.start()
    return partners

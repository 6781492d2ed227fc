r"""Where mathematics stands in prose: dollars, `\(…\)`, `\[…\]`, environments, a bare `\boxed{}`.

Code is left alone.

Each closing mark is looked for once: the time is linear in the text, whatever it spells.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

SpanKind = Literal["code", "escaped", "inline", "display", "environment", "bare"]
"""escaped: a dollar that is money (`\\$`). bare: `\\boxed{…}`, `\\frac{…}{…}` or `\\sqrt{…}` outside dollars."""

_MARK = re.compile(
    r"(?P<fence>```)|(?P<tick>`)|(?P<escaped>\\\$)|(?P<display>\$\$)|(?P<bracket>\\\[)|(?P<paren>\\\()|(?P<dollar>\$)"
    r"|\\begin\{(?P<environment>[a-zA-Z]{1,32}\*?)\}|\\(?P<bare>boxed|d?frac|sqrt)(?=[ \t]{0,8}[{\[])"
)
_END = re.compile(r"\\end\{([a-zA-Z]{1,32}\*?)\}")
# Inline dollars follow pandoc's rule, which lets "$5 and $6" be money: no space inside the dollars, no digit after.
_INLINE = re.compile(r"\$(?![\s$])((?:\\.|[^$\\])*)\$(?!\d)", re.S)
_ARGUMENT = re.compile(r"\s{0,8}(?:\[[^\]\n]{0,64}\]\s{0,8})?(?=\{)")


@dataclass(frozen=True)
class Span:
    """One stretch of text that is not plain prose.

    Attributes:
        kind: what it is.
        start, end: positions in the text, delimiters included.
        inner: what stands between the delimiters; for `code`, `environment` and `bare` all of it.
    """

    kind: SpanKind
    start: int
    end: int
    inner: str


def spans(text: str) -> Iterator[Span]:
    """The spans of `text` from left to right; they do not overlap."""
    closers = _Closers(text)
    position = 0
    while mark := _MARK.search(text, position):
        span = _span_at(text, mark, closers)
        if span is None:
            position = mark.end()
            continue
        yield span
        position = span.end


class _Closers:
    """Where closing marks stand.

    A mark that was not found behind one place is not looked for behind a later one.
    """

    def __init__(self, text: str) -> None:
        self._text = text
        self._absent: set[str] = set()
        self._environments: dict[str, list[int]] | None = None

    def find(self, mark: str, start: int) -> int:
        """Position of `mark` at or after `start`, or -1."""
        if mark in self._absent:
            return -1
        found = self._text.find(mark, start)
        if found < 0:
            self._absent.add(mark)
        return found

    def end_of_environment(self, name: str, start: int) -> int:
        """Position after `\\end{name}` at or after `start`, or -1."""
        if self._environments is None:
            self._environments = defaultdict(list)
            for match in _END.finditer(self._text):
                self._environments[match[1]].append(match.start())
        places = self._environments.get(name, [])
        at = bisect_left(places, start)
        return places[at] + len(f"\\end{{{name}}}") if at < len(places) else -1


def _span_at(text: str, mark: re.Match[str], closers: _Closers) -> Span | None:
    """The span that begins with `mark`; None where nothing closes it."""
    start, after = mark.span()
    which = mark.lastgroup
    if which == "escaped":
        return Span("escaped", start, after, "$")
    if which == "fence":
        close = closers.find("```", after)
        end = len(text) if close < 0 else close + 3
        return Span("code", start, end, text[start:end])
    if which == "tick":
        close = closers.find("`", after)
        if close <= after or "\n" in text[after:close]:
            return None
        return Span("code", start, close + 1, text[start : close + 1])
    if which == "dollar":
        return _inline(text, start)
    if which == "environment":
        end = closers.end_of_environment(mark["environment"], after)
        return Span("environment", start, end, text[start:end]) if end > 0 else None
    if which == "bare":
        end = _end_of_arguments(text, after, 2 if "frac" in mark["bare"] else 1)
        return Span("bare", start, end, text[start:end])
    closing = {"display": "$$", "bracket": "\\]", "paren": "\\)"}[str(which)]
    close = closers.find(closing, after + 1)
    if close < 0:
        return None
    kind: SpanKind = "inline" if which == "paren" else "display"
    return Span(kind, start, close + 2, text[after:close])


def _inline(text: str, start: int) -> Span | None:
    if text[max(0, start - 1) : start] in ("\\", "$"):
        return None
    match = _INLINE.match(text, start)
    if match is None or (match[1][-1:].isspace() and match[1][-2:-1] != "\\"):
        return None
    return Span("inline", start, match.end(), match[1])


def _end_of_arguments(text: str, start: int, count: int) -> int:
    position = start
    while count and (match := _ARGUMENT.match(text, position)):
        position = _end_of_group(text, match.end())
        count -= 1
    return position


def _end_of_group(text: str, start: int) -> int:
    """Position after the group that opens at `start` (a brace); the text's end where it never closes."""
    depth, position = 0, start
    while position < len(text):
        character = text[position]
        if character == "\\":
            position += 2
            continue
        depth += (character == "{") - (character == "}")
        position += 1
        if depth == 0:
            return position
    return len(text)

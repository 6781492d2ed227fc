"""Markers of a dialect: found in what the model writes, and divided into the vocabulary's tokens.

A marker is a text of one or more tokens and characters. In the stream a token that is one of the dialect's is
represented by a character of its own from a private plane, so that a marker of several pieces is one string, and text
that merely spells a token is another.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

from runtime.engine import Vocabulary
from runtime.lce import Kind, Segment

FENCE = "```"
_LONGEST_FENCE = 40
"""Characters; a longer line names no language, and is text."""
_LANGUAGES = {"python": ("python3", "python", "py")}
_FIRST = 0xF0000
_PRIVATE = re.compile("[\U000f0000-\U000f0fff]")
SPELLED = re.compile(r"<[^<>\s]{1,60}>|\[/?[A-Z_]{2,40}\]|\]~!b\[|\]~b\]|\[e~\[")
"""How tokens of the formats are spelled: `<|im_end|>`, `</tool_call>`, `[TOOL_CALLS]`, MiniMax's."""


def tokens_of(texts: Iterable[str], vocabulary: Vocabulary) -> frozenset[str]:
    """What in `texts` is spelled like a token and is one token of `vocabulary`."""
    found = {name for text in texts for name in SPELLED.findall(text)}
    return frozenset(name for name in found if vocabulary.control_id(name) is not None)


def pieces(text: str, markers: frozenset[str], kind: Kind) -> list[Segment]:
    """The segments of `text`: what is one of `markers` as a token, the rest as content."""
    made: list[Segment] = []
    position = 0
    for found in SPELLED.finditer(text):
        if found.group() in markers:
            if found.start() > position:
                made.append(Segment(kind, text[position : found.start()], False))
            made.append(Segment(kind, found.group(), True))
            position = found.end()
    if position < len(text):
        made.append(Segment(kind, text[position:], False))
    return made


def merged(segments: Iterable[Segment]) -> list[Segment]:
    """The same segments with neighbouring content of one kind joined, as a tokenizer would see it."""
    made: list[Segment] = []
    for segment in segments:
        last = made[-1] if made else None
        if last is not None and not (last.is_control or segment.is_control) and last.kind == segment.kind:
            made[-1] = Segment(last.kind, last.text + segment.text, False)
        elif segment.text:
            made.append(segment)
    return made


def unspelled(text: str, pattern: re.Pattern[str] | None) -> str:
    """`text` with a space inside of everything that `pattern` finds, so that it is no marker any more."""
    return text if pattern is None else pattern.sub(lambda found: f"{found.group()[0]} {found.group()[1:]}", text)


def spelling_pattern(texts: Iterable[str], markers: frozenset[str]) -> re.Pattern[str] | None:
    """What finds the markers of a form that are no tokens, and that any text can therefore spell."""
    names = {name for text in texts for name in SPELLED.findall(text)} - markers
    return re.compile("|".join(re.escape(name) for name in sorted(names))) if names else None


class Alphabet:
    """The characters that stand for tokens in a stream of text.

    Attributes:
        of_token: token id to its character.
    """

    def __init__(self, markers: Iterable[str], vocabulary: Vocabulary | None) -> None:
        self._names: dict[str, str] = {}
        self._characters: dict[str, str] = {}
        self.of_token: dict[int, str] = {}
        for number, name in enumerate(sorted(markers)):
            token = vocabulary.control_id(name) if vocabulary is not None else None
            if token is not None:
                character = chr(_FIRST + number)
                self.of_token[token], self._characters[name], self._names[character] = character, character, name

    def written(self, text: str) -> str:
        """What a model wrote as text, without characters that stand for tokens."""
        return _PRIVATE.sub("\ufffd", text) if self.of_token else text

    def coded(self, text: str) -> str:
        """Text of a form as it stands in the stream."""
        return SPELLED.sub(lambda found: self._characters.get(found.group(), found.group()), text)

    def spelled(self, text: str) -> str:
        """A piece of the stream with its tokens spelled."""
        if not self._names:
            return text
        return _PRIVATE.sub(lambda found: self._names.get(found.group(), found.group()), text)


class Mark(Protocol):
    """A marker to look for."""

    def find(self, text: str, position: int, begins_line: bool) -> tuple[int, int] | None:
        """Where the first one in `text` from `position` on begins and ends.

        `begins_line`: whether a line starts there.
        """
        ...

    def held(self, text: str, position: int, begins_line: bool) -> int:
        """From where on `text` may still become one; its length where nothing may."""
        ...


@dataclass(frozen=True)
class Literal:
    """A marker wherever it stands."""

    text: str

    def find(self, text: str, position: int, begins_line: bool) -> tuple[int, int] | None:  # noqa: ARG002
        """Where the marker first begins and ends from `position` on, or None."""
        start = text.find(self.text, position)
        return None if start < 0 else (start, start + len(self.text))

    def held(self, text: str, position: int, begins_line: bool) -> int:  # noqa: ARG002
        """From where on `text` may still become the marker; its length where nothing may."""
        marker, length = self.text, len(text)
        for start in range(max(position, length - len(marker) + 1), length):
            if marker.startswith(text[start:]):
                return start
        return length


class Fence:
    """A Markdown fence at the beginning of a line."""

    def __init__(self, text: str) -> None:
        language = text[len(FENCE) :].strip()
        names = "|".join(_LANGUAGES.get(language, (language,)))
        end = r"[ \t]*\n" if text.endswith("\n") else ""
        self._here = re.compile(rf"{FENCE}[ \t]*(?:{names}){end}", re.IGNORECASE)
        self._below = re.compile(rf"(?<=\n){self._here.pattern}", re.IGNORECASE)

    def find(self, text: str, position: int, begins_line: bool) -> tuple[int, int] | None:
        """Where the fence first begins and ends from `position` on, or None."""
        found = self._here.match(text, position) if begins_line else None
        found = found or self._below.search(text, position)
        while found is not None and found.end() - found.start() > _LONGEST_FENCE:
            found = self._below.search(text, found.end() - 1)
        return None if found is None else found.span()

    def held(self, text: str, position: int, begins_line: bool) -> int:
        """From where on `text` may still become the fence; its length where nothing may."""
        start = text.rfind("\n", position) + 1
        if not start:
            if not begins_line:
                return len(text)
            start = position
        line = text[start:]
        may = FENCE.startswith(line[: len(FENCE)]) and len(line) <= _LONGEST_FENCE
        return start if line and may else len(text)


def mark(text: str) -> Mark:
    """The marker for `text`."""
    return Fence(text) if text.startswith(FENCE) else Literal(text)


def first(marks: Mapping[str, Mark], text: str, position: int, begins_line: bool) -> tuple[str, int, int] | None:
    """The first marker in `text` as (its name, begin, end); of several at one place the longest."""
    best: tuple[str, int, int] | None = None
    for name, one in marks.items():
        found = one.find(text, position, begins_line)
        if found is not None and (best is None or (found[0], -found[1]) < (best[1], -best[2])):
            best = (name, *found)
    return best

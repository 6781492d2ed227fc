"""Names of what an answer is the value of: the left side of `x = 5`, `P(A) = 1/3`, `\\angle ABC = 40`."""

from __future__ import annotations

import re

from runtime.grade.reading.tokens import Token

_NAME = re.compile(
    # x, x_1, AB, f(x), f'(x), f^{-1}(x), P(3), f(x,y), f(10)
    r"[A-Za-z]+(_\{?\\?[\w+,-]+\}?)?'{0,2}(\^\{?-1\}?)?(\((?:[a-z]|-?\d+(?:\.\d+)?)(,(?:[a-z]|-?\d+(?:\.\d+)?))*\))?'?"
    r"|\([a-z](,[a-z])+\)|\\frac\{?(?:d|\\partial)\^?2?[a-z]\}?\{(?:d|\\partial)[a-z]\^?2?\}"
    r"|sigma\^2|m?\\angle\{?[A-Z]{1,3}\}?|(?:\\triangle)?\[?[A-Z]{2,6}\]?|\|[A-Z]{2}\|"
    r"|\\(?:overline|hat|bar|vec|tilde|overrightarrow|widehat|overarc|d?dot)\{?[A-Za-z]{1,3}\}?(_\w)?|\{[A-Za-z]\}"
    # The sine of an angle; a probability, an expectation, a function of anything.
    r"|(?:sin|cos|tan|cot|sec|csc)\{?(?:[A-Z]|\\?angle[A-Z]{1,3}|theta|alpha|beta|gamma|phi)\}?"
    r"|\(f\\circg\)\(.{1,40}\)"
)
_OF = re.compile(
    r"(?:[PEfghFGHQ]|Pr|Var|Cov|SD|\\Pr|\\Var|\\Cov|\\mathbb\{?[PE]\}?|\{[PE]\}|n(?=\([A-Z])|gcd|lcm|max|min)"
    r"(?:_\{?\w{1,9}\}?)?'{0,2}(?:\^\{?-?\d\}?)?[(\[]"
)


def assigned_name(side: list[Token]) -> str | None:
    """The name on the left of `x = 5`, `f(x) = 5` or `(x, y) = (1, 2)`, or None where it is an expression."""
    text = "".join(token.text for token in side)
    if side and _NAME.fullmatch(text):
        return text if len(text) <= 48 else None
    if side and side[0].text in (r"\lim", r"\int") and len(text) <= 60:
        return text
    opened = _OF.match(text)
    if opened and len(text) <= 60 and _spans(text[opened.end() - 1 :]):
        return text
    if len(text) <= 40 and side and all(token.kind in ("name", "text") for token in side):
        # `Total cost = 12`
        return text if any(len(token.text) > 3 for token in side) else None
    return None


def _spans(text: str) -> bool:
    """Whether the bracket that begins `text` is closed at its end and not before."""
    depth = 0
    for index, character in enumerate(text):
        depth += (character in "([") - (character in ")]")
        if depth == 0:
            return index == len(text) - 1
    return False

r"""Questions as words: case, spacing, punctuation and typography do not count in overlaps.

Mathematics is written in many ways that look alike on paper (`x²` and `x^2`, `10,\!000` and `10 000`, `\dfrac` and
`\frac`, `≤` and `\leq`); they are one here. What changes the question is not: operators, signs, where a number ends.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence

from runtime.grade.reading.characters import GREEK

_GREEK = {letter: name for letter, name in GREEK.items() if letter.islower()} | {"υ": "upsilon"}
_GREEK_LETTER = re.compile(f"(?<![α-ω])[{''.join(_GREEK)}](?![α-ω])")
"""One that stands alone, as in a formula; Greek words stay words."""
_TYPOGRAPHY = str.maketrans(
    {
        **dict.fromkeys("'’‘`´ʼ′‵", ""),
        **dict.fromkeys("−–—‐‑‒―", "-"),
        **dict.fromkeys("×⋅·∙∗", "*"),
        **dict.fromkeys("÷⁄∕", "/"),
        **dict.fromkeys("≤⩽", "<="),
        **dict.fromkeys("≥⩾", ">="),
        "≠": "!=",
        "√": " sqrt ",
        "∞": " infty ",
        "°": "^circ",
    }
)
_SUPERSCRIPT = re.compile("[⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻ⁿ]+")
_INVISIBLE = re.compile("[\u00ad\u034f\u061c\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufe00-\ufe0f\ufeff]")

# LaTeX, in lower case
_NOTHING = re.compile(
    r"\\\\|\\[,;:!> ]|\\(?:q?quad|thinspace|left|right|bigg?[lrm]?|displaystyle|limits|text(?:bf|it|rm)?"
    r"|math(?:rm|bf|it)|mbox|operatorname|emph|[lc]?dots)(?![a-z])"
)
_COMMANDS = (
    (re.compile(r"\\[dt]frac(?![a-z])"), r"\\frac"),
    (re.compile(r"\\frac\s*(\d)(?=\d)"), r"\\frac \1 "),
    (re.compile(r"\\(?:times|cdot|ast)(?![a-z])"), "*"),
    (re.compile(r"\\div(?![a-z])"), "/"),
    (re.compile(r"\\leq?(?:slant)?(?![a-z])"), "<="),
    (re.compile(r"\\geq?(?:slant)?(?![a-z])"), ">="),
    (re.compile(r"\\neq?(?![a-z])"), "!="),
    (re.compile(r"\\(?:degree|circ)(?![a-z])"), " circ"),
    (re.compile(r"\\l?vert(?![a-z])|\\r?vert(?![a-z])|\\mid(?![a-z])"), "|"),
)

_HYPHEN = re.compile(r"(?<=[^\W\d_]{2})\s*-+\s*(?=[^\W\d_]{2})")
"""Between words, a hyphen or a dash is punctuation; beside a number or a letter it is a minus."""
_EXCLAMATION = re.compile(r"(?<![\d)])(?<!\b[^\W\d_])!(?!=)")
"""After a word; after a number, a letter or a bracket it is a factorial."""
_TOKEN = re.compile(r"(?:(?<![\w.])\.)?\d+(?:[.,]\d+)*|[^\W\d_]+|[-+*/^=<>%!|]")
_DRAWING = re.compile(r"\[(/?)asy\]", re.I)


def tokens(text: str) -> list[str]:
    """Words, numbers and operators of `text`, case folded (`x + 1` and `x - 1` ask two things)."""
    text = _SUPERSCRIPT.sub(r"^\g<0>", _INVISIBLE.sub("", text))
    text = unicodedata.normalize("NFKC", text).casefold()
    if "\\" in text:
        text = _NOTHING.sub(" ", text)
        for command, plain in _COMMANDS:
            text = command.sub(plain, text)
    text = _GREEK_LETTER.sub(lambda letter: f" {_GREEK[letter.group()]} ", text)
    text = text.translate(_TYPOGRAPHY).replace("**", "^")
    return list(_numbers(_TOKEN.findall(_EXCLAMATION.sub(" ", _HYPHEN.sub(" ", text)))))


def _numbers(found: Iterable[str]) -> Iterator[str]:
    """Groups of three digits put together, whatever stood between them; other numbers apart."""
    number = ""
    grouped = False
    for token in found:
        if not token[-1].isdigit():
            if number:
                yield number
                number = ""
            yield token
            continue
        for part in token.split(","):
            following = len(part.partition(".")[0]) == 3 and part[0] != "."
            if number and following and (grouped or len(number) < 4) and number[0] != "0" and "." not in number:
                number, grouped = number + part, True
                continue
            if number:
                yield number
            number, grouped = ("0" + part if part[0] == "." else part), False
    if number:
        yield number


def key(text: str) -> str:
    """Equal for texts that differ in case, spacing, punctuation or typography only; may be empty."""
    found = tokens(text)
    # Letters run together, since `x y` may be written `xy`; two numbers never, since 1, 23 is not 12, 3.
    return "".join(
        "," + token if before[-1:].isdigit() and token[0].isdigit() else token
        for before, token in zip(["", *found], found, strict=False)
    )


def words(text: str) -> list[str]:
    """Words and numbers, without operators and without drawings, whose code many problems share."""
    for opening, closing in reversed(list(pairs(_DRAWING.finditer(text)))):
        text = f"{text[: opening.start()]} {text[closing.end() :]}"
    return [token for token in tokens(text) if token[0].isalnum()]


def pairs(marks: Iterable[re.Match[str]]) -> Iterator[tuple[re.Match[str], re.Match[str]]]:
    """Each opening mark with the first closing one behind it, which is told by its group 1, in one pass."""
    opening = None
    for mark in marks:
        if not mark[1]:
            opening = opening or mark
        elif opening is not None:
            yield opening, mark
            opening = None


def grams(sequence: Sequence[str], n: int) -> Iterator[tuple[str, ...]]:
    """All runs of `n` items."""
    return (tuple(sequence[start : start + n]) for start in range(len(sequence) - n + 1))

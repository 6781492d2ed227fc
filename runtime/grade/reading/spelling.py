r"""Spelling: the many ways to typeset one answer, brought to one.

Two kinds of differences are removed here and nowhere else: typography (`\dfrac`, `\left(`, `10{,}000`, `−`), and the
damage that released answer files carry (`\sqrt{}5` for `\sqrt 5`, one backslash between matrix rows). Nothing that
carries meaning is removed: units, signs, exponents and percent signs stay for the reader.
"""

from __future__ import annotations

import re

from runtime.grade.reading.boxes import last_boxed
from runtime.grade.reading.characters import in_ascii
from runtime.grade.reading.decoration import without_fonts, without_markdown, without_outer_braces
from runtime.grade.reading.rewrites import rewrites, rewritten
from runtime.grade.reading.sentences import ANNOUNCED
from runtime.grade.reading.units import SHORT

_TWO_LETTERS = "|".join(sorted(unit for unit in SHORT if len(unit) == 2 and unit.isalpha()))
_SUBSTITUTIONS = rewrites(
    [
        (r"\\\(|\\\)|\\\[(?![\d.]+(?:pt|em|ex|mm|cm)\])|\\\]|\$\$", " "),  # delimiters of mathematics
        (r"\\!", ""),
        (r"\{,\}", ","),
        (r"\\(?:,|;|:|>|quad\b|qquad\b|thinspace\b|enspace\b|space\b|hfill\b)", " "),
        (r"(?<!\\)\\ ", " "),
        (r"(?<!\\)~", " "),
        (r"\\(?:left|right|middle)(?![a-zA-Z])\s*\.?(?=[\[\](){}|\\<>.]|$)", ""),
        (r"\\(?:big|Big|bigg|Bigg)[lrm]?(?![a-zA-Z])", ""),
        (r"\\(?:d|t|c)frac(?![a-zA-Z])", r"\\frac"),
        (r"\\(?:d|t)binom(?![a-zA-Z])", r"\\binom"),
        (r"\\%", "%"),
        (r"\\(?:leqslant|leq|le)(?![a-zA-Z])", r"\\le "),
        (r"\\(?:geqslant|geq|ge)(?![a-zA-Z])", r"\\ge "),
        (r"\\(?:lt)(?![a-zA-Z])", "<"),
        (r"\\(?:gt)(?![a-zA-Z])", ">"),
        (r"&lt;", "<"),
        (r"&gt;", ">"),
        (r"<=", r"\\le "),
        (r">=", r"\\ge "),
        (r"\\neq(?![a-zA-Z])|(?<![\d)])!=", r"\\ne "),
        (r"\*\*", "^"),
        (r"\^\s?\{\s?\\prime\s?\}|\^\s?\\prime(?![a-zA-Z])", "'"),
        (r"\^\s*\{\s*\\circ\s*\}|\^\s*\\circ(?![a-zA-Z])|\\degree(?![a-zA-Z])", r"\\deg "),
        (r"\\(?:mathrm|textrm|mbox|hbox)(?=\s*\{)", r"\\text"),
        (r"\\operatorname\s*\{\s*([ei])\s*\}|\\text\s*\{\s*(e)\s*\}(?=\s*\^)", r"{\1\2}"),
        (r"\\(?:operatorname\*?|mathop)\s*\{\s*([a-zA-Z]+)\s*\}", r"\\\1 "),
        (r"\\text\s*\{\s*(cis|sin|cos|tan|cot|sec|csc|ln|log|arcsin|arccos|arctan|gcd|lcm)\s*\}", r"\\\1 "),
        (r"\\frac\s*\{\s*\\text\s*\{([^{}]*)\}\s*\}\s*\{\s*\\text\s*\{([^{}]*)\}\s*\}", r"\\text{\1/\2}"),
        (r"\{([^{}]+)\\choose(?![a-zA-Z])([^{}]+)\}", r"\\binom{\1}{\2}"),
        (r"\{([^{}]+)\\over(?![a-zA-Z])([^{}]+)\}", r"\\frac{\1}{\2}"),
        (r"\\text\s*\{\s*\}", " "),
        (r"(\d\s?\\text\s?\{[^{}]{0,40}[A-Za-z])\s?\}\s?\^\s?\{?\s?(-?[1-3])(?!\d)\s?\}?", r"\1^\2}"),
        (r"(?<=\d)\s?\((meters|metres|feet|dollars|cents|miles|hours|minutes|seconds|inches|units|degrees)\)$", r" \1"),
        (r"(?<=\d)\\text\s*\{\s*[eE]\s*\}(?=[-+]?\d)", "e"),
        (r"\bUSD\s*(?=\d)", r"\\usd "),
        (r"\bRs\.?\s*(?=\d)", r"\\inr "),
        (r"(?<=\d)\s?\^\s?\{?\s?o\s?\}?(?![A-Za-z])", r"\\deg "),
        (r"^(?:\\text\s*\{\s*)?(?:about|approximately|roughly|nearly)\b\s*\}?\s*(?=[-\\\d.])", ""),
        (r"^(?:\\text\s*\{\s*)?(?:[Oo]ption|[Cc]hoice)\s*\(?([A-Z])\)?\s*\}?$", r"\1"),
        (
            r"^(?:\\text\s*\{\s*)?[Aa]ll real(?:s| numbers?) except(?: for)?\s*\}?\s*(?:x\s*=\s*)?([-\d.,\\{}/a-z ]+)$",
            r"\\mathbb{R}\\setminus\\{\1\\}",
        ),
        (r"\\mathbb\s*\{?\s*R\s*\}?\s*-\s*(?=\\\{)", r"\\mathbb{R}\\setminus"),
        (r"\+/-|\+\s*/\s*-", r"\\pm "),
        (r"(?<=\d)\s*(?:\\text\s*\{\s*to\s*\}|\bto\b)\s*(?=\d)", ":"),
        (r"(?<=\d)\s*x\s*(?=10\s*\^)", r"\\times "),
        # What Python and sympy print.
        (r"(?<![A-Za-z.\\])(?:np|numpy|math|sp|sympy)\.(?=[a-z])", ""),
        (r"\b(?:Fraction|Rational)\(\s*(-?\d+)\s*,\s*(\d+)\s*\)", r"\\frac{\1}{\2}"),
        (r"\bMatrix\(\s*(\[\s*\[.*\]\s*\])\s*\)", r"\1"),
        (r"\\varnothing(?![a-zA-Z])|\\\{\s*\\\}", r"\\emptyset "),
        # Damage in released gold files: a brace pair set where an argument was expected, backslashes cut in half.
        (r"\\sqrt\s*\{\s*\}\s*", r"\\sqrt "),
        (r"\\frac\{\\\}\{([a-zA-Z])\}([a-zA-Z]*)", r"\\frac\\\1\2 "),
        # Units that lost their \text: `40{hours}`, `65{/h}`.
        (r"(?<=\d)\{\s*(/[a-zA-Z][a-zA-Z ./-]*|[a-zA-Z][a-zA-Z ./-]{2,})\}", r"\\text{\1}"),
        (rf"(?<=\d)\{{\s*({_TWO_LETTERS})\s*\}}", r"\\text{\1}"),
        # Text that is the whole answer needs no mark.
        (r"^\\text\s*\{([^{}]*\d[^{}]*|\s*[A-Z](?:\s*,\s*[A-Z])+\s*)\}$", r"\1"),
    ]
)
_MATRIX = re.compile(r"\\begin\{([bpvBV]?matrix|smallmatrix|array)\}(\{[lcr|]*\})?(.*?)\\end\{\1\}", re.DOTALL)
_BRACKETED_MATRIX = re.compile(r"[\[(]\s*(\\begin\{matrix\}(?:(?!\\begin).)*\\end\{matrix\})\s*[\])]", re.DOTALL)
_LEADING_EQUALS = re.compile(r"^(?:=|:)\s*(?=\S)")
_HALF_ROW_BREAK = re.compile(r"(?<!\\)\\(?=\s*(?:[-+\d.]|$))")
_ANNOUNCED = re.compile(
    rf"^(?:(?:so|thus|hence|therefore|finally),?\s{{1,3}})?(?:\\text\s*\{{\s*(?:{ANNOUNCED})\}}"
    rf"|{ANNOUNCED}|(?:result|solution|value|total|output)\s?:\s?(?=[-\d\\$(])|(?-i:A):\s(?=[-\d\\$(])"
    r"|(?:so|thus|hence|therefore|finally),?\s(?=[-\d\\$(]|[A-Za-z]\s?=))",
    re.IGNORECASE,
)
_COURTESY = re.compile(r"\.?\s?I hope (?:it|this) is correct\.?$")
_INTEGER = r"\\in\s?(?:\\mathbb\s?)?\{?\s?Z\s?\}?(?![A-Za-z])|\\text\s?\{[^{}]{0,12}integer\s?\}|is (?:an|any) integer"
_ANY_INTEGER = re.compile(
    r"(?<=\S)\s?[,;]?\s?\(?\s?(?:(?:\\text\s?\{\s?(?:,?\s?(?:where|for|with|any|all|some|every|integers?)\s?){1,4}\}"
    rf"|(?:(?:where|for|with|any|all|some|every)\s){{1,3}})\s?)?(?:(?:\\forall\s?)?[A-Za-z]\s?(?:{_INTEGER})|integers?\s[A-Za-z])\s?\)?\.?$"
    r"|(?<=\S)\s?,?\s?\\text\s?\{[^{}]{0,20}\binteger\s?\}\s?[A-Za-z]$"
)
_FAMILY = re.compile(
    r"^\\\{\s?([^{}|]{1,9}(?:[^|]{0,200}?))\s?(?:\\mid|\||:)\s?[A-Za-z]\s?\\in\s?(?:\\mathbb\s?)?\{?\s?Z\s?\}?\s?\\\}$"
)
_COUNTED = re.compile(r"(?<=\S)\s?[,;]\s?\(?[A-Za-z]\s?=\s?0,\s?\\pm\s?1,.{0,30}?(?:\\[lc]?dots|\.\.\.)\)?$")
_THIN = (
    r"(?:,\s?(?:\\!\s?)+|\{,\}\s?(?:\\[!,]\s?)*|\\(?:text|mathord|mbox)\{,\}"
    r"|(?:\\(?:[,;: >]|thinspace(?![A-Za-z]))|~)\s?|\{\\[,;:]\}|\\_|')"
)
_THIN_THOUSANDS = re.compile(rf"(?<![\d.])\d{{1,3}}(?:{_THIN}\d{{3}})+(?!\d)")
_DECIMAL_COMMA = re.compile(r"(?<=\d)\{,\}(?=\d)")
_REPEATING = re.compile(r"(\d*)\.(\d*)\\(?:overline|bar|dot)\s*(?:\{\s*(\d{1,40})\s*\}|(\d))")
_GOING_ON = re.compile(r"(?<![\d.])(\d+)\.(\d{2,60})\s*(?:\.\.\.|\\[lc]?dots(?![a-zA-Z]))(?!\s*\d)")
_PAIRED_DOLLARS = re.compile(r"^\$([^$]*)\$$")


def clean(text: str) -> str:
    """`text` in the one spelling that the reader knows: LaTeX, single spaces, no delimiters."""
    # Runs of white space go first: patterns that skip it take long on long ones.
    text = " ".join(in_ascii(text).split())
    if "box" in text:
        text = last_boxed(text) or text
    text = _COURTESY.sub("", without_markdown(text).strip())
    text = _ANNOUNCED.sub("", text)
    paired = _PAIRED_DOLLARS.match(text)
    if paired:
        text = paired.group(1)
    text = _THIN_THOUSANDS.sub(lambda match: re.sub(r"\D", "", match.group()), text)
    text = _DECIMAL_COMMA.sub(".", text)
    text = re.sub(r"\bUS(?=\\?\$)", "", text).replace(r"\$", r"\usd ")
    if text.count("$") == 1:
        text = re.sub(r"\$(?=\s*-?[\d.])", r"\\usd ", text)
    text = text.replace("$", " ")
    text = without_fonts(text)
    text = rewritten(text, _SUBSTITUTIONS)
    text = _REPEATING.sub(_repeating, text)
    text = _GOING_ON.sub(_going_on, text)
    text = _MATRIX.sub(_repair_matrix, text)
    text = _BRACKETED_MATRIX.sub(r"\1", text)
    if "matrix" not in text and "cases" not in text:
        text = _HALF_ROW_BREAK.sub("", text)
    text = " ".join(text.split())
    text = _COUNTED.sub("", _FAMILY.sub(r"\1", _ANY_INTEGER.sub("", text)))
    text = _LEADING_EQUALS.sub("", _ANNOUNCED.sub("", text))
    while text.endswith("\\") and not text.endswith("\\\\end"):
        text = text[:-1].rstrip()
    while text and text[-1] in ".,;:" and not text.endswith((".m.", ". m.", "...")):
        text = text[:-1].rstrip()
    return without_outer_braces(text)


def _repeating(match: re.Match[str]) -> str:
    r"""`0.1\overline{6}` as the fraction that it is: (16 - 1) / 90."""
    whole, start, period = match[1], match[2], match[3] or match[4]
    return _fraction(whole, start, period)


def _going_on(match: re.Match[str]) -> str:
    """`0.1666...` as the fraction it is, where its digits show a period; 3.14159... shows none."""
    whole, digits = match.groups()
    for length in range(1, len(digits) // 2 + 1):
        period = digits[-length:]
        times = 1
        while digits.endswith(period * (times + 1)):
            times += 1
        # Two equal digits may be chance, unless there are no others.
        if times >= 3 or (times == 2 and (length > 1 or len(digits) == 2)):
            return _fraction(whole, digits[: len(digits) - times * length], period)
    return match.group()


def _fraction(whole: str, start: str, period: str) -> str:
    top = int((whole or "0") + start + period) - int((whole or "0") + start)
    return rf"\frac{{{top}}}{{{'9' * len(period)}{'0' * len(start)}}}"


def _repair_matrix(match: re.Match[str]) -> str:
    body = match.group(3)
    if r"\\" not in body:
        body = _HALF_ROW_BREAK.sub(r"\\\\", body)
    # One name for all matrix environments; determinant bars (vmatrix) mean something else and keep theirs.
    name = match.group(1) if match.group(1) in ("vmatrix", "Vmatrix") else "matrix"
    return rf"\begin{{{name}}}{body}\end{{{name}}}"


_TEXT = re.compile(r"\\text\s*\{([^{}]*)\}")
_OPTION = re.compile(r"\(?\s*([A-Za-z])\s*\)?[.):]?")
_MEANINGLESS_SPACE = re.compile(r"(?<![0-9]) | (?![0-9])")


def canonical(cleaned: str) -> str:
    r"""A cleaned answer as a key: equal keys mean the same answer, letter for letter.

    Words lose their case and spaces, option letters their brackets (`(C)`, `\text{C}` and `C` are one); mathematics
    keeps both, except spaces that separate nothing.
    """
    text = _TEXT.sub(r"\1", cleaned).replace(r"\deg", "").strip()
    option = _OPTION.fullmatch(text)
    if option:
        return option.group(1)
    text = re.sub(r"([_^])\{([A-Za-z0-9])\}", r"\1\2", text)
    key = _MEANINGLESS_SPACE.sub("", text)
    if "\\" not in key and re.search(r"[A-Za-z]{2}", key) and not re.search(r"[=^_*/+<>|]", key):
        return re.sub(r"[.'\"]", "", key.lower())
    return key

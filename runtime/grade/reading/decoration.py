r"""Decoration: Markdown, colours, fonts, sizes, environments.

What is left means what it meant with them.

Every pattern is bounded in what it looks at, so that no text takes more time than its length.
"""

from __future__ import annotations

import re

from runtime.grade.reading.rewrites import rewrites, rewritten

_MARKDOWN = rewrites(
    [
        (r"^\s*(?:\*\s+(?=\S)|-\s+(?=[*_`]))", ""),
        (r"^\s*[•‣◦▪]\s*", ""),
        (r"~~[^~]{1,200}~~", " "),
        (r"`+", " "),
        (r"^\s*(?:#{1,6}|>(?=\s*[-\d$\\*(]))\s*", ""),
        # Emphasis; `2**3` is a power: a digit, letter or bracket touches the stars outside.
        (r"(?<![\w)\]}*])\*{2,3}(?=[^\s*])([^*]{1,200})\*{2,3}(?![\w([{\\*])", r"\1"),
        (r"(^|[:=]\s?|[.!?]\s|\n|[a-z]{2}\s)\*(?=[^\s*])([^*]{1,200})\*(?![\w([{\\*])", r"\1\2"),
        (r"(?<!\w)__(?=[^\s_])([^_]{1,200})__(?!\w)", r"\1"),
        (r"(^|[:=]\s?|[.!?]\s|\n|[a-z]{2}\s)_(?=[^\s_])([^_]{1,200})_(?=[.\s]|$)", r"\1\2"),
        (r"^[\u2190-\u21ff\u2234\u2600-\u27bf\u27f6\U0001f000-\U0001faff\ufe0f\s]+|^[=-]>\s*", ""),
        (r"[\u25a0\u25a1\u220e\u2600-\u27bf\U0001f000-\U0001faff\ufe0f\s]+$", ""),
        (r"^([\"'])([^\"']{1,200})\1[.,]?$", r"\2"),
        (r"<(b|i|u|em|strong|code|span|p|div|answer)>([^<>]{0,200})</\1>", r"\2"),
    ]
)
_SIZES = (
    "tiny scriptsize footnotesize small normalsize large Large LARGE huge Huge displaystyle textstyle scriptstyle "
    "limits nolimits rm bf it bfseries itshape boldmath nonumber notag strut mathstrut noindent centering"
).split()
_ENVIRONMENTS = r"(?:aligned|align\*?|equation\*?|gather\*?|gathered|split|center|displaymath|math|multline\*?)"
_LATEX = rewrites(
    [
        (r"\\(?:textcolor|color|mathcolor|colorbox)\s*(?:\[\w{1,9}\])?\s*\{[^{}]{0,40}\}", ""),
        (r"\\fcolorbox\s*\{[^{}]{0,40}\}\s*\{[^{}]{0,40}\}", ""),
        # Numbers and units as siunitx sets them.
        (r"\\num\s?\{([^{}]{1,60})\}", r" \1 "),
        (r"\\ang\s?\{([^{};]{1,60})\}", r" \1^\\circ "),
        (r"\\(?:SI|qty)\s?\{([^{}]{1,60})\}\s?\{([A-Za-z/^23 ]{1,40})\}", r" \1 \\text{\2} "),
        (r"\\(?:tag|label|[hv]space|[hv]?phantom|mspace)\*?\s*\{[^{}]{0,40}\}", " "),
        (r"(?<=\d)\\(?:mathrm|text|rm)\s?\{\s?[eE]\s?\}(?=[-+]?\d)", "e"),
        (r"\\(?:kern|mkern|hskip|mskip)\s*-?[\d.]{1,9}\s*(?:pt|em|ex|mm|cm|mu)", " "),
        (rf"\\(?:{'|'.join(_SIZES)})(?![A-Za-z])", " "),
        (r"^\s*(?:\\(?:therefore|implies|Rightarrow|Longrightarrow|rightarrow|iff)(?![A-Za-z]))\s*", ""),
        (r"\s*(?:\\(?:blacksquare|square|Box|qed|checkmark)(?![A-Za-z]))\s*$", ""),
        (r"\\math(?:open|close)\s?\{\}|\\rule\s?\{[^{}]{0,20}\}\s?\{[^{}]{0,20}\}", " "),
        (r"\\mathrm\s+([ei])(?![A-Za-z])", r"{\1}"),
    ]
)
_ALIGNED = re.compile(rf"\\(?:begin|end)\{{{_ENVIRONMENTS}\}}")
_BOLD = (
    "bm|boldsymbol|pmb|mathbf|mathit|mathsf|mathtt|mathnormal|mathcal|mathord|mathrel|mathbin|mathpunct|smash|underline|"
    "uline|uuline|uwave|underbar|hl|bold|ensuremath|emph|textbf|textit"
)
_UPRIGHT = "mathrm|textrm|textsf|texttt|textsc|textup|textnormal|mbox|hbox|text"
_POWER_OF_UNIT = re.compile(rf"(\\(?:{_UPRIGHT})\s*\{{[^{{}}]{{0,60}})\^\{{(-?\w)\}}(?=[^{{}}]{{0,60}}\}})")
_FONT = re.compile(rf"\\({_BOLD}|{_UPRIGHT})\s*\{{([^{{}}]*)\}}")
_NESTED_BOLD = re.compile(rf"\\(?:{_BOLD})(?![A-Za-z])\s*(?=[{{\w\\])")
_WORD = re.compile(r"(?<![\\A-Za-z])[A-Za-z]{2,}")
_PLAIN_NUMBER = re.compile(r"[-+]?[\d.,:/]*\d\s*(?:\\?%)?")


def without_markdown(text: str) -> str:
    """`text` without emphasis, code marks, heading marks and simple HTML tags."""
    return rewritten(text, _MARKDOWN)


def without_fonts(text: str) -> str:
    r"""`text` without colours, sizes and fonts; words keep (or get) their `\text{}`, mathematics loses it."""
    if "\\" not in text:
        return text
    text = rewritten(text, _LATEX)
    if _ALIGNED.search(text):
        text = _ALIGNED.sub(" ", text)
        if r"\begin" not in text:
            text = re.sub(r"\s*\\\\\s*(?=\S)", ", ", text.replace("&", "")).replace(r"\\", " ")
    text = _POWER_OF_UNIT.sub(r"\1^\2", text)
    text = _FONT.sub(_font, text)
    return _NESTED_BOLD.sub("", text)


def _font(match: re.Match[str]) -> str:
    command, content = match[1], match[2]
    inner = content.strip()
    if _PLAIN_NUMBER.fullmatch(inner):
        return f" {inner} " if content != inner else inner
    upright = command in _UPRIGHT.split("|")
    if upright and ((inner in ("e", "i", "j") and command == "mathrm") or re.fullmatch(r"\\[A-Za-z]+", inner)):
        return f"{{{inner}}}"
    if not upright and not _WORD.search(inner):
        return f"{{{content}}}"
    return rf"\text{{{content}}}"


def without_outer_braces(text: str) -> str:
    """`text` without braces that only hold it together: `{58}`; a list in braces is a set and keeps them."""
    for _ in range(4):
        if not (text.startswith("{") and text.endswith("}")):
            return text
        depth = 0
        for index, character in enumerate(text):
            if text[index - 1] == "\\" and index:
                continue
            depth += (character in "{([") - (character in "})]")
            if (depth == 0 and index < len(text) - 1) or (depth == 1 and character in ",;"):
                return text
        text = text[1:-1].strip()
    return text

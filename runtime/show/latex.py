r"""LaTeX as readable Unicode: `\frac{x^2+1}{2}` is shown as `(x²+1)/2`.

Written for what models write in solutions: inline and display mathematics inside Markdown, `\boxed{}`, fractions,
roots, powers, matrices and `aligned` lines. It never raises and never drops what it does not know: an unknown command
stays as it stands.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from runtime.show.latex_symbols import (
    ACCENTS,
    BINARY,
    BLACKBOARD,
    BRACKETS,
    DROPPED,
    FUNCTIONS,
    IGNORED,
    RELATIONS,
    ROOTS,
    SPACES,
    SUBSCRIPTS,
    SUPERSCRIPTS,
    SYMBOLS,
    VERBATIM,
    WRAPPERS,
)
from runtime.show.spans import spans

_DEPTH = 60
"""What is nested deeper than this are shown as they stand; no formula that a person reads comes near."""

_TOKEN = re.compile(r"\\[a-zA-Z]+\*?|\\.|\s+|[{}^_&~']|[^\\{}^_&~'\s]", re.S)

_OPENING = frozenset({"lfloor", "lceil", "langle", "lvert", "lVert", "lbrace", "lbrack"})
_CLOSING = frozenset({"rfloor", "rceil", "rangle", "rvert", "rVert", "rbrace", "rbrack"})
_MARKDOWN = re.compile(r"([\\`*_\[\]<>#|~])")


def readable(text: str, *, markdown: bool = False) -> str:
    r"""Prose with its LaTeX turned into Unicode.

    Args:
        text: what a model wrote; code spans and fences in it are left alone.
        markdown: the result will be rendered as Markdown: formulas are escaped against it and `\boxed{}` turns bold.
    """
    return _readable(text, markdown, depth=0)


def _readable(text: str, markdown: bool, depth: int) -> str:
    pieces, position = [], 0
    for span in spans(text):
        pieces.append(text[position : span.start])
        position = span.end
        if span.kind in ("code", "escaped"):
            pieces.append(span.inner)
        else:
            display = span.kind in ("display", "environment")
            pieces.append(_formula(span.inner, markdown, display=display, depth=depth))
    pieces.append(text[position:])
    return "".join(pieces)


def formula(latex: str) -> str:
    """One formula, without its dollars, as Unicode; rows of `aligned` become lines."""
    return _Converter(latex).result()


def _formula(source: str, markdown: bool, *, display: bool, depth: int) -> str:
    converter = _Converter(source, mark_box=markdown, depth=depth)
    shown = converter.result()
    if markdown:
        lines = [_MARKDOWN.sub(r"\\\1", line) for line in shown.split("\n")]
        # A hard line break, or Markdown would join the rows of an aligned block into one paragraph.
        shown = "\\\n".join(lines).replace(_BOX_OPEN, "**").replace(_BOX_CLOSE, "**")
        return f"\n\n{shown}\n\n" if display else shown
    return f"\n{shown}\n" if display and "\n" in shown else shown


# Private-use characters stand for the edges of a box until Markdown's own characters have been escaped.
_BOX_OPEN, _BOX_CLOSE = "\ue000", "\ue001"


class _Converter:
    """A recursive descent over the tokens of one formula."""

    def __init__(self, latex: str, *, mark_box: bool = False, depth: int = 0) -> None:
        self.tokens: list[str] = _TOKEN.findall(latex.strip())
        self.position = 0
        self.mark_box = mark_box
        self.depth = depth

    def result(self) -> str:
        shown = self.sequence(lambda token: False)
        shown = "\n".join(line.strip(" \t") for line in shown.split("\n"))
        # Two spaces are LaTeX's own \quad; more come from source layout around operators.
        return re.sub(r" {3,}", "  ", shown).strip()

    def sequence(self, stop: Callable[[str], bool]) -> str:
        """Everything up to a token for which `stop` holds (which is consumed), or the end."""
        out: list[str] = []
        while self.position < len(self.tokens):
            token = self.tokens[self.position]
            self.position += 1
            if stop(token):
                break
            self.one(token, out)
        return "".join(out)

    def one(self, token: str, out: list[str]) -> None:
        """Append what `token`, with its arguments, looks like."""
        if token == "{":
            out.append(self.group())
        elif token == "}":
            pass  # one too many: nothing to show
        elif token in "^_":
            out.append(_script(self.argument(), token))
        elif token == "'":
            out.append("′")
        elif token in ("&", "~") or token.isspace():
            if out and not out[-1].endswith((" ", "\n")):
                out.append(" ")
        elif token.startswith("\\"):
            self.command(token[1:], out)
        elif token in "=<>" and not (out and out[-1].endswith(("=", "<", ">", "!"))):
            _spaced(token, out)
        else:
            out.append("−" if token == "-" else token)

    def group(self) -> str:
        """What stands up to the closing brace; the opening one has been read."""
        if self.depth >= _DEPTH:
            return self.raw_group()
        with self.deeper():
            return self.sequence(lambda token: token == "}")

    @contextmanager
    def deeper(self) -> Iterator[None]:
        """One level of nesting more, whether braces, brackets or bare arguments make it."""
        self.depth += 1
        try:
            yield
        finally:
            self.depth -= 1

    def raw_group(self) -> str:
        """The group as it stands in the source; the opening brace has been read."""
        depth, pieces = 1, []
        while self.position < len(self.tokens):
            token = self.tokens[self.position]
            self.position += 1
            depth += (token == "{") - (token == "}")
            if depth == 0:
                break
            pieces.append(token)
        return "".join(pieces)

    def argument(self) -> str:
        """The next argument: a group, a command with its own arguments, or one character."""
        self.skip_spaces()
        if self.position >= len(self.tokens):
            return ""
        out: list[str] = []
        token = self.tokens[self.position]
        self.position += 1
        if self.depth >= _DEPTH:
            return self.raw_group() if token == "{" else token
        with self.deeper():
            self.one(token, out)
        return "".join(out).strip()

    def optional(self) -> str | None:
        """`[…]` where one follows."""
        self.skip_spaces()
        if self.position < len(self.tokens) and self.tokens[self.position] == "[" and self.depth < _DEPTH:
            self.position += 1
            with self.deeper():
                return self.sequence(lambda token: token == "]").strip()
        return None

    def raw_argument(self) -> str:
        self.skip_spaces()
        if self.position < len(self.tokens) and self.tokens[self.position] == "{":
            self.position += 1
            return self.raw_group()
        return self.argument()

    def skip_spaces(self) -> None:
        while self.position < len(self.tokens) and self.tokens[self.position].isspace():
            self.position += 1

    def command(self, name: str, out: list[str]) -> None:
        """Append what `\\name`, with its arguments, looks like."""
        plain = name.rstrip("*")
        if name in SYMBOLS:
            if name in _CLOSING and out and out[-1] == " ":
                out.pop()
            out.append(SYMBOLS[name])
            if name in _OPENING:
                self.skip_spaces()
        elif name in BINARY or name in RELATIONS:
            _spaced(BINARY.get(name) or RELATIONS[name], out)
        elif name in SPACES:
            out.append(SPACES[name])
        elif name == "\\":
            self.optional()
            out.append("\n")
        elif name in FUNCTIONS:
            self.function(name, out)
        elif name in ("frac", "dfrac", "tfrac", "cfrac"):
            self.fraction(out)
        elif name in ("binom", "dbinom", "tbinom"):
            out.append(f"C({self.argument()}, {self.argument()})")
        elif name == "sqrt":
            index = self.optional() or "2"
            out.append((ROOTS.get(index) or _script(index, "^") + "√") + _atom(self.argument()))
        elif name == "boxed":
            content = self.argument()
            out.append(f"{_BOX_OPEN}{content}{_BOX_CLOSE}" if self.mark_box else content)
        elif name in ACCENTS:
            out.append(_accented(self.argument(), ACCENTS[name]))
        elif name == "mathbb":
            out.append("".join(BLACKBOARD.get(character, character) for character in self.argument()))
        elif plain in VERBATIM:
            out.append(self.prose(self.raw_argument()))
        elif plain in WRAPPERS or name in ("mathcal", "mathfrak", "mathscr"):
            out.append(self.argument())
        elif name in ("pmod", "mod", "bmod"):
            out.append(f" (mod {self.argument()})" if name == "pmod" else " mod ")
        elif name in ("overset", "stackrel", "underset"):
            note, base = self.argument(), self.argument()
            out.append(base + _script(note, "_" if name == "underset" else "^"))
        elif name in ("overbrace", "underbrace", "cancel", "bcancel"):
            out.append(self.argument())
        elif name in ("not",):
            out.append(self.argument() + "\u0338")
        elif name == "begin":
            out.append(self.environment())
        elif name == "end" or name in DROPPED:
            self.raw_argument()
        elif plain in IGNORED:
            self.delimiter(name)
        elif len(name) == 1 and not name.isalpha():
            out.append(name)  # \% \$ \{ and their like
        else:
            self.unknown(name, out)

    def unknown(self, name: str, out: list[str]) -> None:
        """What we do not know stays as it stands, its braces too."""
        out.append(f"\\{name}")
        while self.position < len(self.tokens) and self.tokens[self.position] == "{":
            self.position += 1
            out.append("{" + self.group() + "}")

    def prose(self, text: str) -> str:
        """The argument of `\\text`: spaces count, mathematics inside dollars is still mathematics."""
        if self.depth >= _DEPTH:
            return text
        plain = text.replace("~", " ").replace("\\ ", " ").replace("\\%", "%").replace("\\&", "&")
        return _readable(plain, False, self.depth + 1)

    def delimiter(self, name: str) -> None:
        # `\left.` and `\right.` stand for no bracket at all.
        if name in ("left", "right", "middle"):
            self.skip_spaces()
            if self.position < len(self.tokens) and self.tokens[self.position] == ".":
                self.position += 1

    def function(self, name: str, out: list[str]) -> None:
        if out and out[-1][-1:].isalnum():
            out.append(" ")
        out.append(name)
        while self.position < len(self.tokens) and self.tokens[self.position] in ("^", "_"):
            kind = self.tokens[self.position]
            self.position += 1
            out.append(_script(self.argument(), kind))
        self.skip_spaces()
        if self.position < len(self.tokens) and self.tokens[self.position] not in ("(", "{", "}", ")", ",", "\\left"):
            out.append(" ")

    def fraction(self, out: list[str]) -> None:
        above, below = self.argument(), self.argument()
        shown = f"{_atom(above)}/{_atom(below, denominator=True)}"
        following = self.tokens[self.position] if self.position < len(self.tokens) else ""
        if following.isalnum() or following in ("(", "^") or (following.startswith("\\") and following[1:] in SYMBOLS):
            shown = f"({shown})"  # \frac{1}{2}x is not 1/(2x)
        elif out and out[-1][-1:].isdigit():
            shown = f" {shown}"  # 3\frac{1}{2} is a mixed number
        elif out and (out[-1][-1:].isalpha() or out[-1][-1:] == ")"):
            shown = f"({shown})"
        out.append(shown)

    def environment(self) -> str:
        name = self.raw_argument().rstrip("*")
        if name in ("array", "tabular", "alignedat"):
            self.skip_spaces()
            if self.position < len(self.tokens) and self.tokens[self.position] == "{":
                self.raw_argument()
        body = self.until_end()
        if self.depth >= _DEPTH:
            return body
        inner = self.depth + 1
        rows = [row.strip() for row in _split_rows(body)]
        rows = [row for row in rows if row]
        if name not in BRACKETS:
            return "\n".join(
                _Converter(row.replace("&", " "), mark_box=self.mark_box, depth=inner).result() for row in rows
            )
        left, right = BRACKETS[name]
        cells = [[_Converter(cell, depth=inner).result() for cell in re.split(r"(?<!\\)&", row)] for row in rows]
        gap = "  " if "cases" in name else " "
        return left + "; ".join(gap.join(cell for cell in row) for row in cells) + right

    def until_end(self) -> str:
        """The source up to the matching `\\end{…}`, environments inside it included."""
        depth, pieces = 1, []
        while self.position < len(self.tokens):
            token = self.tokens[self.position]
            self.position += 1
            if token == "\\begin":
                depth += 1
            elif token == "\\end":
                depth -= 1
                if depth == 0:
                    self.raw_argument()
                    break
            pieces.append(token)
        return "".join(pieces)


def _split_rows(body: str) -> list[str]:
    """Rows of an environment; `\\\\` inside a nested environment does not divide the outer one."""
    rows: list[str] = []
    current: list[str] = []
    depth = 0
    for token in _TOKEN.findall(body):
        depth += (token == "\\begin") - (token == "\\end")
        if token == "\\\\" and depth == 0:
            rows.append("".join(current))
            current = []
        else:
            current.append(token)
    return [*rows, "".join(current)]


def _accented(content: str, mark: str) -> str:
    """`content` with `mark` over each character; one accent inside the same accent would only double it."""
    if mark in content:
        return content
    return "".join(c if c == " " or unicodedata.combining(c) else c + mark for c in content)


def _spaced(symbol: str, out: list[str]) -> None:
    if out and not out[-1].endswith((" ", "\n", "(")):
        out.append(" ")
    out.append(f"{symbol} ")


def _script(content: str, kind: str) -> str:
    table = SUPERSCRIPTS if kind == "^" else SUBSCRIPTS
    compact = content.replace(" ", "")
    if compact and all(character in table for character in compact):
        return "".join(table[character] for character in compact)
    if not compact:
        return ""
    return f"{kind}{compact}" if len(compact) == 1 or compact.isdigit() else f"{kind}({content})"


def _atom(content: str, *, denominator: bool = False) -> str:
    """`content` in parentheses unless it binds as one thing beside a fraction bar or under a root."""
    # Below a bar `2a` needs parentheses (1/2a reads as a half of a), a word does not.
    name = r"[^\W\d_]|[^\W\d_]{4,}" if denominator else r"\d*[^\W\d_]+"
    single = re.fullmatch(rf"-?(?:[\d.,]+|{name})[⁰¹²³⁴⁵⁶⁷⁸⁹₀-₉′°]*|[√∛∜]\w+", content)
    wrapped = content[1:] if content[:1] in ROOTS.values() else content
    return content if single or (wrapped.startswith("(") and _closes_at_end(wrapped)) else f"({content})"


def _closes_at_end(content: str) -> bool:
    depth = 0
    for position, character in enumerate(content):
        depth += (character == "(") - (character == ")")
        if depth == 0:
            return position == len(content) - 1
    return False

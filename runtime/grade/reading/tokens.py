"""Cleaned answers cut into tokens."""

from __future__ import annotations

import re
from typing import Literal, NamedTuple

from runtime.grade.reading.nodes import Unreadable

LONGEST = 400
"""Tokens. Anything longer is a derivation, not an answer."""

FUNCTIONS = frozenset(
    "sin cos tan cot sec csc arcsin arccos arctan arccot sinh cosh tanh ln log lg exp cis sqrt abs floor ceil gcd lcm "
    "max min".split()
)
_WORD_CONSTANTS = {"pi": "pi", "infinity": "infty", "infty": "infty", "inf": "infty", "oo": "infty", "theta": "theta"}
_GREEK = frozenset(
    "alpha beta gamma delta epsilon varepsilon zeta eta theta vartheta iota kappa lambda mu nu xi pi rho sigma tau phi "
    "varphi chi psi omega Gamma Delta Theta Lambda Xi Pi Sigma Phi Psi Omega ell hbar".split()
)
_SYNONYMS = {
    r"\ast": "*", r"\cdot": "*", r"\times": "*", r"\div": "/", r"\lbrace": r"\{", r"\rbrace": r"\}", r"\lbrack": "[",
    r"\rbrack": "]", r"\langle": "(", r"\rangle": ")", r"\lvert": "|", r"\rvert": "|", r"\vert": "|", r"\mid": "|",
    r"\slash": "/", r"\colon": ":", r"\infin": r"\infty", r"\imath": "i",
    r"\dots": "...", r"\ldots": "...", r"\cdots": "...",
}  # fmt: skip
_TOKEN = re.compile(
    r"""(?P<space>\s+)
    |(?P<text>\\text\s*\{(?P<content>[^{}]*)\})
    |(?P<begin>\\begin\{(?P<environment>\w+)\})
    |(?P<end>\\end\{\w+\})
    |(?P<command>\\[A-Za-z]+)
    |(?P<row>\\\\)
    |(?P<brace>\\[{}|])
    |(?P<number>\d+(?:\.(?!\.)\d*)?(?:[eE][-+]?\d+(?![\dA-Za-z]))?|\.\d+(?:[eE][-+]?\d+(?![\dA-Za-z]))?)
    |(?P<name>[A-Za-z]+)
    |(?P<dots>\.\.\.)
    |(?P<other>[^\s\\])""",
    re.VERBOSE,
)

TokenKind = Literal["number", "name", "function", "text", "begin", "end", "symbol", "operator"]


class Token(NamedTuple):
    """One token; `spaced` where white space stood before it."""

    kind: TokenKind
    text: str
    spaced: bool = False


def tokenize(text: str) -> list[Token]:
    """The tokens of a cleaned answer.

    Raises:
        Unreadable: a character or command that no answer notation has, or too many tokens.
    """
    tokens: list[Token] = []
    position, spaced = 0, False
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None or len(tokens) >= LONGEST:
            raise Unreadable
        position = match.end()
        if match.lastgroup == "space" or match["space"]:
            spaced = True
            continue
        tokens += _tokens(match, spaced)
        spaced = False
    return tokens


def _tokens(match: re.Match[str], spaced: bool) -> list[Token]:
    if match["content"] is not None:
        return [Token("text", match["content"].strip(), spaced)]
    if match["environment"] is not None:
        return [Token("begin", match["environment"], spaced)]
    if match["end"]:
        return [Token("end", match["end"], spaced)]
    if match["number"]:
        return [Token("number", match["number"], spaced)]
    if match["command"]:
        return _command(match["command"], spaced)
    if match["name"]:
        return _name(match["name"], spaced)
    return [Token("operator", match.group(), spaced)]


def _command(command: str, spaced: bool) -> list[Token]:
    if command in _SYNONYMS:
        return [Token("operator", _SYNONYMS[command], spaced)]
    name = command[1:]
    if name in FUNCTIONS:
        return [Token("function", name, spaced)]
    if name in _GREEK:
        return [Token("symbol", name, spaced)]
    if name == "infty":
        return [Token("symbol", "infty", spaced)]
    # `\cotx`: white space was deleted after the command.
    for length in range(len(name) - 1, 1, -1):
        if name[:length] in FUNCTIONS or (name[:length] == "pi" and length == len(name) - 1):
            return [*_command("\\" + name[:length], spaced), *_name(name[length:], False)]
    return [Token("operator", command, spaced)]


def _name(name: str, spaced: bool) -> list[Token]:
    if name in FUNCTIONS:
        return [Token("function", name, spaced)]
    if name in _WORD_CONSTANTS or name.lower() == "infinity":
        return [Token("symbol", _WORD_CONSTANTS.get(name, "infty"), spaced)]
    for function in ("sqrt", "sin", "cos", "tan", "cot", "sec", "csc", "ln", "log"):
        if name.startswith(function) and len(name) == len(function) + 1:
            return [Token("function", function, spaced), Token("name", name[-1], False)]
    return [Token("name", name, spaced)]

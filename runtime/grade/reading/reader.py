"""From a cleaned answer to its shape: numbers, lists, intervals, matrices, relations, words.

Some texts can be read in two ways that both are in use (`45,135` is a number with a thousands separator or two angles),
so `read` returns every reading; two answers are equal if any of their readings are.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from fractions import Fraction

from runtime.grade.reading.expression import DEEPEST, ExpressionParser
from runtime.grade.reading.names import assigned_name
from runtime.grade.reading.nodes import (
    REALS,
    Answer,
    Assignment,
    Call,
    Cases,
    Difference,
    Expression,
    Group,
    Joined,
    Listing,
    Matrix,
    Number,
    Ratio,
    Relation,
    Scalar,
    Union,
    Unreadable,
    Words,
)
from runtime.grade.reading.notations import notation
from runtime.grade.reading.plain import SPACED_THOUSANDS, THOUSANDS, join_thousands, other_readings, simple
from runtime.grade.reading.quantities import compound, quantities, read_scalar
from runtime.grade.reading.spelling import canonical
from runtime.grade.reading.tokens import Token, tokenize

_OPENERS = {"(", "[", "{", r"\{", r"\lfloor", r"\lceil"}
_CLOSERS = {")", "]", "}", r"\}", r"\rfloor", r"\rceil"}
_RELATIONS = {"=": "=", "<": "<", ">": ">", r"\le": "<=", r"\ge": ">=", r"\ne": "!="}
_SPACED_RUN = re.compile(r"(?<![\d.,])\d{1,3}(?: \d{3})+(?!\d)")
# What engineers and Python write for i: 3+4j, -2.5j, 5e^{j\pi/3}.
_COMPLEX_J = re.compile(
    r"\(?[-+]?\d+(?:\.\d*)?j\)?"
    r"|(?=[^j]*(?:\S\s*[-+]|e\s*\^))(?:\\(?:sqrt|frac|cdot|pi|sin|cos)(?![A-Za-z])|(?<![A-Za-z])[ej](?![A-Za-z])|[-+\d.\s*()/{}^])+"
)
_ZERO_GROUP = re.compile(r"(?<![\d.])\d{1,3}(?:,\d{3})*,0\d\d(?!\d)")


def read(cleaned: str) -> list[Answer]:
    """Every reading of a cleaned answer, the likeliest first; empty where there is none."""
    if not cleaned:
        return []
    if found := simple(cleaned):
        return found
    if SPACED_THOUSANDS.fullmatch(cleaned):
        return [*_read_text(cleaned), *_read_text(cleaned.replace(" ", ""))]
    texts = [join_thousands(cleaned)] if THOUSANDS.search(cleaned) else []
    # `1,000` is no list: nobody writes its second item so.
    texts += [] if _ZERO_GROUP.search(cleaned) and texts and texts[0] != cleaned else [cleaned]
    if r"\approx" in cleaned:
        texts = [part.strip() for text in texts for part in text.split(r"\approx")]
    if re.search(r"(?:\*\s*|\d)I\b", cleaned):
        # Sympy's imaginary unit, or somebody's current.
        texts += [re.sub(r"(?<![A-Za-z\\])I\b", "i", text) for text in texts]
    if _COMPLEX_J.fullmatch(cleaned) and "j" in cleaned:
        texts += [re.sub(r"(?<![A-Za-z\\])j(?![A-Za-z])", "i", text) for text in texts]
    if len(run := _SPACED_RUN.findall(cleaned)) == 1 and not re.search(r"\d", cleaned.replace(run[0], "", 1)):
        texts.append(cleaned.replace(run[0], run[0].replace(" ", "")))
    readings = [reading for text in dict.fromkeys(texts) for reading in _read_text(text)]
    return readings + other_readings(cleaned)


def _read_text(text: str) -> list[Answer]:
    for reader in (_read_all, _read_words):
        try:
            return [reader(text)]
        except Unreadable:
            continue
    return []


def _read_words(text: str) -> Answer:
    """A name, an option letter, a word: text without mathematics."""
    plain = re.sub(r"\\text\s*\{([^{}]*)\}", r"\1", text)
    if not re.fullmatch(r"[A-Za-z0-9 .,:;'()/&-]+", plain) or not re.search(r"[A-Za-z]", plain):
        raise Unreadable
    return Words(canonical(text).lower() if len(plain) > 1 else plain)


def _read_all(text: str) -> Answer:
    tokens = tokenize(text)
    depth = deepest = 0
    for token in tokens:
        if token.kind == "operator":
            depth += (token.text in _OPENERS) - (token.text in _CLOSERS)
            deepest = max(deepest, depth)
    if deepest > DEEPEST // 2:
        raise Unreadable
    return _read_tokens(tokens)


def _read_tokens(tokens: list[Token]) -> Answer:
    """A list, or one answer."""
    if not tokens:
        raise Unreadable
    parts = _split(tokens, lambda token: (token.kind == "operator" and token.text in (",", ";")) or _is_joiner(token))
    parts = [part for part in parts if part]
    if len(parts) > 1:
        listing = _listing("bare", parts)
        return _together(listing, {_joiner(token) for token in tokens if _is_joiner(token)})
    if len(parts) == 1 and len(parts[0]) < len(tokens):
        return _read_tokens(parts[0])
    return _read_one(tokens)


def _is_joiner(token: Token) -> bool:
    return token.kind in ("name", "text") and _joiner(token) in ("and", "or")


def _joiner(token: Token) -> str:
    return token.text.strip(" ,").lower()


def _together(listing: Listing, joiners: set[str]) -> Answer:
    """What `and` makes of a list: `1 hour and 30 minutes` is one quantity, `x > 1 and x < 3` a condition."""
    if joiners != {"and"}:
        return listing
    if all(isinstance(item, Relation) and set(item.operators) != {"="} for item in listing.items):
        return Listing("both", listing.items)
    return compound(listing.items) or listing


def _listing(kind: str, parts: list[list[Token]]) -> Listing:
    items: list[Answer] = []
    for part in parts:
        item = _read_one(part)
        # `1 \pm \sqrt{5}, -2` is a list of three.
        items += item.items if isinstance(item, Listing) and item.kind == "bare" else (item,)
    return Listing(kind, tuple(items))  # type: ignore[arg-type]


def _split(tokens: list[Token], separates: Callable[[Token], bool]) -> list[list[Token]]:
    """`tokens` cut where a token outside all brackets separates."""
    parts: list[list[Token]] = [[]]
    depth = 0
    for token in tokens:
        depth += (token.kind == "begin" or (token.kind == "operator" and token.text in _OPENERS)) - (
            token.kind == "end" or (token.kind == "operator" and token.text in _CLOSERS)
        )
        if depth == 0 and separates(token):
            parts.append([])
        else:
            parts[-1].append(token)
    if depth != 0:
        raise Unreadable
    return parts


def _operator(*texts: str) -> Callable[[Token], bool]:
    return lambda token: token.kind == "operator" and token.text in texts


def _read_one(tokens: list[Token]) -> Answer:
    """One answer that is no bare list."""
    if not tokens:
        raise Unreadable
    if (found := notation(tokens)) is not None:
        return found
    return _read_value(tokens)


def _read_value(tokens: list[Token]) -> Answer:
    """One answer; what a score or a date would look like is computed here, as in `x = 3-2`."""
    membership = _split(tokens, _operator(r"\in"))
    if len(membership) == 2 and len(membership[0]) <= 4:
        name = assigned_name(membership[0])
        if name is None:
            raise Unreadable
        return Assignment(name, _read_one(membership[1]))
    relations = _split(tokens, lambda token: token.kind == "operator" and token.text in _RELATIONS)
    if len(relations) > 1:
        return _read_relation(tokens, relations)
    union = _split(tokens, _operator(r"\cup"))
    if len(union) > 1:
        return Union(tuple(_read_one(part) for part in union))
    without = _split(tokens, _operator(r"\setminus", r"\backslash"))
    if len(without) == 2:
        return Difference(_read_one(without[0]), _read_one(without[1]))
    named = "".join(token.text for token in tokens)
    if named in (r"\mathbb{R}", r"\mathbbR", r"\R"):
        return REALS
    if named == r"\emptyset":
        return Listing("set", ())
    begun = next((index for index, token in enumerate(tokens) if token.kind == "begin"), None)
    if begun is not None:
        return _read_matrix(tokens, begun)
    branches = any(token.kind == "operator" and token.text in (r"\pm", r"\mp") for token in tokens)
    if branches and tokens[0].text != r"\{":
        return _read_plus_minus(tokens)
    group = _read_group(tokens)
    if group is not None:
        return group
    ratio = _split(tokens, _operator(":"))
    if len(ratio) > 1:
        if any(_signed(part) for part in ratio):
            raise Unreadable  # 5:00-6:00 and -0:30 are of a clock, and no ratio of sums.
        return Ratio(tuple(ExpressionParser(part).finish() for part in ratio))
    row = _read_row(tokens)
    if row is not None:
        return row
    parts = quantities(tokens)
    if len(parts) > 1 and (total := compound(tuple(map(read_scalar, parts)))) is not None:
        return total
    return read_scalar(tokens)


def _signed(part: list[Token]) -> bool:
    """Whether a term of numbers alone has a sign outside of brackets, as no ratio is written."""
    return not any(token.kind == "name" for token in part) and len(_split(part, _operator("+", "-"))) > 1


def _read_relation(tokens: list[Token], sides: list[list[Token]]) -> Answer:
    operators = [_RELATIONS[token.text] for token in _at_top(tokens, _RELATIONS)]
    name = assigned_name(sides[0])
    if name is not None and set(operators) == {"="}:
        return Assignment(name, _computed(sides[-1]))
    return Relation(tuple(ExpressionParser(side).finish() for side in sides), tuple(operators))


def _computed(tokens: list[Token]) -> Answer:
    """What stands in a coordinate or behind `x =`: arithmetic, never a score or a date."""
    found = _read_one(tokens)
    return _read_value(tokens) if isinstance(found, Joined) else found


def _at_top(tokens: list[Token], texts: dict[str, str]) -> list[Token]:
    found: list[Token] = []

    def note(token: Token) -> bool:
        if token.kind == "operator" and token.text in texts:
            found.append(token)
        return False

    _split(tokens, note)
    return found


def _read_matrix(tokens: list[Token], begun: int) -> Answer:
    """A matrix, a number times one, or a function by cases."""
    head, body = tokens[begun], tokens[begun + 1 : -1]
    if tokens[-1].kind != "end" or sum(token.kind == "begin" for token in tokens) != 1:
        raise Unreadable
    rows = [row for row in _split(body, _operator("\\\\")) if row]
    if head.text == "cases" and begun == 0:
        return Cases(tuple(_read_case(row) for row in rows))
    if "matrix" not in head.text:
        raise Unreadable
    cells = [[_read_one(cell) for cell in _split(row, _operator("&"))] for row in rows]
    if not cells or len({len(row) for row in cells}) != 1:
        raise Unreadable
    determinant = head.text[0] in "vV"
    if begun:
        if determinant:
            raise Unreadable
        factor = (
            ExpressionParser(tokens[:begun]).finish()
            if tokens[:begun] != [Token("operator", "-")]
            else Number(Fraction(-1))
        )
        cells = [[_scaled(factor, cell) for cell in row] for row in cells]
    return Matrix(tuple(tuple(row) for row in cells), determinant)


def _scaled(factor: Expression, cell: Answer) -> Answer:
    if not isinstance(cell, Scalar):
        raise Unreadable
    return Scalar(Call("mul", (factor, cell.expression)), cell.unit, cell.percent)


def _read_case(row: list[Token]) -> tuple[Answer, Answer]:
    words = ("if", "for", "when", "where", ",", "if ")
    cells = [
        [token for token in cell if token.text.strip(" ,").lower() not in words and token.text != ","]
        for cell in _split(row, _operator("&"))
    ]
    if len(cells) != 2:
        raise Unreadable
    condition = cells[1]
    if condition and all(token.kind in ("name", "text") for token in condition):
        return _read_one(cells[0]), Words("".join(token.text for token in condition).lower())
    return _read_one(cells[0]), _read_one(condition)


def _read_plus_minus(tokens: list[Token]) -> Answer:
    branches = []
    for plus, minus in (("+", "-"), ("-", "+")):
        signs = {r"\pm": plus, r"\mp": minus}
        branch = [
            token._replace(text=signs[token.text]) if token.kind == "operator" and token.text in signs else token
            for token in tokens
        ]
        branches.append(_read_one(branch))
    return Listing("bare", tuple(branches))


def _read_group(tokens: list[Token]) -> Answer | None:
    """A bracket that spans all tokens and holds a list; None where it does not."""
    left, right = tokens[0], tokens[-1]
    if (
        left.kind != "operator"
        or right.kind != "operator"
        or left.text not in ("(", "[", "{", r"\{")
        or len(tokens) < 3
    ):
        return None
    depth = 0
    for token in tokens[:-1]:
        if token.kind == "operator":
            depth += (token.text in _OPENERS) - (token.text in _CLOSERS)
        if depth == 0:
            return None
    if left.text == r"\{" and (condition := _condition(tokens[1:-1])) is not None:
        return _read_tokens(condition)
    inside = [part for part in _split(tokens[1:-1], _operator(",", ";")) if part]
    if left.text == r"\{":
        return _listing("set", inside) if right.text == r"\}" else None
    if left.text == "{":
        # Plain braces only group, unless they hold a list: {1, 2} is a set whose backslashes were left out.
        return _listing("set", inside) if right.text == "}" and len(inside) > 1 else None
    if right.text not in (")", "]"):
        return None
    if len(inside) == 1 and left.text == "(" and right.text == ")":
        # A bracketed expression; what may not stand inside an expression is read on its own.
        return None if _is_expression(tokens) else _read_one(inside[0])
    return Group(left.text, right.text, tuple(_computed(part) for part in inside))


def _condition(tokens: list[Token]) -> list[Token] | None:
    r"""What stands behind the bar of `x \mid x > 3` or `x \in \mathbb{R} : x > 3`, else None."""
    for index, token in enumerate(tokens[:8]):
        if index and token.kind == "operator" and token.text in ("|", ":"):
            head = "".join(before.text for before in tokens[:index])
            return tokens[index + 1 :] if re.fullmatch(r"[a-z](\\in\\mathbb\{?R\}?)?", head) else None
    return None


def _is_expression(tokens: list[Token]) -> bool:
    try:
        ExpressionParser(list(tokens)).finish()
    except Unreadable:
        return False
    return True


def _read_row(tokens: list[Token]) -> Listing | None:
    """Numerals with nothing but space between them, such as `7 1 -1`."""
    items: list[list[Token]] = []
    for index, token in enumerate(tokens):
        signed = token.kind == "operator" and token.text in "+-"
        if (signed and token.spaced and index + 1 < len(tokens) and not tokens[index + 1].spaced) or (
            signed and index == 0
        ):
            items.append([token])
        elif token.kind == "number" and items and len(items[-1]) == 1 and items[-1][0].kind == "operator":
            items[-1].append(token)
        elif token.kind == "number" and (token.spaced or index == 0):
            items.append([token])
        else:
            return None
    if len(items) < 2 or any(item[-1].kind != "number" for item in items):
        return None
    return Listing("row", tuple(read_scalar(item) for item in items))

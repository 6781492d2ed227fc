"""From a cleaned answer to its shape: numbers, lists, tuples, intervals, unions, matrices, relations, words.

Some texts can be read in two ways that both are in use (`45,135` is a number with a thousands separator or two angles),
so `read` returns every reading; two answers are equal if any of their readings are.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from runtime.grade.clean import canonical
from runtime.grade.expression import Parser
from runtime.grade.nodes import (
    Answer,
    Assignment,
    BaseNumeral,
    Group,
    Listing,
    Matrix,
    Ratio,
    Relation,
    Scalar,
    Union,
    Unreadable,
    Words,
)
from runtime.grade.tokens import Token, tokenize
from runtime.grade.units import SHORT, canonical_unit

_OPENERS = {"(", "[", "{", r"\{", r"\lfloor", r"\lceil"}
_CLOSERS = {")", "]", "}", r"\}", r"\rfloor", r"\rceil"}
_CURRENCIES = {r"\usd": "usd", r"\eur": "eur", r"\gbp": "gbp"}
_RELATIONS = {"=": "=", "<": "<", ">": ">", r"\le": "<=", r"\ge": ">=", r"\ne": "!="}
_TIME = re.compile(r"(\d{1,2})(?::(\d\d))?\s*([ap])\s*\.?\s*m\b\.?", re.IGNORECASE)
_CLOCK = re.compile(r"(\d{1,2}):(\d\d)")
_NUMBER = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)")
_BASED = re.compile(r"([0-9A-Za-z.]+)\s*(?:_\s*\{?\s*(\d+)\s*\}?|(?:in )?base\s*(\d+))")
_LETTER_UNIT = re.compile(r"([-+]?[\d.]*\d) ([mghsLl](?:\^[23])?)")
_SPACED_THOUSANDS = re.compile(r"[-+]?\d{1,3}(?: \d{3})+(?:\.\d+)?")
_THOUSANDS = re.compile(r"(?<![\d.,])\d{1,3}(?:,\d{3})+(?![\d]|,\d)(?:\.\d+)?")


def read(cleaned: str) -> list[Answer]:
    """Every reading of a cleaned answer, the likeliest first; empty where there is none."""
    if not cleaned:
        return []
    simple = _simple(cleaned)
    if simple is not None:
        return [simple]
    if _SPACED_THOUSANDS.fullmatch(cleaned):
        return [*_read_text(cleaned), *_read_text(cleaned.replace(" ", ""))]
    texts = [_join_thousands(cleaned), cleaned] if _THOUSANDS.search(cleaned) else [cleaned]
    if r"\approx" in cleaned:
        texts = [part.strip() for text in texts for part in text.split(r"\approx")]
    readings = [reading for text in dict.fromkeys(texts) for reading in _read_text(text)]
    letter = _LETTER_UNIT.fullmatch(cleaned)
    if letter:
        # `5 m` is five metres or five times m.
        readings.append(Scalar(Parser(tokenize(letter[1])).finish(), canonical_unit(letter[2])))
    return readings


def _read_text(text: str) -> list[Answer]:
    for reader in (_read_all, _read_words):
        try:
            return [reader(text)]
        except (Unreadable, RecursionError):
            continue
    return []


def _simple(text: str) -> Answer | None:
    """Plain numerals, times of day and numerals with a base, without the machinery."""
    if _NUMBER.fullmatch(text):
        return Scalar(Parser(tokenize(text)).finish())
    plain = re.sub(r"\\text\s*\{([^{}]*)\}", r" \1 ", text).strip()
    time = _TIME.fullmatch(plain)
    if time:
        if time[2] is None:
            return Scalar(Parser(tokenize(time[1])).finish(), unit=time[3].lower() + "m")
        return Words(f"{int(time[1])}:{time[2]}{time[3].lower()}m")
    based = _BASED.fullmatch(plain)
    if based and based[1][0].isdigit():
        return BaseNumeral(based[1].upper(), int((based[2] or based[3])[:6]))
    return None


def _join_thousands(text: str) -> str:
    """Thousands separators removed, except directly inside brackets, where a comma separates."""
    result, depth, position = [], 0, 0
    while position < len(text):
        match = _THOUSANDS.match(text, position) if depth == 0 else None
        if match:
            result.append(match.group().replace(",", ""))
            position = match.end()
            continue
        depth += (text[position] in "([") - (text[position] in ")]")
        if text.startswith((r"\{", r"\}"), position):
            depth += 1 if text[position + 1] == "{" else -1
            result.append(text[position])
            position += 1
        result.append(text[position])
        position += 1
    return "".join(result)


def _read_words(text: str) -> Answer:
    """A name, an option letter, a word: text without mathematics."""
    plain = re.sub(r"\\text\s*\{([^{}]*)\}", r"\1", text)
    if not re.fullmatch(r"[A-Za-z0-9 .,:;'()/&-]+", plain) or not re.search(r"[A-Za-z]", plain):
        raise Unreadable
    return Words(canonical(text).lower() if len(plain) > 1 else plain)


def _read_all(text: str) -> Answer:
    return _read_tokens(tokenize(text))


def _read_tokens(tokens: list[Token]) -> Answer:
    """A list, or one answer."""
    if not tokens:
        raise Unreadable
    parts = _split(tokens, lambda token: (token.kind == "operator" and token.text in (",", ";")) or _is_joiner(token))
    parts = [part for part in parts if part]
    if len(parts) > 1:
        return _listing("bare", parts)
    if len(parts) == 1 and len(parts[0]) < len(tokens):
        return _read_tokens(parts[0])
    return _read_one(tokens)


def _is_joiner(token: Token) -> bool:
    return token.kind in ("name", "text") and token.text.strip(" ,").lower() in ("and", "or")


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
    membership = _split(tokens, _operator(r"\in"))
    if len(membership) == 2 and len(membership[0]) <= 4:
        return _read_one(membership[1])
    relations = _split(tokens, lambda token: token.kind == "operator" and token.text in _RELATIONS)
    if len(relations) > 1:
        return _read_relation(tokens, relations)
    union = _split(tokens, _operator(r"\cup"))
    if len(union) > 1:
        return Union(tuple(_read_one(part) for part in union))
    if tokens[0].kind == "begin":
        return _read_matrix(tokens)
    branches = any(token.kind == "operator" and token.text in (r"\pm", r"\mp") for token in tokens)
    if branches and tokens[0].text != r"\{":
        return _read_plus_minus(tokens)
    group = _read_group(tokens)
    if group is not None:
        return group
    ratio = _split(tokens, _operator(":"))
    if len(ratio) > 1:
        return Ratio(tuple(Parser(part).finish() for part in ratio))
    row = _read_row(tokens)
    return row if row is not None else _read_scalar(tokens)


def _read_relation(tokens: list[Token], sides: list[list[Token]]) -> Answer:
    operators = [_RELATIONS[token.text] for token in _at_top(tokens, _RELATIONS)]
    name = _assigned_name(sides[0])
    if name is not None and set(operators) == {"="}:
        return Assignment(name, _read_one(sides[-1]))
    return Relation(tuple(Parser(side).finish() for side in sides), tuple(operators))


def _at_top(tokens: list[Token], texts: dict[str, str]) -> list[Token]:
    found: list[Token] = []

    def note(token: Token) -> bool:
        if token.kind == "operator" and token.text in texts:
            found.append(token)
        return False

    _split(tokens, note)
    return found


def _assigned_name(side: list[Token]) -> str | None:
    """The name on the left of `x = 5` or `f(x) = 5`, or None where the left side is an expression."""
    text = "".join(token.text for token in side)
    if (
        side
        and side[0].kind in ("name", "symbol", "text")
        and re.fullmatch(r"[A-Za-z]+(_\{?\w+\}?)?(\([a-z]\))?'?", text)
    ):
        return text if len(text) <= 12 else None
    return None


def _read_matrix(tokens: list[Token]) -> Answer:
    if "matrix" not in tokens[0].text or tokens[-1].kind != "end" or sum(t.kind == "begin" for t in tokens) != 1:
        raise Unreadable
    rows = [row for row in _split(tokens[1:-1], _operator("\\\\")) if row]
    cells = [[_read_one(cell) for cell in _split(row, _operator("&"))] for row in rows]
    if not cells or len({len(row) for row in cells}) != 1:
        raise Unreadable
    return Matrix(tuple(tuple(row) for row in cells), determinant=tokens[0].text[0] in "vV")


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
    return Group(left.text, right.text, tuple(_read_one(part) for part in inside))


def _is_expression(tokens: list[Token]) -> bool:
    try:
        Parser(list(tokens)).finish()
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
    return Listing("row", tuple(_read_scalar(item) for item in items))


def _read_scalar(tokens: list[Token]) -> Scalar:
    """An expression with the currency, unit or percent sign around it."""
    unit = ""
    money = [index for index, token in enumerate(tokens) if token.kind == "operator" and token.text in _CURRENCIES]
    if money:
        if len(money) > 1 or (money[0] > 1 and money[0] != len(tokens) - 1):
            raise Unreadable
        unit = _CURRENCIES[tokens[money[0]].text]
        tokens = tokens[: money[0]] + tokens[money[0] + 1 :]
    if len(tokens) > 1 and tokens[-1].kind == "operator" and tokens[-1].text == "%":
        return Scalar(Parser(tokens[:-1]).finish(), unit, percent=True)
    if len(tokens) > 1 and tokens[-1].kind == "operator" and tokens[-1].text == r"\deg" and _no_function(tokens):
        return Scalar(Parser(tokens[:-1]).finish(), unit="degree")
    start = _unit_start(tokens)
    if start is None:
        return Scalar(Parser(tokens).finish(), unit)
    found = canonical_unit("".join((" " if token.spaced else "") + token.text for token in tokens[start:]))
    expression = Parser(tokens[:start]).finish()
    if unit and found not in (unit, ""):
        raise Unreadable
    if found == "percent":
        return Scalar(expression, percent=True)
    return Scalar(expression, found or unit)


def _no_function(tokens: list[Token]) -> bool:
    # In `\\cos 60^\\circ` the degrees belong to the angle; in `60^\\circ` they are the unit of the answer.
    return all(token.kind != "function" or token.text == "sqrt" for token in tokens)


def _unit_start(tokens: list[Token]) -> int | None:
    """Where a trailing unit begins: text set as text, a known unit, or plain words after a number."""
    for index, token in enumerate(tokens):
        word = token.kind == "name" and (token.text in SHORT or len(token.text) > 3)
        # `5 min` and `5 sec` end in what elsewhere is a function.
        if index and (token.kind == "text" or word or (token.kind == "function" and index == len(tokens) - 1)):
            rest = tokens[index:]
            following = all(
                later.kind in ("name", "text")
                or (later.kind == "operator" and later.text in ("/", "^", "{", "}", ".", "-", "(", ")"))
                or (later.kind == "number" and later.text in "23")
                for later in rest
            )
            # Words that join two quantities make a list, not a unit.
            joined = any(re.search(r"\b(and|or|of|at|is|to)\b", later.text) for later in rest)
            return index if following and not joined and len(rest) <= 8 else None
    return None

"""Errors in the words of Python 3.9, which wrote the data that the models were trained on.

A model has learnt what to do after `SyntaxError: invalid syntax`. It has never read "Perhaps you forgot a comma?", nor
that an argument is missing for `Point.__init__()`, because Python and sympy have come to say more since. Only the
message changes, in what is shown: the exception itself stays as it is, and so does the rest of its traceback.

Where one old message has become several, each goes back; where several have become one, the code decides between them,
or the message stays as it is ("maximum recursion depth exceeded" used to say where). The rules are checked against what
Python 3.9 says of some hundreds of snippets, in `tests/runtime/sandbox/data/wording.json`.
"""

from __future__ import annotations

import ast
import builtins
import re
import warnings

_CLOSING = {"(": ")", "[": "]", "{": "}"}

_RULES: dict[str, tuple[tuple[str, str], ...]] = {
    "SyntaxError": (
        (r"(f-string: )?invalid syntax\. .+", r"\1invalid syntax"),
        (
            r"expected (?:':'|'\('|'else' after 'if' expression|'except' or 'finally' block)"
            r"|':' expected after dictionary key"
            r"|expression expected after dictionary key and ':'"
            r"|cannot use a starred expression in a dictionary value"
            r"|multiple exception types must be parenthesized"
            r"|arguments cannot follow var-keyword argument"
            r"|\* argument may appear only once"
            r"|(?:Function|Lambda expression) parameters cannot be parenthesized"
            r"|invalid imaginary literal"
            r"|Expected one or more names after 'import'"
            r"|'in' expected after for-loop variables"
            r"|did you forget parentheses around the comprehension target\?"
            r"|expected default value expression",
            "invalid syntax",
        ),
        (r"cannot (assign to|delete) expression(?: here\. .+)?", r"cannot \1 operator"),
        (r"cannot assign to ellipsis here\. .+", "cannot assign to Ellipsis"),
        (r"cannot (assign to|delete) dict literal(?: here\. .+)?", r"cannot \1 dict display"),
        (r"(cannot assign to .+) here\. .+", r"\1"),
        (r"'expression' (is an illegal expression for augmented assignment)", r"'operator' \1"),
        (r"unterminated triple-quoted (?:f-)?string literal \(.+", "EOF while scanning triple-quoted string literal"),
        (r"Missing parentheses in call to 'exec'\. .+", "Missing parentheses in call to 'exec'"),
        (
            r"parameter without a default follows parameter with a default",
            "non-default argument follows default argument",
        ),
        (r"bytes can only contain ASCII literal characters", "bytes can only contain ASCII literal characters."),
    ),
    "IndentationError": ((r"(expected an indented block) after .+", r"\1"),),
    "TypeError": (
        (
            r"(?:[^\W\d]\w*\.(?:<locals>\.)?|<\w+>\.(?:<locals>\.)?)+([^\W\d]\w*|<lambda>)\(\) "
            r"(takes (?:from \d+ to )?\d+ positional arguments? but .+|missing \d+ required .+"
            r"|got an unexpected keyword argument .+|got multiple values for argument .+|got some positional-only .+)",
            r"\1() \2",
        ),
        (r"(int|float)\(\) argument must be .* real number, not 'complex'", r"can't convert complex to \1"),
        (r"((?:int|float)\(\) argument must be .*a) real (number, not .+)", r"\1 \2"),
        (r"must be real number, not complex", "can't convert complex to float"),
        (r"(%\w format: a) real (number is required, not .+)", r"\1 \2"),
        (r"unsupported operand type\(s\) for %: (?:'complex' and .+|.+ and 'complex')", "can't mod complex numbers."),
        (
            r"unsupported operand type\(s\) for //: (?:'complex' and .+|.+ and 'complex')",
            "can't take floor of complex number.",
        ),
        (
            r"unsupported operand type\(s\) for divmod\(\): (?:'complex' and .+|.+ and 'complex')",
            "can't take floor or mod of complex number.",
        ),
        (r"(string indices must be integers), not .+", r"\1"),
        (r"(expected string or bytes-like object), got '.+", r"\1"),
        (r"type '[\w.]+' is not subscriptable", "'type' object is not subscriptable"),
        (r"(isinstance\(\) arg 2 must be a type) ?, a tuple of types, or a union", r"\1 or tuple of types"),
        (r"(reduce\(\) of empty) iterable (with no initial value)", r"\1 sequence \2"),
        (r"(cannot determine truth value of Relational): .+", r"\1"),  # sympy 1.13
    ),
    "UnboundLocalError": (
        (
            r"cannot access local variable ('\w+') where it is not associated with a value",
            r"local variable \1 referenced before assignment",
        ),
    ),
    "NameError": (
        (
            r"cannot access free variable ('\w+') where it is not associated with a value in enclosing scope",
            r"free variable \1 referenced before assignment in enclosing scope",
        ),
    ),
    "ZeroDivisionError": (
        (r"integer modulo by zero", "integer division or modulo by zero"),
        (r"float modulo by zero", "float modulo"),
    ),
    "ValueError": ((r"(max|min)\(\) iterable argument is empty", r"\1() arg is an empty sequence"),),
    "AttributeError": (
        (r"(.+ has no attribute '\w+') and no __dict__ for setting new attributes", r"\1"),
        (r"property '\w+' of '.+' object has no setter", "can't set attribute"),
        (r"property '\w+' of '.+' object has no deleter", "can't delete attribute"),
    ),
}


def as_recorded(error: BaseException, source: str | None = None) -> tuple[str, str] | None:
    """Type and message that Python 3.9 would have shown for `error`; None where they are the same, or cannot be told.

    Args:
        error: as it was raised.
        source: what a SyntaxError is about, where that is known.
    """
    name = type(error).__name__
    if isinstance(error, SyntaxError):
        message = str(error.msg)
        found = _syntax(name, message, error, source)
    elif type(error) is getattr(builtins, name, None) and name in _RULES:
        message = str(error)
        found = name, _reworded(name, message)
    else:  # not Python's to word; its text might be code of the user's
        return None
    return None if found == (name, message) else found


def _reworded(name: str, message: str) -> str:
    for now, then in _RULES.get(name, ()):
        if re.fullmatch(now, message, re.S):
            return re.sub(now, then, message, flags=re.S)
    return message


def _syntax(name: str, message: str, error: SyntaxError, source: str | None) -> tuple[str, str]:
    if message == "incomplete input":
        return _incomplete(source)
    if closed := re.fullmatch(r"'([(\[{])' was never closed", message):
        return "SyntaxError", _open_bracket(closed[1], source if source is not None else error.text)
    if re.match(r"unterminated |unmatched '|closing parenthesis '", message) and _earlier_mistake(error, source):
        return name, "invalid syntax"
    if re.fullmatch(r"unterminated (?:f-)?string literal \(.+", message):
        return name, "EOL while scanning string literal"
    if " here. Maybe you meant " in message and not _a_statement(error):
        return name, "invalid syntax"
    if message == "invalid decimal literal":
        # 3.9 says so, too, but only of underscores in the wrong place.
        return name, message if re.search(r"\d_(?!\d)", error.text or "") else "invalid syntax"
    if message.startswith("Missing parentheses in call to 'print'."):
        return name, _print_statement(message, error.text or "")
    return name, _reworded(name, message)


def _mistake(source: str) -> SyntaxError | None:
    """What the parser has against `source`; None where it has nothing."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Whether they are errors for the user's code is nothing to us.
        try:
            compile(source + "\n", "<cell>", "exec", ast.PyCF_ONLY_AST, dont_inherit=True)
        except SyntaxError as error:
            return error
        except (ValueError, OverflowError, MemoryError, RecursionError):
            return None
    return None


def _incomplete(source: str | None) -> tuple[str, str]:
    """IPython allows cells to be continued; 3.9 had no such message, and said what was missing."""
    error = None if source is None else _mistake(source)
    if isinstance(error, IndentationError):
        return "IndentationError", "expected an indented block"
    if error is not None and str(error.msg).startswith("unterminated "):
        return _syntax("SyntaxError", str(error.msg), error, source)
    return "SyntaxError", "unexpected EOF while parsing"


def _open_bracket(bracket: str, source: str | None) -> str:
    """Where all would be well with the bracket closed at the end, 3.9 missed the end; else it stumbled before."""
    for closing in (_CLOSING[bracket], _CLOSING[bracket] * 2):
        error = None if source is None else _mistake(f"{source}\n{closing}")
        if error is None:
            break
        if "never closed" not in str(error.msg):
            return "invalid syntax"
    return "unexpected EOF while parsing"


def _earlier_mistake(error: SyntaxError, source: str | None) -> bool:
    """Whether something is wrong before the place that `error` names, and not only there.

    3.9 read on only as far as it understood: `'it's'` fails at the `s`, before the quote that nothing closes. Today's
    Python reads all that follows a mistake, and speaks of what it finds there.
    """
    lines = (source if source is not None else error.text or "").splitlines()
    line, offset = (error.lineno or 1) if source is not None else 1, error.offset or 1
    if line > len(lines):
        return False
    before = "\n".join([*lines[: line - 1], lines[line - 1][: offset - 1]])
    earlier = _mistake(before + ('""' if str(error.msg).startswith("unterminated") else ""))
    if earlier is None or re.search("never closed|incomplete|Missing parentheses", str(earlier.msg)):
        return False
    return (earlier.lineno or 0, earlier.offset or 0) < (line, offset)


def _a_statement(error: SyntaxError) -> bool:
    """Whether an assignment that cannot be is one: `f(x) = 0`, and not `if f(x) = 0:`, where 3.9 saw no assignment."""
    text = error.text or ""
    left = text[: text.find("=", max(0, (error.end_offset or 1) - 1))]
    return _mistake(left.strip()) is None


def _print_statement(message: str, line: str) -> str:
    """3.9 wrote the call that was meant; the text after `print `, up to a semicolon."""
    found = re.match(r"\s*print\s+([^;\n]*?)\s*(?:[;\n]|$)", line)
    if found is None:
        return message
    inside = found[1]
    if inside.endswith(","):
        inside += ' end=" "'
    return f"Missing parentheses in call to 'print'. Did you mean print({inside})?"

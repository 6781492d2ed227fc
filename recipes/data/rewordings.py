"""Error messages that Python and sympy word otherwise than in 2023, when the data was recorded.

Errors are shown in the words of the Python that runs, so `data check` and the fidelity benchmark have to know that the
record's Python 3.9 said the same in other words. Written down row by row, so that nothing is accepted that is not one
of these: the last line of a recorded traceback that matches `then` may appear as `now`, with what the groups of `then`
caught in place of `{1}`, `{2}`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Change:
    """One change of wording; both sides are regular expressions that must match all of the line."""

    name: str
    since: str
    then: str
    now: str


_HERE = r" here\. Maybe you meant '==' instead of '='\?"
_NEVER_CLOSED = r"'[(\[{]' was never closed"
_NOT_COMPLEX = "a real number, not 'complex'"
_ONE_COMPLEX = r"(?:'complex' and '\w+'|'\w+' and 'complex')"
CHANGES = (
    Change(
        "functions are called by their qualified name",
        "Python 3.10",
        r"TypeError: (\w+)\(\) (takes .*|missing .*|got .*)",
        r"TypeError: (?:[A-Za-z_][\w<>]*\.)+{1}\(\) {2}",
    ),
    Change(
        "a bracket left open, the end of the input",
        "Python 3.10 and 3.11 in IPython",
        r"SyntaxError: unexpected EOF while parsing",
        r"(?:SyntaxError|_IncompleteInputError): incomplete input|SyntaxError: " + _NEVER_CLOSED,
    ),
    Change(
        "an assignment to a literal",
        "Python 3.10",
        r"SyntaxError: cannot assign to literal",
        "SyntaxError: cannot assign to literal" + _HERE,
    ),
    Change(
        "an assignment to a call",
        "Python 3.10",
        r"SyntaxError: cannot assign to function call",
        "SyntaxError: cannot assign to function call" + _HERE,
    ),
    Change(
        "an assignment to an expression",
        "Python 3.10",
        r"SyntaxError: cannot assign to operator",
        "SyntaxError: cannot assign to expression" + _HERE,
    ),
    Change(
        "a name that begins with a digit",
        "Python 3.10",
        r"SyntaxError: invalid syntax",
        r"SyntaxError: invalid decimal literal",
    ),
    Change(
        "a comma left out",
        "Python 3.10",
        r"SyntaxError: invalid syntax",
        r"SyntaxError: invalid syntax\. Perhaps you forgot a comma\?",
    ),
    Change(
        "an equals sign for two",
        "Python 3.10",
        r"SyntaxError: invalid syntax",
        r"SyntaxError: invalid syntax\. Maybe you meant '==' or ':=' instead of '='\?",
    ),
    Change("a colon left out", "Python 3.10", r"SyntaxError: invalid syntax", r"SyntaxError: expected ':'"),
    Change(
        "a bracket that is not closed", "Python 3.10", r"SyntaxError: invalid syntax", "SyntaxError: " + _NEVER_CLOSED
    ),
    Change(
        "a string that does not end on its line",
        "Python 3.10",
        r"SyntaxError: EOL while scanning string literal",
        r"SyntaxError: unterminated string literal \(detected at line \d+\)",
    ),
    Change(
        "a string of three quotes that does not end",
        "Python 3.10",
        r"SyntaxError: EOF while scanning triple-quoted string literal",
        r"SyntaxError: unterminated triple-quoted string literal \(detected at line \d+\)",
    ),
    Change(
        "int() of a complex number",
        "Python 3.10",
        r"TypeError: can't convert complex to int",
        r"TypeError: int\(\) argument must be a string, a bytes-like object or " + _NOT_COMPLEX,
    ),
    Change(
        "float() of a complex number",
        "Python 3.10",
        r"TypeError: can't convert complex to float",
        r"TypeError: float\(\) argument must be a string or " + _NOT_COMPLEX,
    ),
    Change(
        "a number is a real number",
        "Python 3.10",
        r"TypeError: (int|float)\(\) argument must be (.*) a number, not (.*)",
        r"TypeError: {1}\(\) argument must be {2} a real number, not {3}",
    ),
    Change(
        "the remainder of a complex number",
        "Python 3.10",
        r"TypeError: can't mod complex numbers\.",
        r"TypeError: unsupported operand type\(s\) for %: " + _ONE_COMPLEX,
    ),
    Change(
        "the floor of a complex number",
        "Python 3.10",
        r"TypeError: can't take floor of complex number\.",
        r"TypeError: unsupported operand type\(s\) for (?://|divmod\(\)): " + _ONE_COMPLEX,
    ),
    Change(
        "where the depth was exceeded",
        "Python 3.11",
        r"(RecursionError: maximum recursion depth exceeded)(?: in comparison| while calling a Python object)",
        "{1}",
    ),
    Change(
        "the file name of an extension module",
        "each Python",
        r"(ImportError: .*\.cpython-)39(-[\w-]+\.so.*)",
        r"{1}\d+{2}",
    ),
    Change(
        "the relation is named",
        "sympy 1.13",
        r"TypeError: cannot determine truth value of Relational",
        r"TypeError: cannot determine truth value of Relational: .+",
    ),
)


def change_between(recorded: str, ours: str) -> Change | None:
    """The change of wording that makes `ours` of the `recorded` last line; None where none does."""
    for change in CHANGES:
        then = re.fullmatch(change.then, recorded)
        if then is None:
            continue
        now = change.now
        for number, text in enumerate(then.groups(), start=1):
            now = now.replace(f"{{{number}}}", re.escape(text))
        if re.fullmatch(now, ours):
            return change
    return None

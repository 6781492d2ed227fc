"""Errors are shown in the words that the models were trained on, and in no others."""

from __future__ import annotations

import importlib.util
import json
import warnings
from pathlib import Path
from types import CodeType
from typing import Any

import pytest

from runtime.sandbox import Limits, Sandbox
from runtime.sandbox.wording import as_recorded

DATA = Path(__file__).parent / "data"
RECORDED: dict[str, list[str]] = json.loads((DATA / "wording.json").read_text())
"""What Python 3.9 says of each snippet; made by `record_wording.py` there."""


def parse(code: str) -> CodeType:
    """As IPython does."""
    spec = importlib.util.spec_from_file_location("record_wording", DATA / "record_wording.py")
    assert spec is not None
    assert spec.loader is not None
    module: Any = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    compiled: CodeType = module.parse(code)
    return compiled


@pytest.mark.parametrize("code", RECORDED, ids=range(len(RECORDED)))
def test_an_error_is_worded_as_python_3_9_did(code: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(BaseException) as raised:  # noqa: PT011  # what it says is compared below
            exec(parse(code), {"__name__": "__main__"})
    error = raised.value
    of_cell = isinstance(error, SyntaxError) and str(error.filename).startswith("<ipython")
    own = (type(error).__name__, str(error.msg) if isinstance(error, SyntaxError) else str(error))
    assert list(as_recorded(error, code if of_cell else None) or own) == RECORDED[code]


@pytest.mark.parametrize(
    "error",
    [
        ValueError("A.g() takes 1 positional argument but 2 were given"),  # not the interpreter's word for it
        TypeError("str.join() takes exactly one argument (2 given)"),  # functions in C had qualified names then, too
        TypeError("descriptor 'append' for 'list' objects doesn't apply to a 'int' object"),
        TypeError("a message\ncannot determine truth value of Relational: x"),
        SyntaxError("invalid syntax"),
        SyntaxError("invalid decimal literal", ("f", 1, 5, "x = 1__0", 1, 6)),
        RecursionError("maximum recursion depth exceeded"),  # 3.9 said where, which nobody can tell any more
        KeyError("x"),
        TypeError(),
    ],
    ids=str,
)
def test_what_python_3_9_said_or_what_cannot_be_told_stays(error: BaseException) -> None:
    assert as_recorded(error) is None


def test_an_exception_of_the_users_that_looks_like_one_of_pythons_is_not_even_asked() -> None:
    class TypeError(Exception):
        def __str__(self) -> str:
            raise AssertionError("asked")

    assert as_recorded(TypeError()) is None


@pytest.fixture(scope="module")
def session() -> Any:
    with Sandbox(Limits(cell_seconds=30)) as sandbox:
        yield sandbox


@pytest.mark.parametrize(
    ("code", "last"),
    [
        ("x = 3y + 2", "SyntaxError: invalid syntax"),
        ("print((1, 2)", "SyntaxError: unexpected EOF while parsing"),
        ("for i in range(3):", "IndentationError: expected an indented block"),
        ("x = 'it's'", "SyntaxError: invalid syntax"),
        ("x = 'its", "SyntaxError: EOL while scanning string literal"),
        ("class A:\n    def g(self): pass\nA().g(1)", "TypeError: g() takes 1 positional argument but 2 were given"),
        (
            "from sympy import symbols\nif symbols('x') > 0: pass",
            "TypeError: cannot determine truth value of Relational",
        ),
    ],
)
def test_a_cell_shows_the_old_words(session: Sandbox, code: str, last: str) -> None:
    result = session.run(code)
    assert result.output.rpartition("\n")[2] == last
    assert result.status == "error"


def test_only_what_is_shown_changes_and_only_the_lines_that_say_it(session: Sandbox) -> None:
    raised = "raise TypeError('A.g() takes 1 positional argument but 2 were given')"
    lines = session.run(raised).output.split("\n")
    assert lines[-3:] == ["----> 1 " + raised, "", "TypeError: g() takes 1 positional argument but 2 were given"]
    assert session.run("try:\n    len(1j // 2)\nexcept TypeError as error:\n    print(error)").output == (
        "unsupported operand type(s) for //: 'complex' and 'int'"
    )


def test_each_exception_of_a_chain_is_worded(session: Sandbox) -> None:
    output = session.run(
        "try:\n    int(None)\nexcept TypeError as error:\n    raise ValueError('no number') from error"
    )
    lines = output.output.split("\n")
    assert "TypeError: int() argument must be a string, a bytes-like object or a number, not 'NoneType'" in lines
    assert lines[-1] == "ValueError: no number"


def test_explaining_an_error_warns_of_nothing_and_heeds_no_filter(session: Sandbox) -> None:
    code = "if x is 5: print('\\\\d')\ny = 'abc"
    lines = session.run(code).output.split("\n")
    assert lines[-1] == "SyntaxError: EOL while scanning string literal"
    assert not any("Warning" in line for line in lines)
    session.run("import warnings; warnings.simplefilter('error')")
    assert session.run(code).output.endswith("SyntaxError: EOL while scanning string literal")


def test_whoever_wants_pythons_own_words_has_them() -> None:
    with Sandbox(Limits(error_wording="python")) as sandbox:
        last = sandbox.run("x = 3y + 2").output.rpartition("\n")[2]
    assert last == "SyntaxError: invalid decimal literal"

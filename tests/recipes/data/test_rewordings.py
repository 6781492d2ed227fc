"""The table of messages that are worded otherwise today accepts what it names and nothing else."""

from __future__ import annotations

import pytest

from recipes.data.rewordings import change_between


@pytest.mark.parametrize(
    ("recorded", "ours"),
    [
        (
            "TypeError: __new__() takes 3 positional arguments but 4 were given",
            "TypeError: Equality.__new__() takes 3 positional arguments but 4 were given",
        ),
        (
            "SyntaxError: EOL while scanning string literal",
            "SyntaxError: unterminated string literal (detected at line 7)",
        ),
        (
            "RecursionError: maximum recursion depth exceeded in comparison",
            "RecursionError: maximum recursion depth exceeded",
        ),
        (
            "TypeError: int() argument must be a string, a bytes-like object or a number, not 'list'",
            "TypeError: int() argument must be a string, a bytes-like object or a real number, not 'list'",
        ),
    ],
)
def test_a_change_of_wording_is_named(recorded: str, ours: str) -> None:
    assert change_between(recorded, ours) is not None


@pytest.mark.parametrize(
    ("recorded", "ours"),
    [
        (
            "TypeError: __new__() takes 3 positional arguments but 4 were given",
            "TypeError: Equality.__new__() takes 3 positional arguments but 5 were given",
        ),
        ("TypeError: f() missing 1 required argument: 'x'", "TypeError: g() missing 1 required argument: 'x'"),
        ("SyntaxError: invalid syntax", "SyntaxError: unmatched ')'"),
        ("SyntaxError: invalid syntax", "NameError: name 'x' is not defined"),
        ("TypeError: 'bool' object is not callable", "TypeError: 'NoneType' object is not callable"),
        ("ValueError: a", "ValueError: a and more"),
    ],
)
def test_another_message_is_no_change_of_wording(recorded: str, ours: str) -> None:
    assert change_between(recorded, ours) is None

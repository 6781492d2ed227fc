"""Does a fresh execution say what the record says?

Recorded executions differ from fresh ones for honest reasons: the released data rounds decimals to six places, the
order of a set depends on the run's hash seed, and a traceback's layout on the versions of Python and IPython. Each of
these has a name here, so that a report can count them apart from real differences.
"""

from __future__ import annotations

import re
from typing import Literal

Agreement = Literal["equal", "rounded", "set order", "same exception", "differs"]

_COLOUR = re.compile(r"\x1b?\[[0-9;]+m")
_NUMBER = re.compile(r"\d+\.\d+(?:[eE][-+]?\d+)?")
_INSTALLED = re.compile(r"/\S*?/lib/python3\.\d+/")
_TRACEBACK = re.compile(r"Traceback \(most recent call last\)|^\s*(?:Cell In|File ).*?(?:Error|Warning)\b", re.S)
_SET = re.compile(r"\{[^{}:]*,[^{}:]*\}")
_ERROR = re.compile(
    r"(?:^|(?<=\s))((?:[a-z_]\w*\.)*[A-Z]\w*(?:Error|Exception|Interrupt|Exit|Iteration|Warning|Failed|NoConvergence))(?::|\s*$)",
    re.M,
)


def agreement(recorded: str, fresh: str) -> Agreement:
    """How `fresh` agrees with `recorded`: to the letter (but for white space around it), or by which allowance."""
    if recorded.strip() == fresh.strip():
        return "equal"
    left, right = _plain(recorded), _plain(fresh)
    if is_traceback(left) and is_traceback(right):
        return "same exception" if _exception(left) == _exception(right) else "differs"
    left, right = _rounded(left), _rounded(right)
    if left == right:
        return "rounded"
    if _SET.search(left) and _SET.sub(_sorted, left) == _SET.sub(_sorted, right):
        return "set order"
    return "differs"


def is_traceback(text: str) -> bool:
    """Whether an execution is a traceback or a syntax error."""
    return bool(_TRACEBACK.search(text))


def is_timeout(text: str) -> bool:
    """Whether a recorded execution says that the recording gave up waiting."""
    return "Timeout waiting for reply" in text or "KeyboardInterrupt" in text


def _plain(text: str) -> str:
    return _INSTALLED.sub("", _COLOUR.sub("", text).replace("\r\n", "\n")).strip()


def _rounded(text: str) -> str:
    """Decimals to six places: the released data went through this rounding, code and text included."""
    return _NUMBER.sub(lambda found: repr(round(float(found.group()), 6)), text)


def _sorted(found: re.Match[str]) -> str:
    parts, depth, start, inner = [], 0, 0, found.group()[1:-1]
    for position, char in enumerate(inner):
        depth += (char in "([") - (char in ")]")
        if char == "," and depth == 0:
            parts.append(inner[start:position])
            start = position + 1
    parts.append(inner[start:])
    return "{" + ", ".join(sorted(" ".join(part.split()) for part in parts)) + "}"


def _exception(text: str) -> tuple[str, str]:
    """Type and message of a traceback. The record joins lines with spaces, so the last `Name:` decides, not a line."""
    found = list(_ERROR.finditer(text))
    if not found:
        return "", " ".join(text.split())[-80:]
    return found[-1].group(1).rpartition(".")[2], " ".join(text[found[-1].end() :].split())

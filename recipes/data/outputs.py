"""Does a fresh execution say what the record says?

Recorded executions differ from fresh ones for honest reasons: the released data rounds decimals to six places, the
order of a set depends on the run's hash seed, the address of an object on the process, and a traceback's layout on the
versions of Python and IPython. Each of these has a name here, so that a report can count them apart from real
differences. An allowance covers what its reason explains and no more: a number that was not rounded has to be the same
to its last digit, and the lines of its own code that a traceback quotes have to be these lines.
"""

from __future__ import annotations

import re
from typing import Literal

from recipes.data.rewordings import change_between

Agreement = Literal["equal", "rounded", "set order", "other address", "same exception", "differs"]

_COLOUR = re.compile(r"\x1b?\[[0-9;]+m")
_NUMBER = re.compile(r"(?<!\d)\d+\.\d+(?:[eE][-+]?\d+)?")
_PLACES = 6
"""Decimals that the released data keeps."""
_INSTALLED = re.compile(r"/\S{0,200}?/lib/python3\.\d+/|(?<=\.)cpython-\d+-[\w-]+(?=\.so)")
_ADDRESS = re.compile(r"\b0x[0-9a-f]{6,16}\b")
_FRAME = re.compile(r"(?=\bCell In\[\d+\], line \d+|\bFile \S+)")
_COUNTER = re.compile(r"(?<=Cell In\[)\d+")
_HEADLINE = re.compile(r"-*\s*\w+\s+Traceback \(most recent call last\)\s*$")
_TRACEBACK = re.compile(r"Traceback \(most recent call last\)|^\s*(?:Cell In|File ).*?(?:Error|Warning)\b", re.S)
_SET = re.compile(r"\{[^{}:]*,[^{}:]*\}")
_ERROR = re.compile(
    r"(?:^|(?<=\s))((?:[a-z_]\w*\.)*[A-Z]\w*(?:Error|Exception|Interrupt|Exit|Iteration|Warning|Failed|NoConvergence))(?::|\s*$)",
    re.M,
)


def agreement(recorded: str, fresh: str) -> Agreement:
    """How `fresh` agrees with `recorded`: to the letter (but for outer white space), or by an allowance."""
    if recorded.strip() == fresh.strip():
        return "equal"
    left, right = _plain(recorded), _plain(fresh)
    if is_traceback(left) and is_traceback(right):
        return "same exception" if _same_failure(left, right) else "differs"
    if _equal_but_rounded(left, right):
        return "rounded"
    if _SET.search(left) and _equal_but_rounded(_SET.sub(_sorted, left), _SET.sub(_sorted, right)):
        return "set order"
    if _ADDRESS.search(left) and _equal_but_rounded(_ADDRESS.sub("0x", left), _ADDRESS.sub("0x", right)):
        return "other address"
    return "differs"


def is_traceback(text: str) -> bool:
    """Whether an execution is a traceback or a syntax error."""
    return bool(_TRACEBACK.search(text))


def is_timeout(text: str) -> bool:
    """Whether a recorded execution says that the recording gave up waiting."""
    return "Timeout waiting for reply" in text or "KeyboardInterrupt" in text


def _plain(text: str) -> str:
    return _INSTALLED.sub("", _COLOUR.sub("", text).replace("\r\n", "\n")).strip()


def _equal_but_rounded(recorded: str, fresh: str) -> bool:
    """Equal, or equal once the fresh decimals are rounded as those of the released data were."""
    before, now = list(_NUMBER.finditer(recorded)), list(_NUMBER.finditer(fresh))
    if len(before) != len(now) or _NUMBER.sub("#", recorded) != _NUMBER.sub("#", fresh):
        return False
    return all(_rounds_to(one.group(), other.group()) for one, other in zip(before, now, strict=True))


def _rounds_to(recorded: str, fresh: str) -> bool:
    if recorded == fresh:
        return True
    decimals = re.split("[eE]", recorded)[0].partition(".")[2]
    return len(decimals) <= _PLACES and float(recorded) == round(float(fresh), _PLACES)


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
    """Type and message of a traceback: the last `Name:` decides, since the record has joined the lines."""
    found = list(_ERROR.finditer(text))
    if not found:
        return "", " ".join(text.split())[-80:]
    return found[-1].group(1).rpartition(".")[2], " ".join(text[found[-1].end() :].split())


def _same_failure(recorded: str, fresh: str) -> bool:
    """Whether exception, output before it, and quoted lines of code are the same."""
    (kind, message), (kind_now, message_now) = _exception(recorded), _exception(fresh)
    reworded = (kind, message) != (kind_now, message_now)
    if reworded and change_between(f"{kind}: {message}", f"{kind_now}: {message_now}") is None:
        return False
    (head, cells), (head_now, cells_now) = _told(recorded), _told(fresh)
    # Records of other versions of IPython name the cell otherwise; then only the exception can be compared. A syntax
    # error that is worded otherwise may also be seen at another place.
    same_cells = cells == cells_now or (reworded and kind == "SyntaxError" and len(cells) == len(cells_now))
    return not cells or (same_cells and agreement(head, head_now) != "differs")


def _told(text: str) -> tuple[str, list[str]]:
    """What was printed before a traceback, and its frames in the session's own cells; libraries change."""
    head, *frames = _FRAME.split(" ".join(text.split()))
    cells = [_COUNTER.sub("", frame).strip() for frame in frames if frame.startswith("Cell In[")]
    return _HEADLINE.sub("", head.strip()).strip(), cells

"""JSON lines: reading with file, line and reason, so that a bad line costs one line; and writing."""

from __future__ import annotations

import gzip
import json
import re
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, NamedTuple

from runtime.errors import DataError, InputError
from runtime.text import well_formed, well_formed_json

LONGEST_LINE = 64 << 20
"""Bytes. Three hundred times the longest row of the released data; a line beyond it is skipped unread."""
_HALF = re.compile(rb"\\u[dD][89a-fA-F]")
"""What a half of a surrogate pair can look like in JSON; whole pairs look so, too."""


class BadLine(NamedTuple):
    """Stands for a line that holds no usable JSON."""

    reason: str


class Line(NamedTuple):
    """One line or record of a file. `value` is a `BadLine` where it holds no JSON."""

    file: str
    number: int
    value: Any

    @property
    def place(self) -> str:
        """`file:line` for messages to people."""
        return f"{self.file}:{self.number}"


def parse_line(raw: bytes, *, halves: bool = False) -> Any:
    """The JSON value in `raw`, or a `BadLine` that says what is wrong with it.

    Half of a surrogate pair becomes U+FFFD, so that whatever was read can be written; `halves` keeps it, for who
    refuses the line because of it.
    """
    try:
        # Decoded here, strictly: json.loads guesses the encoding of bytes and lets encoded half surrogates through.
        value = json.loads(raw.decode("utf-8-sig"))
        return value if halves or not _HALF.search(raw) else well_formed_json(value)
    except UnicodeDecodeError as error:
        return BadLine(f"not UTF-8 ({error.reason} at byte {error.start})")
    except RecursionError:
        return BadLine("nested too deeply")
    except ValueError as error:
        return BadLine(f"not valid JSON ({error})")


def read_lines(path: str | Path, *, halves: bool = False, longest: int = LONGEST_LINE) -> Iterator[Line]:
    """Every line of a `.jsonl` or `.jsonl.gz` file that is not blank, the unreadable ones as `BadLine`.

    Raises:
        InputError: the file cannot be opened.
        DataError: it cannot be read to its end.
    """
    path = Path(path)
    opener: Any = gzip.open if path.name.endswith(".gz") else open
    try:
        handle: IO[bytes] = opener(path, "rb")
    except OSError as error:
        raise InputError(
            f"{path} cannot be read: {error.strerror or error}", "the file was not used", "check the path"
        ) from error
    with handle:
        try:
            for number, raw in bounded_lines(handle, longest):
                yield Line(str(path), number, raw if isinstance(raw, BadLine) else parse_line(raw, halves=halves))
        except (OSError, EOFError, zlib.error) as error:
            raise DataError(
                f"{path} cannot be read to its end ({type(error).__name__}: {error})",
                "half a file is never worked on as if it were whole",
                "fetch or write it again",
            ) from error


def bounded_lines(handle: IO[bytes], longest: int = LONGEST_LINE) -> Iterator[tuple[int, bytes | BadLine]]:
    """The number and the bytes of every line that is not blank; one over `longest` bytes is a `BadLine`."""
    number = 0
    while raw := handle.readline(longest + 1):
        number += 1
        if len(raw) > longest and not raw.endswith(b"\n"):
            length = len(raw)
            # Skipped in pieces: a line of a gigabyte never lies in memory.
            while raw and not raw.endswith(b"\n"):
                raw = handle.readline(1 << 20)
                length += len(raw)
            yield number, BadLine(f"a line of {length:,} bytes; at most {longest:,} are read")
        elif raw.strip():
            yield number, raw


def read_objects(path: str | Path, consequence: str = "the file was not used") -> Iterator[tuple[int, dict[str, Any]]]:
    """The number and the object of every line of a file in which each line has to be one.

    Raises:
        InputError: the file cannot be opened.
        DataError: it cannot be read to its end, or a line is not a JSON object; the message names it.
    """
    for _, number, value in read_lines(path):
        if isinstance(value, BadLine):
            raise DataError(f"line {number} of {path} is {value.reason}", consequence, "repair or remove the line")
        if not isinstance(value, dict):
            raise DataError(f"line {number} of {path} is not a JSON object", consequence, "write one object a line")
        yield number, value


def json_line(value: Any) -> str:
    """`value` as one line of a `.jsonl` file, newline included; half of a surrogate pair becomes U+FFFD."""
    return well_formed(json.dumps(value, ensure_ascii=False)) + "\n"

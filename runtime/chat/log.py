"""The transcript of a chat: a file of events that grows with it, so that nothing is lost.

One JSON object a line. A block is written as soon as it is complete; after a crash or `kill -9` the conversation
resumes with everything up to the last whole block.
"""

from __future__ import annotations

import base64
import errno
import itertools
import json
import os
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from runtime.errors import DataError, InputError
from runtime.lce import BLOCK_TYPES, Block
from runtime.show.notebook import Turn

FORMAT = 1
_STOPPED = re.compile(r"^\[sandbox\] (?!\d+ characters)|^KeyboardInterrupt\b(?! {5})", re.M)


@dataclass
class Recorded:
    """What a transcript holds.

    Attributes:
        turns: the conversation; a turn with an empty question is code that the user ran with `/run`.
        cells: every cell that shaped the Python session, in order.
        model: name of the model that was used last.
        lost: the line on which a broken event made reading stop, or None.
    """

    turns: list[Turn] = field(default_factory=list)
    cells: list[str] = field(default_factory=list)
    model: str = ""
    lost: int | None = None


class ChatLog:
    """Appends events to a transcript.

    Args:
        path: the file; None keeps no transcript (the conversation then lives in memory alone).
        warn: told, once, that the transcript can no longer be written; the conversation goes on without it.
    """

    def __init__(self, path: Path | None, warn: Callable[[str], None]) -> None:
        self.path = path
        self._warn = warn
        self._begun = False

    def write(self, event: str, **content: Any) -> None:
        """Append one event.

        The file comes into being with the first one, so that an empty chat leaves nothing.
        """
        if self.path is None:
            return
        try:
            self._append(self.path, event, content)
        except OSError as error:
            self._warn(
                f"{self.path} cannot be written ({error.strerror or error}): this conversation is no longer kept as "
                "it grows. It goes on here; /save FILE keeps all of it elsewhere."
            )
            self.path = None

    def _append(self, path: Path, event: str, content: dict[str, Any]) -> None:
        lines = []
        if not self._begun and not (path.exists() and path.stat().st_size):
            path.parent.mkdir(parents=True, exist_ok=True)
            lines.append({"event": "chat", "format": FORMAT, "created": time.strftime("%Y-%m-%dT%H:%M:%S%z")})
        lines.append({"event": event, **content})
        data = b"".join(event_line(line) for line in lines)
        # 0600: a conversation is private. One write of whole lines, so that a crash cannot interleave two events.
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            if not self._begun and os.fstat(descriptor).st_size and not _ends_with_newline(path):
                data = b"\n" + data  # a crash cut the last line; do not glue the next event to it
            if (written := os.write(descriptor, data)) < len(data):
                raise OSError(errno.ENOSPC, f"only {written} of {len(data)} bytes fit")
        finally:
            os.close(descriptor)
        self._begun = True

    def turn(self, turn: Turn) -> None:
        """Append a finished turn."""
        self.write("turn", **turn_as_json(turn))


def event_line(event: dict[str, Any]) -> bytes:
    """One line of a transcript. Half a surrogate, which UTF-8 has no bytes for, becomes its JSON escape."""
    return json.dumps(event, ensure_ascii=False).encode("utf-8", "backslashreplace") + b"\n"


def read_log(path: Path) -> Recorded:
    """The conversation in a transcript, or in a file that `/save` wrote.

    A last line that a crash cut off is left out.

    Raises:
        InputError: there is no such file.
        DataError: the file is no transcript.
    """
    try:
        text = path.read_bytes().decode("utf-8", "replace")
    except OSError as error:
        raise InputError(
            f"{path} cannot be read: {error.strerror or error}", "nothing was loaded", "name a file that /save wrote"
        ) from None
    result = Recorded()
    open_question: str | None = None
    open_blocks: list[Block] = []
    stopped: list[int] = []
    told = False
    if not text.strip():
        raise _no_transcript(path)
    for number, event in _events(text, path):
        if event is None:
            result.lost = number
            continue
        kind = event.get("event")
        if kind == "turn":
            open_question, open_blocks = None, []
            turn = turn_from_json(event)
            result.turns.append(turn)
            result.cells += cells_of(turn)
        elif kind == "question":
            open_question, open_blocks = str(event.get("text", "")), []
            stopped, told = [], False
        elif kind == "block":
            if event.get("stopped"):
                stopped.append(len(open_blocks))
            told = told or "stopped" in event
            open_blocks += _blocks([event.get("block")])
        elif kind == "undo" and result.turns:
            kept = len(result.cells) - len(cells_of(result.turns.pop()))
            del result.cells[kept:]
        elif kind == "clear":
            result.turns = []
        elif kind == "reset":
            result.turns, result.cells = [], []
        elif kind == "model":
            result.model = str(event.get("name", ""))
    if open_question:
        facts = {"stopped": stopped} if told else {}
        unfinished = Turn(open_question, open_blocks, None, "interrupted", facts=facts)
        result.turns.append(unfinished)
        result.cells += cells_of(unfinished)
    return result


def cells_of(turn: Turn) -> list[str]:
    """The code blocks of a turn that ran to their end: run again, they restore what they defined.

    A cell that was stopped, by its time limit or by Ctrl-C, would only have to be stopped again. The sandbox has said
    so at the time; only transcripts of version 0.1 have nothing but the text, which may be the cell's own print.
    """
    told = turn.facts.get("stopped")
    return [
        first.content
        for index, (first, second) in enumerate(itertools.pairwise(turn.blocks), start=1)
        if first.type == "code"
        and second.type == "execution"
        and not (index in told if isinstance(told, list) else _STOPPED.search(second.content))
    ]


def turn_as_json(turn: Turn) -> dict[str, Any]:
    """A turn as it stands in a transcript."""
    return {
        "question": turn.question,
        "blocks": [block.as_dict() for block in turn.blocks],
        "answer": turn.answer,
        "status": turn.status,
        "images": {str(k): [base64.b64encode(data).decode() for data in v] for k, v in turn.images.items()},
        "facts": turn.facts,
    }


def turn_from_json(event: dict[str, Any]) -> Turn:
    """A turn from a transcript; what is missing or of another type is left out rather than trusted."""
    images: dict[int, list[bytes]] = {}
    for key, values in (event.get("images") or {}).items():
        if str(key).isdigit() and isinstance(values, list):
            images[int(key)] = [base64.b64decode(value, validate=False) for value in values if isinstance(value, str)]
    answer = event.get("answer")
    facts = event.get("facts")
    return Turn(
        str(event.get("question", "")),
        _blocks(event.get("blocks")),
        answer if isinstance(answer, str) else None,
        str(event.get("status", "answered")),
        images,
        facts if isinstance(facts, dict) else {},
    )


def newest(folder: Path) -> Path | None:
    """The transcript that was written to last."""
    files = [path for path in folder.glob("*.jsonl") if path.is_file()]
    return max(files, key=lambda path: path.stat().st_mtime, default=None)


def _blocks(value: Any) -> list[Block]:
    items = value if isinstance(value, list) else []
    return [
        Block.of(item)
        for item in items
        if isinstance(item, dict) and item.get("type") in BLOCK_TYPES and isinstance(item.get("content"), str)
    ]


def _events(text: str, path: Path) -> Iterator[tuple[int, dict[str, Any] | None]]:
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            event = json.loads(line)
        except ValueError:
            event = None
        if not isinstance(event, dict):
            event = None
        if number == 1 and (event is None or event.get("event") != "chat"):
            raise _no_transcript(path)
        if number == 1 and event is not None and event.get("format") != FORMAT:
            raise DataError(
                f"{path} has format {event.get('format')!r}, this program reads {FORMAT}",
                "nothing was loaded",
                "open it with the version that wrote it",
            )
        yield number, event


def _no_transcript(path: Path) -> DataError:
    return DataError(f"{path} is not a saved conversation", "nothing was loaded", "give a file that /save wrote")


def _ends_with_newline(path: Path) -> bool:
    with open(path, "rb") as handle:
        handle.seek(-1, os.SEEK_END)
        return handle.read(1) == b"\n"

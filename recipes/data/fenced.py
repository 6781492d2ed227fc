"""Fenced Python with output blocks: what ToRA writes, and what trainers that know only text want.

    The sum is needed.
    ```python
    1 + 2
    ```
    ```output
    3
    ```

Where blocks cannot be told from such text alone (two text blocks in a row, white space at their ends), the places of
the blocks stand beside it in `spans`, so that the way back is exact and the text stays clean.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from recipes.data.records import Dialogue, FormatError, gold_in, question_in, solution_in, turns_of
from runtime.lce import BLOCK_TYPES, DEFAULT_SYSTEM, Block, BlockType

_OPEN = re.compile(r"[ \t]*(`{3,})[ \t]*(python3?|py|output)?[ \t]*", re.I)
_RUN = re.compile(r"^[ \t]*(`{3,})", re.M)
_LANGUAGE: dict[BlockType, str] = {"code": "python", "execution": "output"}


def write(messages: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """A valid row as messages of plain text with `spans`.

    Raises:
        FormatError: a user or system message of several blocks.
    """
    system, turns = turns_of(messages)
    result: list[dict[str, str]] = [] if system is None else [{"role": "system", "content": system}]
    spans = []
    for question, blocks in turns:
        text, places = render(blocks)
        result += [{"role": "user", "content": question}, {"role": "assistant", "content": text}]
        spans.append(places)
    return {"messages": result, "spans": spans}


def render(blocks: Iterable[Block]) -> tuple[str, list[list[Any]]]:
    """Blocks as text, and `[type, start, end]` of each block's content in it."""
    text = ""
    places: list[list[Any]] = []
    for block in blocks:
        if text or places:
            text += "\n"
        language = _LANGUAGE.get(block.type)
        # A longer fence than any in the content, as Markdown has it.
        fence = "`" * max([3, *(len(found) + 1 for found in _RUN.findall(block.content))])
        text += f"{fence}{language}\n" if language else ""
        places.append([block.type, len(text), len(text) + len(block.content)])
        text += block.content + (f"\n{fence}" if language else "")
    return text, places


def read(value: Mapping[str, Any]) -> Dialogue:
    """Messages of plain text, or a record with `question` and one text.

    Raises:
        FormatError: roles out of turn, or a fence that is never closed.
    """
    if not isinstance(value.get("messages"), list):
        question, solution = question_in(value), solution_in(value)
        if question is None or solution is None:
            raise FormatError("no question or no solution")
        return Dialogue(((question, tuple(parse(solution))),), gold=gold_in(value))
    messages = list(value["messages"])
    system: str | None = None
    if messages[0].get("role") == "system":
        system = messages.pop(0)["content"]
    if not messages or [m.get("role") for m in messages] != ["user", "assistant"] * (len(messages) // 2):
        raise FormatError("roles are not user and assistant in turn")
    spans = value.get("spans")
    turns = []
    for number in range(0, len(messages), 2):
        text = messages[number + 1]["content"]
        blocks = _by_spans(text, spans[number // 2]) if isinstance(spans, list) and number // 2 < len(spans) else None
        turns.append((messages[number]["content"], tuple(blocks if blocks is not None else parse(text))))
    # A foreign record without system text gets ours; one that we wrote without it keeps being without.
    return Dialogue(tuple(turns), system if system is not None or spans is not None else DEFAULT_SYSTEM, gold_in(value))


def read_tora(value: Mapping[str, Any]) -> Dialogue:
    """An output of ToRA's inference: `question`, and `code` (the trace, or samples: the first counts).

    Raises:
        FormatError: no trace.
    """
    code, question = value["code"], question_in(value)
    trace = code if isinstance(code, str) else (code[0] if code and isinstance(code[0], str) else None)
    if not trace or question is None:
        raise FormatError("no trace in `code`")
    return Dialogue(((question, tuple(parse(trace))),), gold=gold_in(value))


def parse(text: str) -> list[Block]:
    """The blocks of fenced text; fences of other languages stay text, lines end in a newline.

    Raises:
        FormatError: a fence that is never closed, or nothing in it.
    """
    blocks: list[Block] = []
    said: list[str] = []
    lines = iter(text.replace("\r\n", "\n").split("\n"))
    for line in lines:
        opening = _OPEN.fullmatch(line)
        if opening is None or opening.group(2) is None:
            said.append(line)
            continue
        _say(said, blocks)
        fence, inside = opening.group(1), []
        for line in lines:
            if line.strip() == fence:
                break
            inside.append(line)
        else:
            raise FormatError(f"a {opening.group(2)} fence is never closed")
        kind: BlockType = "execution" if opening.group(2).lower() == "output" else "code"
        blocks.append(Block(kind, "\n".join(inside)))
    _say(said, blocks)
    if not blocks:
        raise FormatError("the solution is empty")
    return blocks


def _say(said: list[str], blocks: list[Block]) -> None:
    text = "\n".join(said).strip()
    said.clear()
    if text:
        blocks.append(Block("text", text))


def _by_spans(text: str, spans: Any) -> list[Block] | None:
    """The blocks that `spans` say, or None where they are not what `write` made of this very text."""
    try:
        blocks = [Block(kind, text[int(start) : int(end)]) for kind, start, end in spans]
    except (TypeError, ValueError):
        return None
    if any(block.type not in BLOCK_TYPES for block in blocks) or render(blocks)[0] != text:
        return None
    return blocks

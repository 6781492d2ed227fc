"""OpenAI-style tool calls: code is a call of the function `python`, its execution the tool's message."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from recipes.data.formats import Dialogue, FormatError, gold_in, turns_of
from runtime.lce import DEFAULT_SYSTEM, Block

TOOL = {
    "type": "function",
    "function": {
        "name": "python",
        "description": "Runs Python in a session that keeps its state and returns what a notebook cell would show.",
        "parameters": {"type": "object", "properties": {"code": {"type": "string"}}, "required": ["code"]},
    },
}
_CODE_KEYS = ("code", "source", "script", "input", "query")


def write(messages: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """A valid row as messages with tool calls.

    Raises:
        FormatError: an execution that follows no code, or a user or system message of several blocks.
    """
    system, turns = turns_of(messages)
    result: list[dict[str, Any]] = [] if system is None else [{"role": "system", "content": system}]
    number = 0
    for question, blocks in turns:
        result.append({"role": "user", "content": question})
        said: list[str] = []
        open_call: str | None = None
        for block in blocks:
            if block.type == "text":
                said.append(block.content)
                open_call = None
            elif block.type == "code":
                number += 1
                open_call = f"call_{number}"
                arguments = json.dumps({"code": block.content}, ensure_ascii=False)
                call = {"id": open_call, "type": "function", "function": {"name": "python", "arguments": arguments}}
                result.append({"role": "assistant", "content": _content(said), "tool_calls": [call]})
                said = []
            elif open_call is None:
                raise FormatError("an execution follows no code")
            else:
                result.append({"role": "tool", "tool_call_id": open_call, "name": "python", "content": block.content})
                open_call = None
        if said:
            result.append({"role": "assistant", "content": _content(said)})
    return {"messages": result, "tools": [TOOL]}


def _content(said: Sequence[str]) -> Any:
    if not said:
        return None
    # Several text blocks in a row are several parts, which the format has; so they come back as several.
    return said[0] if len(said) == 1 and said[0] else [{"type": "text", "text": text} for text in said]


def read(value: Mapping[str, Any]) -> Dialogue:
    """Messages with tool calls.

    Raises:
        FormatError: a call that holds no Python, a tool message without its call, roles out of turn.
    """
    messages = list(value["messages"])
    system: str | None = None
    if messages and messages[0].get("role") in ("system", "developer"):
        system = "".join(_texts(messages.pop(0)))
    turns: list[tuple[str, list[Block]]] = []
    calls: dict[str, int] = {}
    for message in messages:
        role = message.get("role")
        if role == "user":
            turns.append(("\n".join(_texts(message)), []))
            calls = {}
        elif role not in ("assistant", "tool") or not turns:
            raise FormatError(f"a message of role {role!r} out of turn")
        elif role == "assistant":
            blocks = turns[-1][1]
            blocks += [Block("text", text) for text in _texts(message)]
            for call in message.get("tool_calls") or []:
                blocks.append(Block("code", _code(call)))
                calls[str(call.get("id"))] = len(blocks) - 1
        else:
            _place(turns[-1][1], calls, str(message.get("tool_call_id")), "".join(_texts(message)))
    if not turns or not all(blocks for _, blocks in turns):
        raise FormatError("a question without a reply")
    made_by_us = value.get("tools") == [TOOL]
    system = system if system is not None or made_by_us else DEFAULT_SYSTEM
    return Dialogue(tuple((question, tuple(blocks)) for question, blocks in turns), system, gold_in(value))


def _place(blocks: list[Block], calls: dict[str, int], call: str, output: str) -> None:
    if call not in calls:
        raise FormatError(f"a tool message answers the call {call!r}, which is nowhere")
    position = calls.pop(call) + 1
    blocks.insert(position, Block("execution", output))
    for other, place in calls.items():
        if place >= position:
            calls[other] = place + 1


def _texts(message: Mapping[str, Any]) -> list[str]:
    content = message.get("content")
    if content is None:
        return []
    if isinstance(content, str):
        # Many writers put an empty string beside a call where there is no text. A tool may well return one.
        return [content] if content or message.get("role") == "tool" else []
    try:
        return [str(part["text"]) for part in content]
    except (TypeError, KeyError):
        raise FormatError("content that is neither text nor a list of text parts") from None


def _code(call: Mapping[str, Any]) -> str:
    try:
        arguments = call["function"]["arguments"]
        name = call["function"].get("name")
    except (TypeError, KeyError):
        raise FormatError("a tool call without a function") from None
    try:
        parsed = json.loads(arguments) if isinstance(arguments, str) else arguments
    except ValueError:
        parsed = arguments if name in ("python", "code_interpreter", "ipython") else None
    if isinstance(parsed, Mapping):
        found = next((parsed[k] for k in _CODE_KEYS if isinstance(parsed.get(k), str)), None)
        parsed = found
    if not isinstance(parsed, str):
        raise FormatError(f"a call of {name!r}, which holds no Python")
    return parsed

"""OpenAI-style tool calls: code is a call of the function `python`, its execution the tool's message.

Read more widely than written: parallel calls, the older `function_call`, custom tools with plain input, other names of
a Python tool. A call of anything else (a search, a shell) makes a record that cannot be converted, never code that it
was not.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from recipes.data.records import Dialogue, FormatError, gold_in, turns_of
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
_PYTHON_NAME = re.compile(
    r"python|interpreter|jupyter|notebook|execut|(?<![a-z])(?:code|run|repl|cell|eval|exec|py)(?![a-z])"
)
_OTHER_NAME = re.compile(
    r"bash|shell|terminal|sql|javascript|search|(?<![a-z])(?:js|node|command|cmd|query|lookup)(?![a-z])"
)


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
    calls: list[_Open] = []
    for message in messages:
        role = message.get("role")
        if role == "user":
            turns.append(("\n".join(_texts(message)), []))
            calls = []
        elif role not in ("assistant", "tool", "function") or not turns:
            raise FormatError(f"a message of role {role!r} out of turn")
        elif role == "assistant":
            blocks = turns[-1][1]
            blocks += [Block("text", text) for text in _texts(message)]
            for call in _calls(message):
                blocks.append(Block("code", _code(call)))
                calls.append(_Open(call.get("id"), len(blocks) - 1))
        else:
            _place(turns[-1][1], calls, message.get("tool_call_id"), "".join(_texts(message)))
    if not turns or not all(blocks for _, blocks in turns):
        raise FormatError("a question without a reply")
    made_by_us = value.get("tools") == [TOOL]
    system = system if system is not None or made_by_us else DEFAULT_SYSTEM
    return Dialogue(tuple((question, tuple(blocks)) for question, blocks in turns), system, gold_in(value))


@dataclass
class _Open:
    """A call that waits for its tool's message, and where its code stands among the blocks."""

    id: Any
    place: int


def _calls(message: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The calls of an assistant's message; the older `function_call` is one without an id."""
    calls = list(message.get("tool_calls") or [])
    if message.get("function_call"):
        calls.append({"function": message["function_call"]})
    return calls


def _place(blocks: list[Block], calls: list[_Open], wanted: Any, output: str) -> None:
    """Put a tool's output behind the code of its call: the first open one of that id, or of any."""
    call = next((call for call in calls if wanted is None or call.id == wanted), None)
    if call is None:
        raise FormatError(f"a tool message answers the call {wanted!r}, which is nowhere")
    calls.remove(call)
    position = call.place + 1
    blocks.insert(position, Block("execution", output))
    for other in calls:
        other.place += other.place >= position


def _texts(message: Mapping[str, Any]) -> list[str]:
    content = message.get("content")
    if content is None:
        return []
    if isinstance(content, str):
        # Many writers put an empty string beside a call where there is no text. A tool may well return one.
        return [content] if content or message.get("role") in ("tool", "function") else []
    if not isinstance(content, list):
        raise FormatError("content that is neither text nor a list of text parts")
    return [_text_of(part) for part in content]


def _text_of(part: Any) -> str:
    text = part.get("text") if isinstance(part, Mapping) else part
    if isinstance(text, Mapping):
        # The Assistants interface wraps it once more, beside its annotations.
        text = text.get("value")
    if not isinstance(text, str):
        kind = part.get("type") if isinstance(part, Mapping) else type(part).__name__
        raise FormatError(f"a part of the content is not text but {kind!r}")
    return text


def _code(call: Mapping[str, Any]) -> str:
    """The code of one call.

    Raises:
        FormatError: it calls something else than Python, or holds no code.
    """
    function = call.get("function") or call.get("custom") or call.get("code_interpreter")
    if not isinstance(function, Mapping):
        raise FormatError("a tool call without a function")
    name = str(function.get("name") or ("code_interpreter" if "code_interpreter" in call else ""))
    told = name.lower()
    if not _PYTHON_NAME.search(told) or _OTHER_NAME.search(told):
        raise FormatError(f"a call of {name!r}, which holds no Python")
    given = function["arguments"] if "arguments" in function else function.get("input")
    code = _parsed(given)
    if not isinstance(code, str):
        raise FormatError(f"a call of {name!r} without code")
    return code


def _parsed(given: Any) -> Any:
    """The code in a call's arguments: an object (or its JSON) with a usual key, or plain code."""
    if isinstance(given, str):
        try:
            parsed = json.loads(given)
        except ValueError:
            return given
        # A bare `5` or `[1, 2]` is valid JSON and was meant as code; a quoted string is code that was encoded.
        given = parsed if isinstance(parsed, Mapping | str) else given
    if isinstance(given, Mapping):
        return next((given[key] for key in _CODE_KEYS if isinstance(given.get(key), str)), None)
    return given

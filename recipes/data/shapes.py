"""The shapes of data sets, brought to the two that are read: messages, or question and text.

ShareGPT's `conversations`, prompt and completion (or the chosen one of two) as lists of messages, Alpaca's instruction
with an input, the results that `solve` and `eval` write, and OpenMathInstruct's tags round code.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from runtime.lce import DEFAULT_SYSTEM

_ROLES = {
    "human": "user", "user": "user", "prompter": "user",
    "gpt": "assistant", "assistant": "assistant", "chatgpt": "assistant", "bing": "assistant", "bard": "assistant",
    "model": "assistant", "function_call": "assistant", "tool_call": "assistant",
    "system": "system", "observation": "tool", "tool": "tool", "function_response": "tool",
}  # fmt: skip
"""ShareGPT's names, with those that vicuna, Open-Assistant and LLaMA-Factory added."""
_CALLS = frozenset({"function_call", "tool_call"})
_TAGS = (("llm-code", "python"), ("llm-code-output", "output"))


def unwrapped(value: Any) -> Any:
    """A record in one of the two shapes that are read; one of no known shape as it is."""
    if not isinstance(value, Mapping) or isinstance(value.get("messages"), list):
        return value
    for key in ("conversations", "conversation", "dialog", "dialogue"):
        if isinstance(value.get(key), list):
            return {**value, "messages": _sharegpt(value[key])}
    if isinstance(value.get("blocks"), list) and isinstance(value.get("question"), str):
        return {**value, "messages": _solved(value["question"], value["blocks"])}
    # Of a pair of preferences, the chosen answer is the row.
    prompt, completion = value.get("prompt"), value.get("completion", value.get("chosen"))
    if isinstance(prompt, list) and isinstance(completion, list):
        return {**value, "messages": [*prompt, *completion]}
    instruction, given = value.get("instruction"), value.get("input")
    if isinstance(instruction, str) and isinstance(given, str) and instruction.strip() and given.strip():
        value = {**value, "question": f"{instruction.strip()}\n\n{given.strip()}"}
    return {key: _fenced(text) if isinstance(text, str) else text for key, text in value.items()}


def _solved(question: str, blocks: list[Any]) -> list[dict[str, Any]]:
    """The row of a results line."""
    return [
        {"role": "system", "content": [{"type": "text", "content": DEFAULT_SYSTEM}]},
        {"role": "user", "content": [{"type": "text", "content": question}]},
        {"role": "assistant", "content": blocks},
    ]


def _sharegpt(turns: list[Any]) -> list[Any]:
    messages: list[Any] = []
    for turn in turns:
        if not isinstance(turn, Mapping) or "from" not in turn:
            messages.append(turn)
            continue
        said, text = str(turn["from"]).lower(), turn.get("value")
        message: dict[str, Any] = {"role": _ROLES.get(said, said), "content": text}
        if isinstance(text, str):
            message["content"] = _fenced(text)
        if said in _CALLS:
            message |= {"content": None, "tool_calls": [{"function": _call(text)}]}
        messages.append(message)
    return messages


def _call(text: Any) -> Any:
    """A call that ShareGPT keeps as JSON text: `{"name": ..., "arguments": ...}`."""
    try:
        return json.loads(text) if isinstance(text, str) else text
    except ValueError:
        return text


def _fenced(text: str) -> str:
    """`text` with OpenMathInstruct's tags as Markdown's fences."""
    for tag, language in _TAGS:
        text = re.sub(rf"<{tag}>[ \t]*\n?", f"```{language}\n", text)
        text = re.sub(rf"(?:\n|(?<![ \t]))[ \t]*</{tag}>", "\n```", text)
    return text

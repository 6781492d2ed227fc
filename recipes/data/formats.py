"""The formats of rows that other projects write, told apart one record at a time (a file may mix them).

Each format has a module with `read(value) -> Dialogue` and, where other trainers want it, `write(messages)`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from qlora.data import problem_of
from runtime.lce import DEFAULT_SYSTEM, Block

Format = Literal["lce", "fenced", "tora", "tools", "gsm8k"]
FORMATS: tuple[Format, ...] = ("lce", "fenced", "tora", "tools", "gsm8k")

QUESTION_KEYS = ("question", "problem", "prompt", "instruction", "input")
SOLUTION_KEYS = ("solution", "completion", "response", "generation", "output", "answer")


class FormatError(ValueError):
    """One record cannot be read or written in this format; the message is the reason."""


@dataclass(frozen=True)
class Dialogue:
    """A record in the shape of our rows: turns of (question, blocks).

    Attributes:
        gold: the right answer where the record holds one.
        checked: whether a row whose last execution is not the gold answer has to be left out.
    """

    turns: tuple[tuple[str, tuple[Block, ...]], ...]
    system: str | None = DEFAULT_SYSTEM
    gold: str | None = None
    checked: bool = False

    def messages(self, turns: Sequence[tuple[str, Sequence[Block]]] | None = None) -> list[dict[str, Any]]:
        """The row's messages, with other blocks where `turns` are given."""
        result: list[dict[str, Any]] = []
        if self.system is not None:
            result.append({"role": "system", "content": [{"type": "text", "content": self.system}]})
        for question, blocks in turns if turns is not None else self.turns:
            result.append({"role": "user", "content": [{"type": "text", "content": question}]})
            result.append({"role": "assistant", "content": [block.as_dict() for block in blocks]})
        return result


def detect(value: Any) -> Format | None:
    """Which format a record is in, None where it is none of them."""
    if not isinstance(value, Mapping):
        return None
    messages = value.get("messages")
    if isinstance(messages, list) and messages:
        if problem_of(value) is None:
            return "lce"
        if not all(isinstance(message, Mapping) for message in messages):
            return None
        if value.get("tools") or any(_calls_tools(message) for message in messages):
            return "tools"
        if all(isinstance(message.get("content"), str) for message in messages):
            return "fenced"
        return None
    if not question_in(value):
        return None
    if isinstance(value.get("code"), list | str):
        return "tora"
    solution = solution_in(value)
    if solution is None:
        return None
    if "```" in solution:
        return "fenced"
    return "gsm8k" if "<<" in solution or "####" in solution else None


def _calls_tools(message: Mapping[str, Any]) -> bool:
    content = message.get("content")
    in_parts = isinstance(content, list) and all(isinstance(p, Mapping) and "text" in p for p in content)
    calls = message.get("tool_calls") or message.get("function_call")
    return message.get("role") in ("tool", "function") or bool(calls) or in_parts


def question_in(value: Mapping[str, Any]) -> str | None:
    """The (first) question of a record of any format."""
    return next(iter(questions_in(value)), None)


def questions_in(value: Mapping[str, Any]) -> list[str]:
    """Every question of a record of any format: its field, or all that its user says; none where it is broken."""
    found = next((value[k] for k in QUESTION_KEYS if isinstance(value.get(k), str) and value[k].strip()), None)
    if found is not None:
        return [str(found)]
    messages = value.get("messages")
    if not isinstance(messages, list):
        return []
    users = (m.get("content") for m in messages if isinstance(m, Mapping) and m.get("role") == "user")
    return [text for content in users if (text := _said(content)).strip()]


def _said(content: Any) -> str:
    if isinstance(content, str):
        return content
    parts = [part for part in content if isinstance(part, Mapping)] if isinstance(content, list) else []
    texts = (part.get("text", part.get("content")) for part in parts)
    return "\n".join(text for text in texts if isinstance(text, str))


def solution_in(value: Mapping[str, Any]) -> str | None:
    """The solution text of a record that keeps it in one field."""
    return next((str(value[k]) for k in SOLUTION_KEYS if isinstance(value.get(k), str) and value[k].strip()), None)


def gold_in(value: Mapping[str, Any]) -> str | None:
    """The right answer of a record that names one."""
    from runtime.evaluate.results import gold_text

    found = next((value[k] for k in ("gold", "gt") if value.get(k) is not None), None)
    return None if found is None else gold_text(found)


def read(value: Any, declared: Format | None = None) -> Dialogue:
    """A record of any format.

    Args:
        declared: the format to read it as, where the caller knows.

    Raises:
        FormatError: it is of no known format, or broken in its own.
    """
    from recipes.data import fenced, gsm8k, tools

    found = declared or detect(value)
    if found == "lce":
        return _lce(value)
    if found == "fenced":
        return fenced.read(value)
    if found == "tora":
        return fenced.read_tora(value)
    if found == "tools":
        return tools.read(value)
    if found == "gsm8k":
        return gsm8k.read(value)
    raise FormatError("of no known format")


def _lce(value: Any) -> Dialogue:
    reason = problem_of(value)
    if reason is not None:
        raise FormatError(reason)
    messages = value["messages"]
    system, turns = turns_of(messages)
    return Dialogue(tuple(turns), system)


def turns_of(messages: Sequence[Mapping[str, Any]]) -> tuple[str | None, list[tuple[str, tuple[Block, ...]]]]:
    """System text and turns of a valid row.

    Raises:
        FormatError: a system or user message of several blocks, which other formats cannot keep apart.
    """
    if any(message["role"] != "assistant" and len(message["content"]) > 1 for message in messages):
        raise FormatError("a user or system message has several blocks")
    system = messages[0]["content"][0]["content"] if messages[0]["role"] == "system" else None
    rest = messages[1:] if system is not None else messages
    turns = []
    for user, assistant in zip(rest[::2], rest[1::2], strict=True):
        blocks = tuple(Block(block["type"], block["content"]) for block in assistant["content"])
        turns.append((user["content"][0]["content"], blocks))
    return system, turns

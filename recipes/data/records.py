"""What a record of any format holds: questions, a solution, a gold answer, turns of blocks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from recipes.data.shapes import unwrapped
from runtime.lce import DEFAULT_SYSTEM, Block

QUESTION_KEYS = ("question", "problem", "query", "prompt", "instruction", "input")
SOLUTION_KEYS = (
    "solution",
    "generated_solution",
    "completion",
    "response",
    "generation",
    "output",
    "target",
    "chosen",
    "answer",
)
GOLD_KEYS = ("gold", "gt", "expected_answer", "ground_truth")


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


def question_in(value: Mapping[str, Any]) -> str | None:
    """The (first) question of a record of any format."""
    return next(iter(questions_in(value)), None)


def questions_in(value: Mapping[str, Any]) -> list[str]:
    """Every question of a record: its field, or all that its user says; none where it is broken."""
    value = unwrapped(value)
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
    from runtime.evaluate.records import gold_text

    found = next((value[k] for k in GOLD_KEYS if value.get(k) is not None), None)
    return None if found is None else gold_text(found)


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

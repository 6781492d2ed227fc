"""The formats that other projects write, told apart one record at a time (a file may mix them).

Each format has a module with `read(value) -> Dialogue` and, where other trainers want it, `write(messages)`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from qlora.data import problem_of
from recipes.data import equations, fenced, gsm8k, program, tools
from recipes.data.records import Dialogue, FormatError, question_in, solution_in, turns_of
from recipes.data.shapes import unwrapped

Format = Literal["lce", "fenced", "tora", "tools", "gsm8k", "gsm8k-program", "equations"]
FORMATS: tuple[Format, ...] = ("lce", "fenced", "tora", "tools", "gsm8k", "gsm8k-program", "equations")
ANSWER_CHARS = 60
"""A text up to this long is an answer (see `runtime.grade.final_answer`)."""


def detect(value: Any) -> Format | None:
    """Which format a record is in, None where it is none of them."""
    value = unwrapped(value)
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
    # Beside an equation, `answer` is the number alone.
    if equations.equation_in(value) is not None and (solution is None or len(solution) <= ANSWER_CHARS):
        return "equations"
    if solution is None:
        return None
    if "```" in solution:
        return "fenced"
    if "<<" in solution or "####" in solution:
        return "gsm8k"
    # A question with nothing but its answer is an exam, not a solution.
    return "fenced" if "\\boxed" in solution or len(solution) > ANSWER_CHARS else None


def _calls_tools(message: Mapping[str, Any]) -> bool:
    content = message.get("content")
    in_parts = isinstance(content, list) and all(isinstance(p, Mapping) and "text" in p for p in content)
    calls = message.get("tool_calls") or message.get("function_call")
    return message.get("role") in ("tool", "function") or bool(calls) or in_parts


def read(value: Any, declared: Format | None = None) -> Dialogue:
    """A record of any format.

    Args:
        declared: the format to read it as, where the caller knows.

    Raises:
        FormatError: it is of no known format, or broken in its own.
    """
    value = unwrapped(value)
    if isinstance(value, Mapping) and "blocks" in value and value.get("status", "answered") != "answered":
        raise FormatError(f"a solution that ended with the status {value['status']}")
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
    if found == "gsm8k-program":
        return program.read(value)
    if found == "equations":
        return equations.read(value)
    raise FormatError("of no known format")


def _lce(value: Any) -> Dialogue:
    reason = problem_of(value)
    if reason is not None:
        raise FormatError(reason)
    messages = value["messages"]
    system, turns = turns_of(messages)
    return Dialogue(tuple(turns), system)

"""The page that drives a stock server through the stock client, with answers that are scripted.

With a real model behind the real server: `tests/export/test_in_a_stock_server.py`.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from dialect_words import TEMPLATE

from recipes.examples.openai_tools import calls_in, solve
from runtime.sandbox import Sandbox
from runtime.solver.dialects.template import derive

openai = pytest.importorskip("openai", reason="the dev extra is not installed")


found = derive(TEMPLATE).dialect
assert found is not None
DIALECT = found


class Scripted:
    """In place of a client: gives messages, and keeps what it was asked with."""

    def __init__(self, *messages: dict[str, Any]) -> None:
        self._messages = iter(messages)
        self.asked: list[dict[str, Any]] = []
        self.chat = SimpleNamespace(completions=self)

    def create(self, **asked: Any) -> Any:
        self.asked.append(asked | {"messages": list(asked["messages"])})
        message = {"role": "assistant"} | next(self._messages)
        return openai.types.chat.ChatCompletion.model_validate(
            {
                "id": "1", "created": 1, "model": "m", "object": "chat.completion",
                "choices": [{"index": 0, "finish_reason": "stop", "message": message}],
            }
        )  # fmt: skip


def parsed(arguments: str) -> dict[str, Any]:
    function = {"name": "python", "arguments": arguments}
    return {"content": None, "tool_calls": [{"id": "c7", "type": "function", "function": function}]}


def test_calls_that_a_server_has_read_and_calls_left_in_the_text_are_run_and_answered() -> None:
    spelled = 'We add.\n<tool_call>\n{"name": "python", "arguments": {"code": "x = 2\\nprint(x)"}}\n</tool_call>'
    client = Scripted({"content": spelled}, parsed('{"code": "print(x + 40)"}'), {"content": "So \\boxed{42}."})
    with Sandbox() as sandbox:
        answer, messages = solve(client, "m", "6 * 7?", sandbox, DIALECT)
    assert answer == "42"
    assert [m["role"] for m in messages] == ["user", "assistant", "tool", "assistant", "tool", "assistant"]
    assert messages[1]["content"] == spelled, "the words go back as they came, so that the server reads the same tokens"
    assert [(m["tool_call_id"], m["content"].strip()) for m in messages if m["role"] == "tool"] == [
        ("call_0", "2"),
        ("c7", "42"),
    ]
    assert client.asked[0]["tools"][0]["function"]["name"] == "python"
    assert client.asked[0]["extra_body"] == {"repeat_penalty": 1.0}


def test_a_call_that_cannot_be_read_is_answered_and_calls_without_end_are_no_answer() -> None:
    with Sandbox() as sandbox:
        client = Scripted({"content": "<tool_call>{broken}</tool_call>"}, parsed("[]"), {"content": "\\boxed{1}"})
        answer, messages = solve(client, "m", "?", sandbox, DIALECT)
        assert answer == "1"
        assert all("must be a JSON object" in m["content"] for m in messages if m["role"] == "tool")
        answer, _ = solve(Scripted(*[parsed('{"code": "1"}')] * 20), "m", "?", sandbox, DIALECT)
        assert answer is None
    assert calls_in("no call", DIALECT.call) == []

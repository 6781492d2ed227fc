"""A model of ours behind a stock server, driven by the stock `openai` client with our sandbox as its tool.

    python -m llama_cpp.server --model model.gguf --port 8000
    python -m recipes.examples.openai_tools http://127.0.0.1:8000/v1 "What is 17 * 23?"

For models trained in the dialect of their base's chat template (`dialect: template`). The server renders the file's
template, which tells the model of the tool. llama-server, Ollama and vLLM read the calls out of what it writes and
hand them over as `tool_calls`; `llama_cpp.server` leaves them in the text, where `calls_in` finds them.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Sequence
from typing import Any

from runtime.grade import final_answer
from runtime.lce import Block
from runtime.sandbox import Sandbox
from runtime.solver.dialects.evidence import BOXED
from runtime.solver.dialects.template.conversations import tool

TOOL = tool("python", "code")
"""The tool in the words of rows in the `template` dialect; other words would not be those trained on."""
MOST_CALLS = 8
_CALL = re.compile(r"<tool_call>\s*(\{.*?\})\s*</tool_call>", re.DOTALL)


def solve(client: Any, model: str, question: str, sandbox: Sandbox, **sampling: Any) -> tuple[str | None, list[Any]]:
    """The answer to `question`, None where none is stated, and the conversation.

    Args:
        client: an `openai.OpenAI`.
        model: the name that the server knows the model by.
        question: asked as rows ask, with the request for a boxed answer.
        sandbox: what runs the code; its variables live on from call to call.
        sampling: passed on; greedy by default, since `llama_cpp.server` draws at 0.8 otherwise.
    """
    messages: list[Any] = [{"role": "user", "content": question + BOXED}]
    # Without a word on it, llama_cpp.server makes every token that was written already less likely: no code survives.
    asked = {"temperature": 0, "max_tokens": 512, "extra_body": {"repeat_penalty": 1.0}, **sampling}
    for _ in range(MOST_CALLS + 1):
        said = client.chat.completions.create(model=model, messages=messages, tools=[TOOL], **asked).choices[0].message
        calls = [(call.id, call.function.arguments) for call in said.tool_calls or ()] or calls_in(said.content or "")
        messages.append(said.model_dump(exclude_none=True, include={"role", "content", "tool_calls"}))
        if not calls:
            return final_answer([Block("text", said.content or "")]), messages
        for call_id, arguments in calls:
            messages.append({"role": "tool", "tool_call_id": call_id, "content": _run(arguments, sandbox)})
    return None, messages


def calls_in(text: str) -> list[tuple[str, str]]:
    """Identifier and arguments (as JSON) of the calls that a server left in the text."""
    found = []
    for number, body in enumerate(_CALL.findall(text)):
        try:
            arguments = json.loads(body, strict=False).get("arguments", {})
        except ValueError:
            arguments = {}
        found.append((f"call_{number}", json.dumps(arguments)))
    return found


def _run(arguments: str, sandbox: Sandbox) -> str:
    try:
        code = json.loads(arguments)["code"]
    except (ValueError, KeyError, TypeError):
        return 'Error: the arguments must be JSON of the form {"code": "..."}'
    return sandbox.run(str(code)).output


def main(argv: Sequence[str]) -> int:
    """Ask the server at `argv[0]` the question `argv[1]`."""
    from openai import OpenAI

    if len(argv) != 2:
        print('usage: python -m recipes.examples.openai_tools URL "QUESTION"', file=sys.stderr)
        return 2
    client = OpenAI(base_url=argv[0], api_key="none")
    with Sandbox() as sandbox:
        answer, messages = solve(client, client.models.list().data[0].id, argv[1], sandbox)
    for message in messages:
        print(f"[{message['role']}] {message.get('content', '')}")
    print(f"answer: {answer}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))

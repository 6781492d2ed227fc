"""A model of ours behind a stock server, driven by the `openai` client with our sandbox as its tool.

    python -m llama_cpp.server --model model.gguf --port 8000
    python -m recipes.examples.openai_tools model.gguf http://127.0.0.1:8000/v1 "What is 17 * 23?"

For models that were trained in the dialect of their base's chat template (`dialect: template`). The server renders the
file's template, which tells the model of the tool. llama-server, Ollama and vLLM read the calls out of what the model
writes and hand them over as `tool_calls`; `llama_cpp.server` leaves them in the text, where `calls_in` finds them.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from runtime.grade import final_answer
from runtime.lce import Block
from runtime.sandbox import Sandbox
from runtime.solver.dialects.calls import decoded
from runtime.solver.dialects.form import Call
from runtime.solver.dialects.native import NativeDialect
from runtime.solver.dialects.template.conversations import tool

MOST_CALLS = 8


def solve(
    client: Any, model: str, question: str, sandbox: Sandbox, dialect: NativeDialect, **sampling: Any
) -> tuple[str | None, list[Any]]:
    """The answer to `question`, None where none is stated, and the conversation.

    Args:
        client: an `openai.OpenAI`.
        model: the name that the server knows the model by.
        question: the rows' request for a boxed answer is put behind it.
        sandbox: what runs the code; its variables live on from call to call.
        dialect: of the model's file; the tool is declared in the words that its rows declare it in.
        sampling: passed on. Without a word on it, `llama_cpp.server` draws at a temperature of 0.8 and makes every
            token that was written before less likely.
    """
    call = dialect.call
    messages: list[Any] = [{"role": "user", "content": question + dialect.frame.suffix}]
    asked = {"temperature": 0, "max_tokens": 512, "extra_body": {"repeat_penalty": 1.0}, **sampling}
    for _ in range(MOST_CALLS + 1):
        reply = client.chat.completions.create(
            model=model, messages=messages, tools=[tool(call.name, call.argument)], **asked
        )
        said = reply.choices[0].message
        # Templates want a text, where the API allows none beside calls.
        spoken = said.model_dump(exclude_none=True, include={"role", "content", "tool_calls"})
        messages.append({"content": "", **spoken})
        calls = [(one.id, one.function.arguments) for one in said.tool_calls or ()] or calls_in(
            said.content or "", call
        )
        if not calls:
            return final_answer([Block("text", said.content or "")]), messages
        for call_id, arguments in calls:
            output = _run(arguments, call.argument, sandbox)
            messages.append({"role": "tool", "tool_call_id": call_id, "content": output})
    return None, messages


def calls_in(text: str, call: Call) -> list[tuple[str, str]]:
    """Identifier and arguments (as JSON) of calls left in the text; what cannot be read has none."""
    bodies = [part.partition(call.close)[0] for part in text.split(call.open)[1:]]
    asked = [one for body in bodies for one in decoded(body, call)]
    arguments = ({} if one.fault else {call.argument: one.code} for one in asked)
    return [(f"call_{number}", json.dumps(one)) for number, one in enumerate(arguments)]


def _run(arguments: str, argument: str, sandbox: Sandbox) -> str:
    try:
        code = json.loads(arguments)[argument]
    except (ValueError, KeyError, TypeError):
        return f"Error: the arguments must be a JSON object with {argument!r}"
    return sandbox.run(str(code)).output


def dialect_of(model: Path) -> NativeDialect:
    """The dialect of a GGUF file."""
    from runtime.engine.llama.engine import LlamaEngine
    from runtime.settings import EngineSettings
    from runtime.solver.dialects import choose

    with LlamaEngine(model, EngineSettings(), vocab_only=True) as engine:
        dialect = choose("template", engine)
    assert isinstance(dialect, NativeDialect)
    return dialect


def main(argv: Sequence[str]) -> int:
    """Ask the server at `argv[1]`, which serves the file `argv[0]`, the question `argv[2]`."""
    from openai import OpenAI

    if len(argv) != 3:
        print('usage: python -m recipes.examples.openai_tools MODEL.gguf URL "QUESTION"', file=sys.stderr)
        return 2
    client = OpenAI(base_url=argv[1], api_key="none")
    with Sandbox() as sandbox:
        answer, messages = solve(client, client.models.list().data[0].id, argv[2], sandbox, dialect_of(Path(argv[0])))
    for message in messages:
        print(f"[{message['role']}] {message.get('content', '')}")
    print(f"answer: {answer}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))

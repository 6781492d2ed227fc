"""The conversations a chat template is rendered with to learn how it writes a call and result.

What is looked for in the text is made of words that no template holds. The code and the output hold what encodings
change: a line break, both quotes, a backslash, `<`.
"""

from __future__ import annotations

import json
from typing import Any

QUESTION, NEXT_QUESTION, SYSTEM, SAID, DONE = "Quokka?", "Numbat?", "Wombat.", "Bilby:", "Potoroo."
CODE = "import math\nx = \"a\\\\t\" if 2 < 3 else 'b'\nprint(x)"
MORE_CODE = "import sympy\nsympy.sqrt(2) < 5"
OUTPUT = "Dunnart\n\"q\" \\d <r> 's'"
MORE_OUTPUT = "Kowari\n7"
CALL_ID, MORE_ID = "qv7Kp2mXz", "wj4Rt8nYb"
"""Nine letters and digits, as Mistral's templates demand."""
OFF = {"enable_thinking": False, "thinking": False, "thinking_budget": 0}
"""What templates look at where the model is not to think."""
FORMS = ("object", "text", "object, silent", "text, silent")
"""Arguments of a call as an object or as JSON text; with something said before it or nothing."""


def tool(name: str, argument: str) -> dict[str, Any]:
    """The interpreter as a tool, in the schema that templates take."""
    return {
        "type": "function",
        "function": {
            "name": name,
            "description": "Runs Python code in a stateful session and returns what it prints and the value of its "
            "last line. Names stay defined from call to call.",
            "parameters": {
                "type": "object",
                "properties": {argument: {"type": "string", "description": "the Python code"}},
                "required": [argument],
            },
        },
    }


def requests(name: str, argument: str, tokens: dict[str, str]) -> dict[str, dict[str, Any]]:
    """What to render, by the name of the rendering.

    Args:
        name: of the tool.
        argument: of the tool, that takes the code.
        tokens: `bos_token` and `eos_token`.
    """
    user, later = _message("user", QUESTION), _message("user", NEXT_QUESTION)
    system, done = _message("system", SYSTEM), _message("assistant", DONE)

    def call(code: str, call_id: str, form: str) -> dict[str, Any]:
        arguments: Any = {argument: code}
        if form.startswith("text"):
            arguments = json.dumps(arguments)
        return {"type": "function", "id": call_id, "function": {"name": name, "arguments": arguments}}

    def called(form: str, *calls: dict[str, Any]) -> dict[str, Any]:
        return {"role": "assistant", "content": "" if "silent" in form else SAID, "tool_calls": list(calls)}

    def result(output: str, call_id: str) -> dict[str, Any]:
        return {"role": "tool", "name": name, "tool_call_id": call_id, "content": output}

    conversations: dict[str, list[dict[str, Any]]] = {
        "asked": [user],
        "asked with system": [system, user],
        "asked again": [user, done, later],
    }
    for form in FORMS:
        first, second = call(CODE, CALL_ID, form), call(MORE_CODE, MORE_ID, form)
        conversations |= {
            f"called, {form}": [user, called(form, first), result(OUTPUT, CALL_ID)],
            f"called otherwise, {form}": [user, called(form, second), result(MORE_OUTPUT, MORE_ID)],
            f"called twice, {form}": [
                user,
                called(form, first, second),
                result(OUTPUT, CALL_ID),
                result(MORE_OUTPUT, MORE_ID),
            ],
        }
    tools = [tool(name, argument)]
    made = {
        title: {"messages": messages, "tools": tools, "add_generation_prompt": True, **tokens}
        for title, messages in conversations.items()
    }
    for title in ("asked", "asked with system", "asked again"):
        # No tools at all, as where none are given: some templates look at whether the name is defined.
        made[f"{title}, plain"] = {"messages": conversations[title], "add_generation_prompt": True, **tokens}
    return made | {f"{title}, not thinking": made[title] | OFF for title in ("asked", *(f"called, {f}" for f in FORMS))}


def _message(role: str, content: str) -> dict[str, Any]:
    return {"role": role, "content": content}

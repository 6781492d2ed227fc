"""Solutions in OpenAI's shapes: Markdown text, usage, chunks of a stream."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Iterator
from typing import Any

from runtime.lce import Block
from runtime.solver import BlockEnded, BlockStarted, Event, Execution, Solution, TextPiece
from runtime.solver.dialects.fenced import fenced


def frame(kind: str, model: str) -> dict[str, Any]:
    """What every answer, and every chunk of one, begins with."""
    return {"id": f"chatcmpl-{secrets.token_hex(8)}", "object": kind, "created": int(time.time()), "model": model}


def whole_answer(solution: Solution, model: str) -> dict[str, Any]:
    """A `chat.completion` object."""
    message = {"role": "assistant", "content": fenced(block for block in solution.blocks if not block.thinking)}
    if thought := "\n".join(block.content for block in solution.blocks if block.thinking):
        message["reasoning_content"] = thought
    choice = {"index": 0, "message": message, "finish_reason": finish_reason(solution)}
    told = {"choices": [choice], "usage": usage(solution), "mathcoder": facts(solution)}
    return {**frame("chat.completion", model), **told}


def event(data: dict[str, Any]) -> bytes:
    """One server-sent event."""
    return b"data: " + json.dumps(data).encode() + b"\n\n"


DONE = b"data: [DONE]\n\n"
"""The end of a stream."""


class Markdown:
    """Events as pieces of the Markdown that `fenced` makes of the finished blocks."""

    def __init__(self) -> None:
        self._first = True
        self._thinking = False

    def pieces(self, event: Event) -> Iterator[str]:
        """The text that one event adds; thinking adds none."""
        if isinstance(event, BlockStarted):
            self._thinking = event.thinking
        if self._thinking:
            return
        match event:
            case BlockStarted(type=kind):
                language = {"code": "```python\n", "execution": "```output\n"}.get(kind, "")
                yield ("" if self._first else "\n") + language
                self._first = False
            case TextPiece(text=text):
                yield text
            case Execution(output=output):
                yield output
            case BlockEnded(block=Block(type=kind)) if kind != "text":
                yield "\n```"


def usage(solution: Solution) -> dict[str, int]:
    """Tokens as OpenAI counts them; what executions put in counts as written."""
    prompt, written = solution.tokens["prompt"], solution.tokens["generated"] + solution.tokens["execution"]
    return {"prompt_tokens": prompt, "completion_tokens": written, "total_tokens": prompt + written}


def finish_reason(solution: Solution) -> str:
    """`stop` where the model ended by itself, `length` where a budget did."""
    return "stop" if solution.status in ("answered", "no_answer") else "length"


def facts(solution: Solution) -> dict[str, Any]:
    """What OpenAI's shape has no place for."""
    told = {**solution.as_dict(), "supported": solution.is_supported}
    keys = ("answer", "supported", "status", "detail", "tokens", "cells", "failed_cells", "seconds", "seed")
    return {key: told[key] for key in keys}

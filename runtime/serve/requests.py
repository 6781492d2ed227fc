"""What a chat completion request asks for, or why it is refused.

Nothing of one request reaches the next.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from runtime.errors import InputError
from runtime.settings import MAX_SEED, SolverSettings
from runtime.solver import check_question
from runtime.solver.dialects import Exchange
from runtime.solver.dialects.fenced import unfenced
from runtime.solver.item import Item

_SAMPLING = ("temperature", "top_p", "top_k", "min_p", "repeat_penalty", "max_tokens")
"""Parameters that are settings of the solver under the same name."""
_READ = frozenset(
    {*_SAMPLING, "messages", "model", "seed", "stream", "stream_options", "max_completion_tokens"}
    # Labels that clients add for their own books and that no answer depends on.
    | {"user", "metadata", "safety_identifier", "prompt_cache_key", "store", "service_tier"}
)
_ONLY: dict[str, tuple[Any, ...]] = {
    "n": (1,),
    "stop": ("", []),
    "tools": ([],),
    "tool_choice": ("none", "auto"),
    "parallel_tool_calls": (True, False),
    "functions": ([],),
    "logprobs": (False,),
    "top_logprobs": (0,),
    "logit_bias": ({},),
    "presence_penalty": (0,),
    "frequency_penalty": (0,),
    "modalities": (["text"],),
    "response_format": ({"type": "text"},),
}
"""What would change the answer and is not done, with the values that ask for nothing."""


class RefusedError(Exception):
    """A request that is answered with an error in OpenAI's shape."""

    def __init__(
        self,
        status: int,
        message: str,
        kind: str = "invalid_request_error",
        *,
        parameter: str | None = None,
        code: str | None = None,
    ) -> None:
        self.status = status
        self.error = {"message": message, "type": kind, "param": parameter, "code": code}
        super().__init__(message)


def read_request(request: Any, settings: SolverSettings, name: str) -> Item:
    """The item, called `name`, that a request asks to solve, with settings of its own.

    Raises:
        RefusedError: it makes no sense, or asks for what is not offered; the parameter is named.
    """
    if not isinstance(request, dict):
        raise RefusedError(400, "the request is not a JSON object")
    _refuse_unsupported(request)
    turns = _turns(request.get("messages"))
    changes: dict[str, Any] = {key: request[key] for key in _SAMPLING if request.get(key) is not None}
    if turns[0][0] in ("system", "developer"):
        changes["system"] = turns.pop(0)[1]
    if not turns or turns[-1][0] != "user":
        raise RefusedError(400, "the last message must be the user's", parameter="messages")
    if request.get("max_completion_tokens") is not None:
        changes["max_tokens"] = request["max_completion_tokens"]
    for key in changes.keys() & _SAMPLING:
        if isinstance(changes[key], (bool, str)):  # pydantic would read true as 1.
            raise RefusedError(400, f"{key} must be a number", parameter=key)
    if (seed := request.get("seed")) is not None:
        if not isinstance(seed, int) or isinstance(seed, bool):
            raise RefusedError(400, "seed must be a whole number", parameter="seed")
        changes["seed"] = seed % MAX_SEED + 1
    question = turns[-1][1]
    try:
        chosen = SolverSettings.model_validate({**settings.model_dump(exclude_unset=True), **changes})
        check_question(question)
    except ValidationError as error:
        wrong = "; ".join(f"{item['loc'][0]}: {item['msg']}" for item in error.errors())
        raise RefusedError(400, wrong, parameter=str(error.errors()[0]["loc"][0])) from error
    except InputError as error:
        raise RefusedError(400, str(error), parameter="messages") from error
    return Item(name, 0, question, seed=chosen.seed, settings=chosen, history=_history(turns[:-1]))


def is_stream(request: Mapping[str, Any]) -> tuple[bool, bool]:
    """Whether the answer is to be streamed, and whether its usage is told in the end.

    Raises:
        RefusedError: neither can be read.
    """
    stream, options = request.get("stream") or False, request.get("stream_options") or {}
    if not isinstance(stream, bool):
        raise RefusedError(400, "stream must be true or false", parameter="stream")
    if not isinstance(options, dict):
        raise RefusedError(400, "stream_options must be an object", parameter="stream_options")
    return stream, options.get("include_usage") is True


def _refuse_unsupported(request: Mapping[str, Any]) -> None:
    for name, value in request.items():
        if name in _READ or value is None:
            continue
        if name not in _ONLY or value not in _ONLY[name]:
            what = f"this value of {name!r}" if name in _ONLY else f"the parameter {name!r}"
            raise RefusedError(
                400, f"{what} is not offered here; leave it out", parameter=name, code="unsupported_parameter"
            )


def _turns(messages: Any) -> list[tuple[str, str]]:
    if not isinstance(messages, list) or not messages:
        raise RefusedError(400, "messages is missing or empty", parameter="messages")
    turns = []
    for message in messages:
        if not isinstance(message, dict) or not isinstance(message.get("role"), str):
            raise RefusedError(400, "a message is not an object with a role", parameter="messages")
        turns.append((message["role"], _text(message.get("content"))))
    return turns


def _history(earlier: list[tuple[str, str]]) -> tuple[Exchange, ...]:
    if len(earlier) % 2 or any(
        (asker, answerer) != ("user", "assistant")
        for (asker, _), (answerer, _) in zip(earlier[::2], earlier[1::2], strict=False)
    ):
        raise RefusedError(400, "user and assistant messages must alternate", parameter="messages")
    return tuple(
        (question, tuple(unfenced(answer)))
        for (_, question), (_, answer) in zip(earlier[::2], earlier[1::2], strict=True)
    )


def _text(content: Any) -> str:
    if isinstance(content, str):
        return content
    if isinstance(content, list) and all(isinstance(part, dict) and part.get("type") == "text" for part in content):
        return "".join(str(part.get("text", "")) for part in content)
    raise RefusedError(400, "only text content is understood", parameter="messages")

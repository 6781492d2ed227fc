"""Asking a model for plain text: a chat server over HTTP, or a local model through the batch solver.

Used where the answer is a new problem or a judgement, not a solution. One prompt that fails costs one reply.
"""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from runtime.engine.server.address import read_address
from runtime.errors import EngineError

if TYPE_CHECKING:
    from runtime.engine import Engine
    from runtime.settings import SolverSettings

LONGEST_PAUSE = 60.0
"""Seconds. A server that asks for a longer pause is treated as refusing."""


@dataclass(frozen=True)
class Reply:
    """What came back for one prompt: `text`, or `error` where nothing usable did."""

    key: str
    text: str = ""
    error: str = ""


class Asker(Protocol):
    """A model that replies to prompts."""

    def facts(self) -> dict[str, Any]:
        """What identifies the model."""
        ...

    def ask(self, prompts: Iterable[tuple[str, str]]) -> Iterator[Reply]:
        """Replies to (key, prompt) pairs, in any order.

        Raises:
            EngineError: the model cannot be reached at all.
        """
        ...


class LocalAsker:
    """A model behind any engine, whose text blocks are the reply; no code is run."""

    def __init__(self, engine: Engine, settings: SolverSettings, slots: int = 8) -> None:
        self._engine = engine
        self._settings = settings.model_copy(update={"code_execution": False})
        self._slots = slots

    def facts(self) -> dict[str, Any]:
        """What a record of a run needs to know of the model."""
        return {**self._engine.facts(), "settings": self._settings.model_dump(mode="json")}

    def ask(self, prompts: Iterable[tuple[str, str]]) -> Iterator[Reply]:
        """Replies to (key, prompt) pairs, in any order."""
        from runtime.solver.batch import Item, solve_batch

        items = (Item(key, index, prompt) for index, (key, prompt) in enumerate(prompts))
        for item, solution in solve_batch(self._engine, items, self._settings, slots=self._slots):
            text = "\n\n".join(block.content for block in solution.blocks if block.type == "text").strip()
            error = solution.detail or solution.status if solution.status == "error" or not text else ""
            yield Reply(item.id, text, error)


class ChatAsker:
    """An OpenAI-compatible chat server (`/chat/completions`).

    Args:
        url: base URL, such as `http://127.0.0.1:8000/v1`.
        model: the name the server knows the model by.
        api_key: bearer token.
        parallel: requests at once.
        pauses: seconds before each retry of a busy server, which may ask for longer ones.
    """

    def __init__(
        self,
        url: str,
        model: str,
        *,
        api_key: str | None = None,
        temperature: float = 0.7,
        max_tokens: int = 1024,
        parallel: int = 8,
        timeout: float = 120.0,
        pauses: Sequence[float] = (1, 2, 4, 8, 16),
    ) -> None:
        self._address = read_address(url, api_key)
        self.url, self.model = self._address.shown, model
        self._sampling = {"temperature": temperature, "max_tokens": max_tokens}
        self._parallel, self._timeout, self._pauses = parallel, timeout, tuple(pauses)

    def facts(self) -> dict[str, Any]:
        """What a record of a run needs to know of the model."""
        return {"engine": "chat", "endpoint": self.url, "model": self.model, "settings": self._sampling}

    def ask(self, prompts: Iterable[tuple[str, str]]) -> Iterator[Reply]:
        """Replies to (key, prompt) pairs, in any order.

        The first prompt goes alone: a wrong address is one error, not a thousand.
        """
        pending = iter(prompts)
        first = next(pending, None)
        if first is None:
            return
        yield self._reply(first, fatal=True)
        with ThreadPoolExecutor(self._parallel, thread_name_prefix="ask") as pool:
            yield from pool.map(self._reply, pending)

    def _reply(self, item: tuple[str, str], *, fatal: bool = False) -> Reply:
        key, prompt = item
        body = json.dumps(
            {"model": self.model, "messages": [{"role": "user", "content": prompt}], **self._sampling}
        ).encode()
        reason = ""
        for pause in (*self._pauses, None):
            try:
                status, wait, data = self._post(body)
            except (OSError, http.client.HTTPException) as error:
                status, wait, data = 0, None, b""
                reason = f"it does not answer ({error or type(error).__name__})"
            else:
                if status == 200:
                    return _read(key, data)
                shown = " ".join(data.decode("utf-8", "replace").split())[:160]
                reason = f"status {status}: {shown}"
            busy = status in (0, 408, 429) or status >= 500
            if not busy or pause is None or (wait or 0) > LONGEST_PAUSE:
                break
            time.sleep(max(pause, wait or 0))
        if fatal and (status == 0 or 400 <= status < 500):
            raise EngineError(
                f"{self.url} refuses: {reason}", "nothing was asked", "check the address, the key and the model's name"
            )
        return Reply(key, error=reason)

    def _post(self, body: bytes) -> tuple[int, float | None, bytes]:
        connection = self._address.connect(self._timeout)
        try:
            headers = {"Content-Type": "application/json"}
            if self._address.authorization:
                headers["Authorization"] = self._address.authorization
            connection.request("POST", f"{self._address.path or '/v1'}/chat/completions", body, headers)
            response = connection.getresponse()
            wait = response.getheader("Retry-After") or ""
            return response.status, float(wait) if wait.isdecimal() else None, response.read(8 << 20)
        finally:
            connection.close()


def _read(key: str, data: bytes) -> Reply:
    try:
        text = json.loads(data)["choices"][0]["message"]["content"]
    except (ValueError, KeyError, TypeError, IndexError):
        return Reply(key, error=f"the server sent no chat completion: {data[:80]!r}")
    if not isinstance(text, str) or not text.strip():
        return Reply(key, error="the reply is empty")
    return Reply(key, text.strip())

"""One completion request to a server, and its answer read piece by piece.

The three flavours of request differ here and nowhere else.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

from runtime.engine.interrupt import StopFlag
from runtime.engine.protocol import TEXT_ONLY
from runtime.errors import EngineError
from runtime.settings import SamplingSettings

_LONGEST_LINE = 1 << 20
"""Bytes; an event holds a piece of a few characters, and a server that sends more at once is broken or means harm."""
_REQUEST_TOKENS = 1024
"""Tokens asked for at a time; a longer solution is simply asked on, and an overlong wish would be refused by some."""


BUSY = (429, 502, 503, 504)
LONGEST_PAUSE = 60.0
"""Seconds. A server that asks for a longer pause (`Retry-After`) is treated as refusing."""


class BusyError(EngineError):
    """The server asks to be left alone for a while; `wait` seconds of it where it says how long."""

    def __init__(self, cause: str, consequence: str, remedy: str, wait: float) -> None:
        super().__init__(cause, consequence, remedy)
        self.wait = wait


class Server(Protocol):
    """What a request needs to know of its server."""

    model: str
    base: str
    timeout: float
    stop_ids: list[int]
    """Tokens that end a message."""

    def connect(self) -> http.client.HTTPConnection:
        """A connection, not yet opened."""
        ...

    def headers(self) -> dict[str, str]:
        """Headers of every request."""
        ...


class Stream:
    """One completion request, read as server-sent events."""

    def __init__(
        self,
        server: Server,
        flavour: str,
        prompt: dict[str, Any],
        sampling: SamplingSettings,
        seed: int,
        *,
        tokens: int = _REQUEST_TOKENS,
        bias: Mapping[int, int] | None = None,
    ) -> None:
        self._server = server
        self._flavour = flavour
        self._connection: http.client.HTTPConnection | None = None
        self._socket: socket.socket | None = None
        self.abandoned = False
        """Whether `close` was called: nobody waits for the answer any more, and no try begins again."""
        self.finish: str | None = None
        """Why the server stopped: `stop`, `length`, or None while it has not."""
        text: Any = prompt["ids"] if "ids" in prompt else prompt["text"]
        body: dict[str, Any] = {
            "model": server.model,
            "prompt": text,
            "stream": True,
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "seed": seed,
        }
        # Not every server knows these; they are sent only where they change something.
        if sampling.top_k:
            body["top_k"] = sampling.top_k
        if sampling.min_p:
            body["min_p"] = sampling.min_p
        if sampling.repeat_penalty != 1.0:
            body["repeat_penalty" if flavour == "llama-server" else "repetition_penalty"] = sampling.repeat_penalty
        if bias:
            body["logit_bias"] = [[token, value] for token, value in bias.items()]
        if flavour == "llama-server":
            self.path = "/completion"
            body |= {"n_predict": tokens, "return_tokens": True, "cache_prompt": True}
        else:
            self.path = f"{server.base}/completions"
            body["max_tokens"] = tokens
            if bias:
                body["logit_bias"] = {str(token): value for token, value in bias.items()}
            if flavour == "vllm":
                body |= {"return_token_ids": True, "skip_special_tokens": False, "stop_token_ids": server.stop_ids}
            else:
                # Fenced dialects read the output block, they never write it.
                body["stop"] = ["```output"]
        self._body = json.dumps(body).encode()

    def pieces(self) -> Iterator[tuple[int, bytes]]:
        """(token or TEXT_ONLY, text) as they arrive.

        Raises:
            EngineError: the server refuses, fails, hangs or speaks nonsense.
        """
        if self.abandoned:
            return
        response = self._send()
        try:
            heard = time.monotonic()
            while raw := response.readline(_LONGEST_LINE):
                if len(raw) == _LONGEST_LINE:
                    raise broken(f"it sent a line of more than {_LONGEST_LINE:,} bytes")
                line = raw.strip()
                if not line.startswith(b"data:"):
                    if line.startswith((b"{", b"error:")):
                        raise broken(f"it sent {line[:120]!r}")
                    # Comments keep a connection alive; they are no sign that anything will ever be written.
                    if time.monotonic() - heard > self._server.timeout:
                        raise broken("it was silent for too long")
                    continue
                heard = time.monotonic()
                data = line[5:].strip()
                if data == b"[DONE]":
                    return
                yield from self._read(data)
            if self.finish is None and not self.abandoned:
                raise broken("the stream ended in the middle")
        except (OSError, http.client.HTTPException, AttributeError) as error:
            # AttributeError: http.client's own, where another thread closed the connection under it.
            if not self.abandoned:
                raise broken(reason(error)) from error
        finally:
            self._hang_up()

    def _send(self) -> http.client.HTTPResponse:
        connection = self._connection = self._server.connect()
        try:
            connection.request("POST", self.path, self._body, self._server.headers())
            # Kept, because http.client hands it to the response and forgets it.
            self._socket = connection.sock
            response = connection.getresponse()
        except (OSError, http.client.HTTPException) as error:
            self._hang_up()
            raise broken(reason(error)) from error
        if response.status != 200:
            text = response.read(2000).decode("utf-8", "replace")
            asked = response.getheader("Retry-After") or ""
            self._hang_up()
            refused = broken(f"status {response.status}: {' '.join(text.split())[:160]}")
            if response.status in BUSY:
                wait = float(asked) if asked.isdecimal() else 0.0
                raise BusyError(refused.cause, refused.consequence, refused.remedy, wait)
            raise refused
        return response

    def _read(self, data: bytes) -> Iterator[tuple[int, bytes]]:
        try:
            event = json.loads(data)
            if "error" in event:
                raise broken(str(event["error"])[:160])
            if self._flavour == "llama-server":
                tokens, text, finish = event.get("tokens", []), event["content"], None
                if event.get("stop"):
                    finish = "length" if event.get("stop_type") == "limit" else "stop"
            elif not event.get("choices"):
                # A last event with usage only.
                return
            else:
                choice = event["choices"][0]
                tokens, text = choice.get("token_ids") or [], choice.get("text") or ""
                finish = choice.get("finish_reason")
            if self._flavour == "text":
                if text:
                    yield TEXT_ONLY, str(text).encode("utf-8", "replace")
            else:
                for token in tokens:
                    yield int(token), b""
            self.finish = finish or self.finish
        except (ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError) as error:
            raise broken(f"it sent {data[:120]!r}") from error

    def close(self) -> None:
        """Hang up for good; the server stops generating."""
        self.abandoned = True
        self._hang_up()

    def _hang_up(self) -> None:
        # A plain close would not do it: the thread that reads holds the socket open until its next byte comes.
        if self._socket is not None:
            with contextlib.suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)
            self._socket = None
        if self._connection is not None:
            self._connection.close()


def with_retry(stream: Stream, flag: StopFlag, pauses: Sequence[float] = (0.5, 2, 4, 8)) -> Iterator[tuple[int, bytes]]:
    """Try a busy server again after the pause it asks for, as long as nothing has been read yet."""
    for pause in (*pauses, None):
        begun = False
        try:
            for piece in stream.pieces():
                begun = True
                yield piece
            return
        except EngineError as error:
            if stream.abandoned:
                return
            if begun or pause is None or not isinstance(error, BusyError) or error.wait > LONGEST_PAUSE:
                raise
            until = time.monotonic() + max(pause, error.wait)
            while time.monotonic() < until:
                if flag.is_set():
                    raise
                if stream.abandoned:
                    return
                time.sleep(min(0.1, pause))


def broken(what: str) -> EngineError:
    return EngineError(f"the server failed: {what}", "this solution cannot go on", "look at the server's own log")


def reason(error: BaseException) -> str:
    if isinstance(error, TimeoutError):
        return "it was silent for too long"
    return str(error) or type(error).__name__

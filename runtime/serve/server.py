"""The solver as an OpenAI-compatible chat endpoint on loopback.

Several questions are solved together, the others wait in a bounded queue. Answers are Markdown: text, fenced Python,
and the output of the cells in fenced `output` blocks, streamed as they are written.
"""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import itertools
import secrets
import socket
import time
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from runtime.engine import Engine
from runtime.engine.protocol import encode
from runtime.errors import EngineError, InputError, MathCoderError
from runtime.files import BadLine, parse_line
from runtime.serve.answers import DONE, Markdown, event, facts, finish_reason, frame, usage, whole_answer
from runtime.serve.connections import MOST_CONNECTIONS, BoundedProtocol
from runtime.serve.requests import RefusedError, is_stream, read_request
from runtime.serve.solving import SolveRequest, SolvingThread, Told
from runtime.settings import SolverSettings
from runtime.solver import Solution
from runtime.solver.attempt import check_room
from runtime.solver.dialects import choose, within_limits
from runtime.solver.item import Item

if TYPE_CHECKING:
    from runtime.sandbox import Limits

MAX_BODY = 1 << 20
"""Bytes of a request."""
_DRAIN_SECONDS = 2.0
"""How long an overlong request is read on and dropped, so that its sender hears why before the connection ends."""
_BODY_SECONDS = 60.0
_LOCAL_HOSTS = frozenset({"127.0.0.1", "localhost", "::1"})


class SolverServer:
    """Serves an engine over HTTP.

    Args:
        engine: see `runtime.engine.load`; used by one thread only.
        settings: what a request does not say itself. Requests share nothing else.
        limits: bounds of the sandbox sessions; every request gets a session of its own.
        model_name: what `/v1/models` tells.
        host: loopback addresses only, unless `allow_remote`.
        port: 0 for a free one; see `url`.
        key: bearer token clients must send; None makes one, see `key`.
        slots: requests solved together.
        waiting: requests that may wait; more get status 429.
        allow_remote: bind to any address. Whoever has the key can then run code in the sandbox.

    Raises:
        InputError: the address is not loopback, or taken.
        ModelError: the model lacks the dialect's control tokens.
    """

    def __init__(
        self,
        engine: Engine,
        settings: SolverSettings | None = None,
        *,
        limits: Limits | None = None,
        model_name: str = "mathcoder",
        host: str = "127.0.0.1",
        port: int = 8080,
        key: str | None = None,
        slots: int = 4,
        waiting: int = 8,
        allow_remote: bool = False,
    ) -> None:
        if host.strip("[]") not in _LOCAL_HOSTS and not allow_remote:
            raise InputError(
                f"{host} is not a loopback address", "others on the network could run code here", "serve on 127.0.0.1"
            )
        self.engine, self.settings = engine, settings or SolverSettings()
        self.model_name = model_name
        self.key = key if key is not None else secrets.token_urlsafe(24)
        self.allow_remote = allow_remote
        self.started = int(time.time())
        self._dialect = choose(self.settings.dialect, engine, self.settings.mode, self.settings.thinking)
        self.settings = within_limits(self.settings, self._dialect)
        self._numbers = itertools.count()
        self._socket = _listening(host.strip("[]"), port)
        self.port: int = self._socket.getsockname()[1]
        self.url = f"http://{host}:{self.port}/v1"
        config = uvicorn.Config(
            self._application(), http=BoundedProtocol, ws="none", lifespan="off", log_config=None, log_level="error",
            access_log=False, server_header=False, proxy_headers=False, timeout_keep_alive=60,
            timeout_graceful_shutdown=1,
        )  # fmt: skip
        self._http = uvicorn.Server(config)
        try:
            self._solving = SolvingThread(engine, self.settings, limits, slots=slots, waiting=waiting)
        except BaseException:
            self._socket.close()
            raise

    def serve_forever(self) -> None:
        """Serve until `close` is called or Ctrl-C."""
        try:
            self._http.run(sockets=[self._socket])
        finally:
            self.close()

    def close(self) -> None:
        """Stop serving; running solutions are interrupted, and their clients are told."""
        self._solving.close()
        self._http.should_exit = True
        if not self._http.started:
            self._socket.close()

    def _application(self) -> Starlette:
        return Starlette(
            routes=[
                Route("/health", self._health, methods=["GET"]),
                Route("/v1/models", self._models, methods=["GET"]),
                Route("/v1/models/{name:path}", self._model, methods=["GET"]),
                Route("/v1/chat/completions", self._complete, methods=["POST"]),
            ],
            exception_handlers={RefusedError: _refused, HTTPException: _not_here, ClientDisconnect: _gone},
        )

    # What is asked

    def _check(self, request: Request) -> None:
        try:
            host = urlsplit(f"//{request.headers.get('host', '')}").hostname or ""
        except ValueError:
            raise RefusedError(400, "the Host header is malformed") from None
        if not self.allow_remote and host not in _LOCAL_HOSTS:
            # A web page whose name was made to point at 127.0.0.1 gets no further than this.
            raise RefusedError(403, f"host {host!r} is not served here")
        scheme, _, sent = request.headers.get("authorization", "").partition(" ")
        is_known = hmac.compare_digest(sent.strip().encode("utf-8", "replace"), self.key.encode())
        if scheme.lower() != "bearer" or not is_known:
            raise RefusedError(401, "the key is missing or wrong", "authentication_error", code="invalid_api_key")
        if len(self._http.server_state.connections) > MOST_CONNECTIONS:
            raise RefusedError(503, "too many connections are open; close some", "server_error")

    async def _health(self, request: Request) -> Response:
        del request
        return JSONResponse({"status": "ok"})

    def _facts(self) -> dict[str, Any]:
        return {"id": self.model_name, "object": "model", "created": self.started, "owned_by": "local"}

    async def _models(self, request: Request) -> Response:
        self._check(request)
        return JSONResponse({"object": "list", "data": [self._facts()]})

    async def _model(self, request: Request) -> Response:
        self._check(request)
        if request.path_params["name"].rstrip("/") != self.model_name:
            raise RefusedError(404, f"there is no model {request.path_params['name']!r}", code="model_not_found")
        return JSONResponse(self._facts())

    async def _complete(self, request: Request) -> Response:
        self._check(request)
        length = request.headers.get("content-length", "")
        if length.isdigit() and int(length) > MAX_BODY:
            return _overlong(int(length))
        asked = parse_line(await _body(request))
        if isinstance(asked, BadLine):
            raise RefusedError(400, f"the request is {asked.reason}")
        item = read_request(asked, self.settings, str(next(self._numbers)))
        stream, with_usage = is_stream(asked)
        self._check_length(item)
        events: asyncio.Queue[Told] = asyncio.Queue()
        loop = asyncio.get_running_loop()

        def tell(told: Told) -> None:
            with contextlib.suppress(RuntimeError):  # The loop has ended: nobody listens.
                loop.call_soon_threadsafe(events.put_nowait, told)

        pending = SolveRequest(item, tell)
        if not self._solving.submit(pending):
            raise RefusedError(429, "too many questions are waiting; try again later", "rate_limit_error")
        if stream:
            chunks = self._stream(pending, events, with_usage=with_usage)
            headers = {"cache-control": "no-store"}
            return StreamingResponse(chunks, headers=headers, media_type="text/event-stream")
        try:
            last = await _last(request, events)
        finally:
            self._solving.cancel(pending)
        if last is None:
            return _gone(request, ClientDisconnect())
        return JSONResponse(whole_answer(_solved(last), self.model_name))

    def _check_length(self, item: Item) -> None:
        """Refuse what the context cannot hold before it waits for its turn."""
        vocabulary = self.engine.vocabulary
        if vocabulary is None or item.settings is None:
            return
        prompt = self._dialect.prompt(item.question, item.settings.system, item.history)
        length = len(encode(vocabulary, prompt)) + (vocabulary.bos is not None)
        if why := check_room(length, self.engine.n_ctx):
            raise RefusedError(400, why, parameter="messages", code="context_length_exceeded")

    # What is answered

    async def _stream(
        self, pending: SolveRequest, events: asyncio.Queue[Told], *, with_usage: bool
    ) -> AsyncIterator[bytes]:
        """The chunks of a streamed answer. Closed early, because the client is gone, it frees the solver."""
        begin = frame("chat.completion.chunk", self.model_name)

        def chunk(delta: dict[str, Any], finish: str | None = None, **extra: Any) -> bytes:
            return event({**begin, "choices": [{"index": 0, "delta": delta, "finish_reason": finish}], **extra})

        markdown = Markdown()
        try:
            yield chunk({"role": "assistant", "content": ""})
            while not isinstance(told := await events.get(), (Solution, MathCoderError)):
                for text in markdown.pieces(told):
                    yield chunk({"content": text})
            try:
                solution = _solved(told)
            except RefusedError as refused:
                yield event({"error": refused.error})
            else:
                yield chunk({}, finish_reason(solution), mathcoder=facts(solution))
                if with_usage:
                    yield event({**begin, "choices": [], "usage": usage(solution)})
            yield DONE
        finally:
            self._solving.cancel(pending)


def _listening(host: str, port: int) -> socket.socket:
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, port), family=family, backlog=64)
    except (OSError, OverflowError) as error:
        why = getattr(error, "strerror", None) or error
        raise InputError(
            f"cannot listen on {host}:{port} ({why})", "nothing is served", "choose another port"
        ) from error


async def _body(request: Request) -> bytes:
    """The body, bounded in length and time.

    Raises:
        RefusedError: it is longer than MAX_BODY, or takes too long to come.
    """
    body = bytearray()
    try:
        async with asyncio.timeout(_BODY_SECONDS):
            async for chunk in request.stream():
                body += chunk
                if len(body) > MAX_BODY:
                    raise RefusedError(413, f"the request has more than {MAX_BODY:,} bytes")
    except TimeoutError:
        raise RefusedError(408, "the request did not come to its end in time") from None
    return bytes(body)


def _overlong(length: int) -> Response:
    """The refusal of a body that is known to be too long.

    It ends the connection, but not before the client, which is still sending, had time to read it; what comes meanwhile
    is dropped.
    """
    refused = RefusedError(413, f"the request has {length:,} bytes; at most {MAX_BODY:,} are read")
    answer = JSONResponse({"error": refused.error})

    async def chunks() -> AsyncIterator[bytes]:
        yield bytes(answer.body)
        await asyncio.sleep(_DRAIN_SECONDS)

    return StreamingResponse(chunks(), 413, {**answer.headers, "connection": "close"})


async def _last(request: Request, events: asyncio.Queue[Told]) -> Solution | MathCoderError | None:
    """What a request ends with; None where the client is gone first."""

    async def until_gone() -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass

    gone = asyncio.ensure_future(until_gone())
    try:
        while True:
            told = asyncio.ensure_future(events.get())
            await asyncio.wait({gone, told}, return_when=asyncio.FIRST_COMPLETED)
            if not told.done():
                told.cancel()
                return None
            if isinstance(last := told.result(), (Solution, MathCoderError)):
                return last
    finally:
        gone.cancel()


def _solved(told: Solution | MathCoderError) -> Solution:
    """The solution, unless it was the machine that failed.

    Raises:
        RefusedError: status 500 with the reason, 503 where the server ends, 400 where the context is too small.
    """
    if isinstance(told, MathCoderError):
        raise RefusedError(503 if isinstance(told, EngineError) else 500, str(told), "server_error")
    if told.status == "error":
        raise RefusedError(500, told.detail, "server_error")
    if told.status == "context_full" and not told.blocks:
        raise RefusedError(400, told.detail, parameter="messages", code="context_length_exceeded")
    return told


def _refused(request: Request, error: Exception) -> Response:
    del request
    assert isinstance(error, RefusedError)
    headers = {"retry-after": "5"} if error.status in (429, 503) else {}
    if error.status in (408, 413, 503):
        headers["connection"] = "close"
    if error.status == 401:
        headers["www-authenticate"] = "Bearer"
    return JSONResponse({"error": error.error}, error.status, headers)


def _not_here(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    what = f"there is nothing at {request.url.path}"
    if error.status_code == 405:
        what = f"{request.method} is not offered at {request.url.path}"
    refused = RefusedError(error.status_code, what)
    return JSONResponse({"error": refused.error}, error.status_code, error.headers)


def _gone(request: Request, error: Exception) -> Response:
    del request, error
    return Response()  # Nobody is there to read it.

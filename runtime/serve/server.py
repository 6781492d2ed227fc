"""The solver as an OpenAI-compatible chat endpoint on loopback.

One question is solved at a time, the others wait in a bounded queue. Answers are Markdown: text, fenced Python, and the
output of the cells in fenced `output` blocks, streamed as they are written.
"""

from __future__ import annotations

import hmac
import json
import queue
import secrets
import select
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

from pydantic import ValidationError

from runtime.errors import InputError, MathCoderError
from runtime.lce import Block
from runtime.settings import MAX_SEED, SolverSettings
from runtime.solver import BlockEnded, BlockStarted, Event, Execution, Solution, Solver, TextPiece, check_question
from runtime.solver.dialects import Turn
from runtime.solver.dialects.fenced import fenced, unfenced

MAX_BODY = 1 << 20
"""Bytes of a request."""
_ONLY: dict[str, tuple[Any, ...]] = {
    "n": (1,),
    "stop": ("", []),
    "tools": ([],),
    "functions": ([],),
    "logprobs": (False,),
    "response_format": ({"type": "text"},),
}
"""What would change the answer and is not done, with the values that ask for nothing: refused, never ignored."""
_LOCAL_HOSTS = frozenset({"127.0.0.1", "localhost", "::1", "[::1]"})


class _RefusedError(Exception):
    def __init__(self, status: int, message: str, kind: str = "invalid_request_error") -> None:
        self.status, self.message, self.kind = status, message, kind
        super().__init__(message)


@dataclass(eq=False)
class _Job:
    question: str
    history: tuple[Turn, ...]
    settings: SolverSettings
    events: queue.SimpleQueue[Event | Solution | MathCoderError] = field(default_factory=queue.SimpleQueue)
    cancelled: bool = False


class SolverServer:
    """Serves one solver over HTTP.

    Args:
        solver: its engine and sandbox are used by one thread only.
        model_name: what `/v1/models` tells.
        host: loopback addresses only, unless `allow_remote`.
        port: 0 for a free one; see `url`.
        key: bearer token clients must send; None makes one, see `key`.
        waiting: requests that may wait; more get status 429.
        allow_remote: bind to any address. Whoever has the key can then run code in the sandbox.

    Raises:
        InputError: the address is not loopback, or taken.
    """

    def __init__(
        self,
        solver: Solver,
        *,
        model_name: str = "mathcoder",
        host: str = "127.0.0.1",
        port: int = 8080,
        key: str | None = None,
        waiting: int = 8,
        allow_remote: bool = False,
    ) -> None:
        if host not in _LOCAL_HOSTS and not allow_remote:
            raise InputError(
                f"{host} is no loopback address", "others on the network could run code here", "serve on 127.0.0.1"
            )
        self.solver = solver
        self.model_name = model_name
        self.key = key if key is not None else secrets.token_urlsafe(24)
        self.allow_remote = allow_remote
        self.started = int(time.time())
        self._jobs: queue.Queue[_Job | None] = queue.Queue(maxsize=waiting)
        self._running: _Job | None = None
        try:
            self._http = _Http((host, port), self)
        except OSError as error:
            raise InputError(
                f"cannot listen on {host}:{port} ({error.strerror})", "nothing is served", "choose another port"
            ) from error
        self.port: int = self._http.server_address[1]
        self.url = f"http://{host}:{self.port}/v1"
        self._worker = threading.Thread(target=self._work, name="solver", daemon=True)
        self._worker.start()

    def serve_forever(self) -> None:
        """Serve until `close` is called or Ctrl-C."""
        try:
            self._http.serve_forever(poll_interval=0.2)
        finally:
            self.close()

    def close(self) -> None:
        """Stop serving; the running solution is interrupted."""
        threading.Thread(target=self._http.shutdown, daemon=True).start()
        self._http.server_close()
        running = self._running
        if running is not None:
            running.cancelled = True
            self.solver.interrupt()
        while self._worker.is_alive():
            try:
                self._jobs.put(None, timeout=0.1)
                break
            except queue.Full:
                continue
        self._worker.join(timeout=10)

    # Work

    def submit(self, job: _Job) -> None:
        """Queue one job.

        Raises:
            _RefusedError: the queue is full.
        """
        try:
            self._jobs.put_nowait(job)
        except queue.Full:
            raise _RefusedError(429, "too many questions are waiting; try again later", "rate_limit_error") from None

    def cancel(self, job: _Job) -> None:
        """The client is gone."""
        job.cancelled = True
        if self._running is job:
            self.solver.interrupt()

    def _forward(self, job: _Job) -> Callable[[Event], None]:
        def forward(event: Event) -> None:
            job.events.put(event)
            if job.cancelled:
                # The client may have gone in the instant before the solver began to listen.
                self.solver.interrupt()

        return forward

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            if job.cancelled:
                continue
            self._running = job
            try:
                self.solver.settings = job.settings
                solution = self.solver.solve(
                    job.question, history=job.history, on_event=self._forward(job), seed=job.settings.seed
                )
                job.events.put(solution)
            except MathCoderError as error:
                job.events.put(error)
            except Exception as error:
                job.events.put(MathCoderError(f"the solver failed: {error}"))
            finally:
                self._running = None


class _Http(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, address: tuple[str, int], owner: SolverServer) -> None:
        self.owner = owner
        super().__init__(address, _Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up is no event for the terminal."""
        del request, client_address


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Http
    timeout = 60

    def log_message(self, format: str, *args: Any) -> None:
        """The terminal belongs to whoever started the server."""

    def do_GET(self) -> None:
        """`/v1/models` and `/health`."""
        self._answer(self._get)

    def do_POST(self) -> None:
        """`/v1/chat/completions`."""
        self._answer(self._post)

    def _answer(self, handle: Any) -> None:
        try:
            handle()
        except _RefusedError as refused:
            error = {"message": refused.message, "type": refused.kind, "code": refused.status}
            self.close_connection = True
            self._json(refused.status, {"error": error})
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    def _check(self) -> None:
        owner = self.server.owner
        host = urlsplit(f"//{self.headers.get('Host', '')}").hostname or ""
        if not owner.allow_remote and host not in _LOCAL_HOSTS:
            # A web page whose name was made to point at 127.0.0.1 gets no further than this.
            raise _RefusedError(403, f"host {host!r} is not served here")
        sent = self.headers.get("Authorization", "").removeprefix("Bearer ").strip()
        if not hmac.compare_digest(sent.encode("utf-8", "replace"), owner.key.encode()):
            raise _RefusedError(401, "the key is missing or wrong", "authentication_error")

    def _get(self) -> None:
        if self.path == "/health":
            self._json(200, {"status": "ok"})
            return
        self._check()
        owner = self.server.owner
        model = {"id": owner.model_name, "object": "model", "created": owner.started, "owned_by": "local"}
        path = unquote(self.path.rstrip("/"))
        if path == "/v1/models":
            self._json(200, {"object": "list", "data": [model]})
        elif path == f"/v1/models/{owner.model_name}":
            self._json(200, model)
        else:
            raise _RefusedError(404, f"there is nothing at {self.path}")

    def _post(self) -> None:
        self._check()
        if self.path.rstrip("/") != "/v1/chat/completions":
            raise _RefusedError(404, f"there is nothing at {self.path}")
        request = self._body()
        job = _job(request, self.server.owner.solver.settings)
        self.server.owner.submit(job)
        try:
            if request.get("stream"):
                options = request.get("stream_options")
                self._stream(job, usage=isinstance(options, dict) and options.get("include_usage") is True)
            else:
                self._whole(job)
        except (BrokenPipeError, ConnectionResetError, TimeoutError):
            self.server.owner.cancel(job)
            self.close_connection = True

    def _body(self) -> dict[str, Any]:
        length = self.headers.get("Content-Length")
        if length is None or not length.isdigit():
            raise _RefusedError(411, "Content-Length is missing")
        if int(length) > MAX_BODY:
            raise _RefusedError(413, f"the request has {length} bytes; at most {MAX_BODY} are read")
        try:
            body = json.loads(self.rfile.read(int(length)))
        except (ValueError, RecursionError) as error:
            raise _RefusedError(400, f"the request is no JSON: {error}") from error
        if not isinstance(body, dict):
            raise _RefusedError(400, "the request is no JSON object")
        return body

    def _whole(self, job: _Job) -> None:
        last = self._last(job, lambda event: None)
        if isinstance(last, MathCoderError):
            raise _RefusedError(500, str(last), "server_error")
        choice = {
            "index": 0,
            "message": {"role": "assistant", "content": fenced(last.blocks)},
            "finish_reason": _finish_reason(last),
        }
        frame = self._frame("chat.completion")
        self._json(200, {**frame, "choices": [choice], "usage": _usage(last), "mathcoder": _extra(last)})

    def _stream(self, job: _Job, *, usage: bool) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Cache-Control", "no-store")
        self.send_header("Connection", "close")
        self.end_headers()
        self.close_connection = True
        frame = self._frame("chat.completion.chunk")

        def send(delta: dict[str, Any], finish: str | None = None, **extra: Any) -> None:
            choice = {"index": 0, "delta": delta, "finish_reason": finish}
            self._event({**frame, "choices": [choice], **extra})

        send({"role": "assistant", "content": ""})
        markdown = _Markdown()

        def show(event: Event) -> None:
            for text in markdown.pieces(event):
                send({"content": text})

        last = self._last(job, show)
        if isinstance(last, MathCoderError):
            self._event({"error": {"message": str(last), "type": "server_error"}})
        else:
            send({}, _finish_reason(last), mathcoder=_extra(last))
            if usage:
                self._event({**frame, "choices": [], "usage": _usage(last)})
        self.wfile.write(b"data: [DONE]\n\n")

    def _last(self, job: _Job, show: Callable[[Event], None]) -> Solution | MathCoderError:
        """What the job ends with; its events are shown on the way.

        Raises:
            BrokenPipeError: the client has hung up; also while the job waits for its turn, or a cell is silent.
        """
        while True:
            try:
                event = job.events.get(timeout=0.5)
            except queue.Empty:
                if self._hung_up():
                    raise BrokenPipeError from None
                continue
            if isinstance(event, (Solution, MathCoderError)):
                return event
            show(event)

    def _hung_up(self) -> bool:
        """Whether the client has closed its side: it sends nothing while it waits for an answer."""
        readable, _, _ = select.select([self.connection], [], [], 0)
        return bool(readable) and not self.connection.recv(1, socket.MSG_PEEK)

    def _event(self, data: dict[str, Any]) -> None:
        self.wfile.write(b"data: " + json.dumps(data).encode() + b"\n\n")
        self.wfile.flush()

    def _frame(self, kind: str) -> dict[str, Any]:
        return {
            "id": f"chatcmpl-{secrets.token_hex(8)}",
            "object": kind,
            "created": int(time.time()),
            "model": self.server.owner.model_name,
        }

    def _json(self, status: int, body: dict[str, Any]) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        if status == 429:
            self.send_header("Retry-After", "5")
        self.end_headers()
        self.wfile.write(data)


class _Markdown:
    """Events as pieces of the Markdown that `fenced` makes of the finished blocks."""

    def __init__(self) -> None:
        self._first = True

    def pieces(self, event: Event) -> Iterator[str]:
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


def _usage(solution: Solution) -> dict[str, int]:
    prompt, written = solution.tokens["prompt"], solution.tokens["generated"] + solution.tokens["execution"]
    return {"prompt_tokens": prompt, "completion_tokens": written, "total_tokens": prompt + written}


def _finish_reason(solution: Solution) -> str:
    return "stop" if solution.status in ("answered", "no_answer") else "length"


def _extra(solution: Solution) -> dict[str, Any]:
    told = solution.as_dict()
    return {
        key: told[key] for key in ("answer", "status", "detail", "tokens", "cells", "failed_cells", "seconds", "seed")
    }


def _job(request: dict[str, Any], settings: SolverSettings) -> _Job:
    """The job a request asks for.

    Raises:
        _RefusedError: the request makes no sense.
    """
    messages = request.get("messages")
    if not isinstance(messages, list) or not messages:
        raise _RefusedError(400, "messages is missing or empty")
    turns: list[tuple[str, str]] = []
    for message in messages:
        if not isinstance(message, dict) or not isinstance(message.get("role"), str):
            raise _RefusedError(400, "a message is no object with a role")
        turns.append((message["role"], _text(message.get("content"))))
    changes: dict[str, Any] = {}
    if turns[0][0] in ("system", "developer"):
        changes["system"] = turns.pop(0)[1]
    if not turns or turns[-1][0] != "user":
        raise _RefusedError(400, "the last message must be the user's")
    history: list[Turn] = []
    earlier = turns[:-1]
    for (role, question), (answerer, answer) in zip(earlier[::2], earlier[1::2], strict=False):
        if role != "user" or answerer != "assistant":
            raise _RefusedError(400, "user and assistant messages must alternate")
        history.append((question, tuple(unfenced(answer))))
    if len(earlier) % 2:
        raise _RefusedError(400, "user and assistant messages must alternate")
    for name, usual in _ONLY.items():
        if request.get(name) not in (None, *usual):
            raise _RefusedError(400, f"{name} is not offered here; leave it out")
    for name, key in (("temperature", "temperature"), ("top_p", "top_p"), ("max_tokens", "max_tokens")):
        if request.get(name) is not None:
            changes[key] = request[name]
    if request.get("max_completion_tokens") is not None:
        changes["max_tokens"] = request["max_completion_tokens"]
    if isinstance(request.get("seed"), int):
        changes["seed"] = request["seed"] % MAX_SEED + 1
    try:
        chosen = SolverSettings.model_validate({**settings.model_dump(), **changes})
        check_question(turns[-1][1])
    except ValidationError as error:
        wrong = "; ".join(f"{item['loc'][0]}: {item['msg']}" for item in error.errors())
        raise _RefusedError(400, wrong) from error
    except InputError as error:
        raise _RefusedError(400, str(error)) from error
    return _Job(turns[-1][1], tuple(history), chosen)


def _text(content: Any) -> str:
    if isinstance(content, str):
        return content
    if isinstance(content, list) and all(isinstance(part, dict) and part.get("type") == "text" for part in content):
        return "".join(str(part.get("text", "")) for part in content)
    raise _RefusedError(400, "only text content is understood")

"""An engine behind HTTP: any OpenAI-compatible server draws the tokens, code still runs in the local sandbox.

Two ways to talk. With token ids both ways (vLLM's `/completions`, llama-server's `/completion`) everything works, the
block format included; the ids come from the GGUF file given as the model. Servers that exchange only text tokenize ours
with special parsing on and hide control tokens, so the block format is refused there; fenced dialects work.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import queue
import re
import socket
import threading
import time
from collections.abc import Iterable, Iterator
from collections.abc import Sequence as Seq
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from runtime.engine import ENDED, TEXT_ONLY, Drawn, Sequence, SequenceError, StoppedError, Vocabulary
from runtime.engine_native import AbortFlag
from runtime.errors import EngineError, InputError, ModelError
from runtime.lce import END_OF_MESSAGE, Segment
from runtime.settings import EngineSettings, SamplingSettings

Flavour = Literal["vllm", "llama-server", "text"]
_REQUEST_TOKENS = 1024
"""Tokens asked for at a time; a longer solution is simply asked on, and an overlong wish would be refused by some."""
_SPELLING = re.compile(r"<(?=\|[^|<>]{1,40}\|>|/?s>)")
"""Where text could be read as a control token by a server that parses special tokens."""


class EndpointEngine:
    """A connection to one server; see `runtime.engine.Engine` for the contract.

    Args:
        model: path of a GGUF file with the vocabulary of the server's model, or the name the server knows it by.
        url: base URL, such as `http://127.0.0.1:8000/v1`.
        settings: only `n_ctx` is used (what one solution may hold; the server has its own limit too).
        api_key: bearer token.
        timeout: seconds of silence after which the server counts as hung.

    Raises:
        InputError: no http(s) URL.
        EngineError: the server does not answer, or answers nonsense.
    """

    chat_template = ""

    def __init__(
        self,
        model: str,
        url: str,
        settings: EngineSettings,
        *,
        api_key: str | None = None,
        timeout: float = 120.0,
    ) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise InputError(f"{url!r} is no http URL", "", "give one such as http://127.0.0.1:8000/v1")
        self.url = url
        self._parts = parts
        self._base = parts.path.rstrip("/") or "/v1"
        self._key = api_key
        self.timeout = timeout
        self.n_ctx = settings.n_ctx or 4096
        self.stop_flag = AbortFlag()
        self._tokenizer: Any = None
        self.vocabulary: Vocabulary | None = None
        self.why_text_only = "only the name of a model was given, and without its vocabulary only text can be exchanged"
        local = Path(model)
        served = self._served_models()
        is_file = local.suffix == ".gguf" or local.is_file()
        self.model = served[0] if is_file and served else model
        self.flavour: Flavour = "text"
        if is_file:
            self._use_token_ids(local, settings)

    def _served_models(self) -> list[str]:
        status, body = self._request("GET", f"{self._base}/models")
        try:
            return [str(entry["id"]) for entry in json.loads(body)["data"]]
        except (ValueError, KeyError, TypeError) as error:
            raise EngineError(
                f"{self.url} is no OpenAI-compatible server (status {status} from {self._base}/models: {body[:80]!r})",
                "nothing can be solved with it",
                "check the address, and that the server has finished loading",
            ) from error

    def _use_token_ids(self, path: Path, settings: EngineSettings) -> None:
        from runtime.engine_llama import LlamaEngine

        self._tokenizer = LlamaEngine(path, settings, vocab_only=True)
        vocabulary = self._tokenizer.vocabulary
        ids = vocabulary.encode("1 + 1")
        reasons = []
        flavours: tuple[Flavour, ...] = ("vllm", "llama-server")
        for flavour in flavours:
            try:
                stream = _Stream(self, flavour, {"ids": ids}, SamplingSettings(), 1, tokens=1)
                got = [token for token, _ in stream.pieces() if token >= 0]
            except EngineError as error:
                reasons.append(f"{stream.path}: {error.cause}")
                continue
            if got:
                self.flavour, self.vocabulary = flavour, vocabulary
                return
            reasons.append(f"{stream.path}: it took token ids but returned none")
        self.why_text_only = f"the server does not take and return token ids ({'; '.join(reasons)})"

    def _connect(self) -> http.client.HTTPConnection:
        kind = http.client.HTTPSConnection if self._parts.scheme == "https" else http.client.HTTPConnection
        return kind(self._parts.hostname or "", self._parts.port, timeout=self.timeout)

    def _headers(self) -> dict[str, str]:
        headers = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream"}
        return {**headers, "Authorization": f"Bearer {self._key}"} if self._key else headers

    def _request(self, method: str, path: str) -> tuple[int, bytes]:
        connection = self._connect()
        try:
            connection.request(method, path, headers=self._headers())
            response = connection.getresponse()
            return response.status, response.read(1 << 20)
        except (OSError, http.client.HTTPException) as error:
            raise EngineError(
                f"{self.url} does not answer ({_reason(error)})", "nothing can be solved with it", "check the address"
            ) from error
        finally:
            connection.close()

    def open(self, slots: int = 1) -> EndpointDecoder:
        """See the protocol."""
        return EndpointDecoder(self, slots)

    def facts(self) -> dict[str, Any]:
        """See the protocol."""
        return {"engine": "endpoint", "endpoint": self.url, "model": self.model, "flavour": self.flavour}

    def close(self) -> None:
        """See the protocol."""
        if self._tokenizer is not None:
            self._tokenizer.close()


class _Stream:
    """One completion request, read as server-sent events."""

    def __init__(
        self,
        engine: EndpointEngine,
        flavour: str,
        prompt: dict[str, Any],
        sampling: SamplingSettings,
        seed: int,
        *,
        tokens: int = _REQUEST_TOKENS,
    ) -> None:
        self._engine = engine
        self._flavour = flavour
        self._connection: http.client.HTTPConnection | None = None
        self._socket: socket.socket | None = None
        self._closed = False
        self.finish: str | None = None
        """Why the server stopped: `stop`, `length`, or None while it has not."""
        text: Any = prompt["ids"] if "ids" in prompt else prompt["text"]
        body: dict[str, Any] = {
            "model": engine.model,
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
        if flavour == "llama-server":
            self.path = "/completion"
            body |= {"n_predict": tokens, "return_tokens": True, "cache_prompt": True}
        else:
            self.path = f"{engine._base}/completions"
            body["max_tokens"] = tokens
            if flavour == "vllm":
                ends = [engine._tokenizer.vocabulary.control_id(END_OF_MESSAGE)] if engine._tokenizer else []
                body |= {"return_token_ids": True, "skip_special_tokens": False}
                body["stop_token_ids"] = [token for token in ends if token is not None]
            else:
                # Fenced dialects read the output block, they never write it.
                body["stop"] = ["```output"]
        self._body = json.dumps(body).encode()

    def pieces(self) -> Iterator[tuple[int, bytes]]:
        """(token or TEXT_ONLY, text) as they arrive.

        Raises:
            EngineError: the server refuses, fails, hangs or speaks nonsense.
        """
        response = self._send()
        try:
            for raw in response:
                line = raw.strip()
                if not line.startswith(b"data:"):
                    if line.startswith((b"{", b"error:")):
                        raise _broken(f"it sent {line[:120]!r}")
                    continue
                data = line[5:].strip()
                if data == b"[DONE]":
                    return
                yield from self._read(data)
            if self.finish is None and not self._closed:
                raise _broken("the stream ended in the middle")
        except (OSError, http.client.HTTPException, AttributeError) as error:
            # AttributeError: http.client's own, where another thread closed the connection under it.
            if not self._closed:
                raise _broken(_reason(error)) from error
        finally:
            self.close()

    def _send(self) -> http.client.HTTPResponse:
        connection = self._connection = self._engine._connect()
        try:
            connection.request("POST", self.path, self._body, self._engine._headers())
            # Kept, because http.client hands it to the response and forgets it.
            self._socket = connection.sock
            response = connection.getresponse()
        except (OSError, http.client.HTTPException) as error:
            self.close()
            raise _broken(_reason(error)) from error
        if response.status != 200:
            text = response.read(2000).decode("utf-8", "replace")
            self.close()
            raise _broken(f"status {response.status}: {' '.join(text.split())[:160]}")
        return response

    def _read(self, data: bytes) -> Iterator[tuple[int, bytes]]:
        try:
            event = json.loads(data)
            if "error" in event:
                raise _broken(str(event["error"])[:160])
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
        except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
            raise _broken(f"it sent {data[:120]!r}") from error

    def close(self) -> None:
        """Hang up; the server stops generating.

        A plain close would not do it: the thread that reads holds the socket open until its next byte comes.
        """
        self._closed = True
        if self._socket is not None:
            with contextlib.suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)
            self._socket = None
        if self._connection is not None:
            self._connection.close()


@dataclass(slots=True, eq=False)
class _Remote(Sequence):
    text: str = ""
    sampling: SamplingSettings = field(default_factory=SamplingSettings)
    seed: int = 1
    requests: int = 0
    stream: _Stream | None = None
    failure: EngineError | None = None
    arrived: queue.SimpleQueue[tuple[int, bytes] | EngineError | None] = field(default_factory=queue.SimpleQueue)


class EndpointDecoder:
    """See `runtime.engine.Decoder` for the contract; each sequence has a request of its own under way."""

    def __init__(self, engine: EndpointEngine, slots: int) -> None:
        self.engine, self.slots, self.n_ctx = engine, slots, engine.n_ctx
        self._live: list[_Remote] = []
        self._news = threading.Event()

    def start(
        self,
        segments: Iterable[Segment],
        sampling: SamplingSettings,
        seed: int,
        *,
        share: bool = False,
        after: Sequence | None = None,
    ) -> Sequence:
        """See the protocol. What is shared is the server's to decide."""
        del share
        if after is not None:
            self.finish(after)
        if len(self._live) >= self.slots:
            raise EngineError(f"all {self.slots} slots are in use", "", "finish a sequence first")
        sequence = _Remote(slot=len(self._live), sampling=sampling, seed=seed)
        vocabulary = self.engine.vocabulary
        if vocabulary is not None and vocabulary.bos is not None:
            sequence.ids.append(vocabulary.bos)
        self.feed(sequence, segments)
        self._live.append(sequence)
        return sequence

    def feed(self, sequence: Sequence, segments: Iterable[Segment]) -> int:
        """See the protocol. For text the count is 0: only the server knows it."""
        assert isinstance(sequence, _Remote)
        self._hang_up(sequence)
        before = sequence.length
        for segment in segments:
            if self.engine.vocabulary is None:
                # Content must not become a control token over there: one space keeps it from being read as one.
                sequence.text += segment.text if segment.is_control else _SPELLING.sub("< ", segment.text)
            elif segment.is_control:
                token = self.engine.vocabulary.control_id(segment.text)
                if token is None:
                    raise ModelError(f"the vocabulary has no control token {segment.text}", "", "use another dialect")
                sequence.ids.append(token)
            else:
                sequence.ids += self.engine.vocabulary.encode(segment.text)
        return sequence.length - before

    def step(self, sequences: Seq[Sequence]) -> list[Drawn]:
        """See the protocol. Waits until at least one of the sequences has something."""
        self._report(sequences)
        while True:
            self._news.clear()
            drawn: list[Drawn] = []
            for sequence in sequences:
                assert isinstance(sequence, _Remote)
                if sequence.stream is None and sequence.failure is None:
                    self._ask(sequence)
                drawn += self._take(sequence)
            if drawn:
                return drawn
            # Only now, so that what others have drawn is not lost.
            self._report(sequences)
            if self.engine.stop_flag.is_set():
                raise StoppedError("the request was stopped")
            # A limit, so that a stop request is seen soon.
            self._news.wait(0.1)

    def _report(self, sequences: Seq[Sequence]) -> None:
        for sequence in sequences:
            if isinstance(sequence, _Remote) and (error := sequence.failure) is not None:
                raise SequenceError(sequence, error.cause, error.consequence, error.remedy)

    def _take(self, sequence: _Remote) -> list[Drawn]:
        """At most one piece: what follows may be cut off by what the loop makes of this one."""
        try:
            got = sequence.arrived.get_nowait()
        except queue.Empty:
            return []
        if isinstance(got, EngineError):
            sequence.failure = got
            return []
        if got is None:
            finished = sequence.stream.finish if sequence.stream is not None else None
            sequence.stream = None
            return [] if finished == "length" else [Drawn(sequence, ENDED, b"")]
        token, piece = got
        vocabulary = self.engine.vocabulary
        if vocabulary is None:
            sequence.text += piece.decode("utf-8")
            return [Drawn(sequence, TEXT_ONLY, piece)]
        if token in sequence.forbidden if sequence.only is None else token not in sequence.only:
            self._hang_up(sequence)
            sequence.failure = EngineError(
                f"the server's model wrote token {token}, which the format does not allow there",
                "this solution cannot go on",
                "check that the server holds the model the vocabulary is from",
            )
            return []
        sequence.ids.append(token)
        return [Drawn(sequence, token, vocabulary.piece(token))]

    def _ask(self, sequence: _Remote) -> None:
        engine = self.engine
        if engine.vocabulary is None:
            prompt: dict[str, Any] = {"text": sequence.text}
        else:
            prompt = {"ids": list(sequence.ids)}
            sequence.evaluated += len(sequence.ids) - sequence.past
            sequence.past = len(sequence.ids)
        # A new request for the same solution must not draw the same random numbers again.
        seed = (sequence.seed + sequence.requests * 7919) % 2**31
        sequence.requests += 1
        stream = sequence.stream = _Stream(engine, engine.flavour, prompt, sequence.sampling, seed)
        arrived = sequence.arrived = queue.SimpleQueue()

        def read() -> None:
            try:
                for piece in _with_retry(stream, engine.stop_flag):
                    arrived.put(piece)
                    self._news.set()
                arrived.put(None)
            except EngineError as error:
                arrived.put(error)
            self._news.set()

        threading.Thread(target=read, name="endpoint-stream", daemon=True).start()

    def _hang_up(self, sequence: _Remote) -> None:
        if sequence.stream is not None:
            sequence.stream.close()
            sequence.stream = None
        sequence.arrived = queue.SimpleQueue()

    def park(self, sequence: Sequence) -> None:
        """See the protocol. The cache is the server's."""

    def finish(self, sequence: Sequence) -> None:
        """See the protocol."""
        assert isinstance(sequence, _Remote)
        self._hang_up(sequence)
        if sequence in self._live:
            self._live.remove(sequence)

    def close(self) -> None:
        """See the protocol."""
        for sequence in list(self._live):
            self.finish(sequence)


def _with_retry(stream: _Stream, flag: AbortFlag, pauses: Seq[float] = (0.5, 2.0)) -> Iterator[tuple[int, bytes]]:
    """A busy server deserves a second try, as long as nothing has been read yet."""
    for pause in (*pauses, None):
        begun = False
        try:
            for piece in stream.pieces():
                begun = True
                yield piece
            return
        except EngineError as error:
            busy = any(f"status {code}" in error.cause for code in (429, 502, 503, 504))
            if begun or pause is None or not busy or flag.is_set():
                raise
            time.sleep(pause)
            stream._closed = False


def _broken(what: str) -> EngineError:
    return EngineError(f"the server failed: {what}", "this solution cannot go on", "look at the server's own log")


def _reason(error: BaseException) -> str:
    if isinstance(error, TimeoutError):
        return "it was silent for too long"
    return str(error) or type(error).__name__

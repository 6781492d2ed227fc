"""An engine behind HTTP: an OpenAI-compatible server draws the tokens, code runs in the sandbox here.

Two ways to talk. With token ids both ways (vLLM's `/completions`, llama-server's `/completion`) everything works, the
block format included; the ids come from the GGUF file given as the model. Servers that exchange only text tokenize ours
with special parsing on and hide control tokens, so the block format is refused there; fenced dialects work.
"""

from __future__ import annotations

import http.client
import json
import queue
import re
import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from runtime.engine.interrupt import StopFlag
from runtime.engine.protocol import (
    ENDED,
    TEXT_ONLY,
    About,
    Decoder,
    Drawn,
    Opening,
    SequenceError,
    StoppedError,
    TokenSequence,
    Vocabulary,
)
from runtime.engine.server.address import read_address
from runtime.engine.server.stream import Stream, reason, with_retry
from runtime.errors import EngineError
from runtime.lce import END_OF_MESSAGE, Segment
from runtime.settings import EngineSettings, SamplingSettings

_MASK = 100
"""Added to a logit it allows, or taken from one it forbids; the largest bias servers take."""

Flavour = Literal["vllm", "llama-server", "text"]
CONTROL_SPELLING = re.compile(
    r"<(?=\|[^|<>]{1,40}\|>|/?[a-z_]{1,30}>|\uff5c[^<>]{1,60}\uff5c>)|\[(?=/?(?:INST|[A-Z]+_[A-Z_]+)\])"
)
"""Where text could be read as a control token by a server that parses special tokens: `<|im_end|>`, `</s>`,
`<end_of_turn>`, DeepSeek's full-width bars, Mistral's `[/INST]` and `[TOOL_CALLS]`."""


class EndpointEngine:
    """A connection to one server; see `runtime.engine.protocol.Engine` for the contract.

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
    about = About()

    def __init__(
        self,
        model: str,
        url: str,
        settings: EngineSettings,
        *,
        api_key: str | None = None,
        timeout: float = 120.0,
    ) -> None:
        self._address = read_address(url, api_key)
        self.url = self._address.shown
        self.base = self._address.path or "/v1"
        self.timeout = timeout
        self.n_ctx = settings.n_ctx or 4096
        self.stop_flag = StopFlag()
        self.tokenizer: Any = None
        self.stop_ids: list[int] = []
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
        status, body = self._request("GET", f"{self.base}/models")
        try:
            return [str(entry["id"]) for entry in json.loads(body)["data"]]
        except (ValueError, KeyError, TypeError) as error:
            raise EngineError(
                f"{self.url} is not an OpenAI-compatible server (status {status} from {self.base}/models: "
                f"{body[:80]!r})",
                "nothing can be solved with it",
                "check the address, and that the server has finished loading",
            ) from error

    def _use_token_ids(self, path: Path, settings: EngineSettings) -> None:
        from runtime.engine.llama.engine import LlamaEngine

        self.tokenizer = LlamaEngine(path, settings, vocab_only=True)
        vocabulary = self.tokenizer.vocabulary
        self.chat_template, self.about = self.tokenizer.chat_template, self.tokenizer.about
        end = vocabulary.control_id(END_OF_MESSAGE)
        self.stop_ids = [] if end is None else [end]
        ids = vocabulary.encode("1 + 1")
        reasons = []
        flavours: tuple[Flavour, ...] = ("vllm", "llama-server")
        for flavour in flavours:
            try:
                stream = Stream(self, flavour, {"ids": ids}, SamplingSettings(), 1, tokens=1)
                got = [token for token, _ in stream.pieces() if token >= 0]
            except EngineError as error:
                reasons.append(f"{stream.path}: {error.cause}")
                continue
            if got:
                self.flavour, self.vocabulary = flavour, vocabulary
                return
            reasons.append(f"{stream.path}: it took token ids but returned none")
        self.why_text_only = f"the server does not take and return token ids ({'; '.join(reasons)})"

    def connect(self) -> http.client.HTTPConnection:
        """A connection, not yet opened."""
        return self._address.connect(self.timeout)

    def headers(self) -> dict[str, str]:
        """Headers of every request, the key among them."""
        headers = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream"}
        key = self._address.authorization
        return {**headers, "Authorization": key} if key else headers

    def _request(self, method: str, path: str) -> tuple[int, bytes]:
        connection = self.connect()
        try:
            connection.request(method, path, headers=self.headers())
            response = connection.getresponse()
            return response.status, response.read(1 << 20)
        except (OSError, http.client.HTTPException) as error:
            raise EngineError(
                f"{self.url} does not answer ({reason(error)})", "nothing can be solved with it", "check the address"
            ) from error
        finally:
            connection.close()

    def open(self, slots: int = 1) -> EndpointDecoder:
        """A decoder for `slots` sequences at once."""
        return EndpointDecoder(self, slots)

    def facts(self) -> dict[str, Any]:
        """What a record of a run needs to know of the model."""
        return {"engine": "endpoint", "endpoint": self.url, "model": self.model, "flavour": self.flavour}

    def close(self) -> None:
        """Free everything."""
        if self.tokenizer is not None:
            self.tokenizer.close()


@dataclass(slots=True, eq=False)
class _Remote(TokenSequence):
    text: str = ""
    sampling: SamplingSettings = field(default_factory=SamplingSettings)
    seed: int = 1
    requests: int = 0
    masked: bool = False
    """Whether the next request is for one token, drawn with the mask of this place."""
    stream: Stream | None = None
    failure: EngineError | None = None
    arrived: queue.SimpleQueue[tuple[int, bytes] | EngineError | None] = field(default_factory=queue.SimpleQueue)


class EndpointDecoder(Decoder):
    """Sequences of one server, each with a request of its own under way; see `protocol.Decoder`."""

    def __init__(self, engine: EndpointEngine, slots: int) -> None:
        super().__init__(engine.vocabulary, engine.n_ctx, slots)
        self.engine: EndpointEngine = engine
        self._live: list[_Remote] = []
        self._news = threading.Event()

    @property
    def live(self) -> int:
        """Sequences that hold a slot."""
        return len(self._live)

    def _open(self, prompt: list[Segment], asked: Opening) -> TokenSequence:
        if self.engine.vocabulary is not None:
            return super()._open(prompt, asked)
        sequence = self.begin([], asked)
        self.feed(sequence, prompt)
        return sequence

    def begin(self, ids: list[int], asked: Opening) -> TokenSequence:
        # What is shared is the server's to decide.
        if asked.after is not None:
            self.finish(asked.after)
        sequence = _Remote(slot=len(self._live), ids=ids, sampling=asked.sampling, seed=asked.seed)
        self._live.append(sequence)
        return sequence

    def feed(self, sequence: TokenSequence, segments: Iterable[Segment]) -> int:
        """Append what the model did not write; returns how many tokens that is.

        For text the count is 0: only the server knows it.
        """
        assert isinstance(sequence, _Remote)
        self._hang_up(sequence)
        if self.engine.vocabulary is not None:
            return super().feed(sequence, segments)
        # Content must not become a control token over there: one space keeps it from being read as one.
        sequence.text += "".join(
            segment.text if segment.is_control else CONTROL_SPELLING.sub(r"\g<0> ", segment.text)
            for segment in segments
        )
        return 0

    def step(self, sequences: Sequence[TokenSequence]) -> list[Drawn]:
        """One decode of pending tokens, then one drawn token for every sequence with none left.

        Waits until at least one of the sequences has something.
        """
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

    def _report(self, sequences: Sequence[TokenSequence]) -> None:
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
            if finished != "length" and not sequence.masked and not self._may_end(sequence):
                self._ask_for_one(sequence)
                return []
            return [] if finished == "length" else [Drawn(sequence, ENDED, b"")]
        token, piece = got
        vocabulary = self.engine.vocabulary
        if vocabulary is None:
            sequence.text += piece.decode("utf-8")
            return [Drawn(sequence, TEXT_ONLY, piece)]
        if token in sequence.forbidden if sequence.only is None else token not in sequence.only:
            if not sequence.masked:
                self._ask_for_one(sequence)
                return []
            self._hang_up(sequence)
            sequence.failure = EngineError(
                f"the server's model wrote token {token}, which the format does not allow there, "
                "and the server took no notice of logit_bias",
                "this solution cannot go on",
                "check that the server holds the model the vocabulary is from",
            )
            return []
        sequence.masked = False
        sequence.ids.append(token)
        return [Drawn(sequence, token, vocabulary.piece(token))]

    def _may_end(self, sequence: _Remote) -> bool:
        ends = self.engine.vocabulary.ends if self.engine.vocabulary is not None else frozenset()
        allowed = ends - sequence.forbidden if sequence.only is None else ends & sequence.only
        return bool(allowed) or not ends

    def _ask_for_one(self, sequence: _Remote) -> None:
        """Have this token drawn again with its mask.

        A server draws ahead without masks, which change from token to token; drawing again only where the draw was not
        allowed gives each allowed token its share.
        """
        self._hang_up(sequence)
        sequence.masked = True
        self._news.set()

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
        request = (engine, engine.flavour, prompt, sequence.sampling, seed)
        if sequence.masked:
            allowed = sequence.only
            bias = dict.fromkeys(sequence.forbidden, -_MASK) if allowed is None else dict.fromkeys(allowed, _MASK)
            stream = Stream(*request, tokens=1, bias=bias)
        else:
            stream = Stream(*request)
        sequence.stream = stream
        arrived = sequence.arrived = queue.SimpleQueue()

        def read() -> None:
            try:
                for piece in with_retry(stream, engine.stop_flag):
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

    def park(self, sequence: TokenSequence) -> None:
        """Give the sequence's cache back for now; its tokens are evaluated again when it is stepped next.

        The cache is the server's.
        """

    def finish(self, sequence: TokenSequence) -> None:
        """Free the slot."""
        assert isinstance(sequence, _Remote)
        self._hang_up(sequence)
        if sequence in self._live:
            self._live.remove(sequence)

    def close(self) -> None:
        """Free everything."""
        for sequence in list(self._live):
            self.finish(sequence)

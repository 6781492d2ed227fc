"""Servers as engines: fenced dialects over text, the block format over ids, and bad servers."""

from __future__ import annotations

import base64
import json
import re
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from gguf_factory import write_model
from stock_server import stock_server

from runtime.engine import load
from runtime.engine.interrupt import StopFlag
from runtime.engine.llama.engine import LlamaEngine
from runtime.engine.protocol import Opening
from runtime.engine.scripted import script_tokens
from runtime.engine.server.address import read_address
from runtime.engine.server.engine import CONTROL_SPELLING, EndpointEngine
from runtime.engine.server.stream import Stream, with_retry
from runtime.errors import EngineError, InputError, ModelError
from runtime.lce import Block
from runtime.sandbox import CellResult, Sandbox
from runtime.settings import EngineSettings, Mode, SamplingSettings, SolverSettings
from runtime.solver import Solver
from runtime.solver.batch import Item, solve_batch

FENCED = SolverSettings(dialect="generic", max_tokens=400)


class Server:
    """A scripted completion server. `reply` gets the request and returns (status, chunks of the stream)."""

    def __init__(self, reply: Callable[[dict[str, Any]], tuple[int, list[bytes | float]]]) -> None:
        self.requests: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.answered_with: dict[str, str] = {}
        """Headers of every answer."""
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *args: Any) -> None:
                del args

            def do_GET(self) -> None:
                self.send_response(200)
                self.end_headers()
                self.wfile.write(b'{"data": [{"id": "served"}]}')

            def do_POST(self) -> None:
                request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                request["path"] = self.path
                outer.requests.append(request)
                outer.headers.append(dict(self.headers))
                status, chunks = reply(request)
                self.send_response(status)
                for name, value in outer.answered_with.items():
                    self.send_header(name, value)
                self.end_headers()
                try:
                    for chunk in chunks:
                        if isinstance(chunk, float):
                            time.sleep(chunk)
                        else:
                            self.wfile.write(chunk)
                            self.wfile.flush()
                except OSError:
                    return

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.daemon_threads = True
        threading.Thread(target=self.http.serve_forever, args=(0.02,), daemon=True).start()
        self.url = f"http://127.0.0.1:{self.http.server_address[1]}/v1"

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *_: object) -> None:
        self.http.shutdown()
        self.http.server_close()


def chunk(text: str, finish: str | None = None, **extra: Any) -> bytes:
    choice = {"text": text, "finish_reason": finish, "index": 0, **extra}
    return b"data: " + json.dumps({"choices": [choice]}).encode() + b"\n\n"


def texts(*pieces: str, finish: str = "stop") -> list[bytes | float]:
    return [*(chunk(piece) for piece in pieces), chunk("", finish), b"data: [DONE]\n\n"]


def calculator(request: dict[str, Any]) -> tuple[int, list[bytes | float]]:
    """Writes code first, and after an output block the answer it read there."""
    prompt = request["prompt"]
    if "```output\n" not in prompt:
        # More than the loop wants: what follows the closing fence must be dropped.
        return 200, texts(
            "Let us ", "compute.\n``", "`python\n6 ", "* 7\n```", "\n```output\n41\n```\nIt is \\boxed{41}."
        )
    value = prompt.rpartition("```output\n")[2].split("\n")[0]
    return 200, texts("It is ", f"\\boxed{{{value}}}.")


@pytest.fixture
def cells(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    ran: list[str] = []

    def run(_: Sandbox, code: str) -> CellResult:
        ran.append(code)
        return CellResult("42", "ok", 0.0)

    monkeypatch.setattr(Sandbox, "run", run)
    return ran


# Addresses


def test_a_path_and_a_password_of_any_bytes_can_be_sent() -> None:
    address = read_address("http://us\udce9r:p\u00e4ss@127.0.0.1:8000/caf\u00e9/\udce9 x/v1/")
    assert address.path == "/caf%C3%A9/%E9%20x/v1"
    assert base64.b64decode(address.authorization.removeprefix("Basic ")) == b"us\xe9r:p\xc3\xa4ss"


@pytest.mark.parametrize("url", ["http://\udce9.example/v1", f"http://{'a' * 70}.example/v1", "http://..example/v1"])
def test_a_host_that_no_resolver_takes_is_refused_before_it_is_asked_for(url: str) -> None:
    with pytest.raises(InputError, match="not an http URL"):
        read_address(url)


def test_a_key_that_no_header_may_hold_is_refused_without_showing_it() -> None:
    for key in ("secret\n", "s\u20acret", "two words", "\udce9"):
        with pytest.raises(InputError, match="the key of the server holds characters") as refused:
            read_address("http://127.0.0.1:8000/v1", key)
        assert key.strip() not in str(refused.value)


# Text


def test_a_fenced_model_behind_a_server_computes_with_the_local_sandbox() -> None:
    with Server(calculator) as server, Sandbox() as sandbox:
        engine = load("served", endpoint=server.url)
        solution = Solver(engine, sandbox, FENCED).solve("What is 6 times 7?")
    assert [b.type for b in solution.blocks] == ["text", "code", "execution", "text"]
    assert (solution.status, solution.answer, solution.cells) == ("answered", "42", 1)
    second = server.requests[1]["prompt"]
    assert second.endswith("```python\n6 * 7\n```\n```output\n42\n```\n")
    assert "41" not in second


def test_a_batch_over_a_server_solves_every_item(cells: list[str]) -> None:
    with Server(calculator) as server:
        engine = load("served", endpoint=server.url)
        items = [Item(str(n), n, f"Question {n}?") for n in range(8)]
        done = {item.id: s for item, s in solve_batch(engine, items, FENCED, slots=4)}
    assert {s.answer for s in done.values()} == {"42"}
    assert len(done) == len(cells) == 8


def test_a_question_cannot_spell_a_control_token_to_a_server_that_would_read_one(cells: list[str]) -> None:
    with Server(calculator) as server:
        engine = load("served", endpoint=server.url)
        Solver(engine, Sandbox(), SolverSettings(dialect="qwen-math")).solve("a <|im_end|> b </s> c")
    prompt = server.requests[0]["prompt"]
    assert prompt.count("<|im_end|>") == 2
    assert "</s>" not in prompt
    assert "a < |im_end|> b < /s> c" in prompt
    assert cells


@pytest.mark.parametrize(
    "spelling",
    [
        "<|endofblock|>",
        "<s>",
        "</s>",
        "<eos>",
        "<end_of_turn>",
        "<\uff5cend\u2581of\u2581sentence\uff5c>",
        "[/INST]",
        "[TOOL_CALLS]",
    ],
)
def test_spellings_of_many_models_are_broken_up_and_mathematics_is_not(spelling: str) -> None:
    assert spelling not in CONTROL_SPELLING.sub(r"\g<0> ", f"a{spelling}b")
    for plain in ("a < b > c", "area of [ABC]", "|x| < |y|", "[AB]", "x<|y|", "<1, 2>"):
        assert CONTROL_SPELLING.sub(r"\g<0> ", plain) == plain


def test_a_stream_cut_by_the_servers_own_limit_is_asked_on(cells: list[str]) -> None:
    answers = iter([texts("It is ", finish="length"), texts("\\boxed{42}.")])
    with Server(lambda _: (200, next(answers))) as server:
        solution = Solver(load("served", endpoint=server.url), Sandbox(), FENCED).solve("q")
    assert solution.answer == "42"
    assert server.requests[1]["prompt"].endswith("It is ")
    assert server.requests[0]["seed"] != server.requests[1]["seed"]
    assert not cells


def test_the_key_is_sent_and_sampling_settings_arrive(cells: list[str]) -> None:
    settings = SolverSettings(dialect="generic", temperature=0.7, top_p=0.9, top_k=40)
    with Server(calculator) as server:
        engine = load("served", endpoint=server.url, api_key="secret")
        Solver(engine, Sandbox(), settings).solve("q")
    assert server.headers[0]["Authorization"] == "Bearer secret"
    request = server.requests[0]
    assert (request["temperature"], request["top_p"], request["top_k"], request["model"]) == (0.7, 0.9, 40, "served")
    assert cells


def test_a_fenced_chain_of_thought_over_a_server_runs_nothing_and_reads_no_invented_output(cells: list[str]) -> None:
    said = texts("We add.\n```python\n6*7\n```\n", "```output\n41\n```\nIt is \\boxed{41}.")
    with Server(lambda _: (200, said)) as server:
        engine = load("served", endpoint=server.url)
        settings = SolverSettings(dialect="qwen-math", mode="chain-of-thought")
        solution = Solver(engine, None, settings).solve("What is 6 times 7?")
    assert solution.blocks == [Block("text", "We add.\n```python\n6*7\n```")]
    assert (solution.cells, cells, len(server.requests)) == (0, [], 1)
    assert solution.answer != "41"
    assert "programs" not in server.requests[0]["prompt"]


def test_a_fenced_program_of_thought_over_a_server_answers_with_what_it_printed(cells: list[str]) -> None:
    with Server(calculator) as server:
        engine = load("served", endpoint=server.url)
        settings = SolverSettings(dialect="generic", mode="program-of-thought")
        solution = Solver(engine, Sandbox(), settings).solve("What is 6 times 7?")
    assert [block.type for block in solution.blocks] == ["text", "code", "execution"]
    assert (solution.answer, solution.status, solution.cells, cells) == ("42", "answered", 1, ["6 * 7"])
    assert len(server.requests) == 1, "the model does not read the result"


def test_a_fenced_model_behind_a_server_imagines_its_output(cells: list[str]) -> None:
    answers = iter([texts("```python\n6*7\n```\n", "```output\n40"), texts("41\n``", "`\nIt is \\boxed{41}.")])
    with Server(lambda _: (200, next(answers))) as server:
        engine = load("served", endpoint=server.url)
        solution = Solver(engine, None, SolverSettings(dialect="generic", mode="imagined")).solve("What is 6 times 7?")
    assert solution.blocks == [Block("code", "6*7"), Block("execution", "41"), Block("text", "It is \\boxed{41}.")]
    assert (solution.answer, solution.cells, cells) == ("41", 0, [])
    assert server.requests[1]["prompt"].endswith("```python\n6*7\n```\n```output\n")


# Token ids


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("model") / "tiny.gguf")


def by_token_ids(model: Path, path: str) -> Callable[[dict[str, Any]], tuple[int, list[bytes | float]]]:
    """A server of the vLLM or llama-server kind that writes code, then the answer."""
    with LlamaEngine(model, EngineSettings(threads=1), vocab_only=True) as engine:
        words = engine.vocabulary
        code = script_tokens(words, [Block("text", "Look:"), Block("code", "6*7")], end=False)
        answer = script_tokens(words, [Block("text", "42")])
        execution = words.control_id("<|execution|>")

    def reply(request: dict[str, Any]) -> tuple[int, list[bytes | float]]:
        if request["path"] != path:
            return 404, [b"{}"]
        assert all(isinstance(token, int) for token in request["prompt"])
        tokens = answer if execution in request["prompt"] else code
        if path == "/completion":
            assert request["return_tokens"]
            events = [{"content": "", "tokens": [token], "stop": False} for token in tokens]
            events.append({"content": "", "tokens": [], "stop": True, "stop_type": "eos"})
            return 200, [b"data: " + json.dumps(event).encode() + b"\n\n" for event in events]
        assert request["return_token_ids"]
        return 200, [*(chunk("", token_ids=[token]) for token in tokens), chunk("", "stop"), b"data: [DONE]\n\n"]

    return reply


class Served:
    """A server that draws with a real model, any number of tokens a request, masked by `logit_bias`."""

    def __init__(self, model: Path, path: str, *, deaf: bool = False) -> None:
        self.engine, self.path, self.deaf = LlamaEngine(model, EngineSettings(threads=1, n_ctx=512)), path, deaf
        self.masked = 0
        self._lock = threading.Lock()

    def __call__(self, request: dict[str, Any]) -> tuple[int, list[bytes | float]]:
        if request["path"] != self.path:
            return 404, [b"{}"]
        vllm = self.path != "/completion"
        bias = request.get("logit_bias") or {}
        with self._lock:
            self.masked += bool(bias)
            pairs = [(int(token), value) for token, value in (bias.items() if isinstance(bias, dict) else bias)]
            assert isinstance(bias, dict) == vllm or not bias
            tokens = self._draw(request["prompt"], pairs, min(request["max_tokens" if vllm else "n_predict"], 30))
        ended = self.engine.vocabulary.is_end(tokens[-1])
        if vllm:
            last = chunk("", "stop" if ended else "length")
            return 200, [*(chunk("", token_ids=[token]) for token in tokens), last, b"data: [DONE]\n\n"]
        events = [{"content": "", "tokens": [token], "stop": False} for token in tokens]
        events.append({"content": "", "tokens": [], "stop": True, "stop_type": "eos" if ended else "limit"})
        return 200, [b"data: " + json.dumps(event).encode() + b"\n\n" for event in events]

    def _draw(self, ids: list[int], bias: list[tuple[int, float]], most: int) -> list[int]:
        decoder = self.engine.open(1)
        sequence = decoder.begin(list(ids), Opening(SamplingSettings(), 1))
        if bias and not self.deaf:
            only = frozenset(token for token, value in bias if value > 0)
            sequence.only, sequence.forbidden = only or None, frozenset(token for token, _ in bias) - only
        tokens: list[int] = []
        while len(tokens) < most and not (tokens and self.engine.vocabulary.is_end(tokens[-1])):
            tokens += [drawn.token for drawn in decoder.step([sequence])]
        decoder.close()
        return tokens


@pytest.fixture(scope="module")
def loud(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that writes control tokens wherever it can, the forbidden ones too."""
    return write_model(tmp_path_factory.mktemp("model") / "loud.gguf", loud_control=12.0, seed=5)


@pytest.mark.parametrize("mode", ["full", "chain-of-thought", "program-of-thought", "imagined"])
@pytest.mark.parametrize("path", ["/v1/completions", "/completion"], ids=["vLLM", "llama-server"])
def test_every_mode_writes_over_a_server_what_it_writes_without(
    loud: Path, cells: list[str], mode: Mode, path: str
) -> None:
    settings = SolverSettings(mode=mode, max_tokens=60)
    served = Served(loud, path)
    with Server(served) as server, Sandbox() as sandbox:
        solutions = []
        for engine in (load(loud, n_ctx=512, threads=1), load(loud, n_ctx=512, endpoint=server.url)):
            solver = Solver(engine, sandbox, settings)
            solutions.append([solver.solve(f"{n} + 1?") for n in range(2)])
            engine.close()
    served.engine.close()
    local, remote = solutions
    assert [s.blocks for s in remote] == [s.blocks for s in local]
    assert [(s.status, s.answer, s.tokens) for s in remote] == [(s.status, s.answer, s.tokens) for s in local]
    assert served.masked, "this model wants what the mode forbids"
    assert bool(cells) == (mode in ("full", "program-of-thought") and any(s.cells for s in local))


def test_a_server_that_ignores_the_mask_is_one_clear_error(loud: Path) -> None:
    served = Served(loud, "/v1/completions", deaf=True)
    with Server(served) as server:
        engine = load(loud, n_ctx=512, endpoint=server.url)
        solution = Solver(engine, None, SolverSettings(mode="imagined", max_tokens=60)).solve("0 + 1?")
        engine.close()
    served.engine.close()
    assert solution.status == "error"
    assert "took no notice of logit_bias" in solution.detail


@pytest.mark.parametrize("path", ["/v1/completions", "/completion"], ids=["vLLM", "llama-server"])
def test_the_block_format_works_where_token_ids_go_both_ways(model: Path, cells: list[str], path: str) -> None:
    with Server(by_token_ids(model, path)) as server:
        engine = load(model, endpoint=server.url)
        solution = Solver(engine, Sandbox(), SolverSettings()).solve("What is <|endofblock|> 6*7?")
        engine.close()
    assert solution.blocks == [
        *(Block("text", "Look:"), Block("code", "6*7"), Block("execution", "42"), Block("text", "42"))
    ]
    assert (solution.status, solution.answer) == ("answered", "42")
    assert cells == ["6*7"]


def test_the_block_format_is_refused_with_the_reason_where_only_text_can_be_exchanged(model: Path) -> None:
    with Server(calculator) as server:
        with pytest.raises(ModelError, match="only the name of a model was given"):
            Solver(load("served", endpoint=server.url), Sandbox())
        for known in (model, "served"):
            engine = load(known, endpoint=server.url)
            with pytest.raises(ModelError, match=r"token ids.*fenced dialect"):
                Solver(engine, Sandbox())
            engine.close()


# Servers that misbehave


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        (lambda _: (500, [b"boom"]), "status 500: boom"),
        (lambda _: (200, [b"data: nonsense\n\n"]), "nonsense"),
        (lambda _: (200, [b'data: {"choices": [7]}\n\n']), "choices"),
        (lambda _: (200, [b"<html>hello</html>"]), "ended in the middle"),
        (lambda _: (200, [chunk("It is")]), "ended in the middle"),
        (lambda _: (200, [b'data: {"error": {"message": "out of memory"}}\n\n']), "out of memory"),
        (lambda _: (200, [chunk("It is"), 30.0]), "silent for too long"),
        (lambda _: (200, [chunk("It is"), *[b": ping\n", 0.1] * 300]), "silent for too long"),
        (lambda _: (200, [b"data: " + b"x" * (2 << 20) + b"\n\n"]), "a line of more than"),
        (lambda _: (200, [b"data: " + b"[" * 100_000 + b"\n\n"]), "it sent b'[[["),
    ],
    ids=[
        *("500", "nonsense", "wrong shape", "a web page", "cut off", "error event", "hangs"),
        *("pings only", "a huge line", "nested too deep"),
    ],
)
def test_a_server_that_fails_is_one_clear_error_of_that_solution(
    reply: Callable[[dict[str, Any]], Any], said: str
) -> None:
    with Server(reply) as server:
        # Half a second has been too short to connect on a busy machine.
        engine = EndpointEngine("served", server.url, EngineSettings(), timeout=2.0)
        solution = Solver(engine, Sandbox(), FENCED).solve("q")
    assert solution.status == "error"
    assert said in solution.detail


def test_a_batch_goes_on_when_the_server_fails_for_one(cells: list[str]) -> None:
    def reply(request: dict[str, Any]) -> tuple[int, list[bytes | float]]:
        return (500, [b"boom"]) if "Question 2" in request["prompt"] else calculator(request)

    with Server(reply) as server:
        items = [Item(str(n), n, f"Question {n}?") for n in range(5)]
        done = {i.id: s for i, s in solve_batch(load("served", endpoint=server.url), items, FENCED, slots=3)}
    assert {id_ for id_, s in done.items() if s.status == "error"} == {"2"}
    assert sum(s.answer == "42" for s in done.values()) == 4
    assert len(cells) == 4


def test_a_busy_server_is_asked_again(cells: list[str]) -> None:
    tries: list[int] = []

    def reply(request: dict[str, Any]) -> tuple[int, list[bytes | float]]:
        tries.append(1)
        return (503, [b"busy"]) if len(tries) == 1 else calculator(request)

    with Server(reply) as server:
        assert Solver(load("served", endpoint=server.url), Sandbox(), FENCED).solve("q").answer == "42"
    assert cells


def test_a_server_that_limits_the_rate_is_given_the_pause_it_asks_for() -> None:
    times: list[float] = []

    def reply(_: dict[str, Any]) -> tuple[int, list[bytes | float]]:
        times.append(time.monotonic())
        return (429, [b"slow down"]) if len(times) <= 2 else (200, texts("42"))

    with Server(reply) as server:
        server.answered_with["Retry-After"] = "1"
        stream = Stream(
            EndpointEngine("served", server.url, EngineSettings()), "text", {"text": "q"}, SamplingSettings(), 1
        )
        assert b"".join(piece for _, piece in with_retry(stream, StopFlag(), (0.1, 0.1))) == b"42"
        assert min(times[1] - times[0], times[2] - times[1]) >= 1
        server.answered_with["Retry-After"] = "3600"
        times.clear()
        with pytest.raises(EngineError, match="status 429"):
            list(with_retry(stream, StopFlag()))
        assert len(times) == 1


def test_a_request_that_was_hung_up_on_is_not_sent_again(monkeypatch: pytest.MonkeyPatch) -> None:
    with Server(lambda _: (503, [b"busy"])) as server:
        engine = EndpointEngine("served", server.url, EngineSettings(), timeout=5)
        stream = Stream(engine, "text", {"text": "q"}, SamplingSettings(), 1)
        monkeypatch.setattr("runtime.engine.server.stream.time.sleep", lambda _: stream.close())
        assert list(with_retry(stream, StopFlag())) == []
        assert len(server.requests) == 1


def test_a_stop_request_ends_a_solution_while_the_server_is_silent() -> None:
    with Server(lambda _: (200, [chunk("It is"), 30.0])) as server:
        solver = Solver(load("served", endpoint=server.url), Sandbox(), FENCED)
        threading.Timer(0.5, solver.interrupt).start()
        begun = time.monotonic()
        assert solver.solve("q").status == "interrupted"
        assert time.monotonic() - begun < 10


def test_no_server_no_url_and_no_sense_are_clear_errors(model: Path) -> None:
    with pytest.raises(EngineError, match="does not answer"):
        load("served", endpoint="http://127.0.0.1:9/v1")
    with pytest.raises(InputError, match="not an http URL"):
        load("served", endpoint="localhost:8000")
    with pytest.raises(InputError, match="lora and endpoint"):
        load(model, endpoint="http://127.0.0.1:9/v1", lora="x.gguf")


# The real llama_cpp.server


@pytest.fixture(scope="module")
def real_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """`llama_cpp.server` with a random model."""
    path = write_model(tmp_path_factory.mktemp("served") / "tiny.gguf", plain=True)
    with stock_server(path, "--n_ctx", "1024") as url:
        yield url, path


def test_the_real_server_speaks_the_fenced_dialect(real_server: tuple[str, Path]) -> None:
    url, path = real_server
    engine = load(str(path.name.removesuffix(".gguf")), endpoint=url)
    settings = SolverSettings(dialect="generic", max_tokens=15)
    solution = Solver(engine, Sandbox(), settings).solve("What is 1+1?")
    # Random weights: what counts is that text comes, in order, and that the end is the budget's or the model's own.
    assert solution.status in ("token_limit", "answered", "no_answer"), solution.detail
    assert solution.blocks
    again = Solver(engine, Sandbox(), settings).solve("What is 1+1?")
    assert again.blocks == solution.blocks


def test_the_real_server_is_refused_for_the_block_format(real_server: tuple[str, Path]) -> None:
    url, path = real_server
    engine = load(path, endpoint=url)
    with pytest.raises(ModelError, match=r"does not take and return token ids.*status \d\d\d"):
        Solver(engine, Sandbox())
    engine.close()


def test_user_and_password_of_a_url_are_sent_and_never_shown() -> None:
    with Server(calculator) as server:
        url = server.url.replace("//", "//ann:s%40cret@") + "?token=hidden"
        engine = load("m", endpoint=url)
        solution = Solver(engine, None, FENCED.model_copy(update={"code_execution": False})).solve("q")
        assert solution.blocks
        assert server.headers[-1]["Authorization"] == "Basic YW5uOnNAY3JldA=="
        assert engine.facts()["endpoint"] == server.url
    for wrong, reason in (
        (url.replace("http", "ftp"), "is not an http URL"),
        (url.replace("127.0.0.1", "[127"), "is not an http URL"),
        (url, "does not answer"),
    ):
        with pytest.raises((InputError, EngineError), match=reason) as caught:
            load("m", endpoint=wrong)
        assert not {"cret", "hidden", "ann"} & set(re.findall("cret|hidden|ann", str(caught.value)))

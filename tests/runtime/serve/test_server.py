"""The solver as an HTTP server: answers, streams, and everything it refuses."""

from __future__ import annotations

import http.client
import json
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from runtime.engine.scripted import ReplayDecoder, ReplayEngine
from runtime.errors import InputError
from runtime.lce import Block
from runtime.sandbox import CellResult, Sandbox
from runtime.serve.connections import MOST_CONNECTIONS
from runtime.serve.server import MAX_BODY, SolverServer
from runtime.settings import SamplingSettings, SolverSettings
from runtime.solver.dialects.lce import BlockFormat

BLOCKS = [Block("text", "We add."), Block("code", "1+1"), Block("text", "2")]
MARKDOWN = "We add.\n```python\n1+1\n```\n```output\n2\n```\n2"


class Cells:
    """Every cell answers 2; it waits while `gate` is closed."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.gate.set()
        self.started = self.interrupted = 0

    def run(self, _: Sandbox, code: str) -> CellResult:
        del code
        self.started += 1
        self.gate.wait(20)
        return CellResult("2", "ok", 0.0)

    def interrupt(self, _: Sandbox) -> None:
        self.interrupted += 1
        self.gate.set()

    def wait_for(self, started: int) -> None:
        deadline = time.monotonic() + 20
        while self.started < started and time.monotonic() < deadline:
            time.sleep(0.01)
        assert self.started >= started


@pytest.fixture
def cells(monkeypatch: pytest.MonkeyPatch) -> Cells:
    """Cells without a process."""
    cells = Cells()
    monkeypatch.setattr(Sandbox, "run", lambda self, code: cells.run(self, code))
    monkeypatch.setattr(Sandbox, "interrupt", lambda self: cells.interrupt(self))
    return cells


def script(question: str) -> list[Block]:
    if question == "broken":
        raise KeyError(question)
    return BLOCKS if question != "fail" else [Block("execution", "x")]


class WatchedEngine(ReplayEngine):
    """Remembers what every sequence was begun with."""

    def __init__(self, **options: Any) -> None:
        super().__init__(script, end=True, **options)
        self.begun: list[tuple[str, SamplingSettings, int]] = []

    def open(self, slots: int = 1) -> ReplayDecoder:
        decoder = super().open(slots)
        start = decoder.start

        def watched(segments: Any, sampling: Any, seed: int, **rest: Any) -> Any:
            prompt = list(segments)
            self.begun.append(("".join(segment.text for segment in prompt), sampling, seed))
            return start(prompt, sampling, seed, **rest)

        decoder.start = watched  # type: ignore[method-assign]
        return decoder


@pytest.fixture
def engine() -> WatchedEngine:
    return WatchedEngine()


def served(engine: ReplayEngine, **options: Any) -> SolverServer:
    server = SolverServer(engine, SolverSettings(), port=0, key="k", **options)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


@pytest.fixture
def server(cells: Cells, engine: WatchedEngine) -> Iterator[SolverServer]:
    server = served(engine, slots=2, waiting=1)
    yield server
    cells.gate.set()
    server.close()


def call(
    server: SolverServer,
    body: Any = None,
    *,
    path: str = "/v1/chat/completions",
    key: str = "k",
    headers: dict[str, str] | None = None,
) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
    sent = {"Authorization": f"Bearer {key}", **(headers or {})}
    data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
    connection.request("GET" if data is None else "POST", path, data, sent)
    response = connection.getresponse()
    result = response.status, response.read()
    connection.close()
    return result


def ask(question: Any, **extra: Any) -> dict[str, Any]:
    return {"model": "m", "messages": [{"role": "user", "content": question}], **extra}


def test_an_answer_holds_text_code_and_output_as_markdown(server: SolverServer) -> None:
    status, body = call(server, ask("What is 1+1?"))
    told = json.loads(body)
    assert status == 200
    assert told["choices"][0]["message"] == {"role": "assistant", "content": MARKDOWN}
    assert told["choices"][0]["finish_reason"] == "stop"
    assert told["mathcoder"]["answer"] == "2"
    assert told["usage"]["total_tokens"] == told["usage"]["prompt_tokens"] + told["usage"]["completion_tokens"]


def test_a_stream_is_the_same_markdown_in_pieces(server: SolverServer) -> None:
    _, body = call(server, ask([{"type": "text", "text": "What is 1+1?"}], stream=True))
    lines = [line[6:] for line in body.decode().split("\n\n") if line.startswith("data: ")]
    assert lines[-1] == "[DONE]"
    events = [json.loads(line) for line in lines[:-1]]
    pieces = [event["choices"][0]["delta"].get("content", "") for event in events]
    assert "".join(pieces) == MARKDOWN
    assert len([piece for piece in pieces if piece]) > 5
    assert events[-1]["choices"][0]["finish_reason"] == "stop"
    assert events[-1]["mathcoder"]["status"] == "answered"


def test_the_model_is_listed_and_health_needs_no_key(server: SolverServer) -> None:
    [model] = json.loads(call(server, path="/v1/models")[1])["data"]
    assert model["id"] == "mathcoder"
    assert isinstance(model["created"], int)
    assert json.loads(call(server, path="/v1/models/mathcoder")[1]) == model
    assert call(server, path="/health", key="")[0] == 200


@pytest.mark.parametrize("key", ["", "wrong", "k ü"])
def test_without_the_key_nothing_is_answered(server: SolverServer, key: str) -> None:
    assert call(server, ask("q"), key=key.encode("latin-1").decode("latin-1"))[0] == 401
    assert call(server, path="/v1/models", key="no")[0] == 401


def test_a_web_page_with_a_rebound_name_is_refused(server: SolverServer) -> None:
    assert call(server, ask("q"), headers={"Host": "evil.example:80"})[0] == 403


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        (b"not json", 400, "not valid JSON"),
        (b"", 400, "not valid JSON"),
        (b'{"messages": "\xff"}', 400, "not UTF-8"),
        (b"[]", 400, "not a JSON object"),
        ({}, 400, "messages"),
        ({"messages": []}, 400, "messages"),
        ({"messages": [7]}, 400, "role"),
        ({"messages": [{"role": "assistant", "content": "x"}]}, 400, "last message"),
        ({"messages": [{"role": "user", "content": {"type": "image"}}]}, 400, "text"),
        (ask(""), 400, "empty"),
        (ask("x" * 200_000), 400, "200,000"),
        (ask("q", temperature=-1), 400, "temperature"),
        (ask("q", temperature="0.5"), 400, "temperature must be a number"),
        (ask("q", max_tokens=True), 400, "max_tokens must be a number"),
        (ask("q", max_completion_tokens=True), 400, "max_tokens must be a number"),
        (ask("q", max_tokens="many"), 400, "max_tokens"),
        (ask("q", seed="x"), 400, "seed"),
        (ask("q", stream="yes"), 400, "stream"),
        ({"messages": [{"role": "user", "content": "a"}, {"role": "user", "content": "b"}]}, 400, "alternate"),
    ],
)
def test_a_request_that_makes_no_sense_is_told_why(server: SolverServer, body: Any, status: int, said: str) -> None:
    got, answer = call(server, body)
    assert got == status
    assert said in json.loads(answer)["error"]["message"]


def test_a_stream_tells_its_usage_where_that_is_asked_for(server: SolverServer) -> None:
    _, body = call(server, ask("q", stream=True, stream_options={"include_usage": True}))
    *_, finish, last = [json.loads(line[6:]) for line in body.decode().split("\n\n")[:-2]]
    assert finish["choices"][0]["finish_reason"] == "stop"
    assert (last["choices"], last["usage"]) == ([], json.loads(call(server, ask("q"))[1])["usage"])


@pytest.mark.parametrize(
    "wish",
    [
        *({"n": 2}, {"stop": ["x"]}, {"tools": [{}]}, {"response_format": {"type": "json"}}, {"logprobs": True}),
        *({"frequency_penalty": 0.5}, {"logit_bias": {"5": 1}}, {"reasoning_effort": "high"}, {"best_of": 3}),
    ],
)
def test_what_is_not_offered_is_refused_and_not_ignored(server: SolverServer, wish: dict[str, Any]) -> None:
    status, body = call(server, ask("q", **wish))
    error = json.loads(body)["error"]
    assert (status, error["param"], error["code"]) == (400, next(iter(wish)), "unsupported_parameter")
    assert next(iter(wish)) in error["message"]
    assert call(server, ask("q", n=1, stop=None, tools=[], frequency_penalty=0, user="u", best_of=None))[0] == 200


def test_a_request_nested_too_deep_is_a_bad_one(server: SolverServer) -> None:
    assert call(server, b"[" * 200_000)[0] == 400


@pytest.mark.parametrize("stream", [False, True])
def test_a_client_that_hangs_up_while_a_cell_is_silent_frees_the_solver(
    server: SolverServer, cells: Cells, stream: bool
) -> None:
    cells.gate.clear()
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
    body = json.dumps(ask("q", stream=stream))
    connection.request("POST", "/v1/chat/completions", body, {"Authorization": "Bearer k"})
    cells.wait_for(1)
    connection.close()
    deadline = time.monotonic() + 20
    while not cells.interrupted and time.monotonic() < deadline:
        time.sleep(0.01)
    assert cells.interrupted, "the gate stays closed: only the hang-up can have ended the cell"


def test_an_earlier_answer_comes_back_as_the_blocks_it_was(server: SolverServer, engine: WatchedEngine) -> None:
    messages = [{"role": "user", "content": "a"}, {"role": "assistant", "content": MARKDOWN}]
    assert call(server, {"messages": [*messages, {"role": "user", "content": "c"}]})[0] == 200
    blocks = [BLOCKS[0], BLOCKS[1], Block("execution", "2"), BLOCKS[2]]
    expected = BlockFormat().prompt("c", SolverSettings().system, [("a", blocks)])
    assert engine.begun[-1][0] == "".join(segment.text for segment in expected)


def test_a_request_over_the_size_limit_is_not_read(server: SolverServer) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
    connection.putrequest("POST", "/v1/chat/completions")
    connection.putheader("Authorization", "Bearer k")
    connection.putheader("Content-Length", str(MAX_BODY + 1))
    connection.endheaders()
    assert connection.getresponse().status == 413
    connection.close()


def test_what_is_not_there_is_404(server: SolverServer) -> None:
    assert call(server, path="/v1/nothing")[0] == 404
    assert call(server, ask("q"), path="/v1/completions")[0] == 404


def test_a_conversation_and_its_system_text_reach_the_solver(server: SolverServer, engine: WatchedEngine) -> None:
    messages = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "a"},
        {"role": "assistant", "content": "b"},
        {"role": "user", "content": "c"},
    ]
    assert call(server, {"messages": messages, "seed": 5})[0] == 200
    expected = BlockFormat().prompt("c", "Be brief.", [("a", [Block("text", "b")])])
    prompt, _, seed = engine.begun[-1]
    assert (prompt, seed) == ("".join(segment.text for segment in expected), 6)


def test_nothing_that_one_request_asks_for_reaches_the_next(server: SolverServer, engine: WatchedEngine) -> None:
    system = {"role": "system", "content": "Answer in Latin."}
    wishes = {"temperature": 1.5, "top_p": 0.3, "max_tokens": 7, "seed": 99}
    wished = {**ask("q", **wishes), "messages": [system, {"role": "user", "content": "q"}]}
    before = json.loads(call(server, ask("q"))[1])
    assert call(server, wished)[0] == 200
    after = json.loads(call(server, ask("q"))[1])
    assert (before["choices"], before["usage"]) == (after["choices"], after["usage"])
    assert before["mathcoder"]["seed"] == after["mathcoder"]["seed"]
    first, second, third = engine.begun
    assert first == third
    assert (second[1].temperature, second[1].top_p, second[2]) == (1.5, 0.3, 100)
    assert "Latin" in second[0]


def test_a_failing_solution_is_no_failing_server(server: SolverServer) -> None:
    assert call(server, ask("q"))[0] == 200
    told = json.loads(call(server, ask("fail"))[1])
    assert told["choices"][0]["message"]["content"] == ""
    assert told["mathcoder"]["status"] == "no_answer"
    assert call(server, ask("q"))[0] == 200


def test_more_requests_than_may_wait_get_429(server: SolverServer, cells: Cells) -> None:
    cells.gate.clear()
    results: list[int] = []
    threads = [threading.Thread(target=lambda: results.append(call(server, ask("q"))[0])) for _ in range(4)]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + 20
    while not results and time.monotonic() < deadline:
        time.sleep(0.01)
    assert results == [429], "two run and one waits"
    cells.gate.set()
    for thread in threads:
        thread.join()
    assert sorted(results) == [200, 200, 200, 429]


def test_two_questions_are_solved_together(server: SolverServer, cells: Cells) -> None:
    cells.gate.clear()
    threads = [threading.Thread(target=call, args=(server, ask(f"q{n}"))) for n in range(2)]
    for thread in threads:
        thread.start()
    cells.wait_for(2)  # Neither cell has ended: both are under way.
    cells.gate.set()
    for thread in threads:
        thread.join()


def test_a_client_that_hangs_up_frees_the_solver(server: SolverServer, cells: Cells) -> None:
    cells.gate.clear()
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
    body = json.dumps(ask("q", stream=True))
    connection.request("POST", "/v1/chat/completions", body, {"Authorization": "Bearer k"})
    response = connection.getresponse()
    response.read(10)
    response.close()
    connection.close()
    cells.gate.set()
    assert call(server, ask("q"))[0] == 200


def test_a_refusal_leaves_the_connection_open_for_the_next_request(server: SolverServer) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
    headers = {"Authorization": "Bearer k", "Content-Type": "application/json"}
    for _ in range(20):
        connection.request("POST", "/v1/chat/completions", json.dumps({"messages": "none"}), headers)
        response = connection.getresponse()
        response.read()
        assert (response.status, response.getheader("Connection")) == (400, None)
        connection.request("GET", "/v1/models", headers=headers)
        response = connection.getresponse()
        response.read()
        assert response.status == 200
    connection.close()


def test_a_query_is_left_aside_and_the_scheme_of_the_key_may_be_in_lower_case(server: SolverServer) -> None:
    assert call(server, path="/v1/models?limit=2&order=asc")[0] == 200
    assert call(server, ask("q"), path="/v1/chat/completions?api-version=2026")[0] == 200
    assert call(server, path="/v1/models", headers={"Authorization": "bearer k"})[0] == 200
    assert call(server, path="/v1/models", headers={"Authorization": "basic k"})[0] == 401


@pytest.mark.parametrize("stream", [False, True])
def test_a_question_over_the_context_is_a_400_with_a_sentence(cells: Cells, stream: bool) -> None:
    del cells
    server = served(WatchedEngine(n_ctx=700))
    status, body = call(server, ask("7 + " * 300 + "7?", stream=stream))
    error = json.loads(body)["error"]
    assert (status, error["code"], error["param"]) == (400, "context_length_exceeded", "messages")
    assert "the context holds 700" in error["message"]
    server.close()


def test_a_solution_that_the_machine_broke_is_a_500_with_the_reason(server: SolverServer) -> None:
    status, body = call(server, ask("q", model="m"))
    assert status == 200
    status, body = call(server, ask("broken"))
    assert status == 500
    assert json.loads(body)["error"]["type"] == "server_error"
    assert call(server, ask("q"))[0] == 200


def test_half_a_surrogate_in_a_question_is_answered(server: SolverServer) -> None:
    assert call(server, rb'{"messages": [{"role": "user", "content": "2 + 3? \ud83d"}]}')[0] == 200


def raw(server: SolverServer, data: bytes) -> bytes:
    """What comes back for bytes that no HTTP client would send."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as connection:
        connection.sendall(data)
        answer = b""
        while piece := connection.recv(65536):
            answer += piece
    return answer


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: ten\r\n", 400),
        (b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: -5\r\n", 400),
        (b"GET /v1/models HTTP/1.1\r\nHost: [::1\r\nAuthorization: Bearer k\r\n", 400),
        (b"GET /v1/models HTTP/1.1\r\nHost: localhost:port\r\nAuthorization: Bearer k\r\n", 200),
        (b"GET /v1/models HTTP/1.1\r\nHost: \xff\r\nAuthorization: Bearer k\r\n", 403),
        (b"nonsense\r\n", 400),
    ],
)
def test_malformed_requests_are_answered(server: SolverServer, head: bytes, status: int) -> None:
    answer = raw(server, head + b"Connection: close\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 %d " % status), answer
    assert status == 200 or json.loads(answer.partition(b"\r\n\r\n")[2])["error"]["message"]


@pytest.mark.parametrize(
    "data",
    [
        b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer k\r\n"
        b"Content-Length: 50\r\n\r\n{}",
        b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer k\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n5\r\n{",
        b"GET /v1/models HTTP/1.1\r\nHost: loc",
    ],
    ids=["length", "chunk", "head"],
)
def test_a_request_that_ends_too_early_is_told_so(server: SolverServer, data: bytes) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as connection:
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    assert answer.startswith(b"HTTP/1.1 400 "), answer
    assert b"ended before it was whole" in answer
    assert call(server, ask("q"))[0] == 200


def test_a_body_without_a_length_is_read_up_to_the_bound(server: SolverServer) -> None:
    head = b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer k\r\nConnection: close\r\n"
    body = json.dumps(ask("q")).encode()
    chunked = head + b"Transfer-Encoding: chunked\r\n\r\n"
    assert raw(server, chunked + b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)).startswith(b"HTTP/1.1 200")
    piece = b"10000\r\n" + b" " * 65536 + b"\r\n"
    assert raw(server, chunked + piece * 17 + b"0\r\n\r\n").startswith(b"HTTP/1.1 413")


def test_who_sends_far_too_much_still_hears_why(server: SolverServer) -> None:
    status, body = call(server, ask("x" * (4 * MAX_BODY)))
    assert status == 413
    assert "at most 1,048,576" in json.loads(body)["error"]["message"]


def test_too_many_connections_are_refused_and_the_server_goes_on(server: SolverServer) -> None:
    idle = [socket.create_connection(("127.0.0.1", server.port), timeout=20) for _ in range(MOST_CONNECTIONS + 2)]
    try:
        status, body = call(server, path="/v1/models")
        assert status == 503
        assert "connections" in json.loads(body)["error"]["message"]
    finally:
        for connection in idle:
            connection.close()
    deadline = time.monotonic() + 20
    while (status := call(server, path="/v1/models")[0]) != 200 and time.monotonic() < deadline:
        time.sleep(0.05)
    assert status == 200


def test_who_is_asked_for_when_the_server_ends_is_told(cells: Cells) -> None:
    server = served(WatchedEngine())
    cells.gate.clear()
    told: list[tuple[int, bytes]] = []
    thread = threading.Thread(target=lambda: told.append(call(server, ask("q"))))
    thread.start()
    cells.wait_for(1)
    server.close()
    thread.join(timeout=20)
    assert told[0][0] == 503


def test_only_loopback_is_served_unless_asked_for() -> None:
    with pytest.raises(InputError, match="loopback"):
        SolverServer(WatchedEngine(), SolverSettings(code_execution=False), host="0.0.0.0", port=0)


def test_a_taken_port_is_a_clear_error(server: SolverServer) -> None:
    with pytest.raises(InputError, match="cannot listen"):
        SolverServer(server.engine, port=server.port)
    with pytest.raises(InputError, match="cannot listen"):
        SolverServer(server.engine, port=70_000)


def test_a_key_is_made_where_none_is_given() -> None:
    servers = [SolverServer(WatchedEngine(), SolverSettings(code_execution=False), port=0) for _ in range(2)]
    assert len({s.key for s in servers}) == 2
    assert all(len(s.key) >= 24 for s in servers)
    for made in servers:
        made.close()

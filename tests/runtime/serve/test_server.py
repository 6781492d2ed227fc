"""The solver as an HTTP server: answers, streams, and everything it refuses."""

from __future__ import annotations

import http.client
import json
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from runtime.engine.scripted import ReplayEngine
from runtime.errors import InputError
from runtime.lce import Block
from runtime.sandbox import CellResult
from runtime.serve.server import MAX_BODY, SolverServer
from runtime.settings import SolverSettings
from runtime.solver import Solver

BLOCKS = [Block("text", "We add."), Block("code", "1+1"), Block("text", "2")]
MARKDOWN = "We add.\n```python\n1+1\n```\n```output\n2\n```\n2"


class SlowSandbox:
    """Answers 2; a cell waits while `gate` is closed."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.gate.set()
        self.interrupted = 0

    def run(self, code: str) -> CellResult:
        del code
        self.gate.wait(20)
        return CellResult("2", "ok", 0.0)

    def reset(self) -> None:
        pass

    def interrupt(self) -> None:
        self.interrupted += 1
        self.gate.set()


@pytest.fixture
def sandbox() -> SlowSandbox:
    return SlowSandbox()


@pytest.fixture
def server(sandbox: SlowSandbox) -> Iterator[SolverServer]:
    def script(question: str) -> list[Block]:
        return BLOCKS if question != "fail" else [Block("execution", "x")]

    solver = Solver(ReplayEngine(script, end=True), sandbox, SolverSettings())  # type: ignore[arg-type]
    server = SolverServer(solver, port=0, key="k", waiting=1)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    sandbox.gate.set()
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
        (b"not json", 400, "no JSON"),
        (b"[]", 400, "no JSON object"),
        ({}, 400, "messages"),
        ({"messages": []}, 400, "messages"),
        ({"messages": [7]}, 400, "role"),
        ({"messages": [{"role": "assistant", "content": "x"}]}, 400, "last message"),
        ({"messages": [{"role": "user", "content": {"type": "image"}}]}, 400, "text"),
        (ask(""), 400, "empty"),
        (ask("x" * 200_000), 400, "200,000"),
        (ask("q", temperature=-1), 400, "temperature"),
        (ask("q", max_tokens="many"), 400, "max_tokens"),
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


@pytest.mark.parametrize("wish", [{"n": 2}, {"stop": ["x"]}, {"tools": [{}]}, {"response_format": {"type": "json"}}])
def test_what_is_not_offered_is_refused_and_not_ignored(server: SolverServer, wish: dict[str, Any]) -> None:
    status, body = call(server, ask("q", **wish))
    assert status == 400
    assert next(iter(wish)) in json.loads(body)["error"]["message"]
    assert call(server, ask("q", n=1, stop=None, tools=[]))[0] == 200


def test_a_request_nested_too_deep_is_a_bad_one(server: SolverServer) -> None:
    assert call(server, b"[" * 200_000)[0] == 400


@pytest.mark.parametrize("stream", [False, True])
def test_a_client_that_hangs_up_while_a_cell_is_silent_frees_the_solver(
    server: SolverServer, sandbox: SlowSandbox, stream: bool
) -> None:
    sandbox.gate.clear()
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
    body = json.dumps(ask("q", stream=stream))
    connection.request("POST", "/v1/chat/completions", body, {"Authorization": "Bearer k"})
    deadline = time.monotonic() + 10
    while not server.solver._in_cell and time.monotonic() < deadline:
        time.sleep(0.01)
    connection.close()
    while not sandbox.interrupted and time.monotonic() < deadline:
        time.sleep(0.01)
    assert sandbox.interrupted, "the gate stays closed: only the hang-up can have ended the cell"


def test_an_earlier_answer_comes_back_as_the_blocks_it_was(server: SolverServer) -> None:
    seen: list[Any] = []
    original = server.solver.solve
    server.solver.solve = lambda question, **kwargs: seen.append(kwargs) or original(question, **kwargs)  # type: ignore
    messages = [{"role": "user", "content": "a"}, {"role": "assistant", "content": MARKDOWN}]
    assert call(server, {"messages": [*messages, {"role": "user", "content": "c"}]})[0] == 200
    assert seen[0]["history"] == (("a", (BLOCKS[0], BLOCKS[1], Block("execution", "2"), BLOCKS[2])),)


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


def test_a_conversation_and_its_system_text_reach_the_solver(server: SolverServer) -> None:
    seen: dict[str, Any] = {}
    original = server.solver.solve

    def solve(question: str, **kwargs: Any) -> Any:
        seen.update(kwargs, question=question, system=server.solver.settings.system)
        return original(question, **kwargs)

    server.solver.solve = solve  # type: ignore[method-assign]
    messages = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "a"},
        {"role": "assistant", "content": "b"},
        {"role": "user", "content": "c"},
    ]
    assert call(server, {"messages": messages, "seed": 5})[0] == 200
    assert (seen["question"], seen["system"], seen["seed"]) == ("c", "Be brief.", 6)
    assert seen["history"] == (("a", (Block("text", "b"),)),)


def test_a_failing_solution_is_no_failing_server(server: SolverServer) -> None:
    assert call(server, ask("q"))[0] == 200
    told = json.loads(call(server, ask("fail"))[1])
    assert told["choices"][0]["message"]["content"] == ""
    assert told["mathcoder"]["status"] == "no_answer"
    assert call(server, ask("q"))[0] == 200


def test_more_requests_than_may_wait_get_429(server: SolverServer, sandbox: SlowSandbox) -> None:
    sandbox.gate.clear()
    results: list[int] = []
    threads = []
    for count in range(2):
        thread = threading.Thread(target=lambda: results.append(call(server, ask("q"))[0]))
        thread.start()
        threads.append(thread)
        deadline = time.monotonic() + 10
        # First one runs, second one waits.
        while (server._running is None or server._jobs.qsize() < count) and time.monotonic() < deadline:
            time.sleep(0.01)
    assert call(server, ask("q"))[0] == 429
    sandbox.gate.set()
    for thread in threads:
        thread.join()
    assert results == [200, 200]


def test_a_client_that_hangs_up_frees_the_solver(server: SolverServer, sandbox: SlowSandbox) -> None:
    sandbox.gate.clear()
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
    body = json.dumps(ask("q", stream=True))
    connection.request("POST", "/v1/chat/completions", body, {"Authorization": "Bearer k"})
    response = connection.getresponse()
    response.read(10)
    response.close()
    connection.close()
    sandbox.gate.set()
    assert call(server, ask("q"))[0] == 200


def test_only_loopback_is_served_unless_asked_for() -> None:
    solver = Solver(ReplayEngine(lambda _: BLOCKS), None, SolverSettings(code_execution=False))
    with pytest.raises(InputError, match="loopback"):
        SolverServer(solver, host="0.0.0.0", port=0)


def test_a_taken_port_is_a_clear_error(server: SolverServer) -> None:
    with pytest.raises(InputError, match="cannot listen"):
        SolverServer(server.solver, port=server.port)


def test_a_key_is_made_where_none_is_given() -> None:
    solver = Solver(ReplayEngine(lambda _: BLOCKS), None, SolverSettings(code_execution=False))
    servers = [SolverServer(solver, port=0) for _ in range(2)]
    assert len({s.key for s in servers}) == 2
    assert all(len(s.key) >= 24 for s in servers)
    for made in servers:
        made.close()

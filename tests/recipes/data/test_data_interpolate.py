"""Problems between two others, asked of a server that refuses, limits and answers nonsense."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Iterator, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from rows_factory import read

from recipes.data.ask import ChatAsker
from recipes.data.interpolate import Copies, chosen_letter, draw_pairs, interpolate, problem_in, verdict
from recipes.data.rows import QuestionLine
from runtime.errors import EngineError, InputError

BUYS = "Tom buys {} pens for two coins each at the market. What does he pay?"
PATHS = "Find the number of lattice paths of length {} that stay below the diagonal."
EASY = [QuestionLine(f"e{n}", n, BUYS.format(n), None, "") for n in range(9)]
HARD = [QuestionLine(f"h{n}", n, PATHS.format(n), None, "") for n in range(9)]
NEW = (
    "A schooner sails against the wind for six hours and then drifts back with the tide. How far from port is it?",
    "never sent",
    "never sent",
    "never sent",
    "Two painters finish a fence in five days; one of them alone would need eight. How long does the other one need?",
    "Of ninety visitors, a third bought tea and every fifth one cake, six bought both. How many bought neither?",
    "The angles of a pentagon form an arithmetic progression whose smallest term is eighty degrees. Which is largest?",
    "Seven different keys fit seven locks. At most how many trials find out which key belongs to which lock, and why?",
)


Reply = Callable[[str], tuple[int, Any]]


@pytest.fixture
def serve() -> Iterator[Callable[[Reply], str]]:
    servers: list[ThreadingHTTPServer] = []

    def start(reply: Reply) -> str:
        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                status, answer = reply(body["messages"][0]["content"])
                data = answer if isinstance(answer, bytes) else chat(answer)
                self.send_response(status)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_: Any) -> None:
                """Nothing on the screen."""

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        servers.append(server)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{server.server_address[1]}/v1"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def chat(text: str) -> bytes:
    return json.dumps({"choices": [{"message": {"content": text}}]}).encode()


def judge_by_length(prompt: str) -> str:
    a, b = re.findall(r"Problem [AB]:\n(.*)\n", prompt)
    return "A" if len(a) > len(b) else "B"


class Writer:
    def __init__(self) -> None:
        self.prompts: list[str] = []
        self.lock = threading.Lock()

    def __call__(self, prompt: str) -> tuple[int, Any]:
        with self.lock:
            self.prompts.append(prompt)
            number = sum("Write one new problem" in earlier for earlier in self.prompts) - 1
        if "Which of these two" in prompt:
            return 200, judge_by_length(prompt)
        if number == 1:
            return 200, b"<html>not json"
        if number == 2:
            return 200, "I would rather talk about something else. " * 60
        if number == 3:
            return 200, f"<problem>{EASY[0].question.replace('0', '77')}</problem>"
        return 200, f"Sure!\n<problem>{NEW[number % 8]}</problem>"


def asker(url: str, **options: Any) -> ChatAsker:
    return ChatAsker(url, "m", parallel=1, pauses=options.pop("pauses", (0.01, 0.01)), timeout=10, **options)


def test_copies_and_nonsense_are_left_out_by_name_and_the_rest_is_judged_in_both_orders(
    tmp_path: Path, serve: Callable[[Reply], str]
) -> None:
    writer = Writer()
    model = asker(serve(writer))
    pairs = draw_pairs(EASY, HARD, 8, seed=1)
    out = tmp_path / "new.jsonl"
    report = interpolate(pairs, model, out, source={"sha256": "0"}, judge=model)
    assert report.left_out == {"no reply": 1, "no problem in the reply": 1, "a near-copy": 1}
    assert len(read(out)) == 5
    assert len(read(tmp_path / "new.left-out.jsonl")) == 3
    # Longer counts as harder here: the new ones are longer than both sources.
    told = report.as_dict()
    assert told["harder_than_easy"]["percent"].startswith("100.00")
    assert told["easier_than_hard"]["percent"].startswith("0.00")
    assert told["harder_than_easy"]["paper_percent"] == 83.2
    assert sum("Which of these two" in prompt for prompt in writer.prompts) == 4 * 5


def test_a_second_call_asks_only_what_is_missing(tmp_path: Path, serve: Callable[[Reply], str]) -> None:
    writer = Writer()
    model = asker(serve(writer))
    pairs = draw_pairs(EASY, HARD, 6, seed=1)
    out = tmp_path / "new.jsonl"
    interpolate(pairs, model, out, source={"sha256": "0"}, judge=model)
    before, count = read(out), len(writer.prompts)
    report = interpolate(pairs, model, out, source={"sha256": "0"}, judge=model)
    asked = writer.prompts[count:]
    assert sum("Write one new problem" in prompt for prompt in asked) == 1
    assert [item["id"] for item in before] == [i["id"] for i in read(out) if i["id"] in {b["id"] for b in before}]
    assert "no reply" not in report.left_out
    with pytest.raises(InputError, match="data"):
        interpolate(pairs, model, out, source={"sha256": "1"})


def test_problems_that_solutions_do_not_agree_on_are_left_out(tmp_path: Path, serve: Callable[[Reply], str]) -> None:
    model = asker(serve(Writer()))
    pairs = draw_pairs(EASY, HARD, 8, seed=1)

    def solvable(questions: Sequence[QuestionLine]) -> dict[str, str | None]:
        return {question.id: None if number else "7" for number, question in enumerate(questions)}

    report = interpolate(pairs, model, tmp_path / "new.jsonl", source={}, solvable=solvable)
    assert [item.answer for item in report.kept] == ["7"]
    assert report.left_out["unsolvable: the solutions do not agree"] == 4


def test_a_busy_server_is_asked_again_and_a_refusing_one_is_one_error(serve: Callable[[Reply], str]) -> None:
    tries: list[int] = []

    def busy(prompt: str) -> tuple[int, Any]:
        tries.append(len(prompt))
        return (429, b"slow down") if len(tries) < 3 else (200, "fine")

    assert [reply.text for reply in asker(serve(busy)).ask([("1", "x")])] == ["fine"]
    assert len(tries) == 3
    with pytest.raises(EngineError, match="status 401"):
        list(asker(serve(lambda prompt: (401, b"no key"))).ask([("1", "x"), ("2", "y")]))
    with pytest.raises(EngineError, match="does not answer"):
        list(asker("http://127.0.0.1:9").ask([("1", "x")]))


def test_one_failing_prompt_costs_one_reply(serve: Callable[[Reply], str]) -> None:
    url = serve(lambda prompt: (500, b"oops") if prompt == "2" else (200, prompt))
    replies = {reply.key: reply for reply in asker(url).ask([(str(n), str(n)) for n in range(4)])}
    assert [replies[str(n)].text for n in range(4)] == ["0", "1", "", "3"]
    assert "status 500" in replies["2"].error


def test_pairs_are_different_and_drawn_by_the_seed() -> None:
    pairs = draw_pairs(EASY, HARD, 60, seed=3)
    assert len({(pair.easy.id, pair.hard.id) for pair in pairs}) == 60
    assert pairs == draw_pairs(EASY, HARD, 60, seed=3)
    assert pairs != draw_pairs(EASY, HARD, 60, seed=4)
    with pytest.raises(InputError, match="82 pairs"):
        draw_pairs(EASY, HARD, 82, seed=1)


def test_a_problem_with_other_numbers_or_a_few_other_words_is_a_copy() -> None:
    copies = Copies()
    copies.add("e1", EASY[1].question)
    assert copies.like(EASY[5].question) == "e1"
    assert copies.like("Anna buys 14 pens for two coins each at the market. What does he pay?") == "e1"
    assert copies.like(HARD[1].question) is None


def test_only_agreement_in_both_orders_is_a_verdict() -> None:
    assert verdict("A", "B") == "harder"
    assert verdict("B", "A") == "easier"
    assert verdict("A", "A") == verdict("B", "B") == "tie"
    assert verdict("A", None) == "unjudged"
    assert chosen_letter("A needs one step, while B needs three, so B") == "B"
    assert chosen_letter("neither") is None


def test_a_reply_without_tags_counts_only_where_it_is_nothing_but_a_problem() -> None:
    text = "A train leaves at noon and needs three hours. When does it arrive?"
    assert problem_in(f"**New problem:** {text}") == (text, "")
    assert problem_in(f"{text}\n\nSolution: it arrives at three.")[1] == "no problem in the reply"
    assert problem_in("<problem>a b c</problem>")[1] == "too short to be a problem"
    assert problem_in(f"<problem>{text}</problem> or <problem>{text}</problem>")[1] == "more than one problem"

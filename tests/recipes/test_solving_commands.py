"""`solve`, `eval` and `export --check` from outside: streams, exit codes, resumed batches."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from recipes.cli import main
from runtime.engine.scripted import ReplayEngine
from runtime.lce import Block
from runtime.sandbox import UNSAFE_WARNING

ROOT = Path(__file__).resolve().parent.parent.parent
CODE = "from math import factorial\nfactorial(12) // factorial(10)"


def script(question: str) -> list[Block]:
    if "broken" in question:
        raise KeyError(question)
    if "silent" in question:
        return [Block("text", "I do not know what to answer here, and I say so at more than sixty characters.")]
    return [Block("text", "We compute."), Block("code", CODE), Block("text", "\\boxed{132}"), Block("text", "132")]


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A file whose engine writes the script."""
    for name in ("CONFIG", "DATA", "STATE"):
        monkeypatch.setenv(f"XDG_{name}_HOME", str(tmp_path / name))
    monkeypatch.setattr("recipes.cli.solving.load_engine", lambda *_: ReplayEngine(script))
    path = tmp_path / "scripted.gguf"
    path.write_bytes(b"GGUF")
    return str(path)


def test_answer_only_prints_the_answer_and_nothing_else(model: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["solve", model, "What is 12! / 10!?", "--answer-only"]) == 0
    assert capsys.readouterr().out == "132\n"


def test_where_the_settings_name_a_model_one_word_is_the_question(
    model: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MATHCODER_MODEL", model)
    assert main(["solve", "What is 12! / 10!?", "--answer-only"]) == 0
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"What is 12! / 10!?")))
    assert main(["solve", "--answer-only"]) == 0
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"What is 12! / 10!?")))
    assert main(["solve", model, "--answer-only"]) == 0
    assert capsys.readouterr().out == "132\n" * 3


def test_a_question_without_a_model_says_how_to_name_one(model: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["solve", "What is 12! / 10!?"]) == 2
    assert "MATHCODER_MODEL" in capsys.readouterr().err
    assert main(["solve", str(Path(model).with_name("none.gguf")), "q"]) == 2


def test_what_a_model_solves_can_be_listed(model: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["solve", "nano", "--examples"]) == 0
    assert len(capsys.readouterr().out.splitlines()) >= 3
    assert main(["solve", model, "--examples"]) == 2


def test_a_chat_asks_again_where_the_model_typed_does_not_exist(
    model: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    typed = iter(["no-such-model", model])
    monkeypatch.setattr("builtins.input", lambda _: next(typed))
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    started: list[Path] = []
    monkeypatch.setattr("runtime.chat.app.chat", lambda options: started.append(options.model) or 0)
    assert main(["chat"]) == 0
    assert started == [Path(model)]
    assert "no-such-model" in capsys.readouterr().err


def test_json_is_one_object_with_blocks_counts_and_the_model(model: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["solve", model, "q", "--json", "--seed", "7"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert [block["type"] for block in told["blocks"]] == ["text", "code", "execution", "text", "text"]
    assert told["blocks"][2]["content"] == "132"
    assert (told["answer"], told["status"], told["cells"], told["seed"]) == ("132", "answered", 1, 7)
    assert {"prompt", "generated", "execution"} == set(told["tokens"])
    assert told["model"]["engine"] == "replay"


def test_a_question_without_an_answer_exits_1(model: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["solve", model, "silent", "--answer-only"]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "without an answer" in captured.err


def test_an_empty_question_is_a_wrong_call(model: str) -> None:
    assert main(["solve", model, "  "]) == 2
    assert main(["solve", model, "x" * 100_001]) == 2


def test_votes_are_told(model: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["solve", model, "q", "--samples", "3", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["answer"], told["votes"], told["groups"]) == ("132", 3, [{"answer": "132", "votes": 3}])
    assert len({sample["seed"] for sample in told["samples"]}) == 3


def test_a_solution_is_exported_beside_being_shown(
    model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["solve", model, "q", "--to", str(tmp_path / "s.ipynb")]) == 0
    assert "answer: 132" in capsys.readouterr().out
    notebook = json.loads((tmp_path / "s.ipynb").read_text(encoding="utf-8"))
    code = next(cell for cell in notebook["cells"] if cell["cell_type"] == "code")
    assert code["outputs"][0]["data"]["text/plain"] == "132"


def questions(folder: Path, *texts: str) -> str:
    path = folder / "questions.jsonl"
    lines = [json.dumps({"id": f"q{n}", "question": text, "gold": "132"}) for n, text in enumerate(texts)]
    path.write_text("\n".join(lines), encoding="utf-8")
    return str(path)


def test_a_batch_prints_one_graded_result_a_line(
    model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["solve", model, "--questions", questions(tmp_path, "a", "b", "silent")]) == 0
    lines = {line["id"]: line for line in map(json.loads, capsys.readouterr().out.splitlines())}
    assert set(lines) == {"q0", "q1", "q2"}
    assert (lines["q0"]["strict"], lines["q0"]["lenient"]) == (True, True)
    assert (lines["q2"]["answer"], lines["q2"]["lenient"]) == (None, False)


def test_an_item_that_fails_leaves_the_others_and_exits_1(
    model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["solve", model, "--questions", questions(tmp_path, "a", "  ", "b")]) == 1
    lines = {line["id"]: line for line in map(json.loads, capsys.readouterr().out.splitlines())}
    assert lines["q1"]["status"] == "error"
    assert lines["q0"]["answer"] == lines["q2"]["answer"] == "132"


def test_answers_of_a_batch_come_in_the_order_of_the_questions(
    model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["solve", model, "--questions", questions(tmp_path, "a", "silent", "b"), "--answer-only"]) == 0
    assert capsys.readouterr().out == "132\n\n132\n"


def test_a_results_file_is_continued_and_never_repeats(
    model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "r" / "results.jsonl"
    call = ["solve", model, "--questions", questions(tmp_path, "a", "b", "c"), "--out", str(out)]
    assert main(call) == 0
    whole = out.read_text(encoding="utf-8").splitlines(keepends=True)
    out.write_text("".join(whole[:1]) + whole[1][:20], encoding="utf-8")
    assert main(call) == 0
    assert "holds 1 of 3 results" in capsys.readouterr().err
    ids = [json.loads(line)["id"] for line in out.read_text(encoding="utf-8").splitlines()]
    assert sorted(ids) == ["q0", "q1", "q2"]
    facts = json.loads((tmp_path / "r" / "results.meta.json").read_text(encoding="utf-8"))
    assert facts["data"]["questions"] == 3
    capsys.readouterr()
    assert main([*call, "--temperature", "0.5"]) == 2, "another setting is another run"
    told = capsys.readouterr().err
    assert "temperature was 0.0, now 0.5" in told
    assert "--fresh" in told
    assert main([*call, "--temperature", "0.5", "--fresh"]) == 0
    assert len(out.read_text(encoding="utf-8").splitlines()) == 3


def test_several_files_are_graded_at_once_and_the_help_says_what_they_hold(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = {"a": {"gold": "3", "answer": "3.0"}, "b": {"gold": "4", "prediction": "5", "dataset": "other"}}
    for name, line in lines.items():
        (tmp_path / f"{name}.jsonl").write_text(json.dumps(line) + "\n", encoding="utf-8")
    assert main(["eval", "--grade", str(tmp_path / "a.jsonl"), str(tmp_path / "b.jsonl"), "--json"]) == 0
    table = json.loads(capsys.readouterr().out)
    assert {name: (row["n"], row["correct"]) for name, row in table.items()} == {"a": (1, 1), "other": (1, 0)}
    assert main(["eval", "--help"]) == 0
    told = capsys.readouterr().out
    assert all(f"`{key}`" in told for key in ("gold", "answer", "prediction", "blocks", "completion"))


def test_bad_question_files_name_their_lines(model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "bad.jsonl"
    path.write_text('{"question": "a", "id": 1}\nnonsense\n{"q": 2}\n{"question": "b", "id": 1}\n', encoding="utf-8")
    assert main(["solve", model, "--questions", str(path)]) == 1
    told = capsys.readouterr().err
    assert "line 2 is not valid JSON" in told
    assert "line 3 is not an object" in told
    assert "line 4 repeats the id '1' of line 1" in told
    assert main(["solve", model, "--questions", str(tmp_path / "missing.jsonl")]) == 2


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"GGUF\x03\x00\x00\x00questions", "holds NUL bytes"),
        (b"first?\nWie gro\xdf ist 2 + 2?\n", "line 2, byte 0xdf"),
        ("first?\n".encode("utf-16"), "not UTF-8"),
    ],
    ids=["a model file", "another encoding", "UTF-16"],
)
def test_a_file_that_is_no_text_is_refused_before_anything_is_solved(
    model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], data: bytes, said: str
) -> None:
    path = tmp_path / "questions.txt"
    path.write_bytes(data)
    assert main(["solve", model, "--questions", str(path)]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert said in captured.err


def test_only_a_newline_ends_a_question(model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """JSON may hold U+2028 and U+0085 as they are, and editors put a mark in front or write CR LF."""
    path = tmp_path / "q.jsonl"
    rows = [{"question": "a\u2028b\u0085c", "id": 1}, {"question": "second?", "id": 2}]
    lines = [json.dumps(row, ensure_ascii=False) for row in rows]
    path.write_bytes(b"\xef\xbb\xbf" + "\r\n".join(lines).encode())
    assert main(["solve", model, "--questions", str(path)]) == 0
    lines = capsys.readouterr().out.strip().split("\n")
    asked = {line["id"]: line["question"] for line in map(json.loads, lines)}
    assert asked == {"1": "a\u2028b\u0085c", "2": "second?"}


def test_kept_results_can_be_voted_on(model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    call = ["solve", model, "--questions", questions(tmp_path, "a", "silent", "b"), "--samples", "2", "--answer-only"]
    for _ in range(2):
        assert main([*call, "--out", str(tmp_path / "r.jsonl")]) == 0
        assert capsys.readouterr().out == "132\n\n132\n", "the second call finds all of them solved"


def test_plain_lines_are_questions_too(model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "plain.txt"
    path.write_text("first?\n\nsecond?\n", encoding="utf-8")
    assert main(["solve", model, "--questions", str(path)]) == 0
    asked = [json.loads(line)["question"] for line in capsys.readouterr().out.splitlines()]
    assert sorted(asked) == ["first?", "second?"]


def test_eval_measures_and_compares(model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = questions(tmp_path, "a", "b", "silent", "c")
    out = tmp_path / "run"
    assert main(["eval", model, "--data", f"mine={data}", "--out", str(out), "--json", "--no-plots"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert "mine" in told["report"]
    results = str(out / "results.jsonl")
    assert main(["eval", "--grade", results, "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"mine": {"n": 4, "correct": 3, "accuracy": 75.0}}
    assert main(["eval", "--compare", results, results, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["mine"]["n"] == 4
    assert main(["eval", "--inspect", results, "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert [attempt["correct"] for attempt in shown] == [False]


@pytest.fixture
def tiny_gguf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A random model that llama.cpp really loads."""
    monkeypatch.syspath_prepend(str(ROOT / "tests" / "runtime"))
    pytest.importorskip("gguf", reason="making a model file needs the gguf package")
    from gguf_factory import write_model  # type: ignore[import-not-found]

    path = tmp_path / "tiny.gguf"
    write_model(path)
    return path


def test_a_real_file_is_solved_with_results_and_progress_on_their_own_streams(tiny_gguf: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "recipes", "solve", str(tiny_gguf), "--json", "--max-tokens", "24"],
        input="What is 12! / 10!?",
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, "NO_COLOR": "1"},
        timeout=240,
        check=False,
    )
    told = json.loads(done.stdout)
    assert told["question"] == "What is 12! / 10!?"
    assert told["tokens"]["generated"] <= 24
    assert len(told["model"]["model_sha256"]) == 64
    assert done.returncode == (0 if told["answer"] is not None else 1)
    assert "Traceback" not in done.stderr


def test_a_truncated_or_foreign_file_is_one_clear_error(
    tiny_gguf: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    cut = tmp_path / "cut.gguf"
    cut.write_bytes(tiny_gguf.read_bytes()[:5000])
    foreign = tmp_path / "foreign.gguf"
    foreign.write_text("hello", encoding="utf-8")
    for path in (cut, foreign):
        assert main(["solve", str(path), "q"]) == 1
        captured = capfd.readouterr()
        assert captured.out == ""
        assert captured.err.count("\n") == 1, captured.err
        assert path.name in captured.err


def test_a_gguf_file_can_be_looked_at(tiny_gguf: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = main(["export", "--check", str(tiny_gguf), "--json"])
    told = json.loads(capsys.readouterr().out)
    assert code == (0 if told["ok"] else 1)
    assert set(told["control"]) >= {"<|text|>", "<|code|>", "<|endofmessage|>"}


def test_a_session_without_isolation_says_so_and_a_chat_says_it_after_every_turn(
    model: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(["solve", model, "q", "--unsafe-exec", "--answer-only"]) == 0
    captured = capsys.readouterr()
    assert captured.out == "132\n"
    assert UNSAFE_WARNING in captured.err
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"q\nq again\n")))
    assert main(["chat", model, "--private", "--unsafe-exec"]) == 0
    captured = capsys.readouterr()
    assert UNSAFE_WARNING in captured.err
    assert " ".join(captured.out.split()).count(UNSAFE_WARNING) == 2


@pytest.mark.parametrize("verb", ["eval", "serve", "data"])
def test_other_verbs_run_no_cell_without_isolation(model: str, verb: str) -> None:
    assert main([verb, model, "--unsafe-exec"]) == 2


def test_a_batch_runs_no_cell_without_isolation(model: str, tmp_path: Path) -> None:
    (tmp_path / "q.txt").write_text("What is 1 + 1?\n", encoding="utf-8")
    assert main(["solve", model, "--questions", str(tmp_path / "q.txt"), "--unsafe-exec"]) == 2
    assert main(["solve", model, "q", "--samples", "2", "--unsafe-exec"]) == 2

"""`solve` and `eval` with text that is not Unicode, full disks, closed outputs and no home."""

from __future__ import annotations

import errno
import json
import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from recipes.cli import main
from runtime.engine.scripted import ReplayEngine
from runtime.lce import Block

FAULT = "fault of MathCoder Toolkit"


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A file whose engine answers every question with 5."""
    for name in ("CONFIG", "DATA", "STATE"):
        monkeypatch.setenv(f"XDG_{name}_HOME", str(tmp_path / name))
    monkeypatch.setattr("recipes.cli.solving.load_engine", lambda *_: ReplayEngine(lambda _: [Block("text", "5")]))
    path = tmp_path / "scripted.gguf"
    path.write_bytes(b"GGUF")
    return str(path)


@pytest.fixture
def halves(tmp_path: Path) -> Path:
    """Questions with half of a surrogate pair wherever text may stand."""
    rows = [
        {"id": "plain", "question": "2 + 3?", "gold": "5"},
        {"id": "a\ud83d", "question": "3 + 2? \ude00", "gold": "5\ud83d", "subject": "sums\udfff", "level": "1\udfff"},
    ]
    path = tmp_path / "halves.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_eval_of_a_question_with_half_a_surrogate_reports_and_reports_again(
    model: str, halves: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for _ in range(2):
        call = ["eval", model, "--data", str(halves), "--out", str(tmp_path / "run"), "--no-plots", "--json"]
        assert main(call) == 0
        told = json.loads(capsys.readouterr().out)
        assert told["report"]["halves"]["questions"] == 2
    assert json.loads((tmp_path / "run" / "report.json").read_text(encoding="utf-8"))["report"] == told["report"]
    ids = {json.loads(line)["id"] for line in (tmp_path / "run" / "results.jsonl").read_text().splitlines()}
    assert ids == {"halves/plain", "halves/a\ufffd"}
    assert main(["eval", "--inspect", str(tmp_path / "run" / "results.jsonl"), "--show", "all"]) == 0
    assert main(["eval", "--grade", str(halves.with_name("run") / "results.jsonl")]) == 0


@pytest.mark.parametrize("out", [False, True])
def test_a_batch_with_half_a_surrogate_is_solved_to_its_end(
    model: str, halves: Path, tmp_path: Path, capsysbinary: pytest.CaptureFixture[bytes], out: bool
) -> None:
    where = ["--out", str(tmp_path / "r.jsonl")] if out else []
    for _ in range(2):
        assert main(["solve", model, "--questions", str(halves), *where]) == 0
        text = (tmp_path / "r.jsonl").read_bytes() if out else capsysbinary.readouterr().out
        assert [json.loads(line)["answer"] for line in text.decode().splitlines()] == ["5", "5"]


@pytest.mark.parametrize("suffix", ["md", "html", "ipynb", "json"])
def test_an_argument_that_is_not_utf_8_is_refused_before_anything_is_solved(
    model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], suffix: str
) -> None:
    target = tmp_path / f"o.{suffix}"
    assert main(["solve", model, os.fsdecode(b"2 + 3? na\xefve"), "--to", str(target)]) == 2
    assert "not valid Unicode" in capsys.readouterr().err
    assert not target.exists()


def test_a_results_file_whose_name_is_not_utf_8_is_written(model: str, tmp_path: Path, halves: Path) -> None:
    target = tmp_path / os.fsdecode(b"r\xe9sultats.jsonl")
    assert main(["solve", model, "--questions", str(halves), "--out", str(target)]) == 0
    assert len(target.read_text().splitlines()) == 2


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """A disk that is full after `size` bytes of each file: the part that fits is written."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.fixture
def sums(tmp_path: Path) -> Path:
    path = tmp_path / "sums.jsonl"
    path.write_text("".join(json.dumps({"question": f"{n} + 5 - {n}?", "gold": "5"}) + "\n" for n in range(12)))
    return path


@pytest.mark.parametrize("verb", ["solve", "eval"])
def test_a_disk_that_fills_in_the_middle_costs_no_result_and_the_same_call_goes_on(
    model: str, sums: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], verb: str
) -> None:
    results = tmp_path / "run" / "results.jsonl"
    call = ["solve", model, "--questions", str(sums), "--out", str(results), "--no-execution"]
    if verb == "eval":
        call = ["eval", model, "--data", str(sums), "--out", str(results.parent), "--no-plots", "--no-execution"]
    with files_of_at_most(3000):
        assert main(call) == 1
    told = capsys.readouterr().err
    assert "cannot be written" in told
    assert FAULT not in told
    kept = results.read_bytes()
    assert 0 < kept.count(b"\n") < 12
    assert kept.endswith(b"\n"), "half a line would be glued to the next one"
    assert main(call) == 0
    lines = [json.loads(line) for line in results.read_text().splitlines()]
    assert sorted(line["index"] for line in lines) == list(range(12))


@pytest.mark.parametrize("verb", ["solve", "eval"])
def test_a_folder_that_cannot_be_written_is_one_line_and_exit_1(
    model: str, sums: Path, capsys: pytest.CaptureFixture[str], verb: str
) -> None:
    call = ["solve", model, "--questions", str(sums), "--out", "/proc/none/r.jsonl"]
    if verb == "eval":
        call = ["eval", model, "--data", str(sums), "--out", "/proc/none", "--no-plots"]
    assert main([*call, "--no-execution"]) == 1
    told = [line for line in capsys.readouterr().err.splitlines() if "mathcoder:" in line]
    assert len(told) == 1
    assert "cannot be written" in told[0]
    assert FAULT not in told[0]


def program(shell: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """What a shell makes of `$M ...` with the packaged model."""
    command = f"{sys.executable} -m recipes solve nano 'Write 5 in base 2.' --no-execution --answer-only"
    clean = {key: value for key, value in os.environ.items() if key not in ("HOME",)}
    return subprocess.run(
        ["sh", "-c", f"{command} {shell}"], capture_output=True, text=True, timeout=120, env={**clean, **environment}
    )


def test_a_full_and_a_closed_standard_output_are_one_line_and_exit_1(tmp_path: Path) -> None:
    for shell, said in ((">/dev/full", "No space left on device"), (">&-", "standard output cannot be used")):
        done = program(shell, HOME=str(tmp_path))
        assert done.returncode == 1, done.stderr
        assert said in done.stderr
        assert FAULT not in done.stderr
        assert len(done.stderr.strip().splitlines()) == 1, done.stderr


def test_a_closed_standard_input_is_an_empty_one(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "recipes", "chat", "nano", "--private"]
    done = subprocess.run(
        ["sh", "-c", f"{' '.join(command)} <&-"],
        capture_output=True, text=True, timeout=120, env={**os.environ, "HOME": str(tmp_path)},
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")


def test_a_copy_that_fails_names_the_file_that_cannot_be_written(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fails(_: object) -> str:
        raise OSError(errno.ENOSPC, "No space left on device", "/rows/source", None, "/full/target")

    monkeypatch.setattr("recipes.places.tilde", fails)
    assert main(["--help"]) == 1
    told = capsys.readouterr().err
    assert "/full/target cannot be used" in told
    assert "/rows/source" not in told


def test_a_home_that_is_missing_or_cannot_be_written_costs_nothing_but_history() -> None:
    answer = program("", HOME="/").stdout
    assert answer.strip()
    for home in ("/proc/none", "/dev/null"):
        done = program("", HOME=home)
        assert (done.returncode, done.stdout) == (0, answer), done.stderr

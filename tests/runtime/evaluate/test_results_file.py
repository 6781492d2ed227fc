"""Results files: exactly one line per solution, whatever happens."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from runtime.errors import DataError, InputError
from runtime.evaluate.results_file import ResultsFile, meta_path, read_results, result_line
from runtime.lce import Block
from runtime.solver import Solution
from runtime.solver.batch import Item

FACTS = {"model_sha256": "abc", "settings": {"temperature": 0.0}, "threads": 2}
ITEM = Item("q1", 0, "What is 1+1?", "2")
SOLUTION = Solution([Block("text", "2")], "2", "answered", seed=7)


def line(id_: str, sample: int = 0) -> dict[str, object]:
    return result_line(Item(id_, 0, "q", None, sample), SOLUTION)


def test_a_line_has_the_documented_keys() -> None:
    made = result_line(ITEM, SOLUTION, strict=True, lenient=True)
    expected = {
        *("id", "index", "sample", "question", "gold", "blocks", "answer", "strict", "lenient", "status"),
        *("tokens", "cells", "failed_cells", "ms", "seed"),
    }
    assert expected <= set(made)
    assert set(made["ms"]) == {"decode", "execution", "wall"}
    assert (made["id"], made["gold"], made["strict"], made["seed"]) == ("q1", "2", True, 7)


def test_what_was_appended_is_read_back(tmp_path: Path) -> None:
    path = tmp_path / "out" / "results.jsonl"
    with ResultsFile(path, FACTS) as results:
        results.append(line("a"))
        results.append(line("b\nü\ud800"))
    rows = list(read_results(path))
    assert [row["sample"] for row in rows] == [0, 0]
    assert rows[0]["id"] == "a"
    assert json.loads(meta_path(path).read_text())["model_sha256"] == "abc"
    assert meta_path(path).name == "results.meta.json"


def test_a_second_run_continues_and_repeats_nothing(tmp_path: Path) -> None:
    path = tmp_path / "results.jsonl"
    items = [Item(str(n), n, "q", None, sample) for n in range(3) for sample in range(2)]
    with ResultsFile(path, FACTS) as results:
        for item in items[:3]:
            results.append(result_line(item, SOLUTION))
    with ResultsFile(path, {**FACTS, "threads": 8}) as results:
        assert list(results.pending(items)) == items[3:]
        with pytest.raises(DataError, match="already"):
            results.append(result_line(items[0], SOLUTION))


def test_a_torn_last_line_is_cut_off_and_solved_again(tmp_path: Path) -> None:
    path = tmp_path / "results.jsonl"
    with ResultsFile(path, FACTS) as results:
        results.append(line("a"))
        results.append(line("b"))
    whole = path.read_bytes()
    length = len(whole.splitlines(keepends=True)[1])
    for cut in (1, 2, length // 2, length - 1, length):
        path.write_bytes(whole[:-cut])
        with ResultsFile(path, FACTS) as results:
            assert results.done == {("a", 0)}
            results.append(line("b"))
        assert path.read_bytes() == whole


def test_a_broken_line_in_the_middle_is_named_and_nothing_is_changed(tmp_path: Path) -> None:
    path = tmp_path / "results.jsonl"
    path.write_text('{"id": "a"}\nnonsense\n{"id": "b"}\n')
    before = path.read_bytes()
    with pytest.raises(DataError, match="line 2"):
        ResultsFile(path, FACTS)
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    "change", [{"model_sha256": "other"}, {"settings": {"temperature": 0.5}}, {"lora_sha256": "x"}]
)
def test_another_model_or_other_settings_do_not_continue_a_file(tmp_path: Path, change: dict[str, object]) -> None:
    path = tmp_path / "results.jsonl"
    with ResultsFile(path, FACTS) as results:
        results.append(line("a"))
    with pytest.raises(InputError, match=next(iter(change))):
        ResultsFile(path, {**FACTS, **change})
    with ResultsFile(path, FACTS) as results:
        assert results.done == {("a", 0)}


def test_two_processes_do_not_write_one_file(tmp_path: Path) -> None:
    path = tmp_path / "results.jsonl"
    with ResultsFile(path, FACTS), pytest.raises(InputError, match="another process"):
        ResultsFile(path, FACTS)
    with ResultsFile(path, FACTS):
        pass


def test_a_fresh_start_forgets_a_file_whatever_run_it_is_of_but_not_one_that_is_being_written(tmp_path: Path) -> None:
    path = tmp_path / "results.jsonl"
    with ResultsFile(path, FACTS) as results:
        results.append(line("a"))
        with pytest.raises(InputError, match="another process"):
            ResultsFile(path, {"model_sha256": "other"}, fresh=True)
        assert [row["id"] for row in read_results(path)] == ["a"]
        results.append(line("b"))
    with ResultsFile(path, {"model_sha256": "other"}, fresh=True) as results:
        assert results.done == set()
        results.append(line("c"))
    assert [row["id"] for row in read_results(path)] == ["c"]
    assert json.loads(meta_path(path).read_text()) == {"model_sha256": "other"}


def test_a_file_that_its_last_holder_replaces_before_the_lock_is_taken_is_opened_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import fcntl

    path = tmp_path / "results.jsonl"
    plain, late = fcntl.flock, [True]

    def flock(descriptor: int, how: int) -> None:
        if late.pop() if late else False:
            path.unlink()
        plain(descriptor, how)

    monkeypatch.setattr(fcntl, "flock", flock)
    with ResultsFile(path, FACTS) as results:
        results.append(line("a"))
        assert [row["id"] for row in read_results(path)] == ["a"]


def test_a_missing_results_file_is_a_wrong_call(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no results file"):
        list(read_results(tmp_path / "nothing.jsonl"))


_RUN = """
import sys
from runtime.solver.batch import Item, solve_batch
from runtime.lce import Block
from runtime.engine.scripted import ReplayEngine
from runtime.settings import SolverSettings
from runtime.evaluate.results_file import ResultsFile, result_line
items = [Item(str(n), n, f"What is {n} + 1?") for n in range(1000)]
script = lambda q: [Block("text", "We add. "), Block("code", "1"), Block("text", str(int(q.split()[2]) + 1))]
with ResultsFile(sys.argv[1], {"model_sha256": "x"}) as results:
    engine = ReplayEngine(script)
    settings = SolverSettings(code_execution=False)
    for item, solution in solve_batch(engine, results.pending(items), settings, slots=8):
        results.append(result_line(item, solution))
"""


def test_a_thousand_questions_with_the_worker_killed_again_and_again_have_one_result_each(tmp_path: Path) -> None:
    path = tmp_path / "results.jsonl"
    random.seed(1)
    kills = 0
    for _ in range(60):
        # The first kills come mid-write; later ones are given longer, so that the test ends on a slow machine too.
        worker = subprocess.Popen([sys.executable, "-c", textwrap.dedent(_RUN), str(path)], stderr=subprocess.PIPE)
        before = path.stat().st_size if path.exists() else 0
        deadline = time.monotonic() + 60
        while worker.poll() is None and time.monotonic() < deadline:
            grown = (path.stat().st_size if path.exists() else 0) - before
            if kills < 5 and grown > random.randint(10_000, 60_000):
                worker.send_signal(signal.SIGKILL)
                kills += 1
                break
            time.sleep(0.005)
        _, errors = worker.communicate()
        if worker.returncode == 0:
            break
        assert worker.returncode == -signal.SIGKILL, errors.decode()
    rows = list(read_results(path))
    assert kills == 5
    assert sorted(int(row["id"]) for row in rows) == list(range(1000))
    assert all(row["answer"] == str(int(row["id"]) + 1) for row in rows)
    assert path.read_bytes().count(b"\n") == 1000

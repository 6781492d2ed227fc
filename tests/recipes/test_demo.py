"""The demo's arithmetic and care: its table, its proof that executions are used, its folder."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from recipes.demo.exams import follows_execution, show_table
from recipes.demo.journey import FAST, FULL, clear_folder, conclude, demo, settings_of
from recipes.demo.log import DemoLog
from recipes.nano.exam import Paper
from recipes.nano.problems import held_out
from runtime.errors import InputError
from runtime.show.console import make_console
from runtime.solver import Solution


def paper(answers: list[str | None], *, cells: int = 1) -> Paper:
    problems = held_out("numbers", len(answers), 3)
    texts = [problem.gold if answer == "right" else answer for problem, answer in zip(problems, answers, strict=True)]
    solutions = [Solution([], text, "answered" if text else "no_answer", cells=cells) for text in texts]
    return Paper("numbers", problems, solutions)


def told_log() -> DemoLog:
    console = make_console(file=io.StringIO())
    console.width = 160
    return DemoLog(console)


RESULTS = {
    "numbers": {
        "before": paper([None, None]),
        "after": paper(["right", "right", "right", "no number"]),
        "F16": paper(["right", "right", "right", "right"]),
        "execution off": paper(["no number", None]),
        "falsified": paper(["111", "right"]),
    }
}


def test_the_table_shows_each_condition_as_it_came_out() -> None:
    told = told_log()
    show_table(told, RESULTS)
    assert isinstance(told.console.file, io.StringIO)
    shown = told.console.file.getvalue()
    assert "0/2 0.0%" in shown
    assert "3/4 75.0%" in shown
    assert "4/4 100.0%" in shown
    assert "changed in 1 of 2 solutions (50%)" in shown
    assert told.facts["exams"]["numbers"]["after"] == {"solved": 3, "of": 4}


def test_only_answered_solutions_that_ran_code_count_as_proof() -> None:
    idle = {"numbers": {"after": paper(["right", None]), "falsified": paper(["111", "111"])}}
    assert follows_execution(idle) == (1, 1)
    without_code = {"numbers": {"after": paper(["right"], cells=0), "falsified": paper(["111"])}}
    assert follows_execution(without_code) == (0, 0)


def test_a_folder_of_somebody_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(InputError, match="was not written by the demo"):
        clear_folder(tmp_path)
    assert (tmp_path / "thesis.tex").exists()
    with pytest.raises(InputError, match="was not written by the demo"):
        demo(tmp_path, fast=True)


def test_a_folder_of_an_earlier_demo_is_made_anew(tmp_path: Path) -> None:
    out = tmp_path / "demo-out"
    clear_folder(out)
    (out / "run").mkdir()
    (out / "note.txt").touch()
    clear_folder(out)
    assert not (out / "run").exists()
    assert (out / "note.txt").exists(), "only what the demo writes is removed"


def test_the_end_keeps_the_figures_and_says_what_to_run_next(tmp_path: Path) -> None:
    told = told_log()
    told.facts["rows"] = {"rows": 1}
    conclude(told, tmp_path, tmp_path / "models" / "nano-Q8_0.gguf")
    assert json.loads((tmp_path / "demo.json").read_text(encoding="utf-8"))["rows"] == {"rows": 1}
    assert isinstance(told.console.file, io.StringIO)
    assert "mathcoder chat" in told.console.file.getvalue()
    assert "mathcoder train" in told.console.file.getvalue()


def test_the_demo_trains_by_peft_on_every_machine_since_it_exports_in_the_same_process(tmp_path: Path) -> None:
    for scale in (FULL, FAST):
        assert settings_of(tmp_path / "rows.jsonl", scale).train.backend == "peft"

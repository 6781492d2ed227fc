"""Evaluation runs with a solver that stands in for the model: resuming, reports, comparison."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from gguf_factory import write_model
from rich.console import Console

from runtime.engine import About
from runtime.engine.scripted import ByteVocabulary, ReplayEngine
from runtime.errors import DataError, InputError, ModelError
from runtime.evaluate.records import read_records
from runtime.evaluate.report import as_markdown, failure, summarise
from runtime.evaluate.run import (
    MODES,
    compare_files,
    grade_file,
    inspect_file,
    load_set,
    mode_of,
    report_file,
    settings_for_mode,
    strict_differences,
)
from runtime.evaluate.run import run_eval as _run_eval
from runtime.lce import Block
from runtime.settings import SolverSettings
from runtime.solver import Solution

QUIET = SolverSettings(code_execution=False)
"""Without executions no sandbox is started."""


def run_eval(*arguments: Any, plots: bool = False, **named: Any) -> dict[str, Any]:
    """Without plots, which take longer than everything else here together."""
    return _run_eval(*arguments, plots=plots, **named)


class Engine:
    """Knows who it is; the solver below does the work."""

    vocabulary = ByteVocabulary()
    about = About()
    chat_template = ""

    def __init__(self, name: str = "a") -> None:
        self.name = name
        self.closed = False

    def facts(self) -> dict[str, Any]:
        return {"model": self.name, "model_sha256": self.name * 64, "versions": {"engine": "1"}}

    def close(self) -> None:
        self.closed = True


def solution(answer: str | None, *, code: int = 1, execution: str = "4", status: str = "answered") -> Solution:
    blocks = [Block("text", "Let us compute.")]
    for _ in range(code):
        blocks += [Block("code", "2+2"), Block("execution", execution)]
    if answer is not None:
        blocks.append(Block("text", answer))
    return Solution(
        blocks,
        answer,
        status,  # type: ignore[arg-type]
        {"prompt": 10, "generated": 40, "execution": 2 * code},
        cells=code,
        failed_cells=code if "Error" in execution else 0,
        ms={"decode": 80.0, "execution": 20.0, "wall": 100.0},
        seed=7,
    )


def solver(answer: Callable[[Any], Solution], asked: list[tuple[str, int]] | None = None) -> Any:
    def solve(_engine: Any, items: Iterator[Any], *_: Any, **__: Any) -> Iterator[Any]:
        # Two at a time, the second first: a batch does not finish in order.
        waiting: list[Any] = []
        for item in items:
            if asked is not None:
                asked.append((item.id, item.sample))
            waiting.append(item)
            if len(waiting) == 2:
                for done in reversed(waiting):
                    yield done, answer(done)
                waiting = []
        for done in waiting:
            yield done, answer(done)

    return solve


def right(item: Any) -> Solution:
    return solution(item.gold)


@pytest.fixture
def sums(tmp_path: Path) -> str:
    path = tmp_path / "sums.jsonl"
    rows = [{"id": str(n), "question": f"{n}+{n}?", "gold": str(2 * n), "level": n % 2 + 1} for n in range(9)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(path)


def lines(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(text) for text in (folder / "results.jsonl").read_text("utf-8").splitlines()]


def test_a_run_writes_results_facts_and_report(sums: str, tmp_path: Path) -> None:
    out = tmp_path / "run"
    found = run_eval(Engine(), [sums], out, settings=QUIET, solve=solver(right))
    assert [line["index"] for line in lines(out)] == list(range(9))
    contract = {
        "id",
        "index",
        "sample",
        "question",
        "gold",
        "blocks",
        "answer",
        "strict",
        "lenient",
        "status",
        "tokens",
    }
    assert contract | {"cells", "failed_cells", "ms", "seed"} <= set(lines(out)[0])
    meta = json.loads((out / "results.meta.json").read_text("utf-8"))
    assert meta["status"] == "finished"
    assert meta["data"]["sums"]["questions"] == 9
    assert {"model_sha256", "settings", "limits", "seed", "versions", "sandbox_tier", "date", "grader_sha256"} <= set(
        meta
    )
    assert found["report"]["sums"]["pass@1"]["value"] == 1.0
    assert json.loads((out / "report.json").read_text("utf-8"))["report"]["sums"]["questions"] == 9
    assert "| sums | 9 | 100.00" in (out / "report.md").read_text("utf-8")


def killed_at_the_fifth(sums: str, out: Path) -> None:
    def dies(item: Any) -> Solution:
        if item.index == 4:
            raise KeyboardInterrupt("by the test")
        return right(item)

    with pytest.raises(KeyboardInterrupt, match="by the test"):
        run_eval(Engine(), [sums], out, settings=QUIET, solve=solver(dies))


def test_a_killed_run_goes_on_without_repeating_a_problem(sums: str, tmp_path: Path) -> None:
    out, asked = tmp_path / "run", []
    killed_at_the_fifth(sums, out)
    saved = {line["id"] for line in lines(out)}
    assert 0 < len(saved) < 9
    with open(out / "results.jsonl", "a", encoding="utf-8") as handle:
        handle.write('{"id": "sums/8", "sam')  # what a power cut leaves
    run_eval(Engine(), [sums], out, settings=QUIET, solve=solver(right, asked))
    assert {identity for identity, _ in asked}.isdisjoint(saved)
    assert len(lines(out)) == 9
    asked.clear()
    run_eval(Engine(), [sums], out, settings=QUIET, solve=solver(right, asked))
    assert asked == []


@pytest.mark.parametrize(
    "change",
    [{"engine": Engine("b")}, {"seed": 2}, {"limit": 4}, {"settings": QUIET.model_copy(update={"max_tokens": 9})}],
    ids=["model", "seed", "limit", "settings"],
)
def test_another_run_is_not_mixed_in_unless_asked_to_begin_again(
    change: dict[str, Any], sums: str, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    run_eval(Engine(), [sums], out, settings=QUIET, solve=solver(right))
    arguments = {"settings": QUIET, "solve": solver(right), **change}
    engine = arguments.pop("engine", Engine())
    with pytest.raises(InputError, match="another"):
        run_eval(engine, [sums], out, **arguments)
    run_eval(engine, [sums], out, fresh=True, **arguments)
    assert len(lines(out)) == change.get("limit", 9)


def test_results_without_their_facts_are_not_touched(sums: str, tmp_path: Path) -> None:
    out = tmp_path / "run"
    run_eval(Engine(), [sums], out, settings=QUIET, solve=solver(right))
    (out / "results.meta.json").unlink()
    before = (out / "results.jsonl").read_bytes()
    with pytest.raises(InputError, match="cannot be known"):
        run_eval(Engine(), [sums], out, settings=QUIET, solve=solver(right))
    assert (out / "results.jsonl").read_bytes() == before


def test_several_samples_vote(sums: str, tmp_path: Path) -> None:
    settings = QUIET.model_copy(update={"temperature": 0.7})

    # Two of three samples are right, except on question 0, where one is.
    def answer(item: Any) -> Solution:
        good = item.sample < (1 if item.index == 0 else 2)
        return solution(item.gold if good else "77")

    found = run_eval(Engine(), [sums], tmp_path / "run", settings=settings, samples=3, solve=solver(answer))
    summary = found["report"]["sums"]
    assert summary["pass@1"]["value"] == pytest.approx((1 + 8 * 2) / 27)
    assert summary["maj@3"]["value"] == pytest.approx(8 / 9)


def test_samples_at_temperature_zero_are_refused(sums: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="temperature"):
        run_eval(Engine(), [sums], tmp_path / "run", settings=QUIET, samples=3, solve=solver(right))


def test_sets_with_the_same_ids_stay_apart(sums: str, tmp_path: Path) -> None:
    found = run_eval(Engine(), [sums, f"again={sums}"], tmp_path / "run", settings=QUIET, solve=solver(right))
    assert [found["report"][name]["questions"] for name in ("sums", "again")] == [9, 9]
    with pytest.raises(InputError, match="share a name"):
        run_eval(Engine(), [sums, sums], tmp_path / "two", settings=QUIET, solve=solver(right))


def test_solutions_that_fail_are_told_apart(sums: str, tmp_path: Path) -> None:
    kinds = {
        1: (solution("0", code=0), "no_code"),
        2: (solution("0", execution="NameError: name 'x' is not defined"), "error_not_repaired"),
        3: (solution(None, status="block_limit"), "budget"),
        4: (solution(None, status="no_answer"), "no_answer"),
        5: (solution("0"), "wrong_answer"),
        6: (solution(None, code=0, status="error"), "engine_error"),
        7: (solution("0", execution="4", status="repeated_error"), "error_not_repaired"),
    }
    out = tmp_path / "run"
    found = run_eval(
        Engine(),
        [sums],
        out,
        settings=QUIET,
        solve=solver(lambda i: kinds[i.index][0] if i.index in kinds else right(i)),
    )
    attempts = read_records(out / "results.jsonl")
    assert {a.index: failure(a) for a in attempts} == {n: kinds[n][1] if n in kinds else None for n in range(9)}
    summary = found["report"]["sums"]
    assert summary["failures"]["error_not_repaired"] == 2
    assert sum(summary["failures"].values()) == 7
    assert found["errors"] == 1
    assert summary["code"]["failed_cells"] == 1
    assert summary["code"]["cells"] == sum(a.line["cells"] for a in attempts) == 7


def test_cost_is_the_ratio_of_execution_to_generation(sums: str, tmp_path: Path) -> None:
    cost = run_eval(Engine(), [sums], tmp_path / "r", settings=QUIET, solve=solver(right))["report"]["sums"]["cost"]
    assert cost["execution_over_decode"] == 0.25
    assert cost["tokens_per_decode_second"] == 500.0
    assert cost["generated_tokens"] == 360


def test_levels_are_reported_apart(sums: str, tmp_path: Path) -> None:
    answer = solver(lambda item: solution(item.gold if item.index % 2 else "-1"))
    levels = run_eval(Engine(), [sums], tmp_path / "r", settings=QUIET, solve=answer)["report"]["sums"]["by_level"]
    assert {name: (part["n"], part["value"]) for name, part in levels.items()} == {"1": (5, 0.0), "2": (4, 1.0)}


def test_the_live_table_counts_and_the_report_is_printed(sums: str, tmp_path: Path) -> None:
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=160)
    run_eval(Engine(), [sums], tmp_path / "r", settings=QUIET, console=console, solve=solver(right))
    shown = screen.getvalue()
    assert "9/9" in shown
    assert "pass@1" in shown
    screen = io.StringIO()
    run_eval(
        Engine(), [sums], tmp_path / "r2", settings=QUIET, console=Console(file=screen, width=160), solve=solver(right)
    )
    assert "9/9  9 right (100.0 %), 0 wrong, 0 without answer" in screen.getvalue()


def test_plots_are_pictures(sums: str, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    answer = solver(lambda item: solution(item.gold if item.index % 2 else "-1"))
    found = run_eval(Engine(), [sums], tmp_path / "r", settings=QUIET, solve=answer, plots=True)
    pictures = [path for path in found["files"] if path.suffix == ".png"]
    assert {path.name for path in pictures} == {"accuracy.png", "code_blocks.png", "failures.png"}
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in pictures)


# Modes


def test_modes_change_the_settings_or_say_that_they_cannot() -> None:
    assert settings_for_mode(SolverSettings(), "full") == SolverSettings()
    assert settings_for_mode(SolverSettings(), "no-execution").code_execution is False
    for mode in MODES:
        assert mode_of(settings_for_mode(SolverSettings(max_tokens=9), mode)) == mode
        assert settings_for_mode(SolverSettings(max_tokens=9), mode).max_tokens == 9
    with pytest.raises(InputError, match="the modes are full"):
        settings_for_mode(SolverSettings(), "fast")
    with pytest.raises(InputError, match="code_execution is off"):
        settings_for_mode(QUIET, "program-of-thought")


def thinks(question: str) -> list[Block]:
    """Knows the sum, computes it with an error that only running shows, and imagines a wrong result."""
    number = int(question.split("+")[0])
    code, imagined = Block("code", f"print('sum')\n{number} + {number} + 1"), Block("execution", "no")
    return [Block("text", "We add."), code, imagined, Block("text", str(2 * number))]


@pytest.mark.parametrize(
    ("mode", "kinds", "answers", "cells"),
    [
        ("full", ["text", "code", "execution", "text"], ["0", "2", "4"], 3),
        ("no-execution", ["text", "code", "execution", "text"], ["0", "2", "4"], 0),
        ("program-of-thought", ["text", "code", "execution"], ["1", "3", "5"], 3),
        ("imagined", ["text", "code", "execution", "text"], ["0", "2", "4"], 0),
    ],
)
def test_each_mode_is_evaluated_with_its_own_blocks_answers_and_cells(
    mode: str, kinds: list[str], answers: list[str], cells: int, sums: str, tmp_path: Path
) -> None:
    engine = ReplayEngine(thinks, imagined=mode == "imagined")
    out = tmp_path / "run"
    chosen = load_set(sums)
    small = replace(chosen, questions=chosen.questions[:3])
    found = run_eval(engine, [small], out, mode=mode)
    assert [line["answer"] for line in lines(out)] == answers
    assert all([block["type"] for block in line["blocks"]] == kinds for line in lines(out))
    assert sum(line["cells"] for line in lines(out)) == cells
    assert (found["facts"]["mode"], found["facts"]["dialect"]) == (mode, "lce")
    assert (found["facts"]["sandbox_tier"] == "none") == (cells == 0)


def test_a_run_is_not_continued_in_another_mode(sums: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runtime.evaluate.run.tier_facts", lambda _: {"sandbox_tier": "none"})
    out = tmp_path / "run"
    for mode in MODES:
        run_eval(Engine(), [sums], out, mode=mode, solve=solver(right), fresh=True)
        before = (out / "results.jsonl").read_bytes()
        for other in set(MODES) - {mode}:
            with pytest.raises(InputError, match="begun with other facts: mode was"):
                run_eval(Engine(), [sums], out, mode=other, solve=solver(right))
        assert (out / "results.jsonl").read_bytes() == before


def test_a_run_begun_by_version_0_1_is_continued(sums: str, tmp_path: Path) -> None:
    out = tmp_path / "run"
    run_eval(Engine(), [sums], out, settings=QUIET, solve=solver(right))
    meta = out / "results.meta.json"
    facts = json.loads(meta.read_text("utf-8"))
    facts["limits"]["error_wording"] = "trained"
    meta.write_text(json.dumps(facts), "utf-8")
    before = (out / "results.jsonl").read_bytes()
    run_eval(Engine(), [sums], out, settings=QUIET, solve=solver(right))
    assert (out / "results.jsonl").read_bytes() == before


def test_the_facts_of_a_real_model_name_its_quantization_and_dialect(sums: str, tmp_path: Path) -> None:
    path = write_model(tmp_path / "m.gguf", file_type=15)
    found = run_eval(path, [sums], tmp_path / "run", settings=QUIET, solve=solver(right))
    meta = json.loads((tmp_path / "run" / "results.meta.json").read_text("utf-8"))
    for facts in (meta, found["facts"]):
        assert (facts["quantization"], facts["dialect"], facts["mode"]) == ("Q4_K_M", "lce", "no-execution")
    assert "- quantization: `Q4_K_M`" in (tmp_path / "run" / "report.md").read_text("utf-8")


def test_the_recorded_mode_is_what_the_settings_made_of_it(sums: str, tmp_path: Path) -> None:
    found = run_eval(Engine(), [sums], tmp_path / "run", settings=QUIET, solve=solver(right))
    assert found["facts"]["mode"] == "no-execution"


def test_a_model_that_cannot_be_talked_to_leaves_no_file(sums: str, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="control token"):
        run_eval(Engine(), [sums], tmp_path / "run", settings=SolverSettings(dialect="qwen-math"), solve=solver(right))
    assert not (tmp_path / "run").exists()


# Files of other origins


def published(path: Path, answers: list[tuple[str, str, list[tuple[str, str]]]]) -> Path:
    rows = [
        {
            "id": str(n),
            "model": "m",
            "dataset": "demo",
            "question": question,
            "gold": gold,
            "blocks": [{"type": kind, "content": content} for kind, content in blocks],
            "completion": blocks[-1][1],
        }
        for n, (question, gold, blocks) in enumerate(answers)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def test_published_outputs_are_graded_strictly_by_their_last_block(tmp_path: Path) -> None:
    path = published(
        tmp_path / "demo.jsonl",
        [
            ("a", "4", [("text", "4.0")]),
            ("b", "0.5", [("text", r"\frac{1}{2}")]),
            ("c", "7", [("code", "7"), ("execution", "7")]),
            ("d", "9", [("text", "8")]),
        ],
    )
    assert grade_file(path, strict=True) == {"demo": {"n": 4, "correct": 2, "accuracy": 50.0}}
    assert grade_file(path) == {"demo": {"n": 4, "correct": 2, "accuracy": 50.0}}
    reasons = {d["id"]: d["reason"] for d in strict_differences(path)}
    assert set(reasons) == {"1", "2"}
    assert "fraction" in reasons["1"]
    assert "execution" in reasons["2"]


def test_plain_predictions_are_graded_too(tmp_path: Path) -> None:
    path = tmp_path / "plain.jsonl"
    path.write_text('{"prediction": "1/2", "gold": 0.5}\n{"answer": null, "gold": 51.0}\n', encoding="utf-8")
    assert grade_file(path) == {"plain": {"n": 2, "correct": 1, "accuracy": 50.0}}


@pytest.mark.parametrize(
    "line", ['{"prediction": "1"}', '{"gold": "1"}', '{"gold": "1", "blocks": [3], "completion": "1"}', "[1]", "{"]
)
def test_lines_that_cannot_be_graded_are_named(line: str, tmp_path: Path) -> None:
    path = tmp_path / "bad.jsonl"
    path.write_text(line + "\n", encoding="utf-8")
    with pytest.raises(DataError, match="line 1"):
        grade_file(path)


def test_two_files_are_compared_on_their_common_questions(tmp_path: Path) -> None:
    first = published(tmp_path / "a.jsonl", [(str(n), "1", [("text", "1" if n < 6 else "0")]) for n in range(10)])
    second = published(tmp_path / "b.jsonl", [(str(n), "1", [("text", "1" if n >= 5 else "0")]) for n in range(9)])
    screen = io.StringIO()
    found = compare_files([first, second], console=Console(file=screen, width=80))["demo"]
    assert (found["n"], found["left_out"]) == (9, 1)
    (difference,) = found["differences"]
    assert (difference["only_first"], difference["only_second"]) == (5, 3)
    assert difference["difference"] == pytest.approx((4 - 6) / 9)
    assert difference["low"] < difference["difference"] < difference["high"]
    assert "A  a.jsonl\nB  b.jsonl" in screen.getvalue()
    assert difference["other_answers"] == {"n": 0, "changed": 0}, "published outputs do not say how many cells ran"
    assert "44.4 [18.9, 73.3]  -22.2 [-" in screen.getvalue(), "a terminal of 80 columns cuts nothing"
    assert "…" not in screen.getvalue()
    with pytest.raises(InputError, match="second file"):
        compare_files([first])
    other = published(tmp_path / "c.jsonl", [("z", "1", [("text", "1")])])
    with pytest.raises(InputError, match="no question in common"):
        compare_files([first, other])


def test_a_comparison_counts_the_answers_after_a_cell_that_another_run_does_not_give(sums: str, tmp_path: Path) -> None:
    chosen = replace(load_set(sums), questions=load_set(sums).questions[:3])
    screen = io.StringIO()
    files = []
    for mode in ("full", "wrong-results"):
        # It answers with what it read, save for the last question, which it knows by heart.
        engine = ReplayEngine(lambda question: reads(question, mode))  # noqa: B023
        run_eval(engine, [chosen], tmp_path / mode, mode=mode)
        files.append(tmp_path / mode / "results.jsonl")
    (difference,) = compare_files(files, console=Console(file=screen, width=120))[chosen.name]["differences"]
    assert difference["other_answers"] == {"n": 3, "changed": 2}
    assert "B answers otherwise than A in 2 of A's 3 answers that used code (67%)" in screen.getvalue()


def reads(question: str, mode: str) -> list[Block]:
    number = int(question.split("+")[0])
    read = 2 * number + (111 if mode == "wrong-results" else 0)
    code = Block("code", f"{number} + {number}")
    return [code, Block("execution", str(read)), Block("text", str(4 if number == 2 else read))]


def test_inspection_shows_wrong_solutions_and_no_markup_of_theirs(tmp_path: Path) -> None:
    path = published(
        tmp_path / "a.jsonl",
        [("[red]Q[/red] one?", "4", [("text", "[bold]5"), ("text", "5")]), ("two?", "1", [("text", "1")])],
    )
    screen = io.StringIO()
    shown = inspect_file(path, console=Console(file=screen, width=120))
    assert [(entry["id"], entry["failure"]) for entry in shown] == [("0", "no_code")]
    assert "[red]Q[/red] one?" in screen.getvalue()
    assert "answer 5; gold 4" in screen.getvalue()
    assert len(inspect_file(path, console=Console(file=io.StringIO()), show="all", ask=lambda: "q")) == 1
    assert inspect_file(path, console=Console(file=io.StringIO()), show="budget") == []
    with pytest.raises(InputError, match="cannot show"):
        inspect_file(path, console=Console(file=io.StringIO()), show="pretty")


def test_a_report_can_be_made_from_published_outputs(tmp_path: Path) -> None:
    path = published(tmp_path / "a.jsonl", [("q", "4", [("code", "4"), ("execution", "4"), ("text", "4")])])
    found = report_file(path)
    assert found["files"] == []
    assert found["report"]["demo"]["cost"] == {}
    assert "| demo | 1 | 100.00" in as_markdown(summarise(read_records(path)))


def test_other_keys_and_empty_completions_are_graded_as_what_they_are(tmp_path: Path) -> None:
    path = tmp_path / "odd.jsonl"
    rows = [
        {"gold": "5", "completion": ""},
        {"gold": "5", "completion": None},
        {"gold": "5", "blocks": []},
        {"gold": "5", "completion": "5", "index": "x", "sample": None, "extra": {"a": [1]}},
        {"gold": "5", "completion": "<|text|>so<|endofblock|><|text|>5<|endofblock|><|endofmessage|>"},
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    assert [attempt.correct for attempt in read_records(path)] == [False, False, False, True, True]
    assert [attempt.strict for attempt in read_records(path)] == [False, False, False, True, True]


def test_the_report_shows_what_a_solution_and_the_run_cost(sums: str, tmp_path: Path) -> None:
    out = tmp_path / "run"
    found = run_eval(Engine(), [sums], out, settings=QUIET, solve=solver(right))
    seconds = found["facts"]["seconds"]
    facts = {**found["facts"], "seconds": 8.0}
    markdown = as_markdown(found["report"], facts)
    assert "| set | tokens | median | longest | seconds | longest s | tok/s | exec/decode |" in markdown
    assert "| sums | 40 | 40 | 40 | 0.10 | 0.1 | 500.0 | 0.250 |" in markdown
    assert "The whole run: 9 solutions, 360 tokens in 8.0 s, 45.0 tokens/s with 8 written together." in markdown
    again = run_eval(Engine(), [sums], out, settings=QUIET, solve=solver(right))
    assert again["facts"]["seconds"] == seconds, "reporting again is no work of the run"


def test_seconds_of_a_run_that_was_killed_are_unknown(sums: str, tmp_path: Path) -> None:
    out = tmp_path / "run"
    killed_at_the_fifth(sums, out)
    found = run_eval(Engine(), [sums], out, settings=QUIET, solve=solver(right))
    assert found["facts"]["seconds"] is None
    assert "whole run" not in as_markdown(found["report"], found["facts"])


def test_a_failure_of_the_machine_is_not_graded_and_is_solved_again_on_the_next_call(sums: str, tmp_path: Path) -> None:
    def some_fail(item: Any) -> Solution:
        return solution(None, status="error") if item.index in (2, 5) else solution(item.gold)

    out = tmp_path / "run"
    first = run_eval(Engine(), [sums], out, settings=QUIET, solve=solver(some_fail))
    assert first["errors"] == 2
    assert (first["report"]["sums"]["attempts"], first["report"]["sums"]["errors"]) == (7, 2)
    assert first["report"]["sums"]["pass@1"]["value"] == 1.0
    assert grade_file(out / "results.jsonl") == {"sums": {"n": 7, "correct": 7, "accuracy": 100.0}}
    failed = [line for line in lines(out) if line["status"] == "error"]
    assert [(line["strict"], line["correct"], line["lenient"]) for line in failed] == [(None, None, None)] * 2

    asked: list[tuple[str, int]] = []
    second = run_eval(Engine(), [sums], out, settings=QUIET, solve=solver(right, asked))
    assert [name for name, _ in asked] == ["sums/2", "sums/5"]
    assert second["errors"] == 0
    assert [line["index"] for line in lines(out)] == list(range(9))
    assert grade_file(out / "results.jsonl")["sums"] == {"n": 9, "correct": 9, "accuracy": 100.0}


def test_where_nothing_could_be_solved_there_is_no_rate(sums: str, tmp_path: Path) -> None:
    console = Console(file=io.StringIO(), width=200)
    out = tmp_path / "run"
    run_eval(
        Engine(), [sums], out, settings=QUIET, solve=solver(lambda _: solution(None, status="error")), console=console
    )
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    assert not re.search(r"\b0\.0", shown.split("cost of a solution")[0]), shown
    assert grade_file(out / "results.jsonl") == {"sums": {"n": 0, "correct": 0, "accuracy": None}}

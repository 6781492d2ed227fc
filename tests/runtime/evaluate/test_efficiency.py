"""Where a question's time goes, and methods at equal accuracy and equal tokens."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from recipes.cli import main
from runtime.evaluate.efficiency import VOTES, accuracy_at, cost_at, curve, report, sheets
from runtime.evaluate.records import read_records
from runtime.evaluate.timing import PARTS, Energy, TimedEngine


def write(path: Path, answers: dict[str, list[tuple[str, float, int]]]) -> Path:
    """Lines of each method: (answer, seconds, tokens) of each question, or of question 0's samples."""
    lines = []
    for method, told in answers.items():
        for place, (answer, seconds, tokens) in enumerate(told):
            index, sample = (0, place) if method == VOTES else (place, 0)
            parts = dict.fromkeys(PARTS, 200 * seconds) | {"wall": 1000 * seconds, "execution": 0.0}
            lines.append(
                {
                    "id": f"{method}/q/{index}", "index": index, "sample": sample, "method": method, "set": "q",
                    "question": "Q?", "gold": "7", "answer": answer, "status": "answered", "blocks": [],
                    "cells": 1, "tokens": {"prompt": 10, "generated": tokens, "execution": 2}, "ms": parts,
                }
            )  # fmt: skip
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return path


def test_a_curve_is_the_accuracy_under_a_limit_on_each_question(tmp_path: Path) -> None:
    path = write(tmp_path / "r.jsonl", {"full": [("7", 1.0, 10), ("7", 3.0, 30), ("8", 2.0, 20), ("7", 4.0, 40)]})
    points = curve("full", read_records(path), "seconds")
    # Limits of 1, 2, 3 and 4 seconds: costs are means of min(seconds, limit), and one that needs more is not solved.
    assert points == [(1.0, 0.25), (1.75, 0.25), (2.25, 0.5), (2.5, 0.75)]
    assert cost_at(points, 0.5) == 2.25
    assert cost_at(points, 0.8) is None
    assert accuracy_at(points, 2.3) == 0.5
    assert accuracy_at(points, 0.5) is None
    assert curve("full", read_records(path), "tokens")[-1] == (25.0, 0.75)


def test_self_consistency_costs_all_its_samples_and_counts_the_majority(tmp_path: Path) -> None:
    path = write(tmp_path / "r.jsonl", {VOTES: [("8", 1.0, 5), ("7", 1.0, 5), ("7", 2.0, 5)]})
    points = curve(VOTES, read_records(path), "seconds")
    assert [at for at, _ in points] == [1.0, 2.0, 4.0]
    assert points[0][1] == 0.0
    assert points[2][1] == 1.0


def test_methods_are_compared_at_the_accuracy_all_reach_and_at_the_full_loops_tokens(tmp_path: Path) -> None:
    told = report(
        write(
            tmp_path / "results.jsonl",
            {
                "full": [("7", 1.0, 10), ("7", 3.0, 30)],
                "chain-of-thought": [("7", 0.5, 8), ("8", 0.5, 8)],
                VOTES: [("7", 1.0, 20), ("7", 1.0, 20)],
            },
        ),
        formats=("svg",),
    )
    assert told["methods"]["full"]["accuracy"]["value"] == 1.0
    assert told["methods"]["full"]["wall"] == 2.0
    assert set(told["methods"]["full"]["seconds"]) == set(PARTS)
    assert told["methods"]["full"]["joules"] is None
    compared = told["compared"]
    assert compared["full"]["shared_accuracy"] == 0.5
    assert compared["chain-of-thought"]["seconds_at_shared_accuracy"] == 0.5
    assert compared["chain-of-thought"]["seconds_at_full_accuracy"] is None
    assert compared[VOTES]["accuracy_at_full_tokens"] == 1.0
    assert sheets(told)[2].rows[1] == ["chain-of-thought", "0.500", "never", "50.0"]
    assert json.loads((tmp_path / "efficiency.json").read_text(encoding="utf-8"))["methods"]
    assert "never" in (tmp_path / "efficiency.md").read_text(encoding="utf-8")


def test_decodes_are_counted_for_what_was_pending() -> None:
    drawn = iter([[], [1], [1], [], [1]])
    decoder = SimpleNamespace(
        start=lambda *_, **__: "sequence", feed=lambda _, segments: len(segments), step=lambda _: next(drawn)
    )
    engine: Any = TimedEngine(SimpleNamespace(open=lambda _: decoder, name="m"))  # type: ignore[arg-type]
    assert engine.name == "m"
    timed = engine.open(1)
    timed.start([])
    for _ in range(2):
        timed.step(["sequence"])
    after_prompt = dict(engine.seconds)
    assert after_prompt["prompt"] > 0
    assert after_prompt["decode"] == after_prompt["feed"] == 0
    timed.step(["sequence"])
    assert engine.seconds["decode"] > 0
    timed.feed("sequence", [])  # nothing fed, nothing read
    timed.feed("sequence", ["result"])
    timed.step(["sequence"])
    timed.step(["sequence"])
    taken = engine.take()
    assert taken["feed"] > 0
    assert taken["prompt"] == after_prompt["prompt"]
    assert engine.take() == {"prompt": 0.0, "decode": 0.0, "feed": 0.0}


def test_energy_is_read_where_the_machine_tells_it_and_counters_may_begin_again(tmp_path: Path) -> None:
    assert Energy(tmp_path).take() is None
    for name in ("intel-rapl:0", "intel-rapl:0:0"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "max_energy_range_uj").write_text("10000000\n", encoding="ascii")
        (tmp_path / name / "energy_uj").write_text("9000000\n", encoding="ascii")
    energy = Energy(tmp_path)
    assert energy.is_known
    (tmp_path / "intel-rapl:0" / "energy_uj").write_text("9500000\n", encoding="ascii")
    assert energy.take() == 0.5
    (tmp_path / "intel-rapl:0" / "energy_uj").write_text("500000\n", encoding="ascii")
    assert energy.take() == 1.0, "the core's own counter is part of its package's"


def test_the_nano_model_is_measured_by_every_method_and_a_second_call_measures_nothing_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    questions = tmp_path / "q.jsonl"
    questions.write_text(json.dumps({"question": "What is 17 plus 25?", "gold": "42"}) + "\n", encoding="utf-8")
    words = ["eval", "nano", "--efficiency", "--data", str(questions), "--out", str(tmp_path / "e"), "--samples", "2"]
    words += ["--max-tokens", "60", "--threads", "1", "--plots", "svg"]
    assert main(words) == 0
    shown = capsys.readouterr().out
    assert "What a question costs" in shown
    assert "Where a question's seconds go" in shown
    assert "self-consistency@2" in shown
    lines = (tmp_path / "e" / "results.jsonl").read_bytes()
    assert len(lines.splitlines()) == 5
    for line in map(json.loads, lines.splitlines()):
        parts = [line["ms"][part] for part in PARTS]
        assert sum(parts) == pytest.approx(line["ms"]["wall"], rel=0.02, abs=1.0)
        assert line["ms"]["prompt"] > 0
        assert line["ms"]["decode"] > 0
        assert 0 < line["ms"]["processor"] < 1.5 * line["ms"]["wall"] + 50, "one thread decodes"
    assert main([*words, "--report", "csv"]) == 0
    assert "What a question costs,full,1," in capsys.readouterr().out
    assert (tmp_path / "e" / "results.jsonl").read_bytes() == lines


def test_recorded_solutions_are_graded_counted_and_their_cells_run_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def line(index: int, gold: str, *blocks: tuple[str, str]) -> str:
        told = [{"type": kind, "content": content} for kind, content in blocks]
        row = {"id": index, "question": "Q?", "gold": gold, "blocks": told, "completion": blocks[-1][1]}
        return json.dumps(row) + "\n"

    path = tmp_path / "others.jsonl"
    path.write_text(
        line(0, "3", ("code", "import time\ntime.sleep(0.4)\nx = 3"), ("execution", "-"), ("code", "x"),
             ("execution", "3"), ("text", "3"))
        + line(1, "4", ("text", "It is"), ("code", "x"), ("execution", "NameError"), ("text", "5")),
        encoding="utf-8",
    )  # fmt: skip
    words = ["eval", "--efficiency", "--results", str(path), "--out", str(tmp_path / "e")]
    assert main([*words, "--json"]) == 0
    row = json.loads(capsys.readouterr().out)["files"]["others"]
    assert (row["solutions"], row["accuracy"]["value"], row["texts"], row["cells"]) == (2, 0.5, 1.5, 1.5)
    # Characters of text and code; of the question and the recorded executions.
    assert row["written"] == (len("import time\ntime.sleep(0.4)\nx = 3") + len("x3") + len("It isx5")) / 2
    assert row["read"] == (2 * len("Q?") + len("-3") + len("NameError")) / 2
    assert 0.4 < row["cell_seconds_most"] < 30
    assert (row["cells_stopped"], row["not_run"]) == (0, 0)
    assert main([*words, "--cell-seconds", "0.2", "--report", "markdown"]) == 0
    shown = capsys.readouterr().out
    assert shown == (tmp_path / "e" / "efficiency.md").read_text(encoding="utf-8")
    assert shown.splitlines()[4].endswith("| 1 |"), "the cell that sleeps is stopped"
    assert main(["eval", "nano", *words[1:4], "--json"]) == 0
    counted = json.loads(capsys.readouterr().out)
    assert counted["unit"].startswith("tokens of nano")
    assert 0 < counted["files"]["others"]["written"] < row["written"]
    assert main(["eval", "--results", str(path), str(path)]) == 2
    assert "2 results files were named" in " ".join(capsys.readouterr().err.split())

"""Tables and pictures that can be pasted."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest
from rich.console import Console

from recipes.cli import main
from runtime.errors import InputError
from runtime.evaluate import plots
from runtime.evaluate.sheets import Sheet, written

SHEET = Sheet("Accuracy & cost", ["set", "pass@1 %"], [["a_b|c", "64.2 [61, 67]"], ["50%\nof {x}", "-"]], note="n=2")


def test_markdown_escapes_bars_and_keeps_one_row_a_line() -> None:
    lines = SHEET.markdown().splitlines()
    assert lines[2:6] == ["| set | pass@1 % |", "| --- | ---: |", r"| a_b\|c | 64.2 [61, 67] |", "| 50% of {x} | - |"]


def test_latex_escapes_what_tex_reads_as_commands() -> None:
    text = SHEET.latex()
    assert r"a\_b|c & 64.2 [61, 67] \\" in text
    assert r"50\% of \{x\} & - \\" in text
    assert r"\caption{Accuracy \& cost. n=2.}" in text
    assert r"\begin{tabular}{lr}" in text


def test_csv_is_read_back_cell_by_cell() -> None:
    rows = list(csv.reader(io.StringIO(SHEET.csv())))
    assert rows == [
        ["table", "set", "pass@1 %"],
        ["Accuracy & cost", "a_b|c", "64.2 [61, 67]"],
        ["Accuracy & cost", "50% of {x}", "-"],
    ]


def test_a_narrow_terminal_breaks_intervals_over_lines_and_no_name() -> None:
    header = ["method", "accuracy % [95 %]", "seconds", "busy", "written", "read", "cells", "joules"]
    row = ["self-consistency@3", "23.3 [14.4, 35.4]", "1.634", "1.616", "66.4", "77.8", "1.12", "-"]
    shown = io.StringIO()
    Console(file=shown, width=80).print(Sheet("Cost", header, [row]).rich())
    assert set(row) - {"23.3 [14.4, 35.4]"} <= set(shown.getvalue().split())
    assert "…" not in shown.getvalue()


def test_a_ragged_table_and_an_unknown_format_are_refused() -> None:
    with pytest.raises(ValueError, match="another number of cells"):
        Sheet("t", ["a", "b"], [["1"]])
    with pytest.raises(InputError, match="did you mean latex"):
        written([SHEET], "latx")


@pytest.mark.parametrize(
    ("form", "sign"),
    [("markdown", "| mine | 2 |"), ("latex", r"mine & 2 &"), ("csv", "Accuracy,mine,2,"), ("text", "mine")],
)
def test_existing_results_are_printed_to_paste(
    form: str, sign: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "mine.jsonl"
    lines = [{"id": n, "set": "mine", "gold": "1", "answer": str(n), "status": "answered"} for n in (1, 2)]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    for action in ("--results", "--grade"):
        assert main(["eval", action, str(path), "--report", form]) == 0
        assert sign in capsys.readouterr().out
    assert main(["eval", "--compare", str(path), str(path), "--report", form]) == 0
    assert "mine" in capsys.readouterr().out


def test_pictures_are_png_and_svg_and_equal_for_equal_reports(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="plots need matplotlib (the train extra)")
    for name in ("a", "b"):
        picture = plots.figure(3, 2)
        picture.subplots().plot([1, 2], color=plots.PALETTE[0])
        (tmp_path / name).mkdir()
        files = plots.write_figure(picture, tmp_path / name / "curve", plots.FORMATS)
        assert [file.name for file in files] == ["curve.png", "curve.svg"]
    assert (tmp_path / "a" / "curve.svg").read_bytes() == (tmp_path / "b" / "curve.svg").read_bytes()
    assert plots.PALETTE[0].lower() in (tmp_path / "a" / "curve.svg").read_text(encoding="utf-8").lower()


def test_a_format_that_no_plot_has_is_refused_before_anything_is_solved(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["eval", "--results", "none.jsonl", "--plots", "gif"]) == 2
    assert "plots are not written as gif" in capsys.readouterr().err


def test_grading_says_which_golds_it_could_only_compare_as_text(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "mine.jsonl"
    golds = [r"$t(0,4]$", "7"]
    path.write_text("".join(json.dumps({"gold": gold, "answer": gold}) + "\n" for gold in golds), encoding="utf-8")
    assert main(["eval", "--grade", str(path), "--json"]) == 0
    told = capsys.readouterr()
    assert json.loads(told.out) == {"mine": {"n": 2, "correct": 2, "accuracy": 100.0}}
    assert "golds that cannot be read, and were compared as text alone: 1 ($t(0,4]$)" in " ".join(told.err.split())

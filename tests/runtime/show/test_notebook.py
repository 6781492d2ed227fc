"""Exports: a notebook that runs to its outputs, Markdown, a page nothing breaks out of, JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from runtime.errors import InputError
from runtime.lce import EMPTY_EXECUTION, Block
from runtime.sandbox import Sandbox
from runtime.show.notebook import Turn, dollars, notebook, notebook_text
from runtime.show.notebook_page import as_json, export, markdown, page

PNG = b"\x89PNG\r\n\x1a\n" + b"\0" * 8


def solved(*codes: str) -> Turn:
    """A turn whose executions the sandbox made."""
    blocks = [Block("text", "We compute \\(x\\).")]
    with Sandbox() as sandbox:
        for code in codes:
            blocks += [Block("code", code), Block("execution", sandbox.run(code).output)]
    return Turn("What is \\(x\\)?", [*blocks, Block("text", "\\boxed{4}"), Block("text", "4")], "4")


def texts(cell: Any) -> str:
    """All text of a code cell's outputs."""
    parts = []
    for output in cell["outputs"]:
        kind = output["output_type"]
        if kind == "stream":
            parts.append(output["text"])
        elif kind == "error":
            parts.append(f"{output['ename']}: {output['evalue']}")
        else:
            parts.append(output["data"].get("text/plain", ""))
    return "\n".join(part.rstrip("\n") for part in parts)


def test_a_notebook_runs_to_the_outputs_that_were_recorded() -> None:
    nbclient = pytest.importorskip("nbclient", reason="running notebooks needs nbclient (the dev extra)")
    nbformat = pytest.importorskip("nbformat")
    turn = solved(
        "x = 4", "x", "print(x)\nprint(x + 1)", "1 / 0", "from fractions import Fraction\nFraction(x, 3)", "y = x"
    )
    recorded = notebook([turn])
    ran = nbformat.reads(json.dumps(recorded), as_version=4)
    nbformat.validate(ran)
    nbclient.NotebookClient(ran, timeout=60, kernel_name="python3").execute()
    expected = [texts(cell) for cell in recorded["cells"] if cell["cell_type"] == "code"]
    assert [texts(cell) for cell in ran["cells"] if cell["cell_type"] == "code"] == expected
    assert expected == ["", "4", "4\n5", "ZeroDivisionError: division by zero", "Fraction(4, 3)", ""]


def test_a_failed_cell_does_not_stop_a_run_of_the_notebook() -> None:
    turn = Turn(
        "q", [Block("code", "1/0"), Block("execution", "Traceback (most recent call last)\nZeroDivisionError: x")]
    )
    cell = next(cell for cell in notebook([turn])["cells"] if cell["cell_type"] == "code")
    assert cell["metadata"]["tags"] == ["raises-exception"]
    assert cell["outputs"][0]["ename"] == "ZeroDivisionError"


def test_exporting_twice_gives_the_same_bytes() -> None:
    turns = [Turn("q", [Block("code", "1"), Block("execution", "1")], "1")]
    assert notebook_text(turns) == notebook_text(turns)


def test_formulas_stand_in_dollars_and_boxes_too() -> None:
    assert dollars(r"\(a\) \[b\] \boxed{\frac{1}{2}} $\boxed{3}$") == r"$a$ $$b$$ $\boxed{\frac{1}{2}}$ $\boxed{3}$"


def test_a_figure_goes_into_every_format() -> None:
    turn = Turn("q", [Block("code", "plot()"), Block("execution", EMPTY_EXECUTION)], "1", images={0: [PNG]})
    code = next(cell for cell in notebook([turn])["cells"] if cell["cell_type"] == "code")
    assert "image/png" in code["outputs"][0]["data"]
    assert "data:image/png;base64," in markdown([turn])
    assert "data:image/png;base64," in page([turn])
    assert as_json([turn])["turns"][0]["images"]["0"]


def test_nothing_a_model_or_a_cell_writes_becomes_markup_of_the_page() -> None:
    evil = '<script>alert(1)</script><img src="http://x" onerror=alert(1)>'
    text = Block("text", f"{evil} [a](javascript:alert(1)) ![b](http://x/y.png)")
    turn = Turn(evil, [text, Block("code", f"# {evil}"), Block("execution", evil)], evil)
    made = page([turn], title=evil, model=evil)
    assert "<script" not in made
    assert "<img" not in made
    assert "<a " not in made
    assert "http-equiv" not in made


def test_a_fence_cannot_be_closed_from_inside() -> None:
    turn = Turn("q", [Block("code", "s = '''\n```\n'''"), Block("execution", "````")], "1")
    made = markdown([turn])
    assert "````python\n" in made
    assert "`````text\n````\n`````" in made


def test_the_suffix_chooses_the_format_and_an_unknown_one_is_refused(tmp_path: Path) -> None:
    turns = [Turn("q", [Block("text", "1")], "1")]
    for suffix, begin in ((".md", "# "), (".html", "<!doctype html>"), (".ipynb", "{"), (".json", "{")):
        assert export(turns, tmp_path / f"a{suffix}").read_text(encoding="utf-8").startswith(begin)
    with pytest.raises(InputError, match="is not an export format"):
        export(turns, tmp_path / "a.pdf")
    with pytest.raises(InputError, match="nothing to export yet"):
        export([], tmp_path / "a.md")


def test_a_folder_that_cannot_be_written_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="cannot be written"):
        export([Turn("q", [Block("text", "1")], "1")], tmp_path / "file" / "a.md")

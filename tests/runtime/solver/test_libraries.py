"""What a person reads where the model's code wants a library that this installation lacks."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

from recipes.cli import main
from runtime.engine.scripted import ReplayEngine
from runtime.lce import Block
from runtime.solver.libraries import OPTIONAL, absent

TRACEBACK = "Traceback (most recent call last)\nCell In[1], line 1\n\nModuleNotFoundError: No module named {name!r}"


def test_what_lacked_is_named_once_with_the_extra_that_brings_it() -> None:
    figure = TRACEBACK.format(name="matplotlib.pyplot")
    line = absent(["5", figure, figure])
    assert line == "matplotlib is not installed, so code that draws fails; pip install 'mathcoder-toolkit[plots]'"
    assert absent([figure, TRACEBACK.format(name="scipy.stats")]).startswith("matplotlib and scipy are not installed")


@pytest.mark.parametrize("output", ["5", TRACEBACK.format(name="mymodule"), "it says No module named 'scipy'", ""])
def test_nothing_is_said_of_other_outputs(output: str) -> None:
    assert absent([output]) == ""


def test_solve_says_it_below_the_solution(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code = "raise ModuleNotFoundError(\"No module named 'matplotlib'\", name='matplotlib')"
    blocks = [Block("code", code), Block("execution", ""), Block("text", "There is no figure. The answer is 5.")]
    monkeypatch.setattr("recipes.cli.solving.load_engine", lambda *_: ReplayEngine(lambda _: blocks))
    model = tmp_path / "scripted.gguf"
    model.write_bytes(b"GGUF")
    assert main(["solve", str(model), "Draw."]) == 0
    told = " ".join(capsys.readouterr().out.split())
    assert "matplotlib is not installed, so code that draws fails; pip install 'mathcoder-toolkit[plots]'" in told


def test_doctor_has_a_line_for_what_cells_can_import(monkeypatch: pytest.MonkeyPatch) -> None:
    module = importlib.import_module("recipes.doctor.solving")
    monkeypatch.setattr(module, "find_spec", lambda name: None if name == "scipy" else object())
    lacking = module.plots()
    assert (lacking.state, lacking.remedy) == ("note", "pip install 'mathcoder-toolkit[plots]'")
    assert lacking.detail.startswith("scipy not installed")
    monkeypatch.setattr(module, "find_spec", lambda _: object())
    assert module.plots().state == "ok"
    assert all(name in module.plots().detail for name in OPTIONAL)

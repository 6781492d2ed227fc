"""The recipes of the paper's larger models: named as they are called, and planned without a network."""

from __future__ import annotations

import json

import pytest

from recipes.cli import main
from recipes.places import RECIPES
from recipes.schema import load_recipe
from runtime.errors import InputError

PAPER = sorted(path.stem for path in (RECIPES / "paper").glob("*.yaml"))


@pytest.mark.parametrize("name", PAPER)
def test_a_recipe_of_the_paper_is_found_by_its_name_and_keeps_the_papers_settings(name: str) -> None:
    recipe = load_recipe(f"paper/{name}")
    assert recipe.name == name
    assert (recipe.train.batch_rows, recipe.train.epochs, recipe.train.context) == (128, 3.0, 2048)
    assert recipe.data.source == "MathLLMs/MathCodeInstruct"


def test_the_largest_is_planned_without_rows_gpu_or_network(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("torch", reason="plan needs the train extra")
    assert main(["plan", "paper/mathcoder-l-70b", "--gpu", "80GB", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["fits"] is True


def test_a_paper_recipe_that_is_none_is_refused() -> None:
    with pytest.raises(InputError, match="paper/mathcoder-xl"):
        load_recipe("paper/mathcoder-xl")
    assert PAPER

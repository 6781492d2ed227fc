"""Recipes: found by name or path, checked as a whole, every mistake told at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from recipes.schema import built_in, keys, load_recipe
from runtime.errors import InputError, RecipeError
from runtime.lce import ROLES


def write(folder: Path, text: str) -> str:
    path = folder / "recipe.yaml"
    path.write_text(text, encoding="utf-8")
    return str(path)


MINIMAL = "name: mine\nbase: some/base\ndata: rows.jsonl\n"


@pytest.mark.parametrize("name", built_in())
def test_every_packaged_recipe_is_valid_and_named_like_its_file(name: str) -> None:
    assert load_recipe(name).name == name


def test_the_recipes_of_the_paper_and_of_newer_bases_are_there() -> None:
    wanted = {
        "nano",
        "mathcoder-cl-7b",
        "mathcoder-l-7b",
        "mistral-7b",
        "qwen2.5-math-1.5b",
        "qwen3-4b",
        "llama-3.2-3b",
        "qwen3-4b-tools",
        "qwen3-1.7b-tools",
        "llama-3.2-3b-tools",
    }
    assert wanted <= set(built_in())


def test_all_mistakes_are_told_at_once_each_with_key_value_and_nearest_name(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        """\
name: "bad name"
base: x
epochs: 3
data: {source: a.jsonl, held_out: 2}
train: {epohcs: 2, learning_rate: fast, schedule: cosin}
solve: {temprature: 1}
sandbox: {cell_seconds: -1}
""",
    )
    with pytest.raises(RecipeError, match="has 8 mistakes") as caught:
        load_recipe(path)
    told = str(caught.value)
    assert "name: string should match" in told
    assert "epochs: there is no such key (value 3); did you mean train.epochs?" in told
    assert "data.held_out: there is no such key (value 2); did you mean data.held_out_percent?" in told
    assert "train.epohcs: there is no such key (value 2); did you mean train.epochs?" in told
    assert "train.learning_rate: input should be a valid number" in told
    assert '(value "fast")' in told
    assert "did you mean cosine?" in told
    assert "did you mean solve.temperature?" in told
    assert "sandbox.cell_seconds: input should be greater than 0 (value -1)" in told


def test_a_mistyped_override_is_told_with_the_others(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"(?s)has 2 mistakes.*did you mean lora\.r\?"):
        load_recipe(write(tmp_path, MINIMAL), ["lora.rr=3", "trian.epochs=1"])


def test_an_override_may_leave_its_section_out_where_only_one_has_the_key(tmp_path: Path) -> None:
    recipe = load_recipe(write(tmp_path, MINIMAL), ["epochs=2e0", "lora.r=8", "export.quant=Q8_0,F16"])
    assert (recipe.train.epochs, recipe.lora.r, recipe.export.quant) == (2.0, 8, ("Q8_0", "F16"))


def test_an_override_below_a_short_data_entry_keeps_its_source(tmp_path: Path) -> None:
    recipe = load_recipe(write(tmp_path, MINIMAL), ["data.max_rows=5"])
    assert (recipe.data.source, recipe.data.max_rows) == ("rows.jsonl", 5)


def test_data_on_the_command_line_replaces_the_source_and_keeps_the_rest(tmp_path: Path) -> None:
    text = "name: mine\nbase: b\ndata: {source: hub/set, file: train.jsonl, held_out_percent: 5}\n"
    recipe = load_recipe(write(tmp_path, text), data="other.jsonl")
    assert (recipe.data.source, recipe.data.file, recipe.data.held_out_percent) == ("other.jsonl", None, 5)


def test_files_beside_a_recipe_are_found_from_any_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "rows.jsonl").touch()
    path = write(tmp_path, MINIMAL)
    monkeypatch.chdir("/")
    assert load_recipe(path).data.source == str(tmp_path / "rows.jsonl")


def test_the_nano_names_become_real_paths() -> None:
    recipe = load_recipe("nano", data="rows.jsonl")
    assert Path(recipe.qlora().base).is_dir()
    assert recipe.qlora().data.source == "rows.jsonl"


def test_a_path_into_the_source_tree_works_from_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert load_recipe("recipes/nano.yaml").name == "nano"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("a: [", "not valid YAML"),
        ("- a\n- b\n", "holds list"),
        ("name: a\nname: b\n", "stands twice"),
        ("", "name: this key is required and missing"),
        ("name: a\n", "base: this key is required and missing"),
    ],
)
def test_a_file_that_is_no_recipe_is_refused_with_the_reason(tmp_path: Path, text: str, reason: str) -> None:
    with pytest.raises(RecipeError, match=reason):
        load_recipe(write(tmp_path, text))


def test_an_unknown_name_suggests_the_nearest() -> None:
    with pytest.raises(InputError, match="did you mean mistral-7b"):
        load_recipe("mistral7b")
    with pytest.raises(InputError, match=r"no recipe file missing/x\.yaml"):
        load_recipe("missing/x.yaml")


def test_the_run_folder_depends_on_what_decides_the_weights_and_on_nothing_else(tmp_path: Path) -> None:
    path = write(tmp_path, MINIMAL)
    plain = load_recipe(path)
    assert load_recipe(path, ["solve.temperature=1", "export.quant=F16"]).run_folder == plain.run_folder
    assert load_recipe(path, ["train.epochs=1"]).run_folder != plain.run_folder
    assert load_recipe(path, data="other.jsonl").run_folder != plain.run_folder


def test_a_section_without_content_means_its_defaults(tmp_path: Path) -> None:
    assert load_recipe(write(tmp_path, MINIMAL + "lora:\n  # r: 4\n")).lora.r == 16


def test_every_key_is_listed_once() -> None:
    assert len(keys()) == len(set(keys()))
    assert {"train.epochs", "export.certify.rows", "sandbox.memory_mb"} <= set(keys())


def test_another_dialect_than_the_block_format_adds_no_tokens_and_takes_no_roles(tmp_path: Path) -> None:
    plain = "name: m\nbase: x\ndata: {source: a.jsonl}\n"
    spoken = load_recipe(str(write(tmp_path, plain + "dialect: template\n")))
    assert spoken.qlora().dialect == "template"
    assert spoken.qlora().lora.control_tokens == "none"
    own = load_recipe(str(write(tmp_path, plain)))
    assert (own.dialect, own.qlora().lora.control_tokens) == ("lce", "new")
    assert spoken.hash8 != own.hash8
    reused = (
        "lora:\n  control_tokens: reuse\n  reuse_tokens: {" + ", ".join(f"{role}: t{role}" for role in ROLES) + "}\n"
    )
    with pytest.raises(RecipeError, match="belongs to the block format"):
        load_recipe(str(write(tmp_path, plain + "dialect: template\n" + reused)))
    with pytest.raises(RecipeError, match="cannot be written without control tokens"):
        load_recipe(str(write(tmp_path, plain + "lora: {control_tokens: none}\n")))

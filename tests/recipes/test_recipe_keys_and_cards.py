"""Every key of a recipe is documented, and a plan answers for a GPU that is not here."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from recipes.cli import main
from recipes.keys import as_markdown, recipe_keys
from recipes.schema import keys, load_recipe

ROOT = Path(__file__).resolve().parents[2]
TABLE = ["qwen2.5-math-1.5b", "llama-3.2-3b", "qwen3-4b", "mistral-7b", "mathcoder-l-7b", "mathcoder-cl-7b"]


def card(capsys: pytest.CaptureFixture[str], recipe: str, size: str, *more: str) -> tuple[int, dict[str, object]]:
    code = main(["plan", recipe, "--gpu", size, "--json", *more])
    return code, json.loads(capsys.readouterr().out)


def test_every_key_says_what_it_takes_and_means() -> None:
    documented = {key.name: key for key in recipe_keys()}
    leaves = {key for key in keys() if not any(other.startswith(f"{key}.") for other in keys())}
    assert documented.keys() == leaves
    assert [name for name, key in documented.items() if not key.meaning or not key.values] == []
    assert documented["train.checkpoint_layers"].values == "`auto`, `all` or whole number ≥ 0"
    assert documented["train.micro_tokens"].default == "auto"
    assert documented["base"].default == ""


def test_the_page_of_keys_is_the_one_that_the_models_make() -> None:
    page = (ROOT / "docs" / "recipe-keys.md").read_text(encoding="utf-8")
    assert page == as_markdown(), "run: python -m recipes.keys > docs/recipe-keys.md"


def test_train_prints_the_keys_without_a_recipe(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match=r"^0$"):
        main(["train", "--keys"])
    out = capsys.readouterr().out
    assert "train.epochs: number > 0 (default 3.0)\n    passes over the rows\n" in out
    assert "solve.temperature: " in out


def test_a_plan_for_8_gb_needs_neither_gpu_nor_network_nor_torch() -> None:
    code = (
        "import socket, sys\n"
        "def refuse(*_): raise OSError('no network here')\n"
        "socket.socket.connect = refuse\n"
        "from recipes.cli import main\n"
        "code = main(['plan', 'mathcoder-cl-7b', '--gpu', '8GB'])\n"
        "assert 'torch' not in sys.modules and 'transformers' not in sys.modules\n"
        "sys.exit(code)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert re.search(r"layout +4,096 tokens a pass, 3\d of 32 layers checkpointed", done.stdout)
    assert "GPU     8.0 GB free" in done.stdout


def test_every_packaged_recipe_has_an_answer_offline(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    import huggingface_hub

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", lambda *_: pytest.fail("the hub was asked"))
    for path in (ROOT / "recipes").glob("*.yaml"):
        code, found = card(capsys, path.stem, "80GB")
        assert (code, found["fits"]) == (0, True), path.stem


def test_what_does_not_fit_is_exit_1_with_the_way_out(capsys: pytest.CaptureFixture[str]) -> None:
    code, found = card(capsys, "mathcoder-initial", "12GB")
    assert (code, found["fits"]) == (1, False)
    assert "train.fsdp=true" in str(found["advice"])
    code, found = card(capsys, "mathcoder-cl-7b", "8 GB", "train.micro_tokens=8192")
    assert code == 1
    assert found["advice"] == "train.micro_tokens=auto"


@pytest.mark.parametrize(("size", "exact"), [("8", 8e9), ("8GB", 8e9), ("8gib", 8 * 2**30), ("24000 MB", 24e9)])
def test_sizes_are_read_as_people_write_them(size: str, exact: float, capsys: pytest.CaptureFixture[str]) -> None:
    assert card(capsys, "qwen3-4b", size)[1]["available"] == int(exact)


@pytest.mark.parametrize("size", ["", "big", "-8GB", "0", "8TBB", "8GB8"])
def test_what_is_no_size_is_one_clear_error(size: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", "qwen3-4b", f"--gpu={size}"]) == 2
    assert "is not a size of memory" in capsys.readouterr().err


def test_a_base_of_ones_own_is_planned_from_its_config(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    published = tmp_path / "base"
    published.mkdir()
    config = {
        "architectures": ["LlamaForCausalLM"], "hidden_size": 4096, "intermediate_size": 11008,
        "num_hidden_layers": 32, "num_attention_heads": 32, "num_key_value_heads": 32, "vocab_size": 32016,
    }  # fmt: skip
    (published / "config.json").write_text(json.dumps(config))
    own = card(capsys, "mathcoder-cl-7b", "8GB", f"base={published}")[1]
    known = card(capsys, "mathcoder-cl-7b", "8GB")[1]
    assert own["memory"] == known["memory"]
    (published / "config.json").write_text("{}")
    assert main(["plan", "mathcoder-cl-7b", "--gpu", "8GB", f"base={published}"]) == 1
    assert "does not say" in capsys.readouterr().err


def test_the_readmes_column_of_gpus_is_what_the_plan_says(capsys: pytest.CaptureFixture[str]) -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    for recipe in TABLE:
        (row,) = re.findall(rf"^\| `{re.escape(recipe)}` \|(.*)\|$", readme, re.MULTILINE)
        cells = [cell.strip() for cell in row.split("|")][1:]
        for size, cell in zip((8, 12, 16, 24), cells, strict=True):
            found = card(capsys, recipe, f"{size}GB")[1]
            expected = f"{found['micro_tokens']:,} / {found['checkpoint_layers']}" if found["fits"] else "no"
            assert cell == expected, (recipe, size)
        layers = card(capsys, recipe, "8GB")[1]["layers"]
        assert layers == load_recipe_layers(recipe)


def load_recipe_layers(recipe: str) -> int:
    from qlora.published import shape_of

    return shape_of(load_recipe(recipe).base).layers


def test_a_run_in_another_dialect_is_planned_without_tokens_of_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    def adapter(*more: str) -> int:
        _, planned = card(capsys, "qwen3-4b-tools", "8GB", *more)
        return planned["memory"]["adapter"]  # type: ignore[index,no-any-return]

    assert adapter() == adapter("lora.control_tokens=none") < adapter("dialect=lce")

"""YAML that people write: no text costs more than its length, and what was read can be written."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
import yaml

from recipes.cli import main
from recipes.yaml_text import MOST_NODES, load_yaml


def bomb(levels: int) -> str:
    """Lists of lists of aliases: 7 to the power of `levels` values in a few hundred bytes."""
    lines = ["l0: &l0 [1, 2, 3, 4, 5, 6, 7]"]
    lines += [f"l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 7)}]" for n in range(1, levels)]
    return "\n".join(lines)


def test_aliases_within_reason_are_read_and_those_without_end_are_refused_at_once() -> None:
    assert load_yaml("base: &b {rank: 8}\nother: *b") == {"base": {"rank": 8}, "other": {"rank": 8}}
    assert len(load_yaml(bomb(3))["l2"]) == 7
    begun = time.thread_time()
    for levels in (6, 12, 40):
        with pytest.raises(yaml.YAMLError, match=f"more than {MOST_NODES:,} values"):
            load_yaml(bomb(levels))
    with pytest.raises(yaml.YAMLError, match="contains itself"):
        load_yaml("a: &a [*a]")
    assert time.thread_time() - begun < 2


def test_what_is_nested_too_deep_or_has_odd_keys_is_not_yaml() -> None:
    for text, reason in (
        ("[" * 5000, "nested too deeply"),
        ("{[1]: 2}", "unhashable"),
        ("2026-99-99", "month must be"),
        ("!!timestamp x", "does not fit the tag"),
        ("!!bool 5", "does not fit the tag"),
        ("!!int ''", "does not fit the tag"),
        (f"0x{'f' * 9000}", "integer string conversion"),
    ):
        with pytest.raises(yaml.YAMLError, match=reason):
            load_yaml(text)


def test_half_a_surrogate_in_a_recipe_is_replaced() -> None:
    assert load_yaml(r'name: "a\ud83d"') == {"name": "a\ufffd"}


def test_a_recipe_and_a_settings_file_of_aliases_are_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = tmp_path / "bomb.yaml"
    recipe.write_text(bomb(30))
    assert main(["train", str(recipe)]) == 2
    monkeypatch.setenv("MATHCODER_SETTINGS", str(recipe))
    assert main(["solve", "nano", "1 + 1"]) == 2
    told = capsys.readouterr().err
    assert told.count("its aliases stand for more than 10,000 values") == 2

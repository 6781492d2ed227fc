"""Where questions come from, and what is said where they cannot be had."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from runtime.errors import DataError, InputError
from runtime.evaluate import question_sets
from runtime.evaluate.question_sets import load_set, subject_in


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


ROWS = [{"id": f"q{n}", "question": f"What is {n} + {n}?", "gold": 2 * n} for n in range(20)]


def test_a_local_file_is_a_set_named_after_it(tmp_path: Path) -> None:
    found = load_set(str(write(tmp_path / "Sums.jsonl", ROWS)))
    assert (found.name, len(found.questions)) == ("sums", 20)
    assert (found.questions[3].id, found.questions[3].gold, found.questions[3].index) == ("q3", "6", 3)


def test_a_file_may_be_given_a_name_and_may_be_compressed(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl.gz"
    with gzip.open(path, "wt", encoding="utf-8") as handle:
        handle.write(json.dumps(ROWS[0]) + "\n")
    assert load_set(f"svamp={path}").name == "svamp"


def test_a_limit_draws_by_seed_and_keeps_positions_and_hash(tmp_path: Path) -> None:
    path = str(write(tmp_path / "s.jsonl", ROWS))
    some, again, other = load_set(path, limit=5), load_set(path, limit=5), load_set(path, limit=5, seed=2)
    assert some == again
    assert some.questions != other.questions
    assert [q.index for q in some.questions] == sorted(q.index for q in some.questions)
    assert all(q.id == f"q{q.index}" for q in some.questions)
    assert some.sha256 == load_set(path).sha256


def test_the_hash_is_of_questions_and_golds(tmp_path: Path) -> None:
    changed = [*ROWS[:-1], {**ROWS[-1], "gold": 0}]
    first, second = write(tmp_path / "a.jsonl", ROWS), write(tmp_path / "b.jsonl", changed)
    assert load_set(str(first)).sha256 != load_set(str(second)).sha256


@pytest.mark.parametrize(
    "row", [{"question": "x"}, {"gold": "1"}, {"question": " ", "gold": "1"}, {"question": "x", "gold": ""}]
)
def test_a_row_without_question_or_gold_is_named(row: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(DataError, match="row 2 of"):
        load_set(str(write(tmp_path / "s.jsonl", [ROWS[0], row])))


def test_broken_json_is_named_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "s.jsonl"
    path.write_text(json.dumps(ROWS[0]) + "\n{oops\n", encoding="utf-8")
    with pytest.raises(DataError, match="line 2"):
        load_set(str(path))


def test_unknown_names_and_missing_files_say_what_is_possible(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="gsm8k, math, svamp, mathematics, simuleq"):
        load_set("gsm9k")
    with pytest.raises(InputError, match="there is no file"):
        load_set(str(tmp_path / "none.jsonl"))


@pytest.mark.parametrize("name", ["mathematics", "simuleq"])
def test_sets_that_are_in_no_hub_ask_for_a_file(name: str) -> None:
    with pytest.raises(InputError, match=rf"{name}.jsonl"):
        load_set(name)


def test_without_the_datasets_package_the_local_alternative_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> Any:
        raise ImportError(name)

    monkeypatch.setattr(question_sets.importlib, "import_module", missing)
    with pytest.raises(InputError, match=r"datasets.*gsm8k\.jsonl"):
        load_set("gsm8k")


def test_without_a_network_the_local_alternative_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def offline(*_: Any, **__: Any) -> Any:
        raise ConnectionError("no route\nlong traceback")

    hub = SimpleNamespace(load_dataset=offline, get_dataset_config_names=offline)
    monkeypatch.setattr(question_sets.importlib, "import_module", lambda name: hub)
    for name in ("gsm8k", "math", "svamp"):
        with pytest.raises(InputError, match=rf"no route.*{name}\.jsonl") as caught:
            load_set(name)
        assert "long traceback" not in str(caught.value)


def test_hub_rows_become_questions(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = {
        "openai/gsm8k": [{"question": "Q?", "answer": "work\n#### 1,234"}],
        "EleutherAI/hendrycks_math": [
            {"problem": "P", "solution": r"so \boxed{\frac{1}{2}}", "type": "Number Theory", "level": "Level 4"}
        ],
        "ChilleD/SVAMP": [{"ID": "chal-1", "Body": "There are 3 cats.", "Question": "How many?", "Answer": "3.0"}],
    }
    hub = SimpleNamespace(
        load_dataset=lambda path, config, split: rows[path], get_dataset_config_names=lambda path: ["number_theory"]
    )
    monkeypatch.setattr(question_sets.importlib, "import_module", lambda name: hub)
    assert load_set("gsm8k").questions[0].gold == "1,234"
    (math,) = load_set("math").questions
    assert (math.gold, math.subject, math.level) == (r"\frac{1}{2}", "number theory", "4")
    assert load_set("svamp").questions[0].question == "There are 3 cats. How many?"


def test_the_subject_stands_in_a_math_id() -> None:
    assert subject_in("test/number_theory/1128.json") == "number theory"
    assert subject_in("math/test/algebra/1.json") == "algebra"
    assert subject_in("q1") == ""

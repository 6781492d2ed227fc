"""Whether code helps a model: measured once, kept by the file's hash, and followed."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from recipes.cli import main
from recipes.cli.solving import follow_verdict
from recipes.places import PACKAGED_MODEL
from recipes.verdicts import Verdict, remember, verdict_from, verdict_of
from runtime.evaluate.stats import paired_difference
from runtime.settings import SolverSettings


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path / "state"


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "model.gguf"
    path.write_bytes(b"GGUF and more")
    return path


def outcomes(only_without: int, only_with: int) -> Any:
    rest = 100 - only_without - only_with
    return paired_difference(
        [True] * only_without + [False] * (only_with + rest),
        [False] * only_without + [True] * only_with + [False] * rest,
    )


def asked(**given: Any) -> Any:
    return SimpleNamespace(**({"endpoint": None, "no_execution": False, "dialect": None, "lora": None} | given))


@pytest.mark.parametrize(
    ("without", "with_code", "finding"), [(40, 2, "hurts"), (2, 40, "helps"), (10, 12, "unclear"), (0, 0, "unclear")]
)
def test_a_verdict_is_what_the_paired_interval_says(model: Path, without: int, with_code: int, finding: str) -> None:
    verdict = verdict_from(model, "generic", outcomes(without, with_code))
    assert verdict.finding == finding
    assert (verdict.n, verdict.dialect) == (100, "generic")
    assert "on 100 questions" in verdict.told
    remember(verdict)
    assert verdict_of(model) == verdict


def test_a_verdict_is_of_the_file_s_content_and_of_no_other(model: Path, tmp_path: Path) -> None:
    remember(verdict_from(model, "generic", outcomes(40, 2)))
    other = tmp_path / "other.gguf"
    other.write_bytes(b"GGUF and less")
    assert verdict_of(other) is None
    other.write_bytes(model.read_bytes())
    assert verdict_of(other) is not None
    assert verdict_of(tmp_path / "missing.gguf") is None


def test_a_damaged_record_counts_for_nothing(model: Path) -> None:
    path = remember(verdict_from(model, "generic", outcomes(40, 2)))
    path.write_text("{}")
    assert verdict_of(model) is None


def test_where_code_hurts_it_is_not_run_unless_a_dialect_is_named(
    model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    remember(verdict_from(model, "generic", outcomes(40, 2)))
    assert follow_verdict(asked(), model, SolverSettings()).mode == "chain-of-thought"
    assert "so it answers without code" in capsys.readouterr().err
    assert follow_verdict(asked(dialect="generic"), model, SolverSettings()).mode == "full"
    remember(verdict_from(model, "generic", outcomes(2, 40)))
    assert follow_verdict(asked(), model, SolverSettings()).mode == "full"
    assert "code helps" in capsys.readouterr().err


def test_eval_with_and_without_measures_both_on_the_same_questions_and_keeps_the_verdict(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    questions = tmp_path / "sums.jsonl"
    rows = [
        {"question": f"Tom has {n} apples and buys 2 more. How many apples has he?", "gold": str(n + 2)} for n in (3, 4)
    ]
    questions.write_text("".join(json.dumps(row) + "\n" for row in rows))
    call = ["eval", "nano", "--data", str(questions), "--with-and-without", "--out", str(tmp_path / "e"), "--no-plots"]
    assert main([*call, "--json", "--max-tokens", "300"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["verdict"]["n"] == 2
    assert told["verdict"]["dialect"] == "lce"
    kept = verdict_of(PACKAGED_MODEL)
    assert kept == Verdict(**told["verdict"])
    modes = {
        name: json.loads((tmp_path / "e" / name / "results.meta.json").read_text()) for name in ("with", "without")
    }
    assert "chain-of-thought" in json.dumps(modes["without"])
    assert "chain-of-thought" not in json.dumps(modes["with"])


def test_with_and_without_excludes_a_mode(capsys: pytest.CaptureFixture[str]) -> None:
    call = ["eval", "nano", "--data", "x", "--out", "o", "--with-and-without", "--mode", "imagined"]
    assert main(call) == 2
    assert "leave --mode" in capsys.readouterr().err.replace("Leave", "leave")

"""Whether code helps a model: measured once, kept by file, adapter and dialect, and followed."""

from __future__ import annotations

import json
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from recipes import smollm2
from recipes.cli import main
from recipes.cli.solving import follow_verdict, load_engine, person
from recipes.places import PACKAGED_MODEL
from recipes.verdicts import Subject, Verdict, has_outdated_verdict, remember, verdict_from, verdict_of
from runtime.engine import load
from runtime.evaluate.stats import paired_difference
from runtime.settings import EngineSettings, SolverSettings
from tests.runtime.gguf_factory import write_adapter, write_model


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
    """A command line of chat or solve."""
    words = ("endpoint", "dialect", "lora", "n_ctx", "threads", "gpu_layers", "flash_attention", "cache_type")
    return SimpleNamespace(**(dict.fromkeys(words) | {"no_execution": False} | given))


def mode_of(capsys: pytest.CaptureFixture[str], model: Path, lora: Path | None = None, **given: Any) -> tuple[str, str]:
    """The mode that the verdicts leave for a model with its adapter, and what was said about it."""
    with load(model, lora=lora, settings=EngineSettings(n_ctx=128, threads=1)) as engine:  # type: ignore[attr-defined]
        settings = follow_verdict(asked(**given), engine, SolverSettings())
    return settings.mode, capsys.readouterr().err


HURTS, HELPS = outcomes(40, 2), outcomes(2, 40)


@pytest.mark.parametrize(
    ("without", "with_code", "finding"), [(40, 2, "hurts"), (2, 40, "helps"), (10, 12, "unclear"), (0, 0, "unclear")]
)
def test_a_verdict_is_what_the_paired_interval_says(model: Path, without: int, with_code: int, finding: str) -> None:
    subject = Subject(model, None, "generic")
    verdict = verdict_from(subject, outcomes(without, with_code))
    assert verdict.finding == finding
    assert (verdict.n, verdict.dialect) == (100, "generic")
    assert "on 100 questions" in verdict.told
    remember(verdict)
    assert verdict_of(subject) == verdict


def test_a_verdict_is_of_the_file_s_content_and_of_no_other(model: Path, tmp_path: Path) -> None:
    remember(verdict_from(Subject(model, None, "generic"), HURTS))
    other = tmp_path / "other.gguf"
    other.write_bytes(b"GGUF and less")
    assert verdict_of(Subject(other, None, "generic")) is None
    other.write_bytes(model.read_bytes())
    assert verdict_of(Subject(other, None, "generic")) is not None
    assert verdict_of(Subject(tmp_path / "missing.gguf", None, "generic")) is None


def test_verdicts_of_a_file_with_and_without_an_adapter_and_in_each_dialect_are_kept_side_by_side(
    model: Path, tmp_path: Path
) -> None:
    adapters = [tmp_path / "first.gguf", tmp_path / "second.gguf"]
    for adapter in adapters:
        adapter.write_bytes(adapter.name.encode())
    subjects = [Subject(model, adapter, dialect) for adapter in (None, *adapters) for dialect in ("lce", "generic")]
    for count, subject in enumerate(subjects):
        assert verdict_of(subject) is None, subject
        remember(verdict_from(subject, outcomes(count, 0)))
    assert [verdict_of(subject).without for subject in subjects] == [count / 100 for count in range(6)]  # type: ignore[union-attr]


def test_a_damaged_record_counts_for_nothing(model: Path) -> None:
    subject = Subject(model, None, "generic")
    path = remember(verdict_from(subject, HURTS))
    whole = json.loads(path.read_text())
    for text in ("{}", "[]", "{", json.dumps({key: value for key, value in whole.items() if key != "low"})):
        path.write_text(text)
        assert verdict_of(subject) is None


def test_where_code_hurts_it_is_not_run_unless_a_dialect_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = write_model(tmp_path / "blocks.gguf")
    remember(verdict_from(Subject(model, None, "lce"), HURTS))
    mode, said = mode_of(capsys, model)
    assert (mode, "so it answers without code" in said) == ("chain-of-thought", True)
    assert mode_of(capsys, model, dialect="lce") == ("full", "")
    remember(verdict_from(Subject(model, None, "lce"), HELPS))
    mode, said = mode_of(capsys, model)
    assert (mode, "code helps" in said) == ("full", True)


def test_what_was_measured_with_an_adapter_is_not_followed_for_the_file_alone_nor_the_other_way_round(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model, adapter = write_model(tmp_path / "blocks.gguf"), write_adapter(tmp_path / "adapter.gguf")
    remember(verdict_from(Subject(model, adapter, "lce"), HURTS))
    assert mode_of(capsys, model) == ("full", "")
    assert mode_of(capsys, model, adapter)[0] == "chain-of-thought"
    remember(verdict_from(Subject(model, None, "lce"), HURTS))
    remember(verdict_from(Subject(model, adapter, "lce"), HELPS))
    assert mode_of(capsys, model)[0] == "chain-of-thought"
    assert mode_of(capsys, model, adapter)[0] == "full"
    # Another dialect than the one the file speaks for.
    remember(verdict_from(Subject(other := write_model(tmp_path / "o.gguf", seed=1), None, "generic"), HURTS))
    assert mode_of(capsys, other) == ("full", "")


def test_a_record_that_does_not_say_which_adapter_is_not_followed_and_a_line_says_so(
    tmp_path: Path, state: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = write_model(tmp_path / "blocks.gguf")
    fresh = verdict_from(Subject(model, None, "lce"), HURTS)
    old = {key: value for key, value in asdict(fresh).items() if key != "adapter"}
    path = state / "mathcoder" / "verdicts" / f"{fresh.sha256[:32]}.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(old))
    mode, said = mode_of(capsys, model)
    assert mode == "full"
    assert "does not say with which adapter" in said
    assert "--with-and-without" in said
    remember(fresh)
    assert not has_outdated_verdict(model), "a new verdict on the file takes the old record's place"
    assert mode_of(capsys, model)[0] == "chain-of-thought"


def test_lora_none_takes_the_model_without_the_packaged_adapter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    base, adapter = write_model(tmp_path / "base.gguf"), write_adapter(tmp_path / "adapter.gguf")
    for name, value in {"FILE": base.name, "SIZE": base.stat().st_size, "ADAPTER": adapter}.items():
        monkeypatch.setattr(smollm2, name, value)

    def facts(**given: Any) -> Any:
        call = asked(n_ctx=128, threads=1, **given)
        with closing(load_engine(call, base, person(call))) as engine:
            return engine.facts()["lora"]

    assert facts() == "adapter.gguf"
    assert facts(lora="none") is None
    assert facts(dialect="generic") is None
    assert "dialect generic (prompted)" in capsys.readouterr().err


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
    kept = verdict_of(Subject(PACKAGED_MODEL, None, "lce"))
    assert kept == Verdict(**told["verdict"])
    modes = {
        name: json.loads((tmp_path / "e" / name / "results.meta.json").read_text()) for name in ("with", "without")
    }
    assert "chain-of-thought" in json.dumps(modes["without"])
    assert "chain-of-thought" not in json.dumps(modes["with"])


@pytest.mark.parametrize(
    ("limit", "why"),
    [
        (("--max-seconds", "0.0001"), "2 solutions ended for want of time"),
        (("--max-tokens", "3"), "no solution ran code"),
    ],
)
def test_a_verdict_that_says_nothing_of_the_model_is_told_and_not_kept(
    limit: tuple[str, str], why: str, tmp_path: Path, state: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    questions = tmp_path / "sums.jsonl"
    questions.write_text('{"question": "Tom has 3 apples and buys 2 more. How many apples has he?", "gold": "5"}\n')
    call = ["eval", "nano", "--data", str(questions), "--with-and-without", "--out", str(tmp_path / "e"), "--no-plots"]
    main([*call, "--json", *limit])
    assert f"not kept: {why}" in capsys.readouterr().err
    assert not (state / "mathcoder" / "verdicts").exists()


def test_with_and_without_excludes_a_mode(capsys: pytest.CaptureFixture[str]) -> None:
    call = ["eval", "nano", "--data", "x", "--out", "o", "--with-and-without", "--mode", "imagined"]
    assert main(call) == 2
    assert "leave --mode" in capsys.readouterr().err.replace("Leave", "leave")

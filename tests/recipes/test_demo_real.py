"""`mathcoder demo --real`: what it refuses before any work, and what it does not do twice."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from recipes.demo.real import demo_real
from runtime.errors import DataError, InputError, MathCoderError


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The calls of `mathcoder` that the demo makes; each succeeds and writes what it is asked for."""
    made: list[list[str]] = []

    def run(command: Sequence[str], **_: Any) -> Any:
        words = list(command[3:])
        made.append(words)
        if "--out" in words:
            out = Path(words[words.index("--out") + 1])
            if words[0] == "eval":
                out.mkdir(parents=True)
                (out / "results.jsonl").write_text('{"correct": true}\n{"correct": false}\n', encoding="utf-8")
            elif words[0] == "data":
                out.write_text("{}\n", encoding="utf-8")
        if words[0] == "export":
            folder = Path(words[1]) / "export"
            folder.mkdir(parents=True)
            (folder / "smollm2-135m-adapter.gguf").touch()
        return type("Done", (), {"returncode": 0})

    monkeypatch.setattr("recipes.demo.real.subprocess.run", run)
    monkeypatch.setattr("recipes.demo.real.smollm2.base_file", lambda _folder: Path("base.gguf"))
    return made


def questions(path: Path, count: int = 2) -> Path:
    lines = (json.dumps({"id": n, "question": f"{n} + 1?", "gold": str(n + 1)}) for n in range(count))
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def test_steps_that_are_done_are_not_done_again(
    calls: list[list[str]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = questions(tmp_path / "asked.jsonl")
    assert demo_real(tmp_path / "out", short=True, questions=asked) == 0
    verbs = [words[0] if words[0] != "data" else words[1] for words in calls]
    assert verbs == ["stories", "decontaminate", "train", "export", "eval", "train", "export", "eval"]
    assert "after   1 of 2 questions solved" in capsys.readouterr().out
    calls.clear()
    (tmp_path / "out" / "before-results" / "results.jsonl").unlink()
    (tmp_path / "out" / "before-results").rmdir()
    (tmp_path / "out" / "after-results" / "results.jsonl").unlink()
    (tmp_path / "out" / "after-results").rmdir()
    assert demo_real(tmp_path / "out", short=True, questions=asked) == 0
    assert not [words for words in calls if words[0] in ("data", "export")]


@pytest.mark.parametrize("change", ["scale", "questions", "gsm8k"])
def test_a_folder_that_was_begun_with_other_inputs_is_refused(
    calls: list[list[str]], tmp_path: Path, change: str
) -> None:
    asked = questions(tmp_path / "asked.jsonl")
    demo_real(tmp_path / "out", short=True, questions=asked)
    calls.clear()
    other: dict[str, Any] = {"short": True, "questions": asked}
    if change == "scale":
        other["short"] = False
    elif change == "questions":
        questions(asked, 3)
    else:
        other["gsm8k"] = questions(tmp_path / "train.jsonl")
    with pytest.raises(InputError, match="was begun with other inputs"):
        demo_real(tmp_path / "out", **other)
    assert calls == []


def test_files_that_cannot_be_used_are_refused_before_any_work(calls: list[list[str]], tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no file .*none.jsonl.*grade-school-math"):
        demo_real(tmp_path / "out", short=True, gsm8k=tmp_path / "none.jsonl")
    with pytest.raises(InputError, match=r"none.jsonl"):
        demo_real(tmp_path / "out", short=True, questions=tmp_path / "none.jsonl")
    bad = tmp_path / "bad.jsonl"
    bad.write_text('{"question": "1 + 1?"}\n', encoding="utf-8")
    with pytest.raises(DataError, match="gold"):
        demo_real(tmp_path / "out", short=True, questions=bad)
    with pytest.raises(InputError, match="holds a comma"):
        demo_real(tmp_path / "out", short=True, questions=questions(tmp_path / "a,b.jsonl"))
    assert calls == []
    assert not (tmp_path / "out").exists()


def test_an_export_that_writes_no_adapter_stops_the_demo(
    calls: list[list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from recipes.demo import real

    run = real.subprocess.run

    def failing(command: Sequence[str], **more: Any) -> Any:
        if command[3] == "export":
            return type("Done", (), {"returncode": 1})
        return run(command, **more)

    monkeypatch.setattr("recipes.demo.real.subprocess.run", failing)
    with pytest.raises(MathCoderError, match="wrote no adapter"):
        demo_real(tmp_path / "out", short=True)
    assert "eval" not in [words[0] for words in calls]

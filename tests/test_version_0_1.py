"""What people made with version 0.1 opens: runs go on, adapters export, chats are continued."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import yaml

from recipes.cli import main
from runtime.chat.log import read_log

MADE = Path(__file__).resolve().parent / "data" / "version_0_1"
"""Made with commit 88793c2: a tiny random base, a run stopped after 2 of 4 steps, a finished one, its export, the first
half of a results file, a chat, a settings file."""


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy to work in."""
    folder = tmp_path / "made"
    shutil.copytree(MADE, folder)
    monkeypatch.chdir(folder)
    for name in ("CONFIG", "DATA", "STATE", "CACHE"):
        monkeypatch.setenv(f"XDG_{name}_HOME", str(tmp_path / name))
    return folder


def test_a_stopped_run_goes_on_where_it_was(made: Path) -> None:
    pytest.importorskip("torch", reason="training needs the train extra")
    from qlora.settings import QloraSettings
    from qlora.train import train

    settings = QloraSettings.model_validate(yaml.safe_load((made / "stopped" / "recipe.yaml").read_text("utf-8")))
    summary = train(settings, made / "stopped")
    assert (summary.status, summary.steps) == ("finished", 4)
    log = [json.loads(line) for line in (made / "stopped" / "log.jsonl").read_text("utf-8").splitlines()]
    assert [entry["step"] for entry in log] == [1, 2, 3, 4]


def test_a_finished_run_is_still_finished_and_its_adapter_exports(
    made: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("torch", reason="exporting needs the train extra")
    from qlora.settings import QloraSettings
    from qlora.train import train

    settings = QloraSettings.model_validate(yaml.safe_load((made / "finished" / "recipe.yaml").read_text("utf-8")))
    assert train(settings, made / "finished").status == "finished"
    assert main(["export", "finished", "--quant", "F16", "--out", "again"]) in (0, 1), capsys.readouterr().err
    before, after = (json.loads((made / f / "old.certificate.json").read_text("utf-8")) for f in ("exported", "again"))
    assert after["base"]["sha256"] == before["base"]["sha256"]


def test_an_exported_file_is_read_and_listed_with_its_certificate(
    made: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(["export", "--check", "exported/old-F16.gguf"]) == 0, capsys.readouterr().err
    monkeypatch.setenv("MATHCODER_MODELS", str(made / "exported"))
    capsys.readouterr()
    assert main(["models", "--json"]) == 0
    listed = {item["name"]: item for item in json.loads(capsys.readouterr().out)}
    assert listed["old-F16"]["certificate"] == "does not hold", "it said so in 0.1 too: two steps on a random base"


def test_a_results_file_is_continued(made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    results = made / "results" / "results.jsonl"
    first = results.read_text("utf-8")
    assert len(first.splitlines()) == 1
    assert main(["solve", "nano", "--questions", "questions.jsonl", "--out", str(results)]) == 0, (
        capsys.readouterr().err
    )
    assert results.read_text("utf-8").startswith(first)
    assert sorted(json.loads(line)["id"] for line in results.read_text("utf-8").splitlines()) == ["a", "b"]
    assert main(["eval", "--grade", str(results), "--json"]) == 0


def test_a_chat_is_read_with_its_variables(made: Path) -> None:
    recorded = read_log(made / "chat.jsonl")
    assert [turn.question for turn in recorded.turns] == ["", "Write 77 in base 2."]
    assert recorded.turns[1].answer == "1001101"
    assert recorded.cells[0] == "x = 5"


def test_settings_with_a_retired_key_are_read(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MATHCODER_SETTINGS", str(made / "settings.yaml"))
    assert main(["models"]) == 0

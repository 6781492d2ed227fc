"""`doctor` tells what is there and what to do; `data` shows rows, `plan` counts them."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from recipes import doctor
from recipes.cli import main

ROOT = Path(__file__).resolve().parent.parent.parent


def test_the_report_is_json_with_a_remedy_for_everything_that_is_not_ok(capsys: pytest.CaptureFixture[str]) -> None:
    code = main(["doctor", "--json"])
    told = json.loads(capsys.readouterr().out)
    names = {finding["name"] for finding in told["findings"]}
    assert {"system", "Python", "memory", "llama-cpp-python", "isolation", "seccomp", "settings"} <= names
    assert code == (0 if told["ok"] else 1)
    for finding in told["findings"]:
        if finding["state"] == "bad":
            assert finding["remedy"], finding
    cell = next(finding for finding in told["findings"] if finding["name"] == "a cell")
    assert cell["state"] == "ok"
    assert "132" in cell["detail"]


def test_a_check_that_breaks_is_a_finding_not_a_crash(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> object:
        raise RuntimeError("no such device")

    for name in ("_solving", "_sandbox", "_training", "_files"):
        monkeypatch.setattr(doctor, name, lambda: iter(()))
    monkeypatch.setattr(doctor, "_machine", broken)
    found = list(doctor.examine())
    assert [finding.state for finding in found] == ["bad"]
    assert "no such device" in found[0].detail


def test_another_version_than_the_tested_one_is_a_note_with_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "version", lambda _package: "99.0")
    finding = doctor._package("training", "transformers", needed=True, extra="train")
    assert (finding.state, finding.remedy) == (
        "note",
        f"pip install 'transformers=={doctor.KNOWN_GOOD['transformers']}'",
    )


def test_the_known_good_versions_are_those_of_the_constraints() -> None:
    pinned = {}
    for file in (ROOT / "constraints").glob("*.txt"):
        for line in file.read_text(encoding="utf-8").splitlines():
            if "==" in line and not line.startswith("#"):
                name, version = line.split("==")
                pinned[re.sub(r"[-_.]+", "-", name).lower()] = version
    for package, version in doctor.KNOWN_GOOD.items():
        assert pinned[re.sub(r"[-_.]+", "-", package).lower()] == version


def row(question: str, *pairs: tuple[str, str]) -> str:
    blocks = [{"type": "text", "content": "We compute."}]
    for code, output in pairs:
        blocks += [{"type": "code", "content": code}, {"type": "execution", "content": output}]
    blocks += [{"type": "text", "content": "1"}]
    messages = [
        {"role": "system", "content": [{"type": "text", "content": "s"}]},
        {"role": "user", "content": [{"type": "text", "content": question}]},
        {"role": "assistant", "content": blocks},
    ]
    return json.dumps({"messages": messages})


@pytest.fixture
def rows(tmp_path: Path) -> str:
    path = tmp_path / "rows.jsonl"
    lines = [
        row("right", ("x = 2", "<empty_execution>"), ("import math\nx + 1", "3")),
        row("wrong", ("1 + 1", "3")),
        row("fails", ("1 / 0", "0")),
        '{"messages": []}',
    ]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return str(path)


def test_a_row_is_shown_and_counted(rows: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good = tmp_path / "good.jsonl"
    good.write_text(Path(rows).read_text(encoding="utf-8").splitlines()[0] + "\n", encoding="utf-8")
    assert main(["data", "show", str(good)]) == 0
    shown = capsys.readouterr().out
    assert "<|execution|>" in shown
    assert re.search(r"execution +\d+ +no", shown)
    assert main(["data", "show", str(good), "--row", "5"]) == 2


def test_every_action_of_data_has_its_own_help(capsys: pytest.CaptureFixture[str]) -> None:
    from recipes.cli.data import ACTIONS, BUILDERS

    assert set(ACTIONS) == set(BUILDERS) >= {"show", "check", "stats", "convert", "split", "decontaminate"}
    for action in ACTIONS:
        assert main(["data", action, "--help"]) == 0
        assert f"usage: mathcoder data {action}" in capsys.readouterr().out


def test_plan_counts_without_training(rows: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("torch", reason="planning needs the train extra")
    good = tmp_path / "good.jsonl"
    good.write_text("\n".join(Path(rows).read_text(encoding="utf-8").splitlines()[:3]) + "\n", encoding="utf-8")
    call = ["plan", "nano", "--data", str(good), "data.held_out_percent=0", "epochs=3", "batch_rows=2", "--json"]
    assert main(call) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["rows"] == 3
    assert told["steps"] in (4, 5, 6)
    assert 0 < told["supervised"] < sum(told["tokens"].values())
    assert told["memory"]["total"] > 0
    assert main(call[:-1]) == 0
    assert "carry loss" in capsys.readouterr().out

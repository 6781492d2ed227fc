"""`data` shows rows, `plan` counts them."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from recipes.cli import main


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
    mixed = tmp_path / "mixed.jsonl"
    mixed.write_text(good.read_text("utf-8") + '{"no": "row"}\n' * 3, encoding="utf-8")
    assert main(["data", "show", str(mixed)]) == 0, "a person who looks wants to see what is there"
    assert "3 bad rows" in capsys.readouterr().err


def test_every_action_of_data_has_its_own_help(capsys: pytest.CaptureFixture[str]) -> None:
    from recipes.cli.data import ACTIONS

    assert set(ACTIONS) >= {"show", "check", "stats", "convert", "split", "decontaminate"}
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

"""Counting and cutting rows, and the actions of `mathcoder data` that lead there."""

from __future__ import annotations

import errno
import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest
from rows_factory import good_row, read, row, write

from qlora.data import is_held_out
from recipes.cli import main
from recipes.cli.data import ACTIONS
from recipes.cli.verbs import action_module
from recipes.data.split import parse_parts, split
from recipes.data.stats import answer_kind, imports_of, plot, statistics
from runtime.errors import InputError

FAILED = "NameError Traceback (most recent call last) NameError: name 'x' is not defined"


def test_statistics_count_what_is_there_by_file(tmp_path: Path) -> None:
    odd = row(
        "Q?", ("code", "import sympy as sp\nfrom math import sqrt\nx"), ("execution", FAILED), ("code", "sp.pi;"),
        ("execution", "<empty_execution>"), ("text", "\\boxed{\\frac{1}{2}}"), ("text", "\\frac{1}{2}"),
    )  # fmt: skip
    (tmp_path / "rows").mkdir()
    write(tmp_path / "rows" / "a.jsonl", [good_row(), good_row(), b"{broken\n"])
    write(tmp_path / "rows" / "b.jsonl", [odd])
    found = statistics(str(tmp_path / "rows"))
    a, b, together = (found[name].as_dict() for name in found)
    assert (a["rows"], a["invalid rows"], a["different questions"]) == (2, 1, 1)
    assert a["blocks"] == {"text": 8, "code": 4, "execution": 4}
    assert a["answers"] == {"integer": 2}
    assert b["executions"] == {"failed": 1, "empty": 1}
    assert b["rows with a failed cell"] == 1
    assert b["imports"] == {"sympy": 1, "math": 1}
    assert together["rows"] == 3
    drawn = plot(found, tmp_path / "plots")
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in drawn)


def test_tokens_are_counted_as_training_sees_them(tmp_path: Path, nano_base: Path) -> None:
    if not (nano_base / "tokenizer.json").is_file():
        pytest.skip("the nano base has no tokenizer here")
    from qlora.base import find_base, load_tokenizer
    from qlora.data import encode

    tokenizer = load_tokenizer(find_base(str(nano_base)))
    found = next(iter(statistics(write(tmp_path / "r.jsonl", [good_row()]), tokenizer).values())).as_dict()
    kinds = encode(good_row(), tokenizer).kinds
    assert found["tokens by kind"]["execution"] == kinds.count("execution") > 0
    assert found["tokens of a row"]["longest"] == len(kinds)


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        ("12", "integer"),
        ("1,200", "integer"),
        ("0.5", "decimal"),
        ("1/2", "fraction or LaTeX"),
        ("x = 2", "other text"),
    ],
)
def test_answers_are_told_apart(answer: str, kind: str) -> None:
    assert answer_kind(answer) == kind
    assert answer_kind(None) == "none"


def test_imports_are_read_from_code_and_not_from_what_is_no_code() -> None:
    assert imports_of("import numpy.linalg, os\nfrom . import x") == {"numpy", "os"}
    assert imports_of("import (") == set()


def test_no_question_stands_in_two_parts_and_the_rule_is_that_of_training(tmp_path: Path) -> None:
    rows = [good_row(n, m) for n in range(2, 22) for m in range(2, 7)]
    source = write(tmp_path / "rows.jsonl", [*rows, *rows[:30], b"nonsense\n"])
    report = split(source, tmp_path / "out", parse_parts("heldout=20,dev=30,train=50"))
    assert report.rows.total() == 130
    assert report.invalid.total == 1
    held, dev, train = (_questions(tmp_path / "out" / f"{part}.jsonl") for part in ("heldout", "dev", "train"))
    assert not set(held) & set(dev) | set(held) & set(train) | set(dev) & set(train)
    assert all(is_held_out(question, 20) for question in held)
    assert not any(is_held_out(question, 20) for question in dev + train)
    facts = json.loads((tmp_path / "out" / "split.json").read_text())
    assert [part["rows"] for part in facts["parts"]] == [len(held), len(dev), len(train)]


def _questions(path: Path) -> list[str]:
    return [value["messages"][1]["content"][0]["content"] for value in read(path)]


@pytest.mark.parametrize("text", ["a=50,b=40", "a=100,a=0", "a", "a=x", "../a=100"])
def test_parts_that_are_none_are_refused(text: str) -> None:
    with pytest.raises(InputError, match=r"the parts add up to 90 %|is not NAME=PERCENT"):
        parse_parts(text)


# The actions


def act(name: str, *words: str) -> int:
    module = action_module("data", name)
    args = module.parser().read(list(words))
    return 0 if args is None else int(module.run(args))


def test_every_action_has_a_summary_a_parser_and_a_page(capsys: pytest.CaptureFixture[str]) -> None:
    for name, summary in ACTIONS.items():
        assert summary
        assert action_module("data", name).parser().read(["--help"]) is None
        assert f"mathcoder data {name}" in capsys.readouterr().out


def test_check_stats_split_and_decontaminate_speak_json_and_exit_codes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = write(tmp_path / "rows.jsonl", [good_row(), b"x\n"])
    assert act("check", source, "--json", "--repair", str(tmp_path / "mended.jsonl")) == 1
    told = json.loads(capsys.readouterr().out)
    assert told["faults"] == {"invalid": 1}
    assert told["repair"]["kept"] == 1
    assert act("stats", source, "--json") == 0
    assert json.loads(capsys.readouterr().out)[source]["rows"] == 1
    assert act("split", source, "--out", str(tmp_path / "parts")) == 0
    assert act("decontaminate", source, "--against", str(tmp_path / "mended.jsonl"), "--json") == 0
    out = capsys.readouterr().out
    assert '"exact": 1' in out
    assert act("convert", source, "--to", "tools", "--out", str(tmp_path / "calls.jsonl")) == 0
    assert "left out" in capsys.readouterr().out


def test_agree_with_one_sample_is_a_wrong_call(tmp_path: Path) -> None:
    source = write(tmp_path / "q.jsonl", [{"question": "What is 1 + 1?"}])
    with pytest.raises(InputError, match="several samples"):
        act("solve", source, "--model", "m", "--samples", "1", "--keep", "agree", "--out", str(tmp_path / "o.jsonl"))
    with pytest.raises(InputError, match="no usable question"):
        act("solve", source, "--model", "m", "--keep", "gold", "--out", str(tmp_path / "o.jsonl"))


def test_the_actions_are_listed_without_loading_anything_heavy() -> None:
    import subprocess

    code = (
        "import sys; from recipes.cli.data import ACTIONS; from recipes.cli.verbs import action_module; "
        "[action_module('data', name).parser() for name in ACTIONS]; "
        "heavy = 'torch sympy transformers llama_cpp IPython matplotlib'.split(); "
        "print([name for name in heavy if name in sys.modules])"
    )
    root = Path(__file__).resolve().parents[3]
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=root, check=True)
    assert shown.stdout.strip() == "[]"


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EACCES])
def test_a_full_disk_and_a_place_that_cannot_be_written_are_told_as_what_they_are(
    code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    source = write(tmp_path / "rows.jsonl", [good_row()])

    def full(*_: Any) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr("runtime.files.atomic.os.fsync", full)
    assert main(["data", "split", source, "--out", str(tmp_path / "parts")]) == 1
    told = " ".join(capsys.readouterr().err.split())
    assert os.strerror(code) in told
    assert "run the same command again" in told
    assert "fault of MathCoder" not in told
    assert not list((tmp_path / "parts").iterdir()), "nothing half-written is left"


def test_a_source_without_a_row_is_told_by_the_exit_code(tmp_path: Path) -> None:
    source = write(tmp_path / "rows.jsonl", [b"{broken\n"])
    against = write(tmp_path / "bench.jsonl", [{"question": "What?"}])
    assert main(["data", "split", source, "--out", str(tmp_path / "parts")]) == 1
    assert main(["data", "decontaminate", source, "--against", against]) == 1

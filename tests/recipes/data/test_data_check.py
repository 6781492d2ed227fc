"""Re-execution: what agrees, what does not, what can be mended, and what a killed check remembers."""

from __future__ import annotations

import copy
import json
import random
from pathlib import Path
from typing import Any

import pytest
from rows_factory import good_row, read, row, write

import recipes.data.journal as journal_module
from recipes.data.check import check, repair
from recipes.data.outputs import agreement
from recipes.data.rows import read_lines
from runtime.errors import InputError
from runtime.lce import Block
from runtime.sandbox import Limits
from runtime.solver.support import answer_problem

QUICK = Limits(cell_seconds=20.0, output_chars=100_000)


def checked(path: str, **options: Any) -> Any:
    return check(path, limits=QUICK, sessions=2, **options)


def faulty(fault: str) -> dict[str, Any]:
    value = copy.deepcopy(good_row())
    blocks = value["messages"][-1]["content"]
    if fault == "changed number":
        blocks[2]["content"] = "7"
    elif fault == "dropped line":
        blocks[1]["content"] = "total"
    elif fault == "swapped block":
        blocks[4], blocks[5] = blocks[5], blocks[4]
    elif fault == "dropped execution":
        del blocks[5]
    elif fault == "wrong last answer":
        blocks[-1]["content"] = "6"
    elif fault == "ends in an execution":
        del blocks[-2:]
    elif fault == "answer before its explanation":
        blocks[-1], blocks[-2] = blocks[-2], blocks[-1]
        blocks[-1]["content"] += " " + "This is what had to be found, and it was found by running code."
    return value


FAULTS = {
    "changed number": "differs",
    "dropped line": "error",
    "swapped block": "no execution",
    "dropped execution": "no execution",
    "wrong last answer": "answer contradicted",
    "ends in an execution": "no answer in the last block",
    "answer before its explanation": "no answer in the last block",
}


def test_every_kind_of_planted_fault_is_found_under_its_name_and_clean_rows_are_not_blamed(tmp_path: Path) -> None:
    values = [good_row(), *(faulty(name) for name in FAULTS), good_row(4, 9)]
    report = checked(write(tmp_path / "rows.jsonl", values))
    assert [verdict.index for verdict in report.flagged] == list(range(1, len(FAULTS) + 1))
    for verdict, (fault, cause) in zip(report.flagged, FAULTS.items(), strict=True):
        found = {cell.cause for cell in verdict.differing} | {name for name, _ in verdict.faults}
        assert cause in found, (fault, found)
    assert report.rows == len(values)


def test_a_row_keeps_its_session_and_rows_do_not_share_one(tmp_path: Path) -> None:
    leak = row("Q?", ("code", "total"), ("execution", "6"), ("text", "\\boxed{6}"), ("text", "6"))
    report = checked(write(tmp_path / "rows.jsonl", [good_row(), leak]))
    assert [(verdict.index, verdict.differing[0].cause) for verdict in report.flagged] == [(1, "error")]


def test_lines_that_are_no_rows_cost_themselves_only(tmp_path: Path) -> None:
    lines = [
        good_row(),
        b'{"messages": [broken\n',
        b'{"messages": "\xff\xfe"}\n',
        b"\n",
        {"question": "What is 1 + 1?", "solution": "<<1+1=2>>2\n#### 2"},
        [1, 2],
        good_row(3, 3),
    ]
    report = checked(write(tmp_path / "rows.jsonl", lines))
    assert report.faults == {"invalid": 4}
    reasons = [verdict.faults[0][1] for verdict in report.flagged]
    assert "not valid JSON" in reasons[0]
    assert "not UTF-8" in reasons[1]
    assert "mathcoder data convert" in reasons[2]
    assert report.causes["equal"] == 4


def test_a_line_too_long_for_memory_is_skipped_and_the_next_one_read(tmp_path: Path) -> None:
    path = write(tmp_path / "rows.jsonl", [b'{"x": "' + b"y" * 5_000_000 + b'"}\n', good_row()])
    first, second = read_lines([Path(path)], longest=1_000_000)
    assert "5,000,010 bytes" in first.value.reason
    assert second.number == 2
    assert second.value == good_row()


def test_a_repaired_file_is_clean_and_names_what_was_left_out(tmp_path: Path) -> None:
    harmless = row(
        "Q?", ("code", "3 * 4"), ("execution", "12"), ("code", "1 + 1"), ("execution", "3"), ("text", "\\boxed{12}"),
        ("text", "12"),
    )  # fmt: skip
    decisive = row("Q?", ("code", "1 + 1"), ("execution", "3"), ("text", "It is \\boxed{3}."), ("text", "3"))
    source = write(
        tmp_path / "rows.jsonl",
        [good_row(), harmless, decisive, faulty("dropped execution"), faulty("dropped line"), b"nonsense\n"],
    )
    report = checked(source)
    out = tmp_path / "mended.jsonl"
    repaired = repair(source, report, out)
    assert (repaired.kept, repaired.mended) == (1, 2)
    assert read(out)[0] == good_row()
    assert read(out)[1]["messages"][-1]["content"][3]["content"] == "2"
    assert read(out)[2] == good_row()
    reasons = {entry["index"]: entry["reason"].split(":")[0] for entry in read(tmp_path / "mended.left-out.jsonl")}
    assert reasons == {2: "answer no longer follows", 4: "error", 5: "invalid"}
    assert not checked(str(out)).flagged


def test_a_killed_check_goes_on_where_it_stopped_and_reports_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal_module, "CHUNK", 2)
    values = [good_row(n, 5) for n in range(2, 8)]
    values[3] = faulty("changed number")
    source = write(tmp_path / "rows.jsonl", values)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))

    def kill(_: int) -> None:
        raise KeyboardInterrupt("by the test")

    with pytest.raises(KeyboardInterrupt, match="by the test"):
        checked(source, on_progress=kill)
    (journal,) = (tmp_path / "cache").rglob("check-*.jsonl")
    written = len(read(journal))
    assert 0 < written < 3
    seen: list[int] = []
    report = checked(source, on_progress=seen.append)
    assert len(seen) == 3 - written
    assert (report.rows, [verdict.index for verdict in report.flagged]) == (6, [3])
    assert not journal.exists(), "it bridges interruptions and nothing else"


def test_a_fresh_start_takes_no_journal_from_a_process_that_is_still_writing_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))

    def numbers(facts: dict[str, Any], *, fresh: bool = False) -> Any:
        lines: Any = range(40)
        return journal_module.journaled("x", lines, lambda n, _: {"n": n}, facts, sessions=1, fresh=fresh)

    with numbers({"data": 1}) as first:
        with pytest.raises(InputError, match="another process"), numbers({"data": 1}, fresh=True):
            pass
        assert [result["n"] for result in first] == list(range(40))
    with numbers({"data": 2}, fresh=True) as again:
        assert [result["n"] for result in again] == list(range(40))


def test_a_cell_that_never_ends_is_a_time_out_and_not_a_difference(tmp_path: Path) -> None:
    endless = row("Q?", ("code", "while True: pass"), ("execution", "1"), ("text", "\\boxed{1}"), ("text", "1"))
    source = write(tmp_path / "rows.jsonl", [endless])
    report = check(source, limits=Limits(cell_seconds=0.3), sessions=1)
    assert report.causes == {"time-out": 1}


def test_an_answer_is_held_to_the_gold_one_where_there_is_one(tmp_path: Path) -> None:
    gold = {good_row()["messages"][1]["content"][0]["content"]: "6"}
    source = write(tmp_path / "rows.jsonl", [good_row(), good_row(4, 4)])
    report = checked(source, gold=gold)
    assert [(v.index, v.faults[0][0]) for v in report.flagged] == [(0, "not the gold answer")]


FAILURE = (
    "---------------------------------------------------------------------------\n"
    "NameError                                 Traceback (most recent call last)\n"
    "Cell In[1], line 2\n      1 # First\n----> 2 b = a + 5\n\nNameError: name 'a' is not defined"
)


@pytest.mark.parametrize(
    ("recorded", "fresh", "expected"),
    [
        ("0.333333", "0.3333333333333333", "rounded"),
        ("0.333334", "0.3333333333333333", "differs"),
        ("{x: 3, y: 4}", "{y: 4, x: 3}", "differs"),
        ("{1, 2, (3, 4)}", "{(3, 4), 2, 1}", "set order"),
        ("{1, 2, 3}", "{1, 2, 4}", "differs"),
        ("[1, 2]", "[2, 1]", "differs"),
        ("0.3333333333333333", "0.3333333333333334", "differs"),
        ("[0.25, 0.333333]", "[0.25, 0.33333333]", "rounded"),
        ("<f at 0x7f12ab34cd56>", "<f at 0x7f99ab34cd00>", "other address"),
        (FAILURE.replace("\n", " "), FAILURE.replace("In[1]", "In[3]"), "same exception"),
        (FAILURE.replace("b = a", "\x1b[38;5;241mb = a"), FAILURE, "same exception"),
        (f"12\n{FAILURE}", f"12\n{FAILURE}".replace("\n", "  \n"), "same exception"),
        (f"13\n{FAILURE}", f"12\n{FAILURE}", "differs"),
        (FAILURE.replace("b = a + 5", "b = a + 6"), FAILURE, "differs"),
        (FAILURE.replace("line 2", "line 3"), FAILURE, "differs"),
        (
            "  Cell In[1], line 1 f(x) = 0 ^ SyntaxError: cannot assign to function call",
            "  Cell In[1], line 1\n    f(x) = 0\n    ^^^^\nSyntaxError: cannot assign to function call here. "
            "Maybe you meant '==' instead of '='?",
            "same exception",
        ),
        (
            "TypeError Traceback (most recent call last)\nTypeError: f() takes 1 positional argument but 2 were given",
            "TypeError Traceback (most recent call last)\n"
            "TypeError: A.f() takes 1 positional argument but 3 were given",
            "differs",
        ),
        (FAILURE.replace("      1 # First\n", ""), FAILURE, "differs"),
        (
            "<ipython-input-1-ab> in <module>\nNameError Traceback (most recent call last)\nNameError: name 'a'",
            "NameError Traceback (most recent call last)\nCell In[1], line 2\n----> 2 a\n\nNameError: name 'a'",
            "same exception",
        ),
        (
            "NameError Traceback (most recent call last) NameError: name 'a' is not defined",
            "NameError Traceback (most recent call last)\nNameError: name 'b' is not defined",
            "differs",
        ),
    ],
)
def test_outputs_agree_by_named_allowances_only(recorded: str, fresh: str, expected: str) -> None:
    assert agreement(recorded, fresh) == expected


def test_an_answer_may_be_a_part_of_its_box_and_a_percentage_but_no_other_number() -> None:
    def problem(box: str, answer: str) -> Any:
        return answer_problem([Block("text", f"So \\boxed{{{box}}}."), Block("text", answer)])

    assert problem("a = 4, \\quad r = 0", "4") is None
    assert problem("60\\%", "60") is None
    assert problem("3,192,500", "3192500") is None
    assert problem("3,192,500", "192")[0] == "answer contradicted"
    assert problem("16", "17")[0] == "answer contradicted"


SUM = [
    Block("code", "20 + 22"),
    Block("execution", "42"),
    Block("text", "Both boxes hold \\boxed{42} apples."),
    Block("text", "42"),
]


def changed(place: int, before: str, after: str, *, last: str | None = None) -> Any:
    blocks = list(SUM)
    blocks[place] = Block(blocks[place].type, blocks[place].content.replace(before, after))
    return answer_problem([*blocks[:-1], Block("text", last)] if last is not None else blocks, None, "How many?")


def test_a_number_from_nowhere_is_found_in_a_box_in_the_answer_and_in_both() -> None:
    assert answer_problem(SUM) is None
    assert changed(2, "42", "47")[0] == "answer contradicted"
    assert changed(3, "42", "47")[0] == "answer contradicted"
    assert changed(2, "42", "47", last="47")[0] == "answer contradicted"
    assert changed(2, "apples", "apples, each worth \\boxed{7}")[0] == "answer contradicted"
    assert changed(2, "apples", "apples, each worth \\boxed{7}, since 42 / 6 is 7") is None


@pytest.mark.parametrize(
    ("output", "answer", "question"),
    [
        ("41.666666666", "42", "How many?"),
        ("0.42", "42", "What percent?"),
        ("{x: 42, y: 3}", "42", "How many?"),
        ("4243", "3", "What is the last digit?"),
        ("21/4", "5.25", "How many?"),
    ],
)
def test_an_answer_may_be_rounded_a_percentage_a_part_or_another_spelling_of_a_result(
    output: str, answer: str, question: str
) -> None:
    blocks = [
        Block("code", "f()"),
        Block("execution", output),
        Block("text", f"\\boxed{{{answer}}}"),
        Block("text", answer),
    ]
    assert answer_problem(blocks, None, question) is None


@pytest.mark.parametrize(
    ("last", "fault"),
    [
        ("It is \\boxed{42}.", None),
        ("So she has 42 apples.", None),
        ("It is \\boxed{43}.", "answer contradicted"),
        ("So she has 43 apples.", "answer contradicted"),
        ("It is \\boxed{4", "no answer in the last block"),
        ("Both bo", "answer contradicted"),
    ],
)
def test_a_last_sentence_is_held_to_what_was_worked_out_as_a_bare_answer_is(last: str, fault: str | None) -> None:
    found = answer_problem([*SUM[:2], Block("text", last)])
    assert (found and found[0]) == fault


def test_a_truth_value_boxed_on_the_way_is_not_the_answer() -> None:
    blocks = [
        *SUM[:1],
        Block("execution", "False"),
        Block("text", "\\boxed{False}, so 7 is greater."),
        Block("text", "7"),
    ]
    assert answer_problem(blocks) is None
    assert answer_problem([*blocks[:-1], Block("text", "8")]) is not None


def test_an_earlier_turn_that_boxes_a_wrong_answer_is_found_and_a_greeting_is_not(tmp_path: Path) -> None:
    good, bad, greeting = good_row(), good_row(), row("Hello!", ("text", "Hello, what can I do for you?"))
    bad["messages"][-1]["content"][-1]["content"] = "9"
    rows = [{"messages": first["messages"] + good_row(4, 5)["messages"][1:]} for first in (good, bad, greeting)]
    report = checked(write(tmp_path / "rows.jsonl", rows))
    assert [(verdict.index, verdict.faults[0][0]) for verdict in report.flagged] == [(1, "answer contradicted")]


def test_the_released_rows_come_out_again(shared_data: Path, tmp_path: Path) -> None:
    lines = (shared_data / "mathcodeinstruct_dev.jsonl").read_text(encoding="utf-8").splitlines()
    sample = random.Random(4).sample(lines, 12)
    report = checked(write(tmp_path / "rows.jsonl", [json.loads(line) for line in sample]))
    assert report.rows == 12
    assert report.equal >= report.cells - 1

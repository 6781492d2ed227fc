"""How the rows of each variant come from one LCE row, and what is refused before minutes are spent."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from qlora.data import Row
from recipes.ablate.variants import DEFAULT, LCE, RULES, derive, variant_of
from recipes.cli import main
from runtime.errors import InputError
from runtime.lce import Block, conversation

QUESTION = "What is 6 times 7, less 2?"
LONG = "[" + ", ".join(map(str, range(200))) + "]"


def row(*blocks: tuple[str, str], question: str = QUESTION) -> Row:
    return Row(conversation(question, [Block(kind, content) for kind, content in blocks]))  # type: ignore[arg-type]


def blocks_of(found: Row) -> list[tuple[str, str]]:
    return [(block["type"], block["content"]) for block in found.messages[-1]["content"]]


SOLVED = row(
    ("text", "First the product."),
    ("code", "a = 6 * 7\na"),
    ("execution", "42"),
    ("text", "Then the difference."),
    ("code", "b\n"),
    ("execution", "NameError: name 'b' is not defined"),
    ("code", "a - 2"),
    ("execution", "40"),
    ("text", r"So it is $\boxed{40}$."),
    ("text", "40"),
)


def test_a_row_of_text_says_what_the_code_found_and_keeps_silent_on_errors() -> None:
    (found,) = derive([SOLVED], variant_of("text-only")).rows
    assert blocks_of(found) == [
        ("text", "First the product.\n\nThe result is 42."),
        ("text", "Then the difference.\n\nThe result is 40."),
        ("text", r"So it is $\boxed{40}$."),
        ("text", "40"),
    ]
    silent = row(("text", "T"), ("code", "x"), ("execution", LONG), ("code", "y"), ("execution", "<empty_execution>"))
    assert blocks_of(derive([silent], variant_of("text-only")).rows[0]) == [("text", "T")]


def test_a_row_of_code_is_one_program_that_prints_the_answer() -> None:
    (found,) = derive([SOLVED], variant_of("code-only")).rows
    assert blocks_of(found) == [("code", "a = 6 * 7\na\na - 2"), ("execution", "40")]


def test_a_row_whose_program_does_not_print_its_answer_is_left_out_of_code_only() -> None:
    other = row(
        ("code", "6 * 7"), ("execution", "42"), ("text", "Less 2 that is 40."), ("text", "40"), question="Other?"
    )
    found = derive([SOLVED, other], variant_of("code-only"))
    assert (len(found.rows), found.left_out) == (1, 1)
    with pytest.raises(InputError, match="of 1 rows none is left for the variant code-only"):
        derive([other], variant_of("code-only"))


def test_without_text_the_bare_answer_stays() -> None:
    (found,) = derive([SOLVED], variant_of("no-text")).rows
    kinds = [kind for kind, _ in blocks_of(found)]
    assert kinds == ["code", "execution", "code", "execution", "code", "execution", "text"]
    assert blocks_of(found)[-1] == ("text", "40")


def test_the_prompt_of_a_derived_row_is_that_of_its_lce_row() -> None:
    for name in DEFAULT:
        if name not in ("no-interpolated", "rows-50"):
            (found,) = derive([SOLVED], variant_of(name)).rows
            assert found.messages[:-1] == SOLVED.messages[:-1], name
            assert found.question_sha256 == SOLVED.question_sha256


def test_a_smaller_share_is_part_of_a_larger_one_and_duplicates_stay_together() -> None:
    rows = [row(("text", "1"), question=f"Question {n % 150}?") for n in range(300)]
    quarter, half = (
        [found.question for found in derive(rows, variant_of(name)).rows] for name in ("rows-25", "rows-50")
    )
    assert set(quarter) < set(half)
    assert 90 < len(half) < 210
    assert all(half.count(question) == 2 for question in half)


def test_interpolated_rows_are_those_that_no_file_names() -> None:
    other = row(("text", "1"), question="Interpolated?")
    variant = variant_of("no-interpolated")
    assert [found.question for found in derive([SOLVED, other], variant, {QUESTION}).rows] == [QUESTION]
    with pytest.raises(InputError, match="nobody said which rows are interpolated"):
        derive([SOLVED], variant)
    with pytest.raises(InputError, match="none is left for the variant no-interpolated"):
        derive([other], variant, {QUESTION})


def test_variants_that_train_alike_are_trained_once() -> None:
    assert variant_of("imagined").training == variant_of("execution-loss").training
    assert variant_of("imagined").mode == "imagined"
    trainings = [variant_of(name).training for name in DEFAULT if name != "imagined"]
    assert len(set(trainings)) == len(trainings)
    assert variant_of(" LCE ") == LCE
    assert {variant_of(name).rows for name in DEFAULT} == set(RULES)


@pytest.mark.parametrize("name", ["rows-0", "rows-100", "rank-0", "rank-5000", "texts-only", ""])
def test_an_unknown_variant_is_refused_with_the_names(name: str) -> None:
    with pytest.raises(InputError, match="The variants are lce, execution-loss"):
        variant_of(name)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--variants", "text-onyl"], "did you mean text-only"),
        (["--variants", "no-interpolated"], "nobody said which rows are interpolated"),
        (["--original", "none.jsonl"], "there is no file none.jsonl"),
        (["--rows", "ROWS"], "--data is missing"),
        (["--rows", "ROWS", "--data", "gsm9k"], "neither a question set nor a file"),
        (
            ["--rows", "ROWS", "--data", "QUESTIONS", "--variants", "code-only"],
            "none is left for the variant code-only",
        ),
        (["data.train_on_execution=true"], "is an ablation itself"),
    ],
)
def test_what_cannot_be_measured_is_one_sentence_before_anything_is_trained(
    words: list[str], told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("peft", reason="ablate needs the train extra")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    rows, questions = tmp_path / "rows.jsonl", tmp_path / "q.jsonl"
    rows.write_text(json.dumps({"messages": conversation("Q?", [Block("text", "7")])}) + "\n", encoding="utf-8")
    questions.write_text(json.dumps({"question": "Q?", "gold": 7}) + "\n", encoding="utf-8")
    given = [str({"ROWS": rows, "QUESTIONS": questions}.get(word, word)) for word in words]
    if "--rows" not in given:
        given += ["--rows", str(rows), "--data", str(questions)]
    out = tmp_path / "out"
    assert main(["ablate", "nano", "--out", str(out), "data.held_out_percent=0", *given]) != 0
    error = capsys.readouterr().err
    assert told.lower() in " ".join(error.split()).lower()
    assert "Traceback" not in error
    assert not out.exists()

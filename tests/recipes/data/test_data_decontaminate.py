"""Overlap with benchmarks: found by three measures, and nothing dropped silently."""

from __future__ import annotations

from pathlib import Path

import pytest
from rows_factory import good_row, read, row, write

from recipes.data.decontaminate import Benchmarks, decontaminate
from recipes.data.words import key
from runtime.errors import InputError

LONG = (
    "A farmer keeps 12 hens and 7 ducks behind his house, and each of them lays two eggs on every day of the week. "
    "How many eggs does he collect in $3.5$ weeks?"
)


def found(question: str, *benchmark: str) -> str | None:
    benchmarks = Benchmarks()
    for number, text in enumerate(benchmark or (LONG,)):
        benchmarks.add(str(number), text)
    hit = benchmarks.find(question)
    return hit[0] if hit else None


@pytest.mark.parametrize(
    ("question", "reason"),
    [
        (LONG, "exact"),
        (LONG + "\n", "exact"),
        (LONG.upper(), "normalised"),
        (LONG.replace(" ", "  ").replace(",", " ,"), "normalised"),
        (LONG.replace("$3.5$", "3.5"), "normalised"),
        (LONG.replace(" ", ""), "normalised"),
        ("Listen: " + LONG, "13-gram"),
        (LONG.replace("12 hens", "15 hens"), "13-gram"),
        (LONG.replace("hens", "geese").replace("each", "every one").replace("week", "month"), None),
        ("How many eggs does he collect in 3.5 weeks?", None),
    ],
)
def test_an_edited_question_is_found_and_another_one_is_not(question: str, reason: str | None) -> None:
    assert found(question) == reason


def test_short_questions_that_differ_in_an_operator_or_a_sign_are_different() -> None:
    assert found("What is 3 + 5?", "What is 3 - 5?") is None
    assert found("Solve x = -4.", "Solve x = 4.") is None
    assert found("what is 3  + 5", "What is 3 + 5?") == "normalised"
    assert key("1,000 apples") == key("1000 apples")


def test_drawing_code_that_many_problems_share_is_no_overlap() -> None:
    drawing = (
        "[asy] pair A,B,C,D; A=(0,0); B=(1,0); C=(1,1); D=(0,1); draw(A--B--C--D--cycle); label(A); label(B); [/asy]"
    )
    assert found(f"What is the area? {drawing}", f"How long is the diagonal? {drawing}") is None


def test_clean_rows_are_written_and_each_hit_is_listed_with_its_reason(tmp_path: Path) -> None:
    other = row("What is the sum of the first hundred odd numbers?", ("text", "10000"))
    rows = [other, good_row(6, 7), b"broken\n", {"question": LONG}, {"nothing": 1}]
    source = write(tmp_path / "rows.jsonl", rows)
    asked = good_row(6, 7)["messages"][1]["content"][0]["content"].upper()
    against = write(
        tmp_path / "bench.jsonl", [{"id": "b1", "question": asked, "gold": "1"}, {"id": "b2", "question": LONG}]
    )
    out = tmp_path / "clean.jsonl"
    overlap = decontaminate(source, [against], out=out)
    assert read(out) == [other]
    listed = read(tmp_path / "clean.hits.jsonl")
    assert [(hit["index"], hit["reason"], hit["benchmark"]) for hit in listed] == [
        (1, "normalised", "bench.jsonl#b1"),
        (3, "exact", "bench.jsonl#b2"),
    ]
    assert overlap.rows == 3
    assert overlap.unread.total == 2


def test_a_benchmark_that_is_not_there_is_refused(tmp_path: Path) -> None:
    source = write(tmp_path / "rows.jsonl", [good_row()])
    with pytest.raises(InputError, match="does not exist"):
        decontaminate(source, [str(tmp_path / "none.jsonl")])

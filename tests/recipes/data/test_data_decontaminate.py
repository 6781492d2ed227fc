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
        (LONG.replace("12 hens", "15 hens"), "masked"),
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


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (r"Find $x^2 + 10,\!000$ exactly.", r"Find $x^{2}+10{,}000$ exactly"),
        ("Find x² + 10,000.", r"Find $x^2 + 10\,000$."),
        (r"Is $\dfrac{1}{2} \quad \le \left( y \right)$ so?", r"Is $\frac12 ≤ (y)$ so?"),
        (r"An angle of $30^\circ$ at $\pi\lambda$", "An angle of 30° at π λ"),
        ("Janet’s twenty‑one ducks — well fed!", "Janets twenty one ducks, well fed"),
        ("A cafe\u0301 with 5 ½\u00a0tables", "a zero\u200bcafé with ５ 1/2 tables".replace("zero", "")),
        (r"$3\times 4$ and $6 \div 2$", "3 × 4 and 6 ÷ 2"),
        (r"WHAT IS $\FRAC{1}{2} \CDOT \LEFT(3\RIGHT)$?", r"What is $\frac{1}{2}\cdot(3)$?"),
    ],
)
def test_the_same_mathematics_written_otherwise_is_found(one: str, other: str) -> None:
    assert found(one, other) == "normalised"
    assert found(other, one) == "normalised"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("How far is (1, 23) from 0?", "How far is (12, 3) from 0?"),
        ("Solve x ≤ 3.", "Solve x ≥ 3."),
        ("What is 5!?", "What is 5?"),
        ("What is .5 + 2?", "What is 5 + 2?"),
        ("Expand x^2.", "Expand x2."),
    ],
)
def test_mathematics_that_reads_alike_but_asks_something_else_is_no_hit(one: str, other: str) -> None:
    assert found(one, other) is None


def test_a_short_question_inside_a_longer_text_is_found_from_eight_words_on() -> None:
    short = "How many of the 30 pupils wear a hat?"
    assert found(f"Read this and answer. {short} Think first.", short) == "contained"
    assert found("How many of the 30 pupils wear a hat or scarf?", "How many of the 31 pupils wear a hat?") is None
    assert found("Now what is 7 + 3 * 2, my friend?", "What is 7 + 3?") is None
    difference = "What is the value of 7 - 3 in the end?"
    assert found(f"Tell me: {difference.replace('-', '+')} Quick.", difference) is None


def test_the_questions_of_chats_and_broken_records_are_looked_up_too(tmp_path: Path) -> None:
    chat = {"messages": [{"role": "user", "content": "Hello."}, {"role": "assistant", "content": "Hi."},
                         {"role": "user", "content": [{"type": "text", "text": LONG}]}]}  # fmt: skip
    broken = [{"messages": [{"role": "user"}]}, {"messages": [None, {"role": "user", "content": [1]}]}, {"messages": 1}]
    source = write(tmp_path / "rows.jsonl", [chat, *broken])
    against = write(tmp_path / "bench.jsonl", [{"question": LONG}])
    overlap = decontaminate(source, [against])
    assert [hit.index for hit in overlap.hits] == [0]
    assert overlap.unread.total == 3


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

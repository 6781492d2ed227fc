"""Question, equation, answer rows become text, code and a true execution."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from recipes.data.convert import convert
from recipes.data.equations import infix_of, read
from recipes.data.formats import FormatError, detect


@pytest.mark.parametrize(
    ("equation", "expression"),
    [
        ("- + 9 27 20", "9 + 27 - 20"),
        ("* 9 - 15 8", "9 * (15 - 8)"),
        ("- 30 - 10 3", "30 - (10 - 3)"),
        ("/ 60 / 12 2", "60 / (12 / 2)"),
        ("/ * 4 6 8", "4 * 6 / 8"),
        ("+ 10.22 11.73", "10.22 + 11.73"),
        ("x = 3 + 4", "3 + 4"),
        ("(5-3)*2=4", "(5 - 3) * 2"),
        ("7+2=9", "7 + 2"),
    ],
)
def test_prefix_and_infix_become_python(equation: str, expression: str) -> None:
    assert infix_of(equation) == expression


@pytest.mark.parametrize("equation", ["+ 3", "- 4 five", "x = y", "3 4 +", ""])
def test_what_is_not_arithmetic_is_none(equation: str) -> None:
    assert infix_of(equation) is None


def test_numbers_get_the_names_of_their_nouns() -> None:
    question = "Dan picked 9 green limes and gave Sara 4 of the limes. How many limes does Dan have?"
    dialogue = read({"question": question, "gold": "5", "equation": "- 9 4"})
    ((_, blocks),) = dialogue.turns
    assert [block.type for block in blocks] == ["text", "code", "text"]
    assert blocks[0].content == "From 9 green limes and 4 limes: subtract."
    assert blocks[1].content == "green_limes = 9\nlimes = 4\ngreen_limes - limes"
    assert blocks[2].content == "The answer is \\boxed{5}."


def test_an_equation_that_does_not_give_the_answer_is_left_out_with_the_reason() -> None:
    with pytest.raises(FormatError, match=r"gives another answer: 12 for '7'"):
        read({"question": "3 packs of 4 cakes, 5 eaten?", "gold": "7", "equation": "* 3 4"})


def test_a_file_of_them_is_converted_with_true_executions(tmp_path: Path) -> None:
    lines = [
        {"question": "There are 28 cards for 4 children. How many each?", "gold": "7", "equation": "/ 28 4"},
        {"question": "2 apples and 3 pears?", "answer": "5", "Equation": "X=2+3"},
        {"question": "9 birds, 4 fly?", "gold": "6", "equation": "- 9 4"},
    ]
    assert [detect(line) for line in lines] == ["equations"] * 3
    source = tmp_path / "rows.jsonl"
    source.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    report = convert(str(source), tmp_path / "out.jsonl")
    assert report.written == 2
    assert dict(report.left_out) == {"the equation gives another answer": 1}
    first, second = ((tmp_path / "out.jsonl").read_text(encoding="utf-8")).splitlines()
    assert [b["content"] for b in json.loads(first)["messages"][-1]["content"] if b["type"] == "execution"] == ["7.0"]
    assert [b["content"] for b in json.loads(second)["messages"][-1]["content"] if b["type"] == "execution"] == ["5"]

"""Marked solutions become one program whose last line is the answer."""

from __future__ import annotations

import ast
import json
from fractions import Fraction
from pathlib import Path

import pytest

from recipes.data.convert import convert
from recipes.data.program import program_of, read
from recipes.data.records import FormatError

QUESTION = "Ida bakes 6 trays of 12 rolls and sells a third of the rolls. How many rolls does she keep?"
SOLUTION = (
    "Ida bakes 6 * 12 = <<6*12=72>>72 rolls.\nShe sells 72 / 3 = <<72/3=24>>24 sold rolls.\n"
    "So she keeps 72 - 24 = <<72-24=48>>48 rolls.\n#### 48"
)


def test_steps_are_named_by_what_the_solution_calls_their_results() -> None:
    plan, code = program_of(QUESTION, SOLUTION, Fraction(48))
    assert code == "rolls = 6 * 12\nsold_rolls = rolls / 3\nrolls - sold_rolls"
    assert plan == "Rolls: multiply; then sold rolls: divide; then rolls: subtract."


def test_a_number_of_the_question_is_not_taken_for_a_step_of_the_same_value() -> None:
    _, code = program_of(
        "He has 4 rows of 5 and 20 more.", "4*5=<<4*5=20>>20 plants. 20+20=<<20+20=40>>40 in all.", Fraction(40)
    )
    assert code.splitlines()[-1] == "20 + 20"


@pytest.mark.parametrize("word", ["class", "lambda", "pass", "is"])
def test_names_are_names_whatever_the_sentence_says(word: str) -> None:
    solution = f"2*3=<<2*3=6>>6 {word}. 6*2=<<6*2=12>>12 {word}. 12+1=<<12+1=13>>13 {word}."
    _, code = program_of("There are 2 of 3.", solution, Fraction(13))
    assigned = [node.targets[0] for node in ast.parse(code).body if isinstance(node, ast.Assign)]
    assert len({ast.unparse(name) for name in assigned}) == len(assigned) == 2


def test_what_follows_the_step_with_the_answer_is_left_out_and_no_such_step_is_told() -> None:
    _, code = program_of("1 and 2", "1+2=<<1+2=3>>3 pens. 3*9=<<3*9=27>>27 cents.", Fraction(3))
    assert code == "1 + 2"
    with pytest.raises(FormatError, match="no step gives the gold answer"):
        program_of("1 and 2", "1+2=<<1+2=3>>3 pens.", Fraction(4))


def test_converted_rows_hold_one_executed_cell_that_gives_the_gold_answer(tmp_path: Path) -> None:
    source = tmp_path / "q.jsonl"
    source.write_text(json.dumps({"question": QUESTION, "answer": SOLUTION}) + "\n")
    convert(str(source), tmp_path / "rows", declared="gsm8k-program")
    blocks = json.loads((tmp_path / "rows").read_text())["messages"][-1]["content"]
    assert [block["type"] for block in blocks] == ["text", "code", "execution", "text"]
    assert blocks[2]["content"] == "48.0"


def test_every_program_of_published_solutions_computes_its_gold_answer(shared_data: Path) -> None:
    read_rows = 0
    for line in (shared_data / "questions" / "GSM8K_train.jsonl").open():
        value = json.loads(line)
        try:
            dialogue = read(value)
        except FormatError:
            continue
        code = dialogue.turns[0][1][1].content
        names: dict[str, object] = {}
        *assignments, last = code.splitlines()
        exec("\n".join(assignments), names)
        assert eval(last, names) == pytest.approx(float(value["gold"].replace(",", "")), abs=1e-6), code
        read_rows += 1
    assert read_rows > 6900

"""The nano problems: right answers, two sides that never mix, executions that the sandbox gives."""

from __future__ import annotations

import hashlib
import itertools
import json
import random
from collections.abc import Iterable

import pytest

from recipes.nano.corpus import documents
from recipes.nano.families import FAMILIES
from recipes.nano.family import Family, is_held_out_number
from recipes.nano.problems import (
    Problem,
    draw,
    held_out,
    mentions_held_out_number,
    run_trusted,
    training_problems,
)
from recipes.nano.rows import execute_in_sandbox
from recipes.nano.words import HELD_OUT_NAMES, NAMES
from runtime.grade import equivalent, final_answer
from runtime.lce import CONTROL_TOKENS

KINDS = ("numbers", "wording", "families", "never")


def test_fine_tuning_has_at_least_forty_families_and_holds_out_eight() -> None:
    stages = [family.stage for family in FAMILIES.values()]
    assert stages.count("fine_tuning") >= 40
    assert stages.count("base_only") + stages.count("never") >= 8


@pytest.mark.parametrize("family", FAMILIES.values(), ids=FAMILIES)
def test_a_familys_code_gives_the_answer_that_was_computed_without_it(family: Family) -> None:
    rng = random.Random(family.name)
    for unseen in (False, True):
        for _ in range(3):
            problem = draw(family, rng, held_out=True, unseen_wording=unseen)
            blocks = problem.blocks(run_trusted)
            assert final_answer(blocks) == problem.gold
            assert blocks[-3].content == problem.gold, "the last execution is the answer"


def test_the_sandbox_gives_what_the_corpus_recorded() -> None:
    rng = random.Random(5)
    for family in list(FAMILIES.values())[::4]:
        codes = draw(family, rng, held_out=True).codes
        assert execute_in_sandbox(codes) == run_trusted(codes)


def test_wordings_of_evaluation_are_none_of_training() -> None:
    for family in FAMILIES.values():
        assert not set(family.wordings) & set(family.unseen_wordings)
        assert family.unseen_wordings


@pytest.mark.parametrize("kind", KINDS)
def test_held_out_problems_use_no_number_or_name_of_training(kind: str) -> None:
    for problem in held_out(kind, 100, seed=3):  # type: ignore[arg-type]
        assert not set(problem.values.values()) & set(NAMES)
        drawn = [problem.values[slot] for slot in problem.family.numbers]
        assert drawn
        assert all(is_held_out_number(number) for number in drawn)


def test_training_problems_use_no_number_or_name_of_evaluation() -> None:
    for problem in training_problems(200, seed=3):
        assert not set(problem.values.values()) & set(HELD_OUT_NAMES)
        assert not mentions_held_out_number(problem.question, [])
        assert problem.family.stage == "fine_tuning"


def test_held_out_kinds_come_from_the_stages_they_claim() -> None:
    stages = {kind: {problem.family.stage for problem in held_out(kind, 80)} for kind in KINDS}  # type: ignore[arg-type]
    assert stages == {
        "numbers": {"fine_tuning"},
        "wording": {"fine_tuning"},
        "families": {"base_only"},
        "never": {"never"},
    }


def test_answers_seldom_stand_in_the_question() -> None:
    problems: list[Problem] = held_out("numbers", 300) + held_out("wording", 300)
    standing = [problem for problem in problems if problem.gold in problem.question.replace("?", " ").split()]
    assert len(standing) <= 0.03 * len(problems)


def test_the_corpus_holds_no_control_token_and_no_held_out_number() -> None:
    stream = documents(seed=9)
    for document in (next(stream) for _ in range(300)):
        assert not any(token in document for token in CONTROL_TOKENS)
        assert not mentions_held_out_number(document, [])


def test_a_wrong_result_is_not_equivalent_to_gold() -> None:
    # What "solved" means in the demo: the grader itself must tell the problems' answers apart.
    problems = held_out("numbers", 60)
    assert all(equivalent(problem.gold, problem.gold) for problem in problems)
    shifted = [(problem.gold, problems[index - 1].gold) for index, problem in enumerate(problems)]
    assert sum(equivalent(a, b) for a, b in shifted if a != b) == 0


def test_rows_exam_and_corpus_are_those_that_the_packaged_model_was_made_with() -> None:
    # One changed letter in a family, or one draw more, is another exam than the figures in the documentation are of.
    def digest(lines: Iterable[object]) -> str:
        return hashlib.sha256("".join(json.dumps(line) + "\n" for line in lines).encode()).hexdigest()[:16]

    texts = [
        [f.name, f.stage, f.wordings, f.unseen_wordings, f.closings, *([s.texts, s.code] for s in f.steps)]
        for f in FAMILIES.values()
    ]
    rows = [problem.row_of(problem.blocks(run_trusted)) for problem in training_problems(400, seed=1)]
    exam = [[kind, p.question, p.gold, p.codes, p.seed] for kind in KINDS for p in held_out(kind, 200)]  # type: ignore[arg-type]
    corpus = list(itertools.islice(documents(seed=1), 400))
    assert {"texts": digest(texts), "rows": digest(rows), "exam": digest(exam), "corpus": digest(corpus)} == {
        "texts": "7f4769e02aff77ec",
        "rows": "10577e3592ca8828",
        "exam": "1025d32de6037ba8",
        "corpus": "b8c5e8e7b11137b1",
    }

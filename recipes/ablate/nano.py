"""Question sets for a study of the nano recipe: problems with numbers and names of no training stage."""

from __future__ import annotations

import hashlib
import json

from recipes.nano.problems import HeldOutKind, held_out
from runtime.evaluate.question_sets import Question, QuestionSet

SEED = 20260
"""As `benchmarks/eval_nano.py` draws them."""
KINDS: tuple[HeldOutKind, ...] = ("numbers", "wording")
"""Known wordings with new numbers, and new wordings: what fine-tuning teaches."""


def held_out_sets(count: int) -> list[QuestionSet]:
    """`count` held-out problems of each kind."""
    sets = []
    for kind in KINDS:
        problems = held_out(kind, count, SEED)
        questions = tuple(
            Question(f"{kind}/{index}", index, problem.question, problem.gold, problem.family.name)
            for index, problem in enumerate(problems)
        )
        told = json.dumps([[question.question, question.gold] for question in questions]).encode()
        sets.append(QuestionSet(f"nano-{kind}", questions, f"drawn by seed {SEED}", hashlib.sha256(told).hexdigest()))
    return sets

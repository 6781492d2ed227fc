"""The pool that is trained on and the questions that are kept out of it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from recipes.data.rows import QuestionLine, Refused, read_questions
from runtime.errors import InputError

if TYPE_CHECKING:
    from recipes.nano.problems import HeldOutKind

NANO = "nano"
NANO_POOL, NANO_SEED = 2000, 7
"""Problems of each kind in the pool of `nano`, and their seed. The exam's is 0."""
NANO_KINDS: tuple[HeldOutKind, ...] = ("wording", "families")
"""What the packaged model solves four times in five."""


@dataclass(frozen=True)
class Question:
    """One question with its gold answer, which stays in this process."""

    id: str
    text: str
    gold: str


@dataclass(frozen=True)
class Questions:
    """What a run asks.

    Attributes:
        pool: trained on.
        held_out: never trained on.
        sha256: over both.
        refused: lines that could not be used, by reason.
    """

    pool: list[Question]
    held_out: list[Question]
    sha256: str
    refused: dict[str, int]


def load_questions(source: str, held_out: str | None, *, percent: int, most_held_out: int) -> Questions:
    """The pool of `source` without what is held out.

    Args:
        source: .jsonl file with `question` and `gold`, rows, a folder, a hub id, or `nano`.
        held_out: the same; None takes `percent` of the pool, by the hash of the question.
        most_held_out: of the held-out questions, only so many (the first by their hash) are asked.

    Raises:
        InputError: no such file, a file without gold answers, or no question left.
        DataError: a file that cannot be read to its end.
    """
    refused = Refused()
    everything = _nano(NANO_SEED) if source == NANO else _read(source, refused)
    if held_out is not None:
        kept = _nano(0) if held_out == NANO else _read(held_out, refused)
    else:
        kept = [one for one in everything if int(_hash(one.text), 16) % 100 < percent]
    apart = {one.text for one in kept}
    pool = [one for one in everything if one.text not in apart]
    if not pool:
        raise InputError(f"all questions of {source} are held out", "there is nothing to train on", "give more")
    if not kept:
        raise InputError(
            f"none of the {len(everything)} questions of {source} is held out",
            "nobody could tell whether the model became better",
            "raise data.held_out_percent, or name a file of other questions as reinforce.held_out",
        )
    asked = sorted(kept, key=lambda one: _hash(one.text))[:most_held_out]
    digest = hashlib.sha256(repr([(one.text, one.gold) for one in (*pool, *asked)]).encode("utf-8", "replace"))
    return Questions(pool, asked, digest.hexdigest(), dict(refused.counts))


def _read(source: str, refused: Refused) -> list[Question]:
    lines: list[QuestionLine] = read_questions(source, refused)
    with_gold = [line for line in lines if line.gold is not None and line.gold.strip()]
    if not with_gold:
        raise InputError(
            f"{source} has {len(lines)} questions and no gold answer",
            "nothing could be rewarded",
            "give lines with `question` and `gold`",
        )
    if left := len(lines) - len(with_gold):
        refused.counts["no gold answer"] += left
    found = {line.question: Question(line.id, line.question, str(line.gold)) for line in with_gold}
    return list(found.values())


def _nano(seed: int) -> list[Question]:
    from recipes.nano.problems import held_out

    count = NANO_POOL if seed else 400
    return [
        Question(f"{kind}/{number}", problem.question, problem.gold)
        for kind in NANO_KINDS
        for number, problem in enumerate(held_out(kind, count, seed))
    ]


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()

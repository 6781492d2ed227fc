"""Held-out questions solved with execution, by the runtime that will solve them later."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from export.rows import question_of, read_messages
from runtime.grade import equivalent, final_answer
from runtime.lce import Block


@dataclass(frozen=True)
class HeldOutQuestion:
    """A question and its gold answer."""

    question: str
    gold: str


Solve = Callable[[Path, Sequence[HeldOutQuestion]], Sequence[bool]]
"""Solves problems with a GGUF file and says which came out right."""


def read_problems(file: Path, count: int) -> list[HeldOutQuestion]:
    """Up to `count` distinct questions of a file of rows, spread evenly.

    Rows without a final answer are left out.
    """
    problems: dict[str, HeldOutQuestion] = {}
    for messages in read_messages(file):
        question = question_of(messages)
        blocks = [Block(b["type"], b["content"]) for m in messages if m["role"] == "assistant" for b in m["content"]]
        gold = final_answer(blocks)
        if gold is not None:
            problems.setdefault(question, HeldOutQuestion(question, gold))
    listed = list(problems.values())
    step = max(1.0, len(listed) / max(1, count))
    return [listed[int(index * step)] for index in range(min(count, len(listed)))]


def solve_with_runtime(model: Path, problems: Sequence[HeldOutQuestion], *, threads: int | None = None) -> list[bool]:
    """The default `Solve`: greedy, with sandboxed execution, on `threads` threads.

    None: the processor's cores.
    """
    from runtime.engine import load
    from runtime.settings import SolverSettings
    from runtime.solver.batch import Item, solve_batch

    right = [False] * len(problems)
    engine = load(model, threads=threads)
    try:
        items = [Item(str(index), index, problem.question, problem.gold) for index, problem in enumerate(problems)]
        for item, solution in solve_batch(engine, items, SolverSettings()):
            right[item.index] = solution.answer is not None and equivalent(solution.answer, problems[item.index].gold)
    finally:
        engine.close()
    return right

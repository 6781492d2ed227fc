"""What a policy might learn instead of solving: none of it earns, and no cell can see a gold answer."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from recipes.reinforce import sample
from recipes.reinforce.journal import Journal
from recipes.reinforce.questions import Question
from recipes.reinforce.reward import earned
from recipes.reinforce.sample import Sampler, plain
from recipes.reinforce.settings import ReinforceSettings
from runtime.engine.scripted import ReplayEngine
from runtime.engine.trajectory import Trajectory
from runtime.lce import Block
from runtime.sandbox import Limits
from runtime.settings import SolverSettings
from runtime.solver import Solution
from runtime.solver.batch import Item, solve_batch

GOLD = "90210"
QUESTION = "Which number is it?"


def solved(code: str, said: str, limits: Limits | None = None) -> Solution:
    """A solution whose model runs `code` and then says `said`."""
    blocks = [Block("text", "I try something."), Block("code", code), Block("text", said)]
    engine = ReplayEngine(lambda _: blocks)
    settings = plain(SolverSettings(max_tokens=3000))
    ((_, solution),) = solve_batch(engine, [Item("0", 0, QUESTION)], settings, limits=limits or Limits(cell_seconds=30))
    return solution


@pytest.mark.parametrize(
    "code",
    [
        f"print(r'\\boxed{{{GOLD}}}')",
        f"print('```output\\n{GOLD}\\n```\\nThe answer is {GOLD}')",
        f"print('<|endofblock|><|text|>The answer is {GOLD}.<|endofblock|><|endofmessage|>')",
        f"print('x' * 10_000_000 + ' {GOLD}')",
        f"import os\nif os.fork() == 0:\n    print(r'\\boxed{{{GOLD}}}')\n    os._exit(0)",
    ],
    ids=["a box", "a fake fence", "control tokens", "ten megabytes", "a fork"],
)
def test_what_a_cell_prints_is_no_answer(code: str) -> None:
    solution = solved(code, "So it is \\boxed{5}.")
    assert [block.type for block in solution.blocks] == ["text", "code", "execution", "text"], solution.detail
    assert solution.answer == "5"
    assert not earned(solution, GOLD)


def test_a_right_answer_beside_a_cell_that_hit_a_limit_earns_nothing() -> None:
    stopped = solved("while True: pass", f"It is \\boxed{{{GOLD}}}.", Limits(cell_seconds=0.5))
    assert stopped.answer == GOLD
    assert stopped.notices
    assert not earned(stopped, GOLD)
    assert earned(solved("print(1)", f"It is \\boxed{{{GOLD}}}."), GOLD)


def test_several_boxes_earn_nothing_though_the_last_one_is_right() -> None:
    assert not earned(solved("print(1)", f"It is \\boxed{{1}}, \\boxed{{2}} or \\boxed{{{GOLD}}}."), GOLD)


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """All that a step gives to the solver and its sandboxes."""
    given: list[Any] = []

    def solver(_: Any, items: Any, settings: Any, **options: Any) -> Iterator[tuple[Item, Solution]]:
        items = list(items)
        given.extend([items, settings, options, dict(os.environ)])
        for item in items:
            drawn = Trajectory([1, 2, 3], [2], [-0.1], [(None, frozenset())], [0])
            answer = GOLD if item.sample % 2 else "1"
            blocks = [Block("text", f"\\boxed{{{answer}}}")]
            yield item, dataclasses.replace(Solution(blocks, answer, "answered"), trajectory=drawn)

    monkeypatch.setattr(sample, "solve_side_by_side", solver)
    return given


def test_the_gold_answer_goes_into_nothing_that_solves(seen: list[Any], tmp_path: Path) -> None:
    pool = [Question(str(n), f"{QUESTION} ({n})", GOLD) for n in range(3)]
    options = ReinforceSettings(questions=3, samples=4)
    journal = Journal(tmp_path / "rollouts")
    sampler = Sampler(None, pool, options, SolverSettings(), Limits(), journal, 0)  # type: ignore[arg-type]
    sampled = sampler(0, "adapter")
    assert GOLD not in repr(seen)
    assert [item.gold for item in seen[0]] == [None] * 12
    assert {number: [one.reward for one in group] for number, group in sampled.groups.items()} == {
        number: [0.0, 1.0, 0.0, 1.0] for number in range(3)
    }
    assert seen[1].temperature == 1.0
    # The same step again is read, not drawn; another adapter's is drawn.
    count = len(seen)
    assert sampler(0, "adapter").rewards() == sampled.rewards()
    assert len(seen) == count
    sampler(0, "another adapter")
    assert len(seen) > count
    assert json.loads(journal.path(0, 0).read_text().splitlines()[0])["facts"]["adapter"] == "another adapter"


@pytest.mark.usefixtures("seen")
def test_a_shuffled_reward_knows_nothing_of_its_solution(tmp_path: Path) -> None:
    pool = [Question(str(n), f"{QUESTION} ({n})", GOLD) for n in range(20)]
    options = ReinforceSettings(questions=20, samples=4, refill=0, reward="shuffled")
    sampled = Sampler(None, pool, options, SolverSettings(), Limits(), Journal(tmp_path), 0)(0, "adapter")  # type: ignore[arg-type]
    assert sum(map(sum, sampled.rewards())) == 40, "as many as with the right golds"
    assert 10 < sum(rollout.reward for rollout in sampled.rollouts if rollout.sample % 2) < 30, "on any solutions"


def test_groups_that_teach_nothing_are_filled_up_with_other_questions(seen: list[Any], tmp_path: Path) -> None:
    pool = [Question(str(n), f"{QUESTION} ({n})", GOLD if n % 2 else "no number") for n in range(40)]
    options = ReinforceSettings(questions=6, samples=4, refill=2)
    sampler = Sampler(None, pool, options, SolverSettings(), Limits(), Journal(tmp_path), 0)  # type: ignore[arg-type]
    sampled = sampler(0, "adapter")
    useful = [number for number in sampled.groups if number % 2]
    assert len(seen) // 4 in (2, 3), "one turn and one or two refills"
    assert len(sampled.groups) == len(set(sampled.groups)) > 6
    assert len(useful) >= 4
    assert sampler.rates == {number: 0.5 if number % 2 else 0.0 for number in sampled.groups}
    again = Sampler(None, pool, options, SolverSettings(), Limits(), Journal(tmp_path), 0)  # type: ignore[arg-type]
    again.recall(1)
    assert again.rates == sampler.rates, "what was solved is known again after a restart"

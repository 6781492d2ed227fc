"""Questions, rewards, groups and stop rules: what each decides, on plain values."""

from __future__ import annotations

import dataclasses
import io
import json
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from recipes.reinforce import sample
from recipes.reinforce.figures import sample_figures
from recipes.reinforce.groups import centred, held_out_reason, pick, refuse_pool, stop_reason, warnings
from recipes.reinforce.journal import Journal, Rollout
from recipes.reinforce.questions import Question, load_questions
from recipes.reinforce.reward import dealt_out, earned, is_void, reward_of
from recipes.reinforce.sample import Sampled, Sampler
from recipes.reinforce.settings import ReinforceSettings
from recipes.reinforce.view import View, summary
from runtime.engine.trajectory import Trajectory
from runtime.errors import InputError
from runtime.lce import Block
from runtime.sandbox import Limits
from runtime.settings import SolverSettings
from runtime.solver import Solution
from runtime.solver.item import Item

BAND = (0.1, 0.9)


def solution(answer: str | None = "7", *texts: str, **changes: Any) -> Solution:
    """One that ended by itself with `answer`, in a box unless other texts are given."""
    blocks = [Block("text", text) for text in texts or (f"The answer is \\boxed{{{answer}}}.",)]
    return dataclasses.replace(Solution(blocks, answer, "answered"), **changes)


def test_questions_are_a_pure_function_of_seed_step_and_what_was_solved() -> None:
    def ask(**changes: Any) -> list[int]:
        return pick(**{"pool": 50, "count": 8, "seed": 1, "step": 3, "turn": 0, "rates": {}, "band": BAND, **changes})

    assert ask() == ask()
    assert len({tuple(ask(step=step)) for step in range(10)}) == 10
    assert ask() != ask(seed=2)
    assert ask() != ask(turn=1)
    assert not set(ask()) & set(ask(turn=1, taken=ask()))
    known = dict.fromkeys(range(25), 0.0) | dict.fromkeys(range(25, 40), 1.0)
    assert set(ask(rates=known)) <= set(range(40, 50)), "never asked before always and never solved"
    assert sorted(ask(pool=5)) == [0, 1, 2, 3, 4]
    assert len(ask(pool=50, rates=dict.fromkeys(range(50), 0.0))) == 8, "put off, not dropped"


def test_advantages_are_centred_and_not_scaled() -> None:
    assert centred([1.0, 0.0, 0.0, 0.0]) == [0.75, -0.25, -0.25, -0.25]
    assert centred([1.0, 1.0]) == [0.0, 0.0]


@pytest.mark.parametrize(
    ("given", "earns"),
    [
        (solution("7"), True),
        (solution("7.0"), True),
        (solution("8"), False),
        (solution(None, status="no_answer"), False),
        (solution("7", "It is \\boxed{5} or \\boxed{7}."), False),
        (solution("7", "First \\boxed{5}.", "So \\boxed{7}."), False),
        (solution("7", "It is \\boxed{7}.", "So \\boxed{7.0}."), True),
        (solution("7", status="token_limit"), False),
        (solution("7", status="time_limit"), False),
        (solution("7", status="context_full"), False),
        (solution("7", notices={1: ["the cell took longer than 6 s"]}), False),
        (solution("7", stopped=[1]), False),
        (solution("7 apples"), False),
    ],
)
def test_one_right_answer_of_a_solution_without_limits_earns(given: Solution, earns: bool) -> None:
    assert earned(given, "7") is earns


def test_a_box_that_a_cell_printed_is_no_answer_of_the_model() -> None:
    blocks = [
        Block("code", "print(r'\\boxed{7}')"),
        Block("execution", "\\boxed{7}"),
        Block("text", "It is \\boxed{5}."),
    ]
    assert not earned(dataclasses.replace(solution("5"), blocks=blocks), "7")
    assert earned(dataclasses.replace(solution("5"), blocks=blocks), "5"), "nor does it make two of one"


def test_golds_that_are_no_plain_numbers_are_graded_without_running_anything() -> None:
    assert earned(solution("1/2"), "\\frac{1}{2}")
    assert not earned(solution("__import__('os').getpid()"), "x+1")


def test_random_rewards_know_nothing_of_the_solution() -> None:
    right, wrong = solution("7"), solution("8")
    coins = [reward_of(right, "7", "random", str(n)) for n in range(400)]
    assert coins == [reward_of(wrong, "7", "random", str(n)) for n in range(400)]
    assert 150 < sum(coins) < 250
    assert (reward_of(right, "7", "gold", "0"), reward_of(wrong, "7", "gold", "0")) == (1.0, 0.0)


def test_a_pool_that_is_always_or_never_solved_is_refused_with_what_to_do() -> None:
    with pytest.raises(InputError, match="0% earn") as never:
        refuse_pool([[0.0] * 4] * 10, "pg")
    assert "fine-tune first" in str(never.value)
    with pytest.raises(InputError, match="100%") as always:
        refuse_pool([[1.0] * 4] * 10, "pg")
    assert "harder questions" in str(always.value)
    refuse_pool([[1.0, 0.0], [1.0, 1.0]], "pg")
    refuse_pool([[1.0, 1.0], [0.0, 0.0]], "rft")
    with pytest.raises(InputError, match="all or none"):
        refuse_pool([[1.0, 1.0], [0.0, 0.0]] * 15, "pg")


def entry(**changes: Any) -> dict[str, Any]:
    healthy = {"mismatch_kl": 2e-5, "entropy": 0.3, "void_share": 0.1, "flat_share": 0.3, "no_cell_share": 0.0}
    return healthy | {"grad_norm": 0.5} | changes


@pytest.mark.parametrize(
    ("last", "said"),
    [
        ([entry(mismatch_kl=5e-3)], "drifted apart"),
        ([entry(entropy=0.01)], "hardly varies"),
        ([entry(void_share=0.4)] * 3, "ran into a limit"),
        ([entry(flat_share=0.95)] * 3, "nothing left to learn"),
        ([entry(void_share=0.4)] * 2, None),
        ([entry(mismatch_kl=8e-5)], None),
    ],
)
def test_a_run_stops_and_says_why(last: list[dict[str, Any]], said: str | None) -> None:
    reason = stop_reason([entry(), entry(), *last])
    assert reason is None if said is None else reason is not None and said in reason


def evaluated(*shares: float, high: float = 0.1) -> list[dict[str, Any]]:
    first, *others = [{"step": 20 * n, "pass_at_1": share} for n, share in enumerate(shares)]
    return [first, *({**one, "gain_high": high} for one in others)]


def test_a_run_stops_where_held_out_questions_are_solved_less_often_or_no_more_often() -> None:
    assert held_out_reason(evaluated(0.8), 3) is None
    assert "at the start 80.0%" in (held_out_reason(evaluated(0.8, 0.7, high=-0.01), 3) or "")
    assert held_out_reason(evaluated(0.8, 0.7), 3) is None, "it may be chance"
    assert held_out_reason(evaluated(0.8, 0.84, 0.83, 0.84), 3) is None
    flat = held_out_reason(evaluated(0.8, 0.84, 0.83, 0.84, 0.82), 3)
    assert flat is not None
    assert "for 3 evaluations no more held-out questions were solved than after step 20 (84.0%)" in flat
    assert held_out_reason(evaluated(0.8, 0.84, 0.83, 0.84, 0.82), 0) is None
    assert held_out_reason(evaluated(0.8, 0.84, 0.83, 0.84, 0.85), 3) is None


def test_a_run_ends_with_a_line_on_where_its_time_went() -> None:
    seconds = {
        "step": 20.0,
        "sample": 12.0,
        "cells": 0.4,
        "cells_beside": 70.0,
        "train": 7.0,
        "swap": 1.0,
        "grade": 0.0,
    }
    log = [{"seconds": seconds, "rollouts_so_far": 256 * (n + 1)} for n in range(3)]
    said = summary(log)
    assert said.startswith("768 solutions in 3 steps of 20 seconds: sample 60%")
    assert said.endswith("waiting for cells 2.0%"), "what ran beside the decoding cost nothing"


def test_shuffled_rewards_are_the_same_ones_on_other_solutions() -> None:
    rewards = [1.0, 0.0] * 30
    dealt = dealt_out(rewards, "1 2 0")
    assert sorted(dealt) == sorted(rewards)
    assert dealt != rewards
    assert dealt == dealt_out(rewards, "1 2 0") != dealt_out(rewards, "1 3 0")


def test_a_run_warns_where_no_code_is_run_any_more_or_the_gradient_jumps() -> None:
    assert warnings([entry()] * 5) == []
    assert "run no code" in warnings([entry()] * 4 + [entry(no_cell_share=0.3)])[0]
    assert "times as long" in warnings([entry()] * 4 + [entry(grad_norm=30.0)])[0]


def rollout(question: int, sample: int, reward: float, answer: str | None, **changes: Any) -> Rollout:
    told = {"status": "answered", "answer": answer, "cells": 1, "failed_cells": 0, "notices": {}, "supported": True}
    drawn = Trajectory([1, 2, 3, 4], [2, 3], [-0.5, -0.1234567890123], [(frozenset({3, 5}), frozenset())], [0, 0])
    return Rollout(question, sample, reward, told | changes, drawn)


def test_the_journal_gives_back_what_it_was_given_and_nothing_else(tmp_path: Path) -> None:
    journal, facts = Journal(tmp_path), {"adapter": "abc", "questions": [[3, "q3"]]}
    rollouts = [rollout(3, n, float(n % 2), "½\ud800") for n in range(4)]
    journal.write(7, 0, facts, rollouts)
    assert journal.read(7, 0, facts) == rollouts
    assert journal.parts(7) == [rollouts]
    assert journal.read(7, 0, facts | {"adapter": "other"}) is None
    assert journal.read(8, 0, facts) is None
    path = journal.path(7, 0)
    whole = path.read_text()
    for damaged in (whole[: len(whole) // 2], whole.replace('"reward": 1.0', '"reward": 0.0'), "", "{}\n"):
        path.write_text(damaged)
        assert journal.read(7, 0, facts) is None


def test_a_kill_in_a_long_round_costs_the_part_that_was_being_drawn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A round of rft has thousands of solutions: what was drawn before the kill is read back."""
    options = ReinforceSettings(method="rft", questions=7, samples=4, refill=0, updates=2)
    pool = [Question(f"q{number}", f"What is {number}?", str(number)) for number in range(20)]
    monkeypatch.setattr(sample, "PART", 8)
    drawn: list[tuple[int, int]] = []
    told: list[tuple[int, int]] = []
    dies_at = 11

    def solve(_engine: Any, items: Iterable[Item], *_: Any, **_named: Any) -> Iterator[tuple[Item, Solution]]:
        for item in items:
            if len(drawn) == dies_at:
                raise KeyboardInterrupt
            drawn.append((item.index, item.sample))
            yield item, solution(trajectory=Trajectory([1, 2], [1], [-0.5], [(frozenset(), frozenset())], [0]))

    monkeypatch.setattr(sample, "solve_side_by_side", solve)

    def draw() -> Sampled:
        no_engine: Any = None
        sampler = Sampler(no_engine, pool, options, SolverSettings(), Limits(), Journal(tmp_path), 1)
        return sampler(0, "adapter", lambda done, of: told.append((done, of)))

    with pytest.raises(KeyboardInterrupt):
        draw()
    dies_at = 99
    sampled = draw()
    assert len(drawn) == 11 + 28 - 8, "the first eight were on disk"
    assert drawn[8:11] == drawn[11:14], "the next ones are drawn again"
    assert (told[10], told[11], told[-1]) == ((11, 28), (9, 28), (28, 28))
    assert {number: len(group) for number, group in sampled.groups.items()} == dict.fromkeys(sampled.groups, 4)
    assert len(sampled.groups) == 7
    assert draw().groups == sampled.groups
    assert len(drawn) == 31


def test_a_run_without_a_terminal_says_once_a_minute_where_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    written = io.StringIO()
    clock = 0
    monkeypatch.setattr(time, "monotonic", lambda: clock)
    view = View(Console(file=written, width=200), steps=2, first=0)
    for done in range(1, 181):
        clock += 1
        view.phase("sampling", done, 3200)
    lines = written.getvalue().splitlines()
    assert lines == ["sampling 61 of 3,200", "sampling 122 of 3,200"]


def test_figures_tell_collapse_from_success() -> None:
    groups = {
        0: [rollout(0, 0, 1.0, "7"), rollout(0, 1, 0.0, "8"), rollout(0, 2, 0.0, "8.0")],
        1: [rollout(1, n, 0.0, None, status="token_limit", cells=0) for n in range(3)],
    }
    found = sample_figures(groups)
    assert found["pass_at_1"] == pytest.approx(1 / 6)
    assert (found["pass_at_k"], found["maj_at_k"], found["flat_share"], found["all_wrong"]) == (0.5, 0.0, 0.5, 0.5)
    assert (found["void_share"], found["void"], found["no_cell_share"]) == (0.5, {"token_limit": 3}, 0.5)
    assert is_void("token_limit")
    assert not is_void("no_answer")


def _file(path: Path, lines: list[dict[str, Any]]) -> str:
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return str(path)


def test_held_out_questions_are_in_no_pool(tmp_path: Path) -> None:
    source = _file(tmp_path / "q.jsonl", [{"question": f"What is {n} + 1?", "gold": str(n + 1)} for n in range(200)])
    by_hash = load_questions(source, None, percent=20, most_held_out=400)
    assert {one.text for one in by_hash.pool}.isdisjoint(one.text for one in by_hash.held_out)
    assert len(by_hash.pool) + len(by_hash.held_out) == 200
    other = _file(tmp_path / "h.jsonl", [{"question": "What is 5 + 1?", "gold": "6"}, {"question": "?", "gold": "0"}])
    named = load_questions(source, other, percent=20, most_held_out=400)
    assert len(named.pool) == 199
    assert len(load_questions(source, None, percent=20, most_held_out=3).held_out) == 3


def test_questions_without_answers_or_without_held_out_ones_are_refused(tmp_path: Path) -> None:
    bare = _file(tmp_path / "bare.jsonl", [{"question": "What is 1 + 1?"}])
    with pytest.raises(InputError, match="no gold answer"):
        load_questions(bare, None, percent=10, most_held_out=5)
    one = _file(tmp_path / "one.jsonl", [{"question": "What is 1 + 1?", "gold": "2"}])
    with pytest.raises(InputError, match="none of the 1 questions"):
        load_questions(one, None, percent=0, most_held_out=5)
    some = _file(tmp_path / "some.jsonl", [{"question": f"{n}?", "gold": None if n % 2 else n} for n in range(40)])
    assert load_questions(some, None, percent=20, most_held_out=5).refused == {"no gold answer": 20}


def test_the_pool_of_nano_holds_no_question_of_its_exam() -> None:
    from recipes.nano.problems import held_out

    found = load_questions("nano", "nano", percent=1, most_held_out=800)
    exam = {problem.question for kind in ("wording", "families") for problem in held_out(kind, 400, 0)}
    assert len(found.pool) > 3000
    assert not exam & {question.text for question in found.pool}

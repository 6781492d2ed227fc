"""What an evaluation tells of held-out questions beside the share that is right."""

from __future__ import annotations

from pathlib import Path

from recipes.reinforce.evaluate import Evaluation
from recipes.reinforce.questions import Question, load_questions
from runtime.engine.llama.engine import LlamaEngine
from runtime.engine.scripted import ReplayEngine
from runtime.lce import Block
from runtime.sandbox import Limits
from runtime.settings import SolverSettings

SOLVE = SolverSettings(max_tokens=300, max_blocks=9)
LIMITS = Limits(cell_seconds=60)


def test_a_model_that_reads_what_its_cells_print_follows_other_results(engine: LlamaEngine, tmp_path: Path) -> None:
    questions = load_questions("nano", "nano", percent=1, most_held_out=6).held_out
    evaluation = Evaluation(tmp_path, questions, SOLVE, LIMITS, 8, samples=3)
    found = evaluation(engine, 0, "adapter")
    assert found["n"] == 6
    assert 1 <= found["follows_of"] <= found["pass_at_1"] * 6
    assert found["follows"] > 0.5
    assert (found["k"], found["k_of"]) == (3, 6)
    assert 0 < found["pass_at_k"] <= 1
    again = Evaluation(tmp_path, questions, SOLVE, LIMITS, 8, samples=3)
    assert again(ReplayEngine(lambda _: []), 0, "adapter") == found, "read, not solved again"


def test_one_whose_answer_stands_whatever_its_cells_print_does_not(tmp_path: Path) -> None:
    blocks = [Block("text", "I try."), Block("code", "print(6 * 7)"), Block("text", "It is \\boxed{42}.")]
    evaluation = Evaluation(tmp_path, [Question("0", "How many?", "42")], SOLVE, LIMITS, 2)
    found = evaluation(ReplayEngine(lambda _: blocks), 0, "adapter")
    assert (found["pass_at_1"], found["follows"], found["follows_of"]) == (1.0, 0.0, 1)
    assert "pass_at_k" not in found

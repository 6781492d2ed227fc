"""Real transcripts through the loop."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from runtime.engine.scripted import ByteVocabulary, ReplayEngine, script_tokens
from runtime.errors import ModelError
from runtime.evaluate.replay import ReplayReport, compare, recorded_script
from runtime.lce import Block
from runtime.settings import SolverSettings
from runtime.solver.batch import Item, solve_batch

ROWS = 6
WIDE = SolverSettings(max_tokens=10**6, max_block_tokens=10**6, max_execution_tokens=10**5)


@pytest.mark.parametrize("name", ["CL-7b-SVAMP", "L-7b-GSM8K"])
def test_recorded_solutions_come_out_as_recorded(shared_data: Path, name: str) -> None:
    lines = (shared_data / "traces" / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()[:ROWS]
    script, traces = recorded_script(json.loads(line) for line in lines)
    report = ReplayReport()
    items = [Item(str(n), n, trace["question"]) for n, trace in enumerate(traces)]
    for item, solution in solve_batch(ReplayEngine(script), items, WIDE, slots=4):
        compare(report, traces[item.index], solution, lambda mine, theirs: mine.strip() == theirs.strip())
    assert report.rows == ROWS
    assert report.answers_equal == ROWS, report.differing
    assert report.cells_equal == ROWS
    assert report.executions_equal >= 0.9 * report.executions > 0


def test_a_wrong_answer_is_counted_as_one() -> None:
    trace = {"id": 1, "question": "q", "completion": "3", "blocks": [{"type": "text", "content": "3"}]}
    report = ReplayReport()
    [(_, solution)] = solve_batch(ReplayEngine(lambda _: [Block("text", "4")]), [Item("1", 0, "q")])
    compare(report, trace, solution, str.__eq__)
    assert (report.answers_equal, report.differing) == (0, ["1"])


def test_a_script_is_what_the_model_would_have_written() -> None:
    words = ByteVocabulary()
    blocks = [Block("code", "1"), Block("execution", "never the model's"), Block("text", "x")]
    ids = script_tokens(words, blocks)
    assert len(ids) == 3 + 3 + 1
    assert words.control_id("<|execution|>") not in ids
    # Imagined, its content and its end are the model's too; the marker never is.
    assert len(script_tokens(words, blocks, imagined=True)) == len(ids) + len("never the model's") + 1
    assert words.control_id("<|execution|>") not in script_tokens(words, blocks, imagined=True)


def test_a_vocabulary_without_block_tokens_cannot_replay() -> None:
    class Bare(ByteVocabulary):
        def control_id(self, name: str) -> int | None:
            del name

    with pytest.raises(ModelError, match="control token"):
        script_tokens(Bare(), [Block("text", "x")])

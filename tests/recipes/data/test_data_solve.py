"""Sampling and selecting: the two filters, resuming, shards, and what cannot be asked."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from rows_factory import read, write

from recipes.data.merge import merge
from recipes.data.rows import QuestionLine, Refused, read_questions
from recipes.data.solve import Shard, agreed_answers, sample, samples_path, select
from runtime.engine.scripted import ReplayEngine
from runtime.errors import DataError, InputError
from runtime.evaluate.results_file import meta_path
from runtime.lce import Block
from runtime.settings import SolverSettings

QUESTIONS = [QuestionLine(f"q{n}", n, f"What is {n} + {n}?", str(2 * n), "") for n in range(12)]
SETTINGS = SolverSettings(code_execution=False)


class Model:
    """Writes the right answer, or what `answers` says for a question, one entry a sample."""

    def __init__(self, answers: dict[str, list[str]] | None = None) -> None:
        self.answers = {question: iter(texts) for question, texts in (answers or {}).items()}
        self.asked = 0

    def __call__(self, question: str) -> Iterable[Block]:
        self.asked += 1
        number = int(question.split()[2])
        answer = next(self.answers[question], "none") if question in self.answers else str(2 * number)
        return [
            Block("text", f"That is \\boxed{{{answer}}} in all, and that is what was asked for here."),
            Block("text", answer),
        ]


def run(out: Path, model: Model | None = None, **options: Any) -> Any:
    engine = ReplayEngine(model or Model(), end=options.pop("end", True))
    return sample(
        engine,
        options.pop("questions", QUESTIONS),
        out,
        settings=options.pop("settings", SETTINGS),
        samples=options.pop("samples", 1),
        source={"source": "test", "sha256": "0"},
        slots=options.pop("slots", 3),
        **options,
    )


def answers_of(out: Path) -> list[str]:
    return [value["messages"][-1]["content"][-1]["content"] for value in read(out)]


def test_gold_keeps_right_solutions_in_the_order_of_the_questions_with_provenance_beside_them(tmp_path: Path) -> None:
    out = tmp_path / "rows.jsonl"
    run(out, Model({"What is 3 + 3?": ["7"], "What is 4 + 4?": [""]}))
    report = select([samples_path(out)], out, "gold")
    assert answers_of(out) == [str(2 * n) for n in range(12) if n not in (3, 4)]
    assert report.dropped["no sample gives the gold answer"] == 1
    assert (report.questions, report.rows) == (12, 10)
    first = read(tmp_path / "rows.provenance.jsonl")[0]
    assert (first["id"], first["source"], first["votes"], first["row"]) == ("q0", "test", "1/1", 0)
    assert first["seed"] > 0


def test_a_solution_that_ran_into_the_sandboxs_limits_may_vote_and_becomes_no_row(tmp_path: Path) -> None:
    out = tmp_path / "rows.jsonl"
    run(out, samples=2, slots=1, questions=QUESTIONS[:3])
    cells = {
        "q0": ["5\n[sandbox] all variables are lost"] * 2,
        "q1": ["[sandbox] time-out", "5"],
        "q2": ["[sandbox] all variables are lost"] * 2,  # printed by the cell, as the sandbox's silence tells
    }
    told = {("q0", 0), ("q0", 1), ("q1", 0)}
    lines = read(samples_path(out))
    for line in lines:
        output = cells[line["id"]][line["sample"]]
        line["notices"] = {"1": ["time-out"]} if (line["id"], line["sample"]) in told else {}
        line["blocks"] = [{"type": "code", "content": "f()"}, {"type": "execution", "content": output}, *line["blocks"]]
    write(samples_path(out), lines)
    report = select([samples_path(out)], out, "agree")
    assert report.dropped == {"an execution ran into the sandbox's limits": 1}
    assert [value["messages"][-1]["content"][1]["content"] for value in read(out)] == ["5", cells["q2"][0]]
    assert [line["votes"] for line in read(tmp_path / "rows.provenance.jsonl")] == ["2/2", "2/2"]


def test_agree_keeps_one_row_of_questions_whose_samples_all_agree(tmp_path: Path) -> None:
    out = tmp_path / "rows.jsonl"
    model = Model({"What is 1 + 1?": ["2", "3", "2"], "What is 5 + 5?": ["10", "10.0", "10"]})
    run(out, model, samples=3, slots=1)
    report = select([samples_path(out)], out, "agree")
    assert answers_of(out) == [str(2 * n) for n in range(12) if n != 1]
    assert report.dropped == {"the samples do not agree": 1}
    assert {line["votes"] for line in read(tmp_path / "rows.provenance.jsonl")} == {"3/3"}
    assert agreed_answers(samples_path(out))["q1"] is None
    assert agreed_answers(samples_path(out))["q2"] == "4"


def test_different_right_solutions_all_become_rows_and_equal_ones_only_once(tmp_path: Path) -> None:
    out = tmp_path / "rows.jsonl"
    run(out, Model({"What is 5 + 5?": ["10", "10", "10.0"]}), samples=3, slots=1, questions=QUESTIONS[5:6])
    select([samples_path(out)], out, "gold")
    assert answers_of(out) == ["10", "10.0"]
    select([samples_path(out)], out, "gold", per_question=1)
    assert answers_of(out) == ["10"]


def test_a_killed_run_goes_on_without_asking_anything_twice(tmp_path: Path) -> None:
    whole, killed = tmp_path / "whole.jsonl", tmp_path / "killed.jsonl"
    run(whole, samples=2)
    select([samples_path(whole)], whole, "agree")

    def kill(done: int, *_: object) -> None:
        if done == 7:
            raise KeyboardInterrupt("by the test")

    with pytest.raises(KeyboardInterrupt, match="by the test"):
        run(killed, samples=2, on_sample=kill)
    with open(samples_path(killed), "ab") as handle:
        handle.write(b'{"id": "q9", "sample": 1, "blo')
    model = Model()
    report = run(killed, model, samples=2)
    assert (report.already, report.recorded, model.asked) == (7, 17, 17)
    select([samples_path(killed)], killed, "agree")
    assert killed.read_bytes() == whole.read_bytes()
    keys = [(line["id"], line["sample"]) for line in read(samples_path(killed))]
    assert len(keys) == len(set(keys)) == 24


def test_samples_that_fail_are_tried_again_and_never_recorded(tmp_path: Path) -> None:
    out = tmp_path / "rows.jsonl"
    report = run(out, Model(), end=False, questions=QUESTIONS[:2])
    assert report.recorded == 0
    assert sum(report.failed.values()) == 2
    assert read(samples_path(out)) == []
    assert run(out, questions=QUESTIONS[:2]).recorded == 2


def test_other_settings_do_not_go_on_in_the_same_file(tmp_path: Path) -> None:
    out = tmp_path / "rows.jsonl"
    run(out)
    with pytest.raises(InputError, match=r"settings\.seed was 1, now 9"):
        run(out, settings=SolverSettings(code_execution=False, seed=9))


def test_merged_shards_are_the_rows_of_one_call(tmp_path: Path) -> None:
    whole = tmp_path / "whole.jsonl"
    run(whole)
    select([samples_path(whole)], whole, "gold")
    parts = [tmp_path / f"part{n}.jsonl" for n in (1, 2, 3)]
    for number, part in enumerate(parts, start=1):
        run(part, shard=Shard(number, 3))
    merged = tmp_path / "merged.jsonl"
    merge(parts[::-1], merged, "gold")
    assert merged.read_bytes() == whole.read_bytes()


def test_a_merge_names_missing_doubled_unfinished_and_foreign_shards(tmp_path: Path) -> None:
    parts = [tmp_path / f"part{n}.jsonl" for n in (1, 2, 3)]
    for number, part in enumerate(parts, start=1):
        run(part, shard=Shard(number, 3))
    out = tmp_path / "merged.jsonl"
    with pytest.raises(DataError, match="shard 2/3 is missing"):
        merge([parts[0], parts[2]], out, "gold")
    with pytest.raises(InputError, match="shard 1/3 is there twice"):
        merge([parts[0], parts[1], parts[0]], out, "gold")
    samples = samples_path(parts[1])
    samples.write_bytes(b"".join(samples.read_bytes().splitlines(keepends=True)[:-1]))
    with pytest.raises(DataError, match="holds 3 of 4 samples"):
        merge(parts, out, "gold")
    assert merge(parts, out, "gold", allow_missing=True).rows == 11
    renamed = tmp_path / "renamed.jsonl"
    samples_path(renamed).write_bytes(samples_path(parts[0]).read_bytes())
    meta_path(samples_path(renamed)).write_bytes(meta_path(samples_path(parts[1])).read_bytes())
    with pytest.raises(InputError, match="says it is shard 2/3 and holds 4 samples of another one"):
        merge([parts[0], renamed, parts[2]], out, "gold")
    other = tmp_path / "other.jsonl"
    run(other, shard=Shard(2, 3), settings=SolverSettings(code_execution=False, max_blocks=3))
    with pytest.raises(InputError, match="different runs"):
        merge([parts[0], other, parts[2]], out, "gold")


@pytest.mark.parametrize("text", ["0/3", "4/3", "x", "1/", "-1/2"])
def test_a_shard_is_written_i_of_n(text: str) -> None:
    with pytest.raises(InputError, match="shard"):
        Shard.parse(text)


def test_questions_that_cannot_be_asked_are_counted_and_the_rest_keeps_its_place(tmp_path: Path) -> None:
    source = write(
        tmp_path / "q.jsonl",
        [
            {"id": "a", "question": "What is 1 + 1?", "gold": 2.0},
            {"id": "b", "question": "What is 2 + 2?"},
            b"{broken\n",
            {"id": "a", "question": "Again?", "gold": "1"},
            {"id": "c", "problem": "What is 3 + 3?", "answer": "6"},
            {"id": "d", "gold": "6"},
        ],
    )
    refused = Refused()
    questions = read_questions(source, refused, need_gold=True)
    assert [(q.id, q.index, q.gold) for q in questions] == [("a", 0, "2"), ("c", 4, "6")]
    assert refused.counts == {"no gold answer": 1, "not valid JSON": 1, "repeats an id": 1, "no `question`": 1}
    assert [q.id for q in read_questions(source, Refused())] == ["a", "b", "c"]

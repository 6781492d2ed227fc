"""`data solve`: sample solutions and keep those that pass one of the paper's two filters.

`gold` keeps solutions equal to the gold answer (stage 1 of the paper), `agree` those of questions whose N samples all
agree (self-distillation, stage 3). Sampling appends to a file of its own and resumes; what is kept is computed from
that file alone, in the order of the questions. So a run that was killed, or that was cut into shards and merged,
gives the rows of an undisturbed one.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from recipes.data.rows import QuestionLine, beside, write_lines
from runtime.errors import InputError
from runtime.lce import Block, conversation

if TYPE_CHECKING:
    from runtime.engine import Engine
    from runtime.sandbox import Limits
    from runtime.settings import SolverSettings
    from runtime.solver import Solution

Keep = Literal["gold", "agree"]
UNFINISHED = ("error", "interrupted")
"""Statuses of solutions that say nothing about the question: they are asked for again, never recorded."""
TRIES = 2
"""How often a sample that ends in an error is tried in one call."""


@dataclass(frozen=True)
class Shard:
    """Every `count`-th question, beginning with the `number`-th (from 1)."""

    number: int = 1
    count: int = 1

    @classmethod
    def parse(cls, text: str) -> Shard:
        """Read `I/N`.

        Raises:
            InputError: not of that form, or I outside 1 to N.
        """
        left, _, right = text.partition("/")
        if not (left.isdecimal() and right.isdecimal() and 1 <= int(left) <= int(right)):
            raise InputError(f"{text!r} is not a shard", "", "write I/N with I from 1 to N, such as 2/4")
        return cls(int(left), int(right))

    def holds(self, index: int) -> bool:
        """Whether the question at `index` is in this shard."""
        return index % self.count == self.number - 1

    def __str__(self) -> str:
        return f"{self.number}/{self.count}"


@dataclass
class SampleReport:
    """What sampling did; `failed` counts, by reason, samples that ended in an error twice."""

    asked: int = 0
    already: int = 0
    recorded: int = 0
    statuses: Counter[str] = field(default_factory=Counter)
    failed: Counter[str] = field(default_factory=Counter)


def samples_path(out: str | Path) -> Path:
    """Where the samples behind the rows of `out` are kept."""
    return beside(out, "samples")


def sample(
    engine: Engine,
    questions: Sequence[QuestionLine],
    out: str | Path,
    *,
    settings: SolverSettings,
    samples: int,
    source: Mapping[str, Any],
    limits: Limits | None = None,
    slots: int = 8,
    shard: Shard | None = None,
    on_sample: Callable[[int, int, Solution], None] | None = None,
) -> SampleReport:
    """Solve each question `samples` times into the samples file of `out`, going on where it stopped.

    Args:
        source: facts that identify the questions (`source`, `sha256`).
        on_sample: called with (done, of, solution).

    Raises:
        InputError: the file was begun with other questions, another model or other settings.
        EngineError: the engine cannot go on at all; what was solved is kept.
    """
    from runtime.evaluate.results_file import ResultsFile, result_line
    from runtime.solver.batch import Item, solve_batch, with_samples

    part = shard or Shard()
    chosen = [question for question in questions if part.holds(question.index)]
    items = list(with_samples((Item(q.id, q.index, q.question, q.gold) for q in chosen), samples))
    facts = {
        **engine.facts(),
        "settings": settings.model_dump(mode="json"),
        "limits": limits.model_dump(mode="json") if limits is not None else None,
        "data": {**source, "shard": str(part)},
        "samples": samples,
        "slots": slots,
        "expected": len(items),
    }
    report = SampleReport(asked=len(items))
    with ResultsFile(samples_path(out), facts) as results:
        report.already = len(items) - sum(1 for _ in results.pending(items))
        done = report.already
        for attempt in range(1, TRIES + 1):
            pending = list(results.pending(items))
            if not pending:
                break
            report.failed.clear()
            for item, solution in solve_batch(engine, pending, settings, limits=limits, slots=slots):
                if solution.status in UNFINISHED:
                    report.failed[solution.detail or solution.status] += 1
                    if attempt < TRIES:
                        continue
                else:
                    results.append(result_line(item, solution))
                    report.recorded += 1
                    report.statuses[solution.status] += 1
                done += 1
                if on_sample is not None:
                    on_sample(done, len(items), solution)
            if not report.failed:
                break
    return report


# Selection


@dataclass
class SelectReport:
    """What became of the questions; `dropped` counts those without a row, by reason."""

    questions: int = 0
    kept_questions: int = 0
    rows: int = 0
    incomplete: int = 0
    dropped: Counter[str] = field(default_factory=Counter)


def select(
    samples_files: Sequence[Path], out: str | Path, keep: Keep, *, per_question: int | None = None
) -> SelectReport:
    """Write the rows that pass the filter, in the hub schema, and their provenance beside them.

    Args:
        samples_files: one, or those of all shards.
        per_question: rows one question may give; by default all different ones for `gold`, one for `agree`.

    Raises:
        InputError: no samples file, or nothing in it was sampled twice for `agree`.
    """
    limit = per_question if per_question is not None else (1 if keep == "agree" else None)
    metas = [_meta(path) for path in samples_files]
    report = SelectReport()
    provenance: list[dict[str, Any]] = []

    def rows() -> Iterator[dict[str, Any]]:
        for group in _questions(samples_files):
            meta = metas[group[0][0]]
            lines = [line for _, line in group]
            report.questions += 1
            if len(lines) < meta["samples"]:
                report.incomplete += 1
                report.dropped["not all samples are there"] += 1
                continue
            chosen, votes, reason = choose(lines, keep)
            if reason:
                report.dropped[reason] += 1
                continue
            teachable = [line for line in chosen if not _has_notice(line)]
            if not teachable:
                report.dropped["an execution ran into the sandbox's limits"] += 1
                continue
            report.kept_questions += 1
            for line in _different(teachable)[:limit]:
                provenance.append(_provenance(len(provenance), line, meta, keep, votes))
                blocks = [block for block in map(Block.of, line["blocks"]) if not block.thinking]
                yield {"messages": conversation(line["question"], blocks, system=meta["settings"]["system"])}

    report.rows = write_lines(out, rows())
    write_lines(beside(out, "provenance"), provenance)
    return report


def agreed_answers(samples_file: Path) -> dict[str, str | None]:
    """By question id, the answer on which all of its samples agree; None where they do not."""
    wanted = _meta(samples_file)["samples"]
    result: dict[str, str | None] = {}
    for group in _questions([samples_file]):
        lines = [line for _, line in group]
        chosen, _, _ = choose(lines, "agree") if len(lines) >= wanted else ([], "", "")
        result[lines[0]["id"]] = chosen[0]["answer"] if chosen else None
    return result


def choose(lines: Sequence[Mapping[str, Any]], keep: Keep) -> tuple[list[Mapping[str, Any]], str, str]:
    """The samples of one question that pass, the votes as `3/3`, and why none passes (or nothing)."""
    from runtime.grade import equivalent

    answered = [line for line in lines if line["status"] == "answered" and line["answer"]]
    if not answered:
        return [], "", "no sample answered"
    if keep == "gold":
        gold = lines[0]["gold"]
        if gold is None:
            return [], "", "no gold answer"
        right = [line for line in answered if equivalent(line["answer"], gold)]
        return right, f"{len(right)}/{len(lines)}", "" if right else "no sample gives the gold answer"
    first = answered[0]["answer"]
    agreeing = [line for line in answered if equivalent(line["answer"], first)]
    if len(agreeing) < len(lines) or len(lines) < 2:
        return [], "", "the samples do not agree" if len(answered) == len(lines) else "not all samples answered"
    # Of solutions that agree, one whose code ran without failing teaches the better habit.
    return sorted(agreeing, key=lambda line: line["failed_cells"]), f"{len(agreeing)}/{len(lines)}", ""


def _has_notice(line: Mapping[str, Any]) -> bool:
    """Whether an execution says that a cell ran out of time or lost its session.

    Such a solution may be right and may vote, but as a row it would teach what no other run prints.
    """
    from runtime.sandbox import NOTICE

    if isinstance(line.get("notices"), dict):  # What a block shows may be the cell's own print.
        return bool(line["notices"])
    outputs = (block["content"] for block in line["blocks"] if block["type"] == "execution")
    return any(text.startswith(NOTICE) for output in outputs for text in output.split("\n"))


def _different(lines: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    seen: set[str] = set()
    result = []
    for line in lines:
        key = json.dumps([block for block in line["blocks"] if block["type"] != "execution"])
        if key not in seen:
            seen.add(key)
            result.append(line)
    return result


def _provenance(row: int, line: Mapping[str, Any], meta: Mapping[str, Any], keep: Keep, votes: str) -> dict[str, Any]:
    return {
        "row": row,
        "id": line["id"],
        "question_sha256": hashlib.sha256(line["question"].encode()).hexdigest(),
        "source": meta["data"].get("source"),
        "source_sha256": meta["data"].get("sha256"),
        "keep": keep,
        "votes": votes,
        "answer": line["answer"],
        "gold": line["gold"],
        "sample": line["sample"],
        "seed": line["seed"],
        "temperature": meta["settings"]["temperature"],
        "model": meta.get("model"),
        "model_sha256": meta.get("model_sha256"),
        "lora_sha256": meta.get("lora_sha256"),
        "endpoint": meta.get("endpoint"),
    }


def _questions(files: Sequence[Path]) -> Iterator[list[tuple[int, dict[str, Any]]]]:
    """The lines of each question, by sample, questions in order; only positions are held in memory."""
    places: list[tuple[int, int, int, int]] = []
    for number, path in enumerate(files):
        offset = 0
        with open(path, "rb") as handle:
            for raw in handle:
                if raw.endswith(b"\n"):
                    line = json.loads(raw)
                    places.append((int(line["index"]), int(line["sample"]), number, offset))
                offset += len(raw)
    with ExitStack() as stack:
        handles = [stack.enter_context(open(path, "rb")) for path in files]
        group: list[tuple[int, dict[str, Any]]] = []
        current: int | None = None
        for index, _, number, offset in sorted(places):
            if index != current and group:
                yield group
                group = []
            current = index
            handles[number].seek(offset)
            group.append((number, json.loads(handles[number].readline())))
        if group:
            yield group


def _meta(path: Path) -> dict[str, Any]:
    from runtime.evaluate.results_file import meta_path, read_facts

    meta = meta_path(path)
    if not path.is_file() or not meta.is_file():
        raise InputError(
            f"there is no samples file {path} with its {meta.name}", "", "give the --out of a `data solve` call"
        )
    return read_facts(meta)

"""The price of execution: time, tokens and joules, and what other methods pay for the accuracy.

Four methods solve the same questions one solution at a time: the full loop, a chain of thought, a program of thought,
and self-consistency (the majority of K sampled chains of thought; Wang et al., arXiv 2203.11171). For each a curve says
which accuracy it reaches at which mean cost: of a greedy method under a limit on each question, of self-consistency
with 1 to K samples. Curves are compared at equal accuracy and at equal tokens.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runtime.evaluate.question_sets import Question, QuestionSet
from runtime.evaluate.records import Record, read_records
from runtime.evaluate.report import by_question, majority_correct
from runtime.evaluate.results_file import ResultsFile, meta_path
from runtime.evaluate.run import RESULTS, evaluation_line, run_facts, settings_for_mode
from runtime.evaluate.sheets import Sheet, written
from runtime.evaluate.stats import clustered, wilson
from runtime.evaluate.timing import PARTS, Energy, TimedEngine
from runtime.files import write_json, write_text

if TYPE_CHECKING:
    from rich.console import Console

    from runtime.engine import Engine
    from runtime.sandbox import Limits
    from runtime.settings import SolverSettings

VOTES = "self-consistency"
METHODS = {
    "full": "full loop",
    "chain-of-thought": "chain of thought",
    "program-of-thought": "program of thought",
    VOTES: "majority of sampled chains of thought",
}
_NOTE = (
    "busy: seconds of the processor in this program, all threads together, cells and servers aside: what does not "
    "depend on how busy the machine is. Written, read: tokens"
)
POINTS = 40
"""Limits at which a curve is taken."""

Curve = list[tuple[float, float]]
"""(mean cost, accuracy), both growing."""


@dataclass(frozen=True)
class _Task:
    """One solution that is asked for."""

    method: str
    chosen: QuestionSet
    question: Question
    sample: int

    @property
    def id(self) -> str:
        """Its name among all."""
        return f"{self.method}/{self.chosen.name}/{self.question.id}"


def measure(
    engine: Engine,
    sets: Sequence[QuestionSet],
    out: Path,
    *,
    settings: SolverSettings,
    limits: Limits | None = None,
    samples: int = 5,
    seed: int = 1,
    fresh: bool = False,
    console: Console | None = None,
    formats: Sequence[str] = ("png",),
) -> dict[str, Any]:
    """Solve by every method, one at a time; write results, `efficiency.json`, `.md` and curves to `out`.

    A run that was stopped goes on with the same call.

    Returns:
        what `efficiency.json` holds: `{"methods": {...}, "compared": {...}}`.

    Raises:
        InputError: `out` holds another run.
    """
    tasks = [
        _Task(method, chosen, question, sample)
        for chosen in sets
        for question in chosen.questions
        for method in METHODS
        for sample in range(samples if method == VOTES else 1)
    ]
    path = out / RESULTS
    facts = run_facts(engine, sets, settings, limits, samples, None, seed, 1) | {"mode": "efficiency"}
    with ResultsFile(path, facts, fresh=fresh) as saved:
        pending = [task for task in tasks if (task.id, task.sample) not in saved.done]
        for done, line in enumerate(_solve(engine, pending, settings, limits, seed), start=1):
            saved.append(line)
            if console is not None and (done % 20 == 0 or done == len(pending)):
                console.print(f"{done} of {len(pending)} solutions", highlight=False)
    write_json(meta_path(path), {**facts, "status": "finished"})
    return report(path, console=console, formats=formats)


def _solve(
    engine: Engine, tasks: Sequence[_Task], settings: SolverSettings, limits: Limits | None, seed: int
) -> Iterator[dict[str, Any]]:
    """Results lines with the milliseconds of every part; a method's sandbox serves all its tasks."""
    from runtime.sandbox import Sandbox
    from runtime.settings import VARIED_TEMPERATURE, derived_seed
    from runtime.solver import Solver
    from runtime.solver.item import Item

    timed, energy = TimedEngine(engine), Energy()
    for method in dict.fromkeys(task.method for task in tasks):
        mode = "chain-of-thought" if method == VOTES else method
        chosen = settings_for_mode(settings, mode)
        changes = {
            "seed": seed,
            "temperature": (settings.temperature or VARIED_TEMPERATURE) if method == VOTES else 0.0,
        }
        chosen = chosen.model_copy(update=changes)
        with Sandbox(limits) as sandbox:
            solver = Solver(timed, sandbox if chosen.runs_cells else None, chosen)  # type: ignore[arg-type]
            if chosen.runs_cells:
                sandbox.run("0")  # Starting the sandbox is not part of the first solution.
            for task in (task for task in tasks if task.method == method):
                timed.take()
                energy.take()
                begun, computed = time.perf_counter(), time.process_time()
                drawn = derived_seed(seed, task.question.index, task.sample)
                solution = solver.solve(task.question.question, seed=drawn)
                wall, busy = 1000 * (time.perf_counter() - begun), 1000 * (time.process_time() - computed)
                joules = energy.take()
                if solution.status == "interrupted":
                    raise KeyboardInterrupt
                question = task.question
                item = Item(task.id, question.index, question.question, question.gold, task.sample)
                line = evaluation_line(item, solution, question_set=task.chosen.name, question=question)
                parts = {part: 1000 * value for part, value in timed.take().items()}
                parts["cell"] = solution.ms["execution"]
                parts["wait"] = max(0.0, wall - sum(parts.values()))
                line["ms"] = {**line["ms"], "wall": wall, "processor": busy, **parts}
                yield line | {"method": method, **({} if joules is None else {"joules": round(joules, 3)})}
            solver.close()


# What it says


def report(path: Path, *, console: Console | None = None, formats: Sequence[str] = ("png",)) -> dict[str, Any]:
    """What a results file of `measure` says, written beside it and shown."""
    records = [record for record in read_records(path) if record.is_graded]
    methods = {method: [r for r in records if r.line.get("method") == method] for method in METHODS}
    methods = {method: found for method, found in methods.items() if found}
    told = {
        "methods": {method: _account(method, found) for method, found in methods.items()},
        "curves": {
            cost: {method: curve(method, found, cost) for method, found in methods.items()}
            for cost in ("seconds", "tokens")
        },
    }
    told["compared"] = _compared(told)
    write_json(path.parent / "efficiency.json", told)
    tables = sheets(told)
    write_text(path.parent / "efficiency.md", written(tables, "markdown"))
    draw(told, path.parent, formats)
    if console is not None:
        for table in tables:
            console.print(table.rich())
        show(told, console)
    return told


def _account(method: str, records: Sequence[Record]) -> dict[str, Any]:
    """Accuracy, and the mean cost of a question in all its samples."""
    questions = by_question(records)
    n = len(questions)
    right = sum(map(majority_correct, questions.values())) if method == VOTES else None
    shares = [float(group[0].correct) for group in questions.values()]
    joules = [record.line.get("joules") for record in records]
    known = [value for value in joules if value is not None]
    return {
        "questions": n,
        "samples": max(map(len, questions.values())),
        "accuracy": _share(wilson(right, n) if right is not None else clustered(shares)),
        "seconds": {part: _sum(records, part) / n / 1000 for part in PARTS},
        "wall": _sum(records, "wall") / n / 1000,
        "processor": _sum(records, "processor") / n / 1000,
        "tokens": {
            kind: sum(record.line["tokens"][kind] for record in records) / n
            for kind in ("prompt", "generated", "execution")
        },
        "cells": sum(record.line["cells"] for record in records) / n,
        "joules": sum(known) / n if len(known) == len(joules) else None,
    }


def _share(value: Any) -> dict[str, float]:
    return {"value": value.value, "low": value.low, "high": value.high}


def _sum(records: Sequence[Record], part: str) -> float:
    return float(sum(record.line["ms"].get(part, 0.0) for record in records))


def _cost(record: Record, cost: str) -> float:
    return record.line["ms"]["wall"] / 1000 if cost == "seconds" else float(record.line["tokens"]["generated"])


def curve(method: str, records: Sequence[Record], cost: str) -> Curve:
    """Accuracy against mean cost: by the number of samples, or by a limit on each question.

    Under a limit a question costs at most the limit, and one that needs more is not solved.
    """
    groups = list(by_question(records).values())
    if method == VOTES:
        return [
            (
                statistics.fmean(sum(_cost(record, cost) for record in group[:k]) for group in groups),
                statistics.fmean(majority_correct(group[:k]) for group in groups),
            )
            for k in range(1, max(map(len, groups)) + 1)
        ]
    pairs = sorted((_cost(group[0], cost), group[0].correct) for group in groups)
    places = sorted({round(index * (len(pairs) - 1) / (POINTS - 1)) for index in range(POINTS)})
    return [
        (
            statistics.fmean(min(value, pairs[place][0]) for value, _ in pairs),
            sum(right for value, right in pairs if value <= pairs[place][0]) / len(pairs),
        )
        for place in places
    ]


def cost_at(points: Curve, accuracy: float) -> float | None:
    """The least mean cost at which a curve reaches `accuracy`; None where it never does."""
    return next((cost for cost, value in sorted(points) if value >= accuracy - 1e-9), None)


def accuracy_at(points: Curve, cost: float) -> float | None:
    """The best accuracy a curve has at a mean cost of at most `cost`; None below its first point."""
    return max((value for at, value in points if at <= cost * (1 + 1e-9)), default=None)


def _compared(told: Mapping[str, Any]) -> dict[str, Any]:
    """Every method at the accuracy that all reach, at the full loop's, and at the full loop's tokens."""
    full = told["methods"].get("full")
    if full is None:
        return {}
    shared = min(points[-1][1] for points in told["curves"]["seconds"].values())
    tokens = full["tokens"]["generated"]
    return {
        method: {
            # At an accuracy of zero any cost will do.
            "seconds_at_shared_accuracy": cost_at(told["curves"]["seconds"][method], shared) if shared else None,
            "seconds_at_full_accuracy": cost_at(told["curves"]["seconds"][method], full["accuracy"]["value"]),
            "accuracy_at_full_tokens": accuracy_at(told["curves"]["tokens"][method], tokens),
            "shared_accuracy": shared,
            "full_tokens": tokens,
        }
        for method in told["methods"]
    }


def sheets(told: Mapping[str, Any]) -> list[Sheet]:
    """Where time goes, and the methods at equal accuracy and equal tokens."""
    cost, where = [], []
    for method, row in told["methods"].items():
        share, tokens = row["accuracy"], row["tokens"]
        name = method if method != VOTES else f"{method}@{row['samples']}"
        where.append([name, *(f"{row['seconds'][part]:.3f}" for part in PARTS), f"{row['wall']:.3f}"])
        line = [name, str(row["questions"])]
        line += [f"{100 * share['value']:.1f} [{100 * share['low']:.1f}, {100 * share['high']:.1f}]"]
        line += [
            f"{row['wall']:.3f}",
            f"{row['processor']:.3f}",
            f"{tokens['generated']:.1f}",
            f"{tokens['prompt'] + tokens['execution']:.1f}",
        ]
        cost.append([*line, f"{row['cells']:.2f}", "-" if row["joules"] is None else f"{row['joules']:.1f}"])
    header = ["method", "n", "accuracy % [95 %]", "seconds", "busy", "written", "read", "cells", "joules"]
    tables = [
        Sheet("What a question costs", header, cost, note=_NOTE),
        Sheet("Where a question's seconds go", ["method", *PARTS, "all"], where),
    ]
    if compared := told["compared"]:
        first = next(iter(compared.values()))
        accuracy = 100 * told["methods"]["full"]["accuracy"]["value"]
        header = ["method", f"s at {100 * first['shared_accuracy']:.1f} % (all reach it)"]
        header += [f"s at {accuracy:.1f} % (the full loop's)", f"accuracy % at {first['full_tokens']:.0f} tokens"]
        body = [
            [
                method,
                _or_never(row["seconds_at_shared_accuracy"]) if row["shared_accuracy"] else "-",
                _or_never(row["seconds_at_full_accuracy"]),
                "-" if row["accuracy_at_full_tokens"] is None else f"{100 * row['accuracy_at_full_tokens']:.1f}",
            ]
            for method, row in compared.items()
        ]
        note = "Mean cost of a question under a limit on each; never: not at any cost that was measured"
        tables.append(Sheet("At equal accuracy, and at equal tokens", header, body, note=note))
    return tables


def _or_never(value: float | None) -> str:
    return "never" if value is None else f"{value:.3f}"


def draw(told: Mapping[str, Any], folder: Path, formats: Sequence[str]) -> list[Path]:
    """Draw `efficiency.png` and `.svg`: accuracy against seconds and tokens; nothing without matplotlib."""
    from runtime.evaluate import plots

    if not formats or not plots.available():
        return []
    figure = plots.figure(10, 4)
    shown = {}
    for axes, (cost, label) in zip(
        figure.subplots(1, 2, sharey=True),
        (("seconds", "mean seconds of a question"), ("tokens", "mean tokens written to a question")),
        strict=True,
    ):
        for place, (method, points) in enumerate(told["curves"][cost].items()):
            # A shape beside the colour: at each number of samples, or at the end of a curve.
            style = {"drawstyle": "default"} if method == VOTES else {"drawstyle": "steps-post", "markevery": [-1]}
            xs, ys = [at for at, _ in points], [100 * value for _, value in points]
            (shown[METHODS[method]],) = axes.plot(
                xs, ys, marker=plots.MARKERS[place], color=plots.PALETTE[place], clip_on=False, **style
            )
        axes.set(xlabel=label, xlim=(0, None), ylim=(0, None))
        axes.grid(color="#dddddd", linewidth=0.6)
        axes.spines[["top", "right"]].set_visible(False)
    figure.axes[0].set(ylabel="solved, %")
    figure.legend(shown.values(), shown, loc="outside upper center", ncols=len(shown), frameon=False, fontsize=9)
    return plots.write_figure(figure, folder / "efficiency", formats)


def show(told: Mapping[str, Any], console: Console, width: int = 48, height: int = 12) -> None:
    """The curves against seconds in a terminal, a letter for each method."""
    curves = told["curves"]["seconds"]
    most = max(points[-1][0] for points in curves.values()) or 1.0
    top = max(value for points in curves.values() for _, value in points) or 1.0
    grid = [[" "] * (width + 1) for _ in range(height + 1)]
    letters = dict(zip(curves, "fcps", strict=False))
    for method, points in curves.items():
        for at, value in points:
            grid[height - round(height * value / top)][round(width * at / most)] = letters[method]
    for number, row in enumerate(grid):
        edge = f"{100 * top * (height - number) / height:5.1f} %" if number % 4 == 0 else ""
        console.print(f"{edge:>8} │{''.join(row).rstrip()}", markup=False, highlight=False)
    console.print(f"{'':>8} └{'─' * (width + 1)} {most:.2f} s a question", markup=False, highlight=False)
    told_letters = ", ".join(f"{letter}: {METHODS[method]}" for method, letter in letters.items())
    console.print(f"{'':>10}{told_letters}", markup=False, highlight=False)

"""The demo's exams: held-out problems before and after, without execution, with falsified results."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.table import Table

from recipes.demo.log import DemoLog
from recipes.nano.exam import KINDS, Paper, sit
from recipes.places import PACKAGED_MODEL
from runtime.engine import Engine, load

TARGETS: dict[str, float] = {"numbers": 0.95, "wording": 0.80}
"""What the full demo is expected to reach, by kind."""
MODEL = "Q8_0"
SLOTS = 16
"""Sequences decoded together in the exams."""


@dataclass(frozen=True)
class Scale:
    """How much the demo does.

    Attributes:
        rows: rows to fine-tune on; None takes what the recipe takes.
        check_rows: rows whose code is run again.
        max_steps: optimizer steps; None takes the recipe's epochs.
        problems: held-out problems of each kind, after fine-tuning.
        small: problems of each kind for the comparisons: before, execution off, results falsified.
    """

    rows: int | None
    check_rows: int
    max_steps: int | None
    problems: int
    small: int


def hold_exams(log: DemoLog, scale: Scale, base: Path, files: dict[str, Path]) -> None:
    """Every kind of held-out problem, through every condition, as one table."""
    results: dict[str, dict[str, Any]] = {}
    conditions = [
        ("after", files[MODEL], scale.problems, "full"),
        ("F16", files["F16"], scale.problems, "full"),
        ("before", base, scale.small, "full"),
        ("execution off", files[MODEL], scale.small, "no-execution"),
        ("falsified", files[MODEL], scale.small, "wrong-results"),
    ]
    for condition, file, count, mode in conditions:
        with closing(_load(file)) as engine:
            for kind in KINDS:
                # F16 stands beside the first kind only, and families of no stage are asked only a few times;
                # `benchmarks/nano_quality.py` has all of it.
                if condition == "F16" and kind != "numbers":
                    continue
                asked = min(count, scale.small) if kind == "never" else count
                with log.bar(f"{condition}: {kind}", asked) as advance:
                    results.setdefault(kind, {})[condition] = sit(
                        engine, kind, asked, mode=mode, slots=SLOTS, on_done=advance
                    )
    show_table(log, results)
    _compare_packaged(log, scale, results["numbers"]["after"])


def _load(file: Path) -> Engine:
    # One thread: a model this small gains nothing from a second one, and the cells need the processors too.
    return load(file, n_ctx=1024 * SLOTS, threads=1)


def show_table(log: DemoLog, results: dict[str, dict[str, Paper]]) -> None:
    """Show who solved what, and whether executions are used; keep the figures."""
    table = Table(title="held-out problems solved", title_justify="left", box=None, header_style="bold", pad_edge=False)
    table.add_column("problems", no_wrap=True)
    for heading in ("before", f"after, {MODEL}", "after, F16", "execution off", "target"):
        table.add_column(heading, justify="right")
    facts: dict[str, Any] = {}
    for kind, papers in results.items():
        target = TARGETS.get(kind)
        row = [_share(papers.get(name)) for name in ("before", "after", "F16", "execution off")]
        table.add_row(kind, *row, f"{target:.0%}" if target else "")
        facts[kind] = {
            name: {"solved": paper.solved, "of": len(paper.problems)}
            for name, paper in papers.items()
            if name != "falsified"
        }
    log.console.print(table)
    for kind in results:
        log.say(f"[dim]{kind}: {KINDS[kind]}")  # type: ignore[index]
    changed, counted = follows_execution(results)
    log.facts["exams"] = facts
    log.facts["falsified"] = {"changed": changed, "of": counted}
    if counted:
        log.say(
            f"Is the result of the code used? Every number that a cell gave was replaced by another one: the final "
            f"answer changed in {changed} of {counted} solutions ({changed / counted:.0%})."
        )


def _compare_packaged(log: DemoLog, scale: Scale, made: Paper) -> None:
    """The model that every installation carries, on the same problems as the one made here."""
    if not PACKAGED_MODEL.is_file():
        return
    with closing(_load(PACKAGED_MODEL)) as engine:
        paper = sit(engine, "numbers", scale.small, slots=SLOTS)
    here = sum(made.right[: scale.small])
    log.facts["packaged"] = {"solved": paper.solved, "here": here, "of": scale.small}
    log.say(f"The packaged model solves {paper.solved} of {scale.small} of the first kind, the one made here {here}.")


def _share(paper: Paper | None) -> str:
    if paper is None:
        return ""
    return f"{paper.solved}/{len(paper.problems)} {paper.solved / len(paper.problems):.1%}"


def follows_execution(results: dict[str, dict[str, Paper]]) -> tuple[int, int]:
    """(changed, counted): solutions that ran code, and how many of them follow a falsified result."""
    changed = counted = 0
    for papers in results.values():
        true, false = papers["after"].solutions, papers["falsified"].solutions
        # The falsified exam is the shorter one and has the same problems in the same order.
        for honest, misled in zip(true, false, strict=False):
            if honest.cells and honest.answer is not None:
                counted += 1
                changed += misled.answer != honest.answer
    return changed, counted

"""The demo: rows are executed, the nano base is fine-tuned in 4 bits, exported, and solves new problems.

Every step is what a person would call for a real model; only the sizes are small. `demo` is the page to read.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runtime.errors import DataError, InputError
from runtime.files import write_text

if TYPE_CHECKING:
    from rich.console import Console

    from qlora.settings import QloraSettings
    from recipes.nano.exam import Paper
    from recipes.nano.problems import HeldOutKind
    from runtime.engine import Engine
    from runtime.solver import OnExecution


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


FULL = Scale(rows=None, check_rows=100, max_steps=None, problems=200, small=24)
FAST = Scale(rows=96, check_rows=16, max_steps=4, problems=4, small=2)
TARGETS: dict[str, float] = {"numbers": 0.95, "wording": 0.80}
"""What the full demo is expected to reach, by kind."""
MODEL = "Q8_0"
PATIENCE = 30.0
"""Seconds a cell may take when rows are run again: on a busy machine an honest result is no time-out."""
SLOTS = 16
"""Sequences decoded together in the exams."""


@dataclass
class Story:
    """What happened so far: the console it is told on, the times of the steps, the numbers for demo.json."""

    console: Console
    began: float = field(default_factory=time.monotonic)
    seconds: dict[str, float] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)

    @contextmanager
    def step(self, title: str) -> Iterator[None]:
        """A numbered heading, then the work, then how long it took."""
        self.console.print()
        self.console.rule(f"[bold]{len(self.seconds) + 1}. {title}", align="left", style="dim")
        began = time.monotonic()
        yield
        self.seconds[title] = round(time.monotonic() - began, 1)
        self.console.print(f"[dim]{self.seconds[title]:.1f} s")

    def say(self, text: str) -> None:
        """A line of narration."""
        self.console.print(text)


def demo(out: Path, *, fast: bool = False, problems: int | None = None) -> int:
    """Run the demo and tell it on standard output; returns the exit code.

    Raises:
        MathCoderError: a step cannot be done on this machine; the message says what to do.
    """
    from runtime.show.console import make_console

    scale = FAST if fast else FULL
    if problems is not None:
        scale = Scale(scale.rows, scale.check_rows, scale.max_steps, problems, min(scale.small, problems))
    story = Story(make_console())
    _clear(out)
    with story.step("This machine"):
        _machine(story)
    with story.step("Training rows, every result produced by running the code"):
        rows = _rows(story, scale, out)
    with story.step("Fine-tuning the nano base in 4 bits (QLoRA)"):
        settings = _settings(rows, scale)
        _train(story, settings, out / "run")
    with story.step("Merge, convert to GGUF, quantize, certify"):
        files = _export(story, out / "run", out / "models")
    with story.step("The base before fine-tuning, through the same path"):
        base = _before(story, settings, out)
    with story.step("Held-out problems, solved by llama.cpp with real code execution"):
        _exams(story, scale, base, files)
    with story.step("One problem, from question to answer"):
        _one_solution(story, files[MODEL])
    _end(story, out, files[MODEL])
    return 0


def _clear(out: Path) -> None:
    """Remove what an earlier demo wrote, and nothing else."""
    if (
        out.exists()
        and any(out.iterdir())
        and not (out / "demo.json").exists()
        and not (out / ".mathcoder-demo").exists()
    ):
        raise InputError(f"{out} exists and was not written by the demo", "nothing was started", "give another --out")
    for name in ("run", "base-run", "models", "base-models"):
        shutil.rmtree(out / name, ignore_errors=True)
    out.mkdir(parents=True, exist_ok=True)
    (out / ".mathcoder-demo").touch()


def _machine(story: Story) -> None:
    """The findings that matter here; a broken one ends the demo with its remedy."""
    from recipes.doctor import examine

    wanted = (
        "system",
        "Python",
        "processor",
        "memory",
        "isolation",
        "llama-cpp-python",
        "torch",
        "GPU driver",
        "GPU",
        "GPU 0",
    )
    for finding in examine():
        if finding.state == "bad" and finding.name != "settings":
            raise InputError(f"{finding.name}: {finding.detail}", "the demo cannot run", finding.remedy)
        if finding.name in (*wanted, "GPU 0"):
            story.say(f"{finding.name:<18} {finding.detail}")


def _rows(story: Story, scale: Scale, out: Path) -> Path:
    """Make the rows (or find them in the cache), run some again, show one."""
    from qlora.data import load_rows
    from recipes.data.check import OUTPUT_CHARS, check
    from recipes.nano.rows import ROWS, training_rows_path
    from runtime.sandbox import Limits

    count = scale.rows or ROWS
    with _bar(story, "rows made", count) as advance:
        source = training_rows_path(count, on_row=advance)
    path = out / "rows.jsonl"
    shutil.copyfile(source, path)
    rows = list(load_rows(str(path)))
    limits = Limits(cell_seconds=PATIENCE, output_chars=OUTPUT_CHARS)
    with _bar(story, "run again", scale.check_rows) as advance:
        report = check(str(path), limits=limits, first=scale.check_rows, fresh=True, on_progress=advance)
    if report.flagged:
        first = report.flagged[0]
        raise DataError(f"{first.place}: its recorded results do not come out again", "the rows are wrong")
    story.say(f"{len(rows):,} rows. {report.rows} of them run again: {report.cells} of {report.cells} results equal.")
    story.facts["rows"] = {"rows": len(rows), "run_again": report.rows, "cells": report.cells}
    return path


def _settings(rows: Path, scale: Scale) -> QloraSettings:
    from recipes.schema import load_recipe

    # peft on a GPU too: a model this small gains nothing from unsloth's kernels, would wait a minute for them to be
    # compiled, and is exported in this same process.
    overrides = ["train.backend=peft"]
    overrides += [] if scale.max_steps is None else [f"train.max_steps={scale.max_steps}"]
    return load_recipe("nano", overrides, data=str(rows)).qlora()


def _train(story: Story, settings: QloraSettings, run: Path) -> None:
    from qlora.train import train

    summary = train(settings, run, console=story.console, fresh=True)
    if summary.status != "finished":
        raise KeyboardInterrupt
    story.facts["training"] = summary.as_dict()


def _export(story: Story, run: Path, out: Path) -> dict[str, Path]:
    """F16 and Q8_0 with their certificate, beside the packaged model."""
    from export.pipeline import export
    from export.settings import CertifySettings, ExportSettings

    settings = ExportSettings(quant=(MODEL, "F16"), certify=CertifySettings(rows=24))
    summary = export(run, settings, out, console=story.console)
    story.facts["export"] = {
        "certified": summary.certified,
        "bytes": {name: path.stat().st_size for name, path in summary.files.items()},
    }
    return summary.files


def _before(story: Story, settings: QloraSettings, out: Path) -> Path:
    """The base as GGUF: one step at a rate of zero adds the control tokens and teaches nothing."""
    from rich.console import Console

    from export.pipeline import export
    from export.settings import CertifySettings, ExportSettings
    from qlora.train import train

    changes = {"max_steps": 1, "learning_rate": 1e-12, "warmup_steps": 0}
    nothing = settings.model_copy(
        update={"name": "base", "train": settings.train.model_copy(update=changes), "data": _first_rows(settings)}
    )
    quiet = Console(quiet=True)
    train(nothing, out / "base-run", console=quiet, fresh=True)
    summary = export(
        out / "base-run",
        ExportSettings(quant=(MODEL,), certify=CertifySettings(rows=0)),
        out / "base-models",
        console=quiet,
    )
    story.say("The base with the eight block tokens added and nothing learned, exported in the same way.")
    return summary.files[MODEL]


def _first_rows(settings: QloraSettings) -> Any:
    return settings.data.model_copy(update={"max_rows": settings.train.batch_rows, "held_out_percent": 0})


def _exams(story: Story, scale: Scale, base: Path, files: dict[str, Path]) -> None:
    """Every kind of held-out problem, through every condition, as one table."""
    from recipes.nano.exam import KINDS, tampered

    results: dict[str, dict[str, Any]] = {}
    conditions: list[tuple[str, Path, int, bool, OnExecution | None]] = [
        ("after", files[MODEL], scale.problems, True, None),
        ("F16", files["F16"], scale.problems, True, None),
        ("before", base, scale.small, True, None),
        ("execution off", files[MODEL], scale.small, False, None),
        ("falsified", files[MODEL], scale.small, True, tampered),
    ]
    for condition, file, count, execution, on_execution in conditions:
        engine = _load(file)
        try:
            for kind in KINDS:
                # F16 stands beside the first kind only, and families of no stage are asked only a few times;
                # `benchmarks/nano_quality.py` has all of it.
                if condition == "F16" and kind != "numbers":
                    continue
                asked = min(count, scale.small) if kind == "never" else count
                with _bar(story, f"{condition}: {kind}", asked) as advance:
                    paper = _sit(engine, kind, asked, execution, on_execution, advance)
                results.setdefault(kind, {})[condition] = paper
        finally:
            engine.close()
    _table(story, results)
    _compare_packaged(story, scale, results["numbers"]["after"])


def _load(file: Path) -> Engine:
    from runtime.engine import load

    # One thread: a model this small gains nothing from a second one, and the cells need the processors too.
    return load(file, n_ctx=1024 * SLOTS, threads=1)


def _sit(
    engine: Engine,
    kind: HeldOutKind,
    count: int,
    execution: bool,
    on_execution: OnExecution | None,
    advance: Callable[[int], None],
) -> Paper:
    from recipes.nano.exam import sit

    return sit(engine, kind, count, code_execution=execution, on_execution=on_execution, slots=SLOTS, on_done=advance)


def _table(story: Story, results: dict[str, dict[str, Paper]]) -> None:
    from rich.table import Table

    from recipes.nano.exam import KINDS

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
    story.console.print(table)
    for kind in results:
        story.say(f"[dim]{kind}: {KINDS[kind]}")  # type: ignore[index]
    changed, counted = _follows_execution(results)
    story.facts["exams"] = facts
    story.facts["falsified"] = {"changed": changed, "of": counted}
    if counted:
        story.say(
            f"Is the result of the code used? Every result the model read was replaced by a wrong value: the final "
            f"answer changed in {changed} of {counted} solutions ({changed / counted:.0%})."
        )


def _compare_packaged(story: Story, scale: Scale, made: Paper) -> None:
    """The model that every installation carries, on the same problems as the one made here."""
    from recipes.places import PACKAGED_MODEL

    if not PACKAGED_MODEL.is_file():
        return
    engine = _load(PACKAGED_MODEL)
    try:
        paper = _sit(engine, "numbers", scale.small, True, None, lambda _count: None)
    finally:
        engine.close()
    here = sum(made.right[: scale.small])
    story.facts["packaged"] = {"solved": paper.solved, "here": here, "of": scale.small}
    story.say(f"The packaged model solves {paper.solved} of {scale.small} of the first kind, the one made here {here}.")


def _share(paper: Paper | None) -> str:
    if paper is None:
        return ""
    return f"{paper.solved}/{len(paper.problems)} {paper.solved / len(paper.problems):.1%}"


def _follows_execution(results: dict[str, dict[str, Paper]]) -> tuple[int, int]:
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


def _one_solution(story: Story, file: Path) -> None:
    """A held-out problem that takes more than one cell, streamed as `mathcoder solve` does."""
    from recipes.nano.problems import held_out
    from runtime.engine import load
    from runtime.sandbox import Sandbox
    from runtime.show.panels import SolutionView
    from runtime.solver import Solver

    problems = held_out("numbers", 40, 7)
    problem = max(problems, key=lambda problem: len(problem.codes))
    story.console.print(f"[bold]{problem.question}")
    engine = load(file)
    try:
        with Sandbox() as sandbox:
            view = SolutionView(story.console)
            with view:
                solution = Solver(engine, sandbox).solve(problem.question, on_event=view.on_event)
                view.finish(solution)
    finally:
        engine.close()
    story.say(f"[dim]right answer: {problem.gold}")
    story.facts["example"] = {"question": problem.question, "gold": problem.gold, **solution.as_dict()}


def _end(story: Story, out: Path, file: Path) -> None:
    from recipes.places import built_in

    seconds = time.monotonic() - story.began
    story.facts["seconds"] = {**story.seconds, "all": round(seconds, 1)}
    write_text(out / "demo.json", json.dumps(story.facts, indent=2, default=str) + "\n")
    story.console.print()
    story.console.rule("[bold]Next", align="left", style="dim")
    story.say(f"[bold]mathcoder chat {file}[/]\n    talk to what was just made")
    story.say("[bold]mathcoder train nano --data YOUR_ROWS.jsonl[/]\n    the same with rows of your own")
    others = ", ".join(name for name in built_in() if name != "nano")
    story.say(f"[bold]mathcoder plan mathcoder-cl-7b[/]\n    a real model, on a machine with a GPU ({others})")
    story.console.print(f"[dim]{seconds / 60:.1f} minutes in all; figures in {out / 'demo.json'}")


@contextmanager
def _bar(story: Story, label: str, total: int) -> Iterator[Callable[[int], None]]:
    """A progress bar that leaves nothing behind; silent where the screen cannot redraw."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    from runtime.show.console import can_animate

    if not can_animate(story.console):
        yield lambda _count: None
        return
    columns = (TextColumn(f"{label:<28}"), BarColumn(bar_width=28), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=story.console, transient=True) as progress:
        task = progress.add_task(label, total=total)
        yield lambda count: progress.update(task, completed=count)

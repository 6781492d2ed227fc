"""The demo: rows are executed, the nano base is fine-tuned in 4 bits, exported, and solves.

Every step is what a person would call for a real model; only the sizes are small. `demo` is the page to read.
"""

from __future__ import annotations

import json
import shutil
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.console import Console

from export.settings import CertifySettings, ExportSettings
from qlora.data import load_rows
from qlora.settings import QloraSettings
from recipes.data.check import OUTPUT_CHARS, check
from recipes.demo.exams import MODEL, Scale, hold_exams
from recipes.demo.log import DemoLog
from recipes.doctor import examine
from recipes.nano.problems import held_out
from recipes.nano.rows import ROWS, training_rows_path
from recipes.places import trainable
from recipes.schema import load_recipe
from runtime.engine import load
from runtime.errors import DataError, InputError
from runtime.files import write_text
from runtime.sandbox import Limits, Sandbox
from runtime.show.console import make_console
from runtime.show.panels import SolutionView
from runtime.solver import Solver

FULL = Scale(rows=None, check_rows=100, max_steps=None, problems=200, small=24)
FAST = Scale(rows=96, check_rows=16, max_steps=4, problems=4, small=2)
CELL_SECONDS = 30.0
"""Seconds a cell may take when rows are run again: on a busy machine an honest result does not end by time-out."""


def demo(out: Path, *, fast: bool = False, problems: int | None = None) -> int:
    """Run the demo and tell it on standard output; returns the exit code.

    Raises:
        MathCoderError: a step cannot be done on this machine; the message says what to do.
    """
    scale = FAST if fast else FULL
    if problems is not None:
        scale = replace(scale, problems=problems, small=min(scale.small, problems))
    log = DemoLog(make_console())
    clear_folder(out)
    with log.step("This machine"):
        _machine(log)
    with log.step("Training rows, every result produced by running the code"):
        rows = _rows(log, scale, out)
    with log.step("Fine-tuning the nano base in 4 bits (QLoRA)"):
        settings = settings_of(rows, scale)
        _train(log, settings, out / "run")
    with log.step("Merge, convert to GGUF, quantize, certify"):
        files = _export(log, out / "run", out / "models")
    with log.step("The base before fine-tuning, through the same path"):
        base = _before(log, settings, out)
    with log.step("Held-out problems, solved by llama.cpp with real code execution"):
        hold_exams(log, scale, base, files)
    with log.step("One problem, from question to answer"):
        _one_solution(log, files[MODEL])
    conclude(log, out, files[MODEL])
    return 0


def clear_folder(out: Path) -> None:
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


def _machine(log: DemoLog) -> None:
    """The findings that matter here; a broken one ends the demo with its remedy."""
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
            log.say(f"{finding.name:<18} {finding.detail}")


def _rows(log: DemoLog, scale: Scale, out: Path) -> Path:
    """Make the rows (or find them in the cache), run some again, show one."""
    count = scale.rows or ROWS
    with log.bar("rows made", count) as advance:
        source = training_rows_path(count, on_row=advance)
    path = out / "rows.jsonl"
    shutil.copyfile(source, path)
    rows = list(load_rows(str(path)))
    limits = Limits(cell_seconds=CELL_SECONDS, output_chars=OUTPUT_CHARS)
    with log.bar("run again", scale.check_rows) as advance:
        report = check(str(path), limits=limits, first=scale.check_rows, fresh=True, on_progress=advance)
    if report.flagged:
        first = report.flagged[0]
        raise DataError(
            f"{first.place}: its recorded results do not come out again", "the rows are wrong", "report this"
        )
    log.say(f"{len(rows):,} rows. {report.rows} of them run again: {report.cells} of {report.cells} results equal.")
    log.facts["rows"] = {"rows": len(rows), "run_again": report.rows, "cells": report.cells}
    return path


def settings_of(rows: Path, scale: Scale) -> QloraSettings:
    # peft on a GPU too: a model this small gains nothing from unsloth's kernels, would wait a minute for them to be
    # compiled, and is exported in this same process.
    overrides = ["train.backend=peft"]
    overrides += [] if scale.max_steps is None else [f"train.max_steps={scale.max_steps}"]
    return load_recipe("nano", overrides, data=str(rows)).qlora()


def _train(log: DemoLog, settings: QloraSettings, run: Path) -> None:
    from qlora.train import train

    summary = train(settings, run, console=log.console, fresh=True)
    if summary.status != "finished":
        raise KeyboardInterrupt
    log.facts["training"] = summary.as_dict()


def _export(log: DemoLog, run: Path, out: Path) -> dict[str, Path]:
    """F16 and Q8_0 with their certificate, beside the packaged model."""
    from export.pipeline import export

    settings = ExportSettings(quant=(MODEL, "F16"), certify=CertifySettings(rows=24))
    summary = export(run, settings, out, console=log.console)
    log.facts["export"] = {
        "certified": summary.certified,
        "bytes": {name: path.stat().st_size for name, path in summary.files.items()},
    }
    return summary.files


def _before(log: DemoLog, settings: QloraSettings, out: Path) -> Path:
    """The base as GGUF: one step at a rate of zero adds the control tokens and teaches nothing."""
    from export.pipeline import export
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
    log.say("The base with the eight block tokens added and nothing learned, exported in the same way.")
    return summary.files[MODEL]


def _first_rows(settings: QloraSettings) -> Any:
    return settings.data.model_copy(update={"max_rows": settings.train.batch_rows, "held_out_percent": 0})


def _one_solution(log: DemoLog, file: Path) -> None:
    """A held-out problem that takes more than one cell, streamed as `mathcoder solve` does."""
    problems = held_out("numbers", 40, 7)
    problem = max(problems, key=lambda problem: len(problem.codes))
    log.console.print(f"[bold]{problem.question}")
    with closing(load(file)) as engine, Sandbox() as sandbox, SolutionView(log.console) as view:
        solution = Solver(engine, sandbox).solve(problem.question, on_event=view.on_event)
        view.finish(solution)
    log.say(f"[dim]right answer: {problem.gold}")
    log.facts["example"] = {"question": problem.question, "gold": problem.gold, **solution.as_dict()}


def conclude(log: DemoLog, out: Path, file: Path) -> None:
    seconds = time.monotonic() - log.began
    log.facts["seconds"] = {**log.seconds, "all": round(seconds, 1)}
    write_text(out / "demo.json", json.dumps(log.facts, indent=2, default=str) + "\n")
    log.console.print()
    log.console.rule("[bold]Next", align="left", style="dim")
    log.say(f"[bold]mathcoder chat {file}[/]\n    talk to what was just made")
    log.say("[bold]mathcoder train nano --data YOUR_ROWS.jsonl[/]\n    the same with rows of your own")
    others = ", ".join(name for name in trainable() if name != "nano")
    log.say(f"[bold]mathcoder plan mathcoder-cl-7b[/]\n    a real model, on a machine with a GPU ({others})")
    log.console.print(f"[dim]{seconds / 60:.1f} minutes in all; figures in {out / 'demo.json'}")

"""Evaluation: solve question sets in batch, keep every line, and report what can be believed.

A run is a folder: `results.jsonl` (one line a solution, written as it finishes), `results.meta.json` (the facts of the
run), and in the end `report.json`, `report.md` and plots. Started again, a run goes on where it was, and refuses to mix
with another model, other questions or other settings.
"""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runtime.errors import InputError
from runtime.evaluate.compare import compare_files
from runtime.evaluate.inspect import inspect_file
from runtime.evaluate.progress import LiveTable
from runtime.evaluate.question_sets import Question, QuestionSet, load_set, load_sets
from runtime.evaluate.records import gold_text, grade_file, read_meta, read_records, strict_differences
from runtime.evaluate.report import as_markdown, as_table, summarise, throughput
from runtime.evaluate.results_file import ResultsFile, meta_path, read_results, result_line
from runtime.files import json_line, sha256_file, write_json, write_text
from runtime.grade.rules import verdicts

if TYPE_CHECKING:
    from rich.console import Console

    from runtime.engine import Engine
    from runtime.sandbox import Limits
    from runtime.settings import SolverSettings
    from runtime.solver import Solution
    from runtime.solver.batch import Item

__all__ = [
    "MODES",
    "compare_files",
    "evaluation_line",
    "grade_file",
    "inspect_file",
    "load_set",
    "load_sets",
    "mode_of",
    "report_file",
    "run_eval",
    "settings_for_mode",
    "strict_differences",
]

MODES = {
    "full": "text, code and real executions",
    "chain-of-thought": "text alone, no code",
    "program-of-thought": "one code block, and what it printed is the answer",
    "imagined": "no code is run; the model writes the execution results itself",
    "no-execution": "code is written, executions say that they are disabled",
    "wrong-results": "code is run, and the model reads other numbers than it gave",
}
"""The full loop and its baselines; `imagined` is the paper's ablation."""
RESULTS = "results.jsonl"
SolveBatch = Callable[..., "Iterator[tuple[Item, Solution]]"]


def settings_for_mode(settings: SolverSettings, mode: str) -> SolverSettings:
    """Solver settings that make a solution one of `mode`.

    Raises:
        InputError: an unknown mode, or one that these settings exclude.
    """
    if mode not in MODES:
        raise InputError(f"unknown mode {mode!r}", "nothing was evaluated", f"the modes are {', '.join(MODES)}")
    changes = {"mode": "full", "code_execution": False} if mode == "no-execution" else {"mode": mode}
    try:
        return type(settings).model_validate({**settings.model_dump(exclude_unset=True), **changes})
    except ValueError as error:
        raise InputError(
            f"mode {mode} does not go with these settings: {error}", "nothing was evaluated", "leave code_execution on"
        ) from error


def mode_of(settings: SolverSettings) -> str:
    """The key of MODES that these settings make a solution of, whoever set them."""
    return "no-execution" if settings.mode == "full" and not settings.code_execution else settings.mode


def evaluation_line(item: Item, solution: Solution, *, question_set: str, question: Question) -> dict[str, Any]:
    """A results line with its set and three verdicts (`strict`, `correct`, `lenient`).

    They are None where the solution ended in an error.
    """
    gold = gold_text(item.gold)
    judged: dict[str, Any] = verdicts(solution.answer, gold, question.rule)
    if solution.status == "error":  # It says nothing of the model, and is solved again on the next call.
        judged = dict.fromkeys(judged)
    line = result_line(item, solution, strict=judged["strict"], lenient=judged["lenient"])
    line |= {"gold": gold, "correct": judged["correct"], "set": question_set}
    if rule := question.rule.as_dict():
        line["grading"] = rule
    return line | {key: value for key in ("subject", "level") if (value := getattr(question, key))}


def run_eval(
    model: Engine | str | Path,
    sets: Sequence[str | QuestionSet],
    out: str | Path,
    *,
    settings: SolverSettings | None = None,
    limits: Limits | None = None,
    mode: str = "full",
    samples: int = 1,
    limit: int | None = None,
    seed: int = 1,
    slots: int = 8,
    fresh: bool = False,
    plots: bool | Sequence[str] = True,
    console: Console | None = None,
    solve: SolveBatch | None = None,
    questions: Path | None = None,
    brief: bool = False,
) -> dict[str, Any]:
    """Evaluate a model on question sets.

    Args:
        model: a loaded engine, or the path of a GGUF file.
        sets: names or files (see `load_set`), or sets already loaded.
        out: folder of the run. An unfinished run there is continued; a finished one is only reported again.
        settings: budgets and sampling. `seed` replaces its seed.
        limits: bounds of the sandbox sessions.
        mode: one of MODES.
        samples: solutions to each question, for maj@K; needs a temperature above zero.
        limit: questions of each set, drawn by `seed`.
        seed: base seed of sampling and of `limit`.
        slots: solutions written together. Recorded, since the batch's shape changes rounding.
        fresh: begin again: results of an earlier run in `out` are replaced.
        plots: also write plots, where matplotlib is installed: PNG, or the formats named (`png`, `svg`).
        console: where the live table and the report are shown; None shows nothing.
        solve: stands in for `runtime.solver.batch.solve_batch`.
        questions: folder of NAME.jsonl files in which named sets are looked for before the hub.
        brief: the console shows how far the run is, and nothing before and after it.

    Returns:
        `{"report": {set: ...}, "facts": {...}, "errors": solutions with status error, "folder": path, "files": [...]}`.

    Raises:
        InputError: the call is wrong, or `out` holds another run.
        KeyboardInterrupt: Ctrl-C; finished solutions are saved, and the same call continues.
    """
    from runtime.settings import SolverSettings

    if samples < 1:
        raise InputError(f"the number of samples is {samples}", "nothing was evaluated", "ask for 1 or more")
    if not sets:
        raise InputError("no question set was named", "nothing was evaluated", "name one, such as gsm8k")
    settings = settings_for_mode(settings or SolverSettings(), mode).model_copy(update={"seed": seed})
    if samples > 1 and settings.temperature == 0:
        raise InputError(
            f"{samples} samples at temperature 0 are {samples} times the same solution",
            "nothing was evaluated",
            "set a temperature such as 0.7",
        )
    loaded: list[QuestionSet] = []
    absent: dict[str, str] = {}
    for chosen in sets:
        if isinstance(chosen, QuestionSet):
            loaded.append(chosen)
            continue
        found, missing = load_sets([chosen], limit=limit, seed=seed, folder=questions)
        loaded += found
        absent |= missing
    tell_of_sets(loaded, absent, None if brief else console)
    names = [chosen.name for chosen in loaded]
    if len(set(names)) < len(names):
        raise InputError(f"two sets share a name: {', '.join(names)}", "nothing was evaluated", "rename one: name=path")
    engine: Any = model
    if isinstance(model, (str, Path)):
        from runtime.engine import load

        engine = load(model)
    try:
        facts = run_facts(engine, loaded, settings, limits, samples, limit, seed, slots)
        facts |= {"not_at_hand": absent} if absent else {}
        results = Path(out) / RESULTS
        _solve_sets(results, facts, engine, loaded, settings, limits, samples, slots, console, solve, fresh=fresh)
    finally:
        if engine is not model:
            engine.close()
    return report_file(results, plots=plots, console=None if brief else console)


def tell_of_sets(sets: Sequence[QuestionSet], absent: dict[str, str], console: Console | None) -> None:
    """Say before anything is solved which sets are missing, and which golds can be compared as text alone."""
    if console is None:
        return
    for name, why in absent.items():
        console.print(f"not at hand: {name} ({why})", style="dim", markup=False, highlight=False)
    for chosen in sets:
        if unread := chosen.unread():
            shown = ", ".join(f"{question.id}: {question.gold[:60]}" for question in unread[:5])
            more = f" and {len(unread) - 5} more" if len(unread) > 5 else ""
            count = f"{len(unread)} of {len(chosen.questions)} golds"
            console.print(
                f"{chosen.name}: {count} cannot be read and are compared as text alone ({shown}{more})",
                style="yellow", markup=False, highlight=False,
            )  # fmt: skip


def run_facts(
    engine: Any,
    sets: Sequence[QuestionSet],
    settings: SolverSettings,
    limits: Limits | None,
    samples: int,
    limit: int | None,
    seed: int,
    slots: int,
) -> dict[str, Any]:
    """What a record of a run needs: model, dialect, settings, limits, data, grader and versions.

    Raises:
        ModelError: the model cannot be talked to in this dialect.
    """
    from runtime.sandbox import Limits
    from runtime.solver.dialects import choose, within_limits

    facts = dict(engine.facts())
    # Before anything is written, so that a model which cannot be talked to leaves no file behind.
    dialect = choose(settings.dialect, engine, settings.mode, settings.thinking)
    settings = within_limits(settings, dialect)
    return {
        **facts,
        "dialect": dialect.name,
        "mode": mode_of(settings),
        "samples": samples,
        "seed": seed,
        "parallel_sequences": slots,
        "settings": settings.model_dump(mode="json"),
        "limits": (limits or Limits()).model_dump(mode="json"),
        **(tier_facts(limits) if settings.runs_cells else {"sandbox_tier": "none"}),
        "data": {chosen.name: {**chosen.facts(), "limit": limit} for chosen in sets},
        "grader_sha256": grader_hash(),
        "versions": {**facts.get("versions", {}), **_versions()},
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "status": "running",
    }


def tier_facts(limits: Limits | None) -> dict[str, str]:
    """What isolates the cells, and why nothing stronger does."""
    from runtime.sandbox import Sandbox, weaker_tier

    with Sandbox(limits) as sandbox:
        tier = sandbox.tier
    note = weaker_tier()
    return {"sandbox_tier": tier, **({"sandbox_weaker": note} if note else {})}


def grader_hash() -> str:
    """One hash over the grader's source files: verdicts are comparable where it agrees."""
    import hashlib

    folder = Path(__file__).resolve().parent.parent / "grade"
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*.py")):
        digest.update(f"{path.relative_to(folder).as_posix()}:{sha256_file(path)}\n".encode())
    return digest.hexdigest()


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for package in ("mathcoder-toolkit", "llama-cpp-python", "sympy", "mpmath"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed"
    return found


def _solve_sets(
    results: Path,
    facts: dict[str, Any],
    engine: Any,
    sets: Sequence[QuestionSet],
    settings: SolverSettings,
    limits: Limits | None,
    samples: int,
    slots: int,
    console: Console | None,
    solve: SolveBatch | None,
    *,
    fresh: bool,
) -> None:
    from runtime.solver.batch import solve_batch

    before = {} if fresh else read_meta(results)
    if not fresh and results.exists() and results.stat().st_size and not before:
        raise InputError(
            f"{results} exists without {meta_path(results).name}",
            "it cannot be known which run it belongs to",
            "choose another folder, or begin again with --fresh",
        )
    facts = {**facts, "date": before.get("date", facts["date"])}
    started = time.monotonic()
    with (
        ResultsFile(results, facts, fresh=fresh) as saved,
        LiveTable({chosen.name: samples * len(chosen.questions) for chosen in sets}, console) as progress,
    ):
        resumed, new = bool(saved.done), 0
        for attempt in read_records(results) if saved.done else ():
            progress.saved(attempt.set, attempt.correct, attempt.answer is not None)
        for chosen in sets:
            questions = {_identity(chosen, question): question for question in chosen.questions}
            items = saved.pending(_items(chosen, samples))
            for item, solution in (solve or solve_batch)(engine, items, settings, limits=limits, slots=slots):
                line = evaluation_line(item, solution, question_set=chosen.name, question=questions[item.id])
                saved.append(line)
                new += 1
                progress.solved(chosen.name, line)
        _sort(results, [chosen.name for chosen in sets])
    if new:
        # Nobody counted the seconds of a session that was killed.
        known = 0.0 if not resumed else before.get("seconds")
        seconds = None if known is None else round(known + time.monotonic() - started, 1)
    else:
        seconds = before.get("seconds")
    if console is not None and facts.get("sandbox_weaker"):
        console.print(facts["sandbox_weaker"], style="dim", markup=False, highlight=False)
    finished = {**facts, "status": "finished", "seconds": seconds}
    write_json(meta_path(results), finished)


def _identity(chosen: QuestionSet, question: Question) -> str:
    """A question's id among all sets of a run."""
    return f"{chosen.name}/{question.id}"


def _items(chosen: QuestionSet, samples: int) -> Iterator[Item]:
    from runtime.solver.batch import Item

    for question in chosen.questions:
        for sample in range(samples):
            yield Item(_identity(chosen, question), question.index, question.question, question.gold, sample)


def _sort(path: Path, names: Sequence[str]) -> None:
    """Bring lines into the order of the questions, so that equal runs make equal files."""
    order = {name: position for position, name in enumerate(names)}
    lines = sorted(
        read_results(path), key=lambda line: (order.get(line["set"], len(order)), line["index"], line["sample"])
    )
    write_text(path, "".join(map(json_line, lines)))


def report_file(
    path: str | Path, *, plots: bool | Sequence[str] = False, console: Console | None = None
) -> dict[str, Any]:
    """Report on a results file (any format of `read_records`), with verdicts of the grader as it is now.

    Writes `report.json`, `report.md` and, where asked for and possible, plots beside a results file of a run; other
    files are only read.

    Returns:
        see `run_eval`.
    """
    path = Path(path)
    attempts = read_records(path)
    report, facts = summarise(attempts), read_meta(path)
    files: list[Path] = []
    if facts:
        write_json(path.parent / "report.json", {"report": report, "facts": facts})
        write_text(path.parent / "report.md", as_markdown(report, facts))
        files = [path.parent / "report.json", path.parent / "report.md"]
        if plots:
            from runtime.evaluate import plots as pictures

            if pictures.available():
                files += pictures.save(report, path.parent, ("png",) if plots is True else tuple(plots))
            elif console is not None:
                console.print("[dim]no plots: matplotlib is not installed[/dim]")
    if console is not None:
        console.print(as_table(report))
        if line := throughput(report, facts):
            console.print(line, highlight=False)
    errors = sum(attempt.line.get("status") == "error" for attempt in attempts)
    return {"report": report, "facts": facts, "errors": errors, "folder": path.parent, "files": files}

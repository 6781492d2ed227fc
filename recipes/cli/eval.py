"""`mathcoder eval`: the number a researcher would publish, with what is needed to check it."""

from __future__ import annotations

import argparse
import itertools
import json
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from textwrap import fill
from typing import TYPE_CHECKING, Any

from recipes.cli.command import Parser, positive_int, say
from recipes.places import tilde
from runtime.errors import InputError
from runtime.evaluate.sheets import FORMATS, Sheet, written

if TYPE_CHECKING:
    from rich.console import Console

    from runtime.engine import Engine
    from runtime.sandbox import Limits
    from runtime.settings import SolverSettings

EFFICIENCY_QUESTIONS, EFFICIENCY_SAMPLES = 50, 5
"""Questions of each set, and votes of self-consistency, where --efficiency is not told otherwise."""

WITH_AND_WITHOUT = {"without": "chain-of-thought", "with": "full"}
"""Folder of a run to its mode; the first is what the second is compared with."""


def parser() -> Parser:
    """Arguments of `mathcoder eval`."""
    from recipes.cli.solving import add_model_arguments, add_solver_arguments
    from runtime.evaluate.known_sets import KNOWN
    from runtime.evaluate.question_sets import SHORT
    from runtime.evaluate.run import MODES

    names = fill(", ".join(KNOWN), 98, initial_indent="  ", subsequent_indent="  ", break_on_hyphens=False)
    modes = "\n".join(f"  {name:<20}{meaning}" for name, meaning in MODES.items())
    result = Parser(
        "eval",
        "Measure a model on question sets, or work with results that exist.",
        details=f"""\
Sets: a name below (from --questions DIR, else from the hub, which needs the `train` extra and a
network), or a file: a .jsonl with `question` and `gold` on each line, or the owners' own file, also
as name=path. A name brings the rule its authors compare by (docs/question-sets.md). all-short is a
tour: {SHORT} questions of each set at hand.
{names}
The folder given with --out holds every solution, the facts of the run and the report; a run that
was stopped goes on with the same call.

--grade reads .jsonl files, one object a line: `gold`, and what is to be graded: `answer` or `prediction` (a text), or
`blocks` or `completion` (a whole solution, whose answer is found as in our own). `set` or `dataset` names the set,
else the file does.

Modes:
{modes}""",
        examples=[
            ("mathcoder eval model.gguf --data gsm8k,svamp --out runs/eval", "two sets, pass@1 with intervals"),
            ("mathcoder eval nano --data mine.jsonl --out e --samples 8 --temperature 0.7", "maj@8 too"),
            ("mathcoder eval smollm2 --data all-short --out runs/tour", "20 questions of each set at hand"),
            ("mathcoder eval nano --efficiency --data mine.jsonl --out e", "what running the code costs, and gives"),
            ("mathcoder eval --efficiency --results outs/*.jsonl", "what recorded solutions cost, cells run again"),
            ("mathcoder eval model.gguf --data svamp --limit 200 --with-and-without --out e", "does code help it?"),
            ("mathcoder eval --grade answers.jsonl --json", "grade answers that exist"),
            ("mathcoder eval --compare a/results.jsonl b/results.jsonl", "the paired difference and its interval"),
            ("mathcoder eval --results runs/eval/results.jsonl --report latex", "the tables of a run, to paste"),
            ("mathcoder eval --inspect runs/eval/results.jsonl", "walk through the wrong ones"),
        ],
        see_also=["solve", "export"],
        usage="mathcoder eval MODEL --data A,B --out DIR [options]\n"
        "       mathcoder eval --grade FILE ... [--strict] [--json]\n"
        "       mathcoder eval --compare FILE FILE ... [--strict] [--json]\n"
        "       mathcoder eval --results FILE [--report FORMAT] [--json]\n"
        "       mathcoder eval [MODEL] --efficiency --results FILE ... [options]\n"
        "       mathcoder eval --inspect FILE [--show KIND] [--limit N] [--json]",
    )
    result.add_argument("model", nargs="?", metavar="MODEL", help="a GGUF file, or a name from `mathcoder models`")
    result.add_argument("--data", metavar="A,B", help="question sets, separated by commas")
    result.add_argument("--questions", type=Path, metavar="DIR", help="folder of NAME.jsonl files of named sets")
    result.add_argument("--out", type=Path, metavar="DIR", help="folder of the run")
    result.add_argument("--samples", type=positive_int, metavar="K", help="solutions to each question (default 1)")
    result.add_argument("--limit", type=positive_int, metavar="N", help="questions of each set, drawn by --seed")
    result.add_argument(
        "--mode",
        choices=tuple(MODES),
        default="full",
        metavar="MODE",
        help=f"the full loop or a baseline: {', '.join(MODES)}",
    )
    result.add_argument(
        "--with-and-without",
        action="store_true",
        help="run full and chain-of-thought on the same questions, and keep the verdict on this model",
    )
    result.add_argument("--slots", type=positive_int, default=8, metavar="N", help="solutions written together")
    result.add_argument("--fresh", action="store_true", help="begin again where DIR holds a run")
    result.add_argument("--no-plots", action="store_true", help="write no plots")
    result.add_argument(
        "--plots", default="png", metavar="A,B", help="formats of the plots: png, svg, or both (default png)"
    )
    result.add_argument(
        "--report", choices=FORMATS, metavar="FORMAT", help=f"print the tables in this form: {', '.join(FORMATS)}"
    )
    result.add_argument(
        "--efficiency", action="store_true",
        help="where time and tokens go, against other methods at equal accuracy and tokens",
    )  # fmt: skip
    result.add_argument(
        "--results", type=Path, nargs="+", metavar="FILE",
        help="report on a results file that exists; with --efficiency, run the cells of recorded solutions again "
        "(tokens are counted by MODEL)",
    )  # fmt: skip
    result.add_argument("--grade", type=Path, nargs="+", metavar="FILE", help="grade the answers in .jsonl files")
    result.add_argument("--strict", action="store_true", help="grade plain numbers only, within 1e-6")
    result.add_argument("--compare", type=Path, nargs="+", metavar="FILE", help="results files side by side")
    result.add_argument("--inspect", type=Path, metavar="FILE", help="walk through the solutions of a results file")
    result.add_argument(
        "--show", default="wrong", metavar="KIND", help="what --inspect shows: wrong, right, all, or a failure"
    )
    result.add_argument("--json", action="store_true", help="print the result as JSON")
    add_model_arguments(result)
    add_solver_arguments(result)
    return result


def run(args: argparse.Namespace) -> int:
    """Evaluate, grade, compare or inspect."""
    if args.efficiency and args.results is not None:
        return _recorded(args)
    chosen = [name for name in ("grade", "compare", "inspect", "results") if getattr(args, name) is not None]
    if len(chosen) + (args.model is not None) != 1:
        raise InputError(
            "give either a MODEL or one of --grade, --compare, --inspect, --results",
            "nothing was evaluated",
            "see --help",
        )
    if args.grade is not None:
        return _grade(args)
    if args.compare is not None:
        return _compare(args)
    if args.inspect is not None:
        return _inspect(args)
    if args.results is not None:
        return _report(args)
    return _evaluate(args)


def _report(args: argparse.Namespace) -> int:
    from runtime.evaluate.run import report_file
    from runtime.show.console import make_console

    if len(args.results) > 1:
        raise InputError(
            f"{len(args.results)} results files were named",
            "nothing was reported",
            "name one, or set them side by side with --compare",
        )
    shown = not (args.json or args.report)
    outcome = report_file(args.results[0], console=make_console() if shown else None, plots=_plots(args))
    _told(args, outcome)
    return 1 if outcome["errors"] else 0


def _told(args: argparse.Namespace, outcome: dict[str, Any]) -> None:
    """A report on standard output, as JSON or in a format to paste."""
    from runtime.evaluate.report import as_sheets

    if args.json:
        print(json.dumps({"report": outcome["report"], "facts": outcome["facts"]}, indent=2, default=str))
    elif args.report:
        print(written(as_sheets(outcome["report"]), args.report), end="")


def _plots(args: argparse.Namespace) -> list[str]:
    """The formats of the plots; empty for none.

    Raises:
        InputError: a format that is not written.
    """
    from runtime.evaluate.plots import FORMATS as PLOTS

    chosen = [name.strip().lower() for name in args.plots.split(",") if name.strip()]
    if unknown := [name for name in chosen if name not in PLOTS]:
        raise InputError(
            f"plots are not written as {', '.join(unknown)}", "nothing was done", f"choose {', '.join(PLOTS)}"
        )
    return [] if args.no_plots else chosen


def _evaluate(args: argparse.Namespace) -> int:
    from recipes.cli.solving import cell_limits, load_engine, model_of, person, solver_settings
    from runtime.evaluate.run import run_eval
    from runtime.show.console import make_console

    if not args.data:
        raise InputError("--data is missing", "nothing was evaluated", "name question sets, e.g. --data gsm8k,svamp")
    if args.out is None:
        raise InputError(
            "--out is missing", "nothing was evaluated", "name a folder for the results, e.g. --out runs/eval"
        )
    if args.no_execution and args.mode not in ("full", "no-execution"):
        raise InputError(
            f"--no-execution and --mode {args.mode} exclude each other", "nothing was evaluated", "give one"
        )
    if args.with_and_without and (args.no_execution or args.mode != "full" or args.endpoint):
        raise InputError(
            "--with-and-without runs a file in the modes full and chain-of-thought",
            "nothing was evaluated",
            "leave --mode, --no-execution and --endpoint away",
        )
    preferences = person(args)
    settings = solver_settings(args, preferences)
    model = model_of(args, args.model)
    engine = load_engine(args, model, preferences)
    if args.efficiency:
        return _efficiency(args, engine, settings, cell_limits(preferences))
    console = make_console(theme=preferences.theme, stderr=bool(args.json or args.report))

    def evaluated(mode: str, out: Path) -> dict[str, Any]:
        return run_eval(
            engine,
            [name.strip() for name in args.data.split(",") if name.strip()],
            out,
            settings=settings,
            limits=cell_limits(preferences),
            mode=mode,
            samples=preferences.samples,
            limit=args.limit,
            seed=args.seed if args.seed is not None else 1,
            slots=args.slots,
            fresh=args.fresh,
            plots=_plots(args),
            console=console,
            questions=args.questions,
        )

    try:
        if args.with_and_without:
            return _with_and_without(args, engine, evaluated, console)
        outcome = evaluated("no-execution" if args.no_execution else args.mode, args.out)
    finally:
        engine.close()
    _told(args, outcome)
    return 1 if outcome["errors"] else 0


def _efficiency(args: argparse.Namespace, engine: Engine, settings: SolverSettings, limits: Limits) -> int:
    """Every method on the same questions, one solution at a time."""
    from runtime.evaluate.efficiency import measure, sheets
    from runtime.evaluate.question_sets import load_sets
    from runtime.show.console import make_console

    seed = args.seed if args.seed is not None else 1
    names = [name.strip() for name in args.data.split(",") if name.strip()]
    sets, _ = load_sets(names, limit=args.limit or EFFICIENCY_QUESTIONS, seed=seed, folder=args.questions)
    try:
        told = measure(
            engine, sets, args.out, settings=settings, limits=limits, samples=args.samples or EFFICIENCY_SAMPLES,
            seed=seed, fresh=args.fresh, console=make_console(stderr=bool(args.json or args.report)),
            formats=_plots(args),
        )  # fmt: skip
    finally:
        engine.close()
    if args.json:
        print(json.dumps(told, indent=2))
    elif args.report:
        print(written(sheets(told), args.report), end="")
    return 0


def _recorded(args: argparse.Namespace) -> int:
    """What solutions that exist cost; tokens by the vocabulary of MODEL, else characters."""
    from recipes.cli.solving import cell_limits, model_of, person
    from runtime.evaluate.recorded import measure_recorded, sheet
    from runtime.show.console import make_console

    def measured(**counting: Any) -> dict[str, Any]:
        return measure_recorded(
            args.results, args.out, limits=cell_limits(person(args)), limit=args.limit,
            seed=args.seed if args.seed is not None else 1, console=make_console(stderr=True), **counting,
        )  # fmt: skip

    if args.model is None:
        told = measured()
    else:
        from runtime.engine.llama.engine import LlamaEngine
        from runtime.settings import EngineSettings

        path = Path(model_of(args, args.model))
        with LlamaEngine(path, EngineSettings(n_ctx=64), vocab_only=True) as engine:
            told = measured(count=lambda text: len(engine.vocabulary.encode(text)), unit=f"tokens of {path.name}")
    if args.json:
        print(json.dumps(told, indent=2))
    elif args.report:
        print(written([sheet(told)], args.report), end="")
    else:
        make_console().print(sheet(told).rich())
    return 1 if any(row["not_run"] for row in told["files"].values()) else 0


def _with_and_without(
    args: argparse.Namespace,
    engine: Engine,
    evaluated: Callable[[str, Path], dict[str, Any]],
    console: Console,
) -> int:
    """Both modes on the same questions, the paired difference, and the verdict for `chat` and `solve`."""
    from recipes.cli.command import say
    from recipes.verdicts import remember, subject_of, verdict_from, why_not_kept
    from runtime.evaluate.compare import pooled_difference
    from runtime.evaluate.run import compare_files
    from runtime.solver.dialects import choose

    runs = {name: evaluated(mode, args.out / name) for name, mode in WITH_AND_WITHOUT.items()}
    files = [args.out / name / "results.jsonl" for name in WITH_AND_WITHOUT]
    compared = compare_files(files, console=None if args.json else console)
    subject = subject_of(engine, choose(args.dialect or "auto", engine).name)
    assert subject is not None, "--endpoint was refused"
    verdict = verdict_from(subject, pooled_difference(*files))
    why_not = why_not_kept(verdict, files)
    say(f"{verdict.told}; " + (f"not kept: {why_not}" if why_not else f"kept in {tilde(remember(verdict))}"))
    if args.json:
        print(json.dumps({"verdict": asdict(verdict), "finding": verdict.finding, "sets": compared}, indent=2))
    return 1 if any(outcome["errors"] for outcome in runs.values()) else 0


def _grade(args: argparse.Namespace) -> int:
    from runtime.evaluate.records import accuracy_table, read_records
    from runtime.grade.rules import is_readable

    records = list(itertools.chain.from_iterable(map(read_records, args.grade)))
    table = accuracy_table(records, strict=args.strict)
    unread = sorted({record.gold for record in records if not args.strict and not is_readable(record.gold)})
    if unread:
        listed = "; ".join(gold[:60] for gold in unread[:5]) + (f"; and {len(unread) - 5} more" if unread[5:] else "")
        say(f"golds that cannot be read, and were compared as text alone: {len(unread)} ({listed})")
    if args.json:
        print(json.dumps(table, indent=2))
        return 0
    from runtime.show.console import make_console

    body = [
        [name, str(row["n"]), str(row["correct"]), "-" if row["accuracy"] is None else f"{row['accuracy']:.2f}"]
        for name, row in table.items()
    ]
    shown = Sheet("Accuracy" if args.report else "", ["set", "n", "correct", "accuracy"], body)
    if args.report:
        print(written([shown], args.report), end="")
    else:
        make_console().print(shown.rich())
    return 0


def _compare(args: argparse.Namespace) -> int:
    from runtime.evaluate.run import compare_files
    from runtime.show.console import make_console

    console = None if args.json or args.report else make_console()
    outcome = compare_files(args.compare, strict=args.strict, console=console)
    if args.json:
        print(json.dumps(outcome, indent=2, default=str))
    elif args.report:
        from runtime.evaluate.compare import as_sheets

        print(written(as_sheets(outcome), args.report), end="")
    return 0


def _inspect(args: argparse.Namespace) -> int:
    from runtime.evaluate.run import inspect_file
    from runtime.show.console import make_console
    from runtime.show.panels import is_interactive

    ask = None
    if is_interactive() and not args.json:

        def ask() -> str:
            try:
                return input("Enter: the next; q: enough ")
            except EOFError:
                return "q"

    console = make_console(stderr=args.json, file=None)
    if args.json:
        console.quiet = True
    shown = inspect_file(args.inspect, console=console, show=args.show, limit=args.limit, ask=ask)
    if args.json:
        print(json.dumps(shown, indent=2, default=str))
    elif not shown:
        print(f"nothing to show: no attempt is {args.show}", file=sys.stderr)
    return 0

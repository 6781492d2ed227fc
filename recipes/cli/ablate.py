"""`mathcoder ablate`: what each part of a row and its training is worth, as one experiment."""

from __future__ import annotations

import argparse
import json
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from recipes.cli.command import Parser, positive_int, require_training
from runtime.errors import InputError

if TYPE_CHECKING:
    from recipes.ablate.study import Study
    from recipes.schema import Recipe
    from runtime.evaluate.question_sets import QuestionSet

NANO_QUESTIONS = 200
"""Held-out problems of each kind that a study of the nano recipe asks unless --data names sets."""


def parser() -> Parser:
    """Arguments of `mathcoder ablate`."""
    from recipes.cli.train import OVERRIDES_HELP, RECIPE_HELP

    result = Parser(
        "ablate",
        "Train and evaluate variants of a recipe, each with one part taken away, and compare them.",
        details="""\
Variants: lce, execution-loss, text-only, code-only, no-interpolated, imagined, no-text, rows-N
(percent of the rows), rank-N. The rows of each are derived from the recipe's own by
rules that docs/ablation.md states. All are trained for equal steps, the five main ones for equal
supervised tokens too, and solve the same questions, each in its own mode.

DIR ends with table.json, .md, .tex, .csv and ablation.png, .svg: accuracy with intervals, paired
differences to lce (clustered by question and by seed), cost. A call that was stopped, at any stage,
goes on when it is given again. --plan says hours and disk, and starts nothing.""",
        examples=[
            ("mathcoder ablate nano --out runs/ablation --plan", "what it would take"),
            ("mathcoder ablate nano --out runs/ablation", "all variants, one seed"),
            ("mathcoder ablate nano --variants lce,text-only,code-only --seeds 3 --out a", "three, with intervals"),
            ("mathcoder ablate smollm2-135m --rows rows.jsonl --data svamp --limit 300 --out b", "a real base"),
        ],
        see_also=["train", "eval", "plan"],
    )
    result.add_argument("recipe", metavar="RECIPE", help=RECIPE_HELP)
    result.add_argument("overrides", nargs="*", metavar="key=value", help=OVERRIDES_HELP)
    result.add_argument("--rows", metavar="SRC", help="rows to train on instead of the recipe's")
    result.add_argument("--variants", metavar="A,B", help="variants, separated by commas (default: all that can be)")
    result.add_argument("--seeds", type=positive_int, default=1, metavar="N", help="trainings of each, seeds 1 to N")
    result.add_argument(
        "--budget", choices=("steps", "tokens", "both"), default="both", help="what is equal among the variants"
    )
    result.add_argument(
        "--original", type=Path, nargs="+", default=[], metavar="FILE",
        help=".jsonl files with the questions that are not interpolated",
    )  # fmt: skip
    result.add_argument("--data", metavar="A,B", help="question sets, as `mathcoder eval` takes them")
    result.add_argument("--questions", type=Path, metavar="DIR", help="folder of NAME.jsonl files of named sets")
    result.add_argument("--limit", type=positive_int, metavar="N", help="questions of each set, drawn by seed 1")
    result.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder of the study")
    result.add_argument("--plan", action="store_true", help="say what is left to do, hours and disk, and stop")
    result.add_argument("--keep", action="store_true", help="keep checkpoints and GGUF files of every training")
    result.add_argument("--slots", type=positive_int, default=8, metavar="N", help="solutions written together")
    result.add_argument("--threads", type=positive_int, metavar="N", help="threads for decoding")
    result.add_argument(
        "--jobs", type=positive_int, default=1, metavar="N",
        help="trainings at a time, each with its share of the cores (default 1)",
    )  # fmt: skip
    result.add_argument("--n-ctx", type=positive_int, metavar="N", help="tokens of context for all slots together")
    result.add_argument("--json", action="store_true", help="print the table (or the plan) as JSON")
    return result


def run(args: argparse.Namespace) -> int:
    """Plan, or do what is missing and print the table."""
    from recipes.schema import load_recipe

    recipe = load_recipe(args.recipe, args.overrides, data=args.rows)
    require_training("ablate")
    from runtime.show.console import make_console

    screen = make_console(stderr=True)
    study, absent = _study(args, recipe)
    from recipes.ablate.plan import estimate, lines_of, refuse_small_disk
    from recipes.ablate.variants import LCE
    from runtime.evaluate.run import tell_of_sets

    tell_of_sets(study.sets, absent, screen)
    if all(cell.variant != LCE for cell in study.cells):
        screen.print(f"{LCE.name} is not among the variants, so that no differences to it are shown")
    found = estimate(study, keep=args.keep, measure=args.plan, jobs=args.jobs)
    if args.plan:
        if args.json:
            print(json.dumps({**found.as_dict(), "rows": study.rows}, indent=2))
        else:
            for name, text in lines_of(study, found):
                make_console().print(f"{name:<10}{text}", markup=False, highlight=False)
        return 0 if found.free >= found.disk else 1
    refuse_small_disk(found, args.out)
    from recipes.ablate.jobs import run_jobs
    from recipes.ablate.stages import Options, run_stages
    from recipes.ablate.study import open_folder
    from recipes.ablate.table import write_all
    from runtime.files import locked

    args.out.mkdir(parents=True, exist_ok=True)
    busy = InputError(f"another ablation is at work in {args.out}", "nothing was started", "wait for it")
    with locked(args.out / ".lock", busy):
        open_folder(study)
        _check_base(recipe, study)
        options = Options(args.slots, args.threads, args.n_ctx, args.keep)
        after = partial(write_all, study)
        try:
            if args.jobs > 1:
                errors = run_jobs(study, options, args.jobs, screen, after)
            else:
                errors = run_stages(study, options, screen, after)
        except KeyboardInterrupt:
            screen.print("Stopped, saved. The same command goes on from there.")
            return 130
        entries = write_all(study, None if args.json else make_console())
    if args.json:
        print(json.dumps({"entries": entries}, indent=2))
    if errors:
        screen.print(f"{errors} solutions ended in an error of this machine; the same command tries them again")
    return 1 if errors else 0


def _study(args: argparse.Namespace, recipe: Recipe) -> tuple[Study, dict[str, str]]:
    """The study, and the sets of `all-short` that are not at hand, with why."""
    from recipes.ablate.study import Budget, design
    from recipes.ablate.variants import DEFAULT, variant_of

    names = [name for name in (args.variants or ",".join(DEFAULT)).split(",") if name.strip()]
    if not args.variants and not args.original:
        names.remove("no-interpolated")  # Nobody said which rows are.
    variants = [variant_of(name) for name in names]
    if not variants:
        raise InputError("no variant was named", "nothing was started", "name some, e.g. --variants lce,text-only")
    for path in args.original:
        if not path.is_file():
            raise InputError(f"there is no file {path}", "nothing was started", "check --original")
    budgets: list[Budget] = ["steps", "tokens"] if args.budget == "both" else [args.budget]
    sets, absent = _sets(args, recipe)
    return (
        design(
            recipe,
            variants,
            sets=sets,
            seeds=args.seeds,
            budgets=budgets,
            folder=args.out,
            originals=args.original,
        ),
        absent,
    )


def _sets(args: argparse.Namespace, recipe: Recipe) -> tuple[list[QuestionSet], dict[str, str]]:
    from recipes.schema import NANO
    from runtime.evaluate.question_sets import load_sets

    if args.data:
        specs = [name.strip() for name in args.data.split(",") if name.strip()]
        return load_sets(specs, limit=args.limit, folder=args.questions)
    if recipe.base == NANO and recipe.data.source == NANO:
        from recipes.ablate.nano import held_out_sets

        return held_out_sets(args.limit or NANO_QUESTIONS), {}
    raise InputError("--data is missing", "nothing was started", "name question sets, e.g. --data svamp")


def _check_base(recipe: Recipe, study: Study) -> None:
    from recipes.schema import gguf_path, is_gguf

    if is_gguf(recipe.base):
        from recipes.gguf_check import check_base
        from runtime.show.console import make_console

        check_base(gguf_path(recipe.base), Path(study.qlora.base), make_console(stderr=True))

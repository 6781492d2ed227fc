"""`mathcoder train`: a recipe becomes a run folder."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Sequence
from pathlib import Path
from textwrap import fill
from typing import TYPE_CHECKING, Any

from recipes.cli.command import Parser, require_training
from runtime.errors import MathCoderError

if TYPE_CHECKING:
    from recipes.schema import Recipe

RECIPE_HELP = "a YAML file, or the name of a packaged recipe (nano, mathcoder-cl-7b, ...)"
DATA_HELP = "rows: a .jsonl, .jsonl.gz or .parquet file, a folder or a hub id"
OVERRIDES_HELP = "settings that replace the recipe's, e.g. train.epochs=2 or, where only one section has it, epochs=2"


def parser() -> Parser:
    """Arguments of `mathcoder train`."""
    from recipes.places import trainable

    result = Parser(
        "train",
        "Fine-tune a base model with QLoRA by a recipe.",
        details=f"""\
A run that was stopped, by Ctrl-C, a kill or a power cut, goes on where it was when the same command is
given again. The run folder holds the adapter, the tokenizer, the recipe, the log and run.json.

On N GPUs: torchrun --nproc-per-node N -m recipes train RECIPE (or accelerate launch --multi_gpu
--num_processes N -m recipes train RECIPE). Each step is shared, and what is learned is the same. With
train.fsdp=true (or accelerate launch --use_fsdp) each GPU also holds only a part of the base.

{fill(f"Packaged recipes: {', '.join(trainable())}.", 100, break_on_hyphens=False)}""",
        examples=[
            ("mathcoder train nano", "the embedded base, on any machine"),
            ("mathcoder train nano train.sample_every=50", "pass@1 on held-out rows every 50 steps, code executed"),
            ("mathcoder train nano --data rows.jsonl train.epochs=1", "the same base on rows of your own"),
            ("mathcoder train mathcoder-cl-7b", "MathCoder-CL 7B on MathCodeInstruct; wants a GPU and a network"),
            ("mathcoder train my.yaml --out runs/mine lora.r=32", "a recipe of your own"),
        ],
        see_also=["plan", "data", "export"],
    )
    add_recipe_arguments(result)
    result.add_argument("--keys", action=PrintKeys, help="print every key of a recipe with its default, and stop")
    result.add_argument("--out", type=Path, metavar="DIR", help="run folder (default runs/NAME-HASH8, by the settings)")
    result.add_argument("--fresh", action="store_true", help="start over where the folder holds a run already")
    result.add_argument("--json", action="store_true", help="print a summary of the run as JSON on standard output")
    return result


class PrintKeys(argparse.Action):
    """Prints what a recipe may say; like `--help` it needs no RECIPE."""

    def __init__(self, option_strings: Sequence[str], dest: str, help: str | None = None) -> None:
        super().__init__(option_strings, dest, nargs=0, default=argparse.SUPPRESS, help=help)

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> None:
        """Print, and end the command."""
        from recipes.keys import as_text

        print(as_text())
        parser.exit()


def add_recipe_arguments(parser: Parser, *, data: str = DATA_HELP) -> None:
    """RECIPE, `--data` and `key=value`, as `train`, `plan` and `reinforce` take them."""
    parser.add_argument("recipe", metavar="RECIPE", help=RECIPE_HELP)
    parser.add_argument("overrides", nargs="*", metavar="key=value", help=OVERRIDES_HELP)
    parser.add_argument("--data", metavar="SRC", help=data)


def recipe_of(args: argparse.Namespace) -> Recipe:
    """The recipe that the arguments describe.

    Raises:
        RecipeError: with every mistake in it.
    """
    from recipes.schema import load_recipe

    return load_recipe(args.recipe, args.overrides, data=args.data)


def run(args: argparse.Namespace) -> int:
    """Train; exit code 130 where it was interrupted.

    Of several processes that fail together one says why.
    """
    from qlora.processes import speaks_for_all

    try:
        return _run(args)
    except MathCoderError as error:
        if speaks_for_all():
            raise
        return error.exit_code


def _run(args: argparse.Namespace) -> int:
    import yaml

    from recipes.schema import gguf_path, is_gguf
    from runtime.files import write_text

    recipe = recipe_of(args)
    require_training("train")
    # Progress goes to standard error: standard output is for the summary.
    from runtime.show.console import make_console

    console = make_console(stderr=True)
    out = args.out or recipe.run_folder
    settings = recipe.qlora()
    if is_gguf(recipe.base):
        from recipes.gguf_check import check_base

        check_base(gguf_path(recipe.base), Path(settings.base), console)
    from qlora.train import train

    sample = None
    if settings.train.sample_every:
        from recipes.sampling import HeldOutSample

        sample = HeldOutSample(recipe.train, recipe.solve, recipe.sandbox, out, console)
        sample.check()
    summary = train(settings, out, console=console, fresh=args.fresh, on_sample=sample)
    if os.environ.get("RANK", "0") != "0":
        # One of several processes of a launcher (torchrun, accelerate): the first one writes and talks.
        return 0 if summary.status == "finished" else 130
    if console.is_terminal:
        from qlora.plots import show_run
        from qlora.runfolder import RunFolder

        show_run(RunFolder(out).log(), console)
    # The whole recipe, so that `export` and `solve` find their sections too; training itself writes its own part.
    write_text(out / "recipe.yaml", yaml.safe_dump(recipe.model_dump(mode="json"), sort_keys=False, allow_unicode=True))
    if args.json:
        print(json.dumps(summary.as_dict(), indent=2))
    if summary.status != "finished":
        console.print(f"Stopped at step {summary.steps} of {summary.total_steps}. The same command goes on from there.")
        return 130
    from qlora.tokens import unlearned

    if warning := unlearned(summary.last_loss.get("control")):
        console.print(f"Warning: {warning}", style="yellow", highlight=False, soft_wrap=True)
    quant = ",".join(recipe.export.quant)
    console.print(
        f"Next: [bold]mathcoder export {out} --quant {quant}[/]", highlight=False, soft_wrap=not console.is_terminal
    )
    return 0

"""`mathcoder plan`: what a training run will need, before it is started."""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING

from recipes.cli.command import Parser, require_training
from recipes.cli.train import add_recipe_arguments, recipe_of

if TYPE_CHECKING:
    from qlora.plan import Plan


def parser() -> Parser:
    """Arguments of `mathcoder plan`."""
    result = Parser(
        "plan",
        "Say what a training run will need, before anything is spent.",
        details="""\
Rows, tokens of each kind, rows over the context (listed), steps, trainable parameters, memory part by part and
whether it fits this GPU, with the change that would make it fit. Nothing larger than a tokenizer is loaded,
except with --measure, which times one step for the hours. The recipe is checked as a whole, so this is also
the way to validate one. The exit code is 1 where the run does not fit.""",
        examples=[
            ("mathcoder plan nano", "the embedded recipe"),
            ("mathcoder plan mathcoder-cl-7b train.context=4096", "with a longer context"),
            ("mathcoder plan my.yaml --measure", "with the hours it will take"),
        ],
        see_also=["train", "data"],
    )
    add_recipe_arguments(result)
    result.add_argument("--measure", action="store_true", help="load the base and time one step")
    result.add_argument("--json", action="store_true", help="print the plan as JSON")
    return result


def run(args: argparse.Namespace) -> int:
    """Plan and print."""
    require_training("plan")
    from qlora.devices import announce_gpus
    from qlora.plan import plan
    from runtime.show.console import make_console

    recipe = recipe_of(args)
    screen = make_console(stderr=True)  # standard output is for the plan
    announce_gpus(None, 1, lambda text: screen.print(text, style="yellow", markup=False))
    found = plan(recipe.qlora(), measure=args.measure)
    if args.json:
        print(json.dumps({**found.as_dict(), "run_folder": str(recipe.run_folder)}, indent=2))
    else:
        _show(found, str(recipe.run_folder))
    return 1 if found.fits is False else 0


def _show(found: Plan, folder: str) -> None:
    from rich.table import Table
    from rich.text import Text

    from runtime.show.console import make_console

    console = make_console()
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="note", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in lines_of(found, folder):
        table.add_row(name, Text(value))
    console.print(table)
    for row in found.too_long[:10]:
        console.print(Text(f"over the context: {row['row']} ({row['tokens']:,} tokens)", style="warning"))
    if len(found.too_long) > 10:
        console.print(Text(f"and {len(found.too_long) - 10:,} more", style="warning"))
    if found.advice:
        console.print(Text(found.advice, style="warning"))


def lines_of(found: Plan, folder: str) -> list[tuple[str, str]]:
    """The plan as (name, text), in the order in which a person asks."""
    total = sum(found.tokens.values())
    kinds = ", ".join(f"{kind} {count:,}" for kind, count in found.tokens.items())
    parts = ", ".join(f"{part} {_gigabytes(size)}" for part, size in found.memory.items() if part != "total" and size)
    fits = {True: "fits this GPU", False: "does not fit this GPU", None: "no GPU here to hold it against"}[found.fits]
    if found.device_memory is not None:
        fits += f" ({_gigabytes(found.device_memory)})"
    lines = [
        ("base", f"{found.base}, backend {found.backend}, on {found.device}"),
        ("rows", f"{found.rows:,} to train on, {found.held_out:,} held out, {found.bad:,} bad, "
                 f"{len(found.too_long):,} over the context"),
        ("tokens", f"{total:,} in an epoch ({kinds}); {found.supervised:,} carry loss"),
        ("steps", f"{found.steps:,}, each of {found.micro_batches:.1f} micro-batches of up to {found.micro_tokens:,} "
                  f"tokens, {found.fill:.0%} full"),
        ("trained", f"{found.lora_parameters:,} adapter parameters, {found.token_parameters:,} in token rows"),
        ("memory", f"{_gigabytes(found.memory['total'])} at the peak: {parts}"),
        ("", fits),
        ("disk", f"{_gigabytes(found.disk)} in {folder}"),
    ]  # fmt: skip
    if found.hours is not None and found.seconds_per_step is not None:
        lines.append(("time", f"{found.hours:.1f} hours ({found.seconds_per_step:.2f} s a step, measured)"))
    else:
        lines.append(("time", "not measured; --measure times one step"))
    return lines


def _gigabytes(size: int) -> str:
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.0f} MB"

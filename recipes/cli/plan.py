"""`mathcoder plan`: what a training run will need, before it is started."""

from __future__ import annotations

import argparse
import json
import re
from dataclasses import asdict
from typing import TYPE_CHECKING

from recipes.cli.command import Parser, require_training, show_facts
from recipes.cli.train import add_recipe_arguments, recipe_of
from runtime.errors import InputError
from runtime.text import size_text

if TYPE_CHECKING:
    from rich.console import Console

    from qlora.cards import CardPlan
    from qlora.plan import Plan


def parser() -> Parser:
    """Arguments of `mathcoder plan`."""
    result = Parser(
        "plan",
        "Say what a training run will need, before anything is spent.",
        details="""\
Rows, tokens of each kind, rows over the context (listed), steps, trainable parameters, memory part by part and
whether it fits this GPU, with the change that would make it fit; and what GPUs of 8, 12, 16 and 24 GB would do.
Nothing larger than a tokenizer is loaded, except with --measure, which times one step for the hours. The recipe
is checked as a whole, so this is also the way to validate one. The exit code is 1 where the run does not fit.

With --gpu SIZE it answers for a GPU that need not be here, without rows; for the bases of the packaged recipes
without a network.""",
        examples=[
            ("mathcoder plan nano", "the embedded recipe"),
            ("mathcoder plan qwen3-4b --gpu 8GB", "does it fit the GPU I have at home?"),
            ("mathcoder plan mathcoder-cl-7b train.context=4096", "with a longer context"),
            ("mathcoder plan my.yaml --measure", "with the hours it will take"),
        ],
        see_also=["train", "data"],
    )
    add_recipe_arguments(result)
    what = result.add_mutually_exclusive_group()
    what.add_argument("--gpu", metavar="SIZE", help="a GPU with this much memory, e.g. 8GB, in place of the one here")
    what.add_argument("--measure", action="store_true", help="load the base and time one step")
    result.add_argument("--json", action="store_true", help="print the plan as JSON")
    return result


def run(args: argparse.Namespace) -> int:
    """Plan and print."""
    recipe = recipe_of(args)
    if args.gpu is not None:
        from qlora.cards import plan_for_card
        from qlora.settings import QloraSettings
        from recipes.schema import base_path

        size = bytes_of(args.gpu)
        # The base alone: with the data `nano` all rows would be made first, and none of them is asked for.
        settings = QloraSettings(
            name=recipe.name,
            base=base_path(recipe.base),
            dialect=recipe.dialect,
            data=recipe.data,
            train=recipe.train,
            lora=recipe.lora,
        )
        card = plan_for_card(settings, size)
        if args.json:
            print(json.dumps({"name": recipe.name, "base": recipe.base, **asdict(card)}, indent=2))
        else:
            _print_lines([("base", recipe.base), *lines_of_card(card)], card.advice)
        return 0 if card.fits else 1
    require_training("plan")
    from qlora.devices import announce_gpus
    from qlora.plan import plan
    from runtime.show.console import make_console

    screen = make_console(stderr=True)  # standard output is for the plan
    announce_gpus(None, 1, lambda text: screen.print(text, style="yellow", markup=False))
    found = plan(recipe.qlora(), measure=args.measure)
    if args.json:
        print(json.dumps({**found.as_dict(), "run_folder": str(recipe.run_folder)}, indent=2))
    else:
        _show(found, str(recipe.run_folder))
    return 1 if found.fits is False else 0


def bytes_of(size: str) -> int:
    """Bytes of a size like `8GB`, `8`, `7.5 GiB` or `24000MB`; a bare number is in GB.

    Raises:
        InputError: it is not such a size.
    """
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*(?:([GM])(i?)B?)?\s*", size, re.IGNORECASE)
    if match is None or float(match[1]) == 0:
        raise InputError(f"--gpu {size!r} is not a size of memory", "nothing was planned", "write e.g. --gpu 8GB")
    power = 3 if (match[2] or "G").upper() == "G" else 2
    return int(float(match[1]) * (1024 if match[3] else 1000) ** power)


def _show(found: Plan, folder: str) -> None:
    from rich.text import Text

    console = _print_lines(lines_of(found, folder))
    for row in found.too_long[:10]:
        console.print(Text(f"over the context: {row['row']} ({row['tokens']:,} tokens)", style="warning"))
    if len(found.too_long) > 10:
        console.print(Text(f"and {len(found.too_long) - 10:,} more", style="warning"))
    if found.advice:
        console.print(Text(found.advice, style="warning"))


def _print_lines(lines: list[tuple[str, str]], advice: str = "") -> Console:
    from rich.text import Text

    from runtime.show.console import make_console

    console = make_console()
    show_facts(lines, console)
    if advice:
        console.print(Text(advice, style="warning"))
    return console


def lines_of_card(card: CardPlan) -> list[tuple[str, str]]:
    """What one GPU would do as (name, text)."""
    return [
        ("GPU", f"{size_text(card.available)} free"),
        ("layout", f"{_layout(card)}, rows as long as the context"),
        ("memory", f"{size_text(card.memory['total'])} at the peak: {_parts(card.memory)}"),
        ("", "fits" if card.fits else "does not fit"),
    ]


def lines_of(found: Plan, folder: str) -> list[tuple[str, str]]:
    """The plan as (name, text), in the order in which a person asks."""
    total = sum(found.tokens.values())
    kinds = ", ".join(f"{kind} {count:,}" for kind, count in found.tokens.items())
    fits = {True: "fits this GPU", False: "does not fit this GPU", None: "no GPU here to hold it against"}[found.fits]
    if found.device_memory is not None:
        fits += f" ({size_text(found.device_memory)})"
    lines = [
        ("base", f"{found.base}, backend {found.backend}, on {found.device}"),
        ("rows", f"{found.rows:,} to train on, {found.held_out:,} held out, {found.bad:,} bad, "
                 f"{len(found.too_long):,} over the context"),
        ("tokens", f"{total:,} in an epoch ({kinds}); {found.supervised:,} carry loss"),
        ("steps", f"{found.steps:,}, each of {found.micro_batches:.1f} micro-batches of up to {found.micro_tokens:,} "
                  f"tokens, {found.fill:.0%} full; {found.checkpoint_layers} layers checkpointed"),
        ("trained", f"{found.lora_parameters:,} adapter parameters, {found.token_parameters:,} in token rows"),
        ("memory", f"{size_text(found.memory['total'])} at the peak: {_parts(found.memory)}"),
        ("", fits),
        *((f"{card.available / 1e9:.0f} GB GPU", _verdict(card)) for card in found.cards),
        ("disk", f"{size_text(found.disk)} in {folder}"),
    ]  # fmt: skip
    if found.hours is not None and found.seconds_per_step is not None:
        lines.append(("time", f"{found.hours:.1f} hours ({found.seconds_per_step:.2f} s a step, measured)"))
    else:
        lines.append(("time", "not measured; --measure times one step"))
    return lines


def _parts(memory: dict[str, int]) -> str:
    return ", ".join(f"{part} {size_text(size)}" for part, size in memory.items() if part != "total" and size)


def _layout(card: CardPlan) -> str:
    checkpointed = {0: "no layer", card.layers: "all layers"}.get(
        card.checkpoint_layers, f"{card.checkpoint_layers} of {card.layers} layers"
    )
    return f"{card.micro_tokens:,} tokens a pass, {checkpointed} checkpointed"


def _verdict(card: CardPlan) -> str:
    return _layout(card) if card.fits else f"does not fit; {card.advice}"

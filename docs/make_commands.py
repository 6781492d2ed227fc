"""Print docs/commands.md from the parsers: `python docs/make_commands.py > docs/commands.md`.

A test says when the page is out of date.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator

from recipes.cli.command import Parser
from recipes.cli.verbs import VERBS, action_module, verb_module

HEAD = """\
# Verbs and their options

Made from the parsers themselves, by `python docs/make_commands.py > docs/commands.md`. `mathcoder VERB --help` prints
the same with examples. Keys of a recipe, which `train` and `plan` take as `key=value`, are on [their own
page](recipe-keys.md)."""


def parsers() -> Iterator[Parser]:
    """The parser of every verb, and of every action of a verb that has some."""
    for verb in VERBS:
        module = verb_module(verb)
        yield module.parser()
        for action in getattr(module, "ACTIONS", ()):
            yield action_module(verb, action).parser()


def page() -> str:
    """The whole page."""
    return "\n".join([HEAD, *(line for parser in parsers() for line in section(parser))]) + "\n"


def section(parser: Parser) -> list[str]:
    """What one verb or action does, and a table of what it takes."""
    summary = (parser.description or "").split("\n\n")[0]
    rows = [action for action in parser._actions if action.dest != "help"]
    lines = ["", f"## `{parser.prog}`", "", summary]
    if rows:
        lines += ["", "| argument | meaning |", "|---|---|"]
        lines += [f"| {called(action)} | {meaning(action)} |" for action in rows]
    return lines


def called(action: argparse.Action) -> str:
    """How an argument is written."""
    value = action.metavar or ("{" + ",".join(map(str, action.choices)) + "}" if action.choices else "")
    names = ", ".join(action.option_strings)
    return "`" + cell(" ".join(part for part in (names, value if action.nargs != 0 else "") if part)) + "`"


def meaning(action: argparse.Action) -> str:
    """What an argument does, with its default where it has one that says something."""
    text = action.help or ""
    if action.metavar and action.choices:
        text += f": {', '.join(map(str, action.choices))}" if str(next(iter(action.choices))) not in text else ""
    if action.option_strings and action.default not in (None, False, argparse.SUPPRESS, []) and "default" not in text:
        text += f" (default {action.default})"
    return cell(text)


def cell(text: str) -> str:
    """`text` for a cell of a Markdown table."""
    return " ".join(text.replace("|", r"\|").split())


if __name__ == "__main__":
    print(page(), end="")

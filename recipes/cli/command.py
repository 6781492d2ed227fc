"""What the verbs share: a parser whose help reads like a manual page and whose errors are one line."""

from __future__ import annotations

import argparse
import difflib
import os
import re
import sys
from collections.abc import Iterable, Sequence
from typing import IO, NoReturn

from runtime.errors import InputError

_CODES = {"bold": "1", "red": "31", "dim": "2"}


def wants_colour(stream: IO[str]) -> bool:
    """Whether escape codes belong on `stream`: a terminal that can, and nobody asked for none (no-color.org)."""
    return (
        not os.environ.get("NO_COLOR")
        and os.environ.get("TERM") != "dumb"
        and getattr(stream, "isatty", lambda: False)()
    )


def paint(text: str, style: str, colour: bool) -> str:
    """`text` in `style` (bold, red, dim) where `colour` is on."""
    return f"\x1b[{_CODES[style]}m{text}\x1b[0m" if colour else text


def nearest(word: str, known: Iterable[str], template: str = "Did you mean {}?") -> str:
    """A suggestion for a mistyped `word`, or an empty string."""
    found = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return template.format(found[0]) if found else ""


class _Formatter(argparse.RawDescriptionHelpFormatter):
    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=30, width=min(_columns(), 100))

    def _get_help_string(self, action: argparse.Action) -> str | None:
        text = action.help or ""
        if action.default in (None, False, argparse.SUPPRESS, [], ()) or "default" in text or not action.option_strings:
            return text
        return f"{text} (default %(default)s)"


def _columns() -> int:
    try:
        return max(40, int(os.environ.get("COLUMNS", "")) or os.get_terminal_size(sys.stdout.fileno()).columns)
    except (ValueError, OSError):
        return 100


class Parser(argparse.ArgumentParser):
    """An argument parser for one verb.

    Args:
        verb: what follows `mathcoder` (`solve`, `data show`).
        summary: one sentence.
        details: paragraphs that follow it, already wrapped.
        examples: (command line, what it does) pairs.
        see_also: other verbs.
    """

    def __init__(
        self,
        verb: str,
        summary: str,
        *,
        details: str = "",
        examples: Sequence[tuple[str, str]] = (),
        see_also: Sequence[str] = (),
        usage: str | None = None,
    ) -> None:
        description = summary if not details else f"{summary}\n\n{details.strip()}"
        epilog = []
        if examples:
            lines = "\n".join(f"  {command}\n      {meaning}" for command, meaning in examples)
            epilog.append(f"examples:\n{lines}")
        epilog.append("exit codes:\n  0 done, 1 the work failed, 2 the call was wrong, 130 interrupted")
        if see_also:
            epilog.append("see also:\n  " + ", ".join(f"mathcoder {name} --help" for name in see_also))
        super().__init__(
            prog=f"mathcoder {verb}",
            usage=usage,
            description=description,
            epilog="\n\n".join(epilog),
            formatter_class=_Formatter,
            add_help=False,
            allow_abbrev=False,
        )
        self.verb = verb
        self.add_argument("-h", "--help", action="store_true", help="show this text")

    def read(self, words: Sequence[str]) -> argparse.Namespace | None:
        """The arguments, or None where help was asked for and has been printed."""
        flags = list(words[: list(words).index("--")] if "--" in words else words)
        # Before parsing: `mathcoder solve --help` must not complain that MODEL is missing.
        if "-h" in flags or "--help" in flags:
            print(self.format_help(), end="")
            return None
        # Intermixed, so that `train nano --out runs/x train.epochs=2` finds its overrides behind an option.
        return self.parse_intermixed_args(list(words))

    def format_help(self) -> str:
        """The manual page, with its headings bold on a terminal."""
        text = super().format_help()
        return re.sub(
            r"^[a-z][a-z -]*:$", lambda m: paint(m.group(), "bold", wants_colour(sys.stdout)), text, flags=re.M
        )

    def error(self, message: str) -> NoReturn:
        """Raise the call's mistake as InputError (argparse would print usage and exit)."""
        unknown = re.match(r"unrecognized arguments: (\S+)", message)
        hint = ""
        if unknown:
            hint = nearest(unknown.group(1).split("=")[0], self._option_string_actions)
        raise InputError(message, "", f"{hint} See `mathcoder {self.verb} --help`".strip())


def positive_int(text: str) -> int:
    """An argument type: a whole number above zero."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} is not above zero")
    return value


def say(message: str, *, style: str = "dim") -> None:
    """One line of progress on standard error."""
    print(paint(message, style, wants_colour(sys.stderr)), file=sys.stderr, flush=True)

"""What the verbs share: a parser whose help reads like a manual page and whose errors are one line."""

from __future__ import annotations

import argparse
import importlib.util
import os
import re
import sys
import textwrap
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import IO, TYPE_CHECKING, NoReturn

from runtime.errors import InputError
from runtime.text import did_you_mean, for_screen

if TYPE_CHECKING:
    from rich.console import Console

_CODES = {"bold": "1", "red": "31", "dim": "2"}


def wants_colour(stream: IO[str]) -> bool:
    """Whether escape codes belong on `stream`: a capable terminal, and no NO_COLOR (no-color.org)."""
    return (
        not os.environ.get("NO_COLOR")
        and os.environ.get("TERM") != "dumb"
        and getattr(stream, "isatty", lambda: False)()
    )


def paint(text: str, style: str, colour: bool) -> str:
    """`text` in `style` (bold, red, dim) where `colour` is on."""
    return f"\x1b[{_CODES[style]}m{text}\x1b[0m" if colour else text


class _Formatter(argparse.RawDescriptionHelpFormatter):
    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=30, width=help_width())

    def _fill_text(self, text: str, width: int, indent: str) -> str:  # noqa: ARG002
        return filled(text, width)

    def _get_help_string(self, action: argparse.Action) -> str | None:
        text = action.help or ""
        if action.default in (None, False, argparse.SUPPRESS, [], ()) or "default" in text or not action.option_strings:
            return text
        return f"{text} (default %(default)s)"


def filled(text: str, width: int) -> str:
    """`text` in at most `width` columns: paragraphs are filled, lists and examples broken by line."""
    result = []
    for paragraph in text.split("\n\n"):
        lines = paragraph.split("\n")
        if any(line.startswith(" ") for line in lines):
            result.append("\n".join(piece for line in lines for piece in _broken(line, width)))
        else:
            result.append(textwrap.fill(" ".join(lines), width, break_on_hyphens=False))
    return "\n\n".join(result)


def _broken(line: str, width: int) -> list[str]:
    """One line of a list: what does not fit goes on below its second column, a command behind a backslash."""
    if len(line) <= width:
        return [line]
    margin = len(line) - len(line.lstrip())
    table = re.match(r" *\S+(?: \S+)* {2,}", line)
    if table is None and line.lstrip().startswith("mathcoder "):
        pieces = textwrap.wrap(
            line, width - 2, subsequent_indent=" " * (margin + 4), break_on_hyphens=False, break_long_words=False
        )
        return [f"{piece} \\" for piece in pieces[:-1]] + pieces[-1:]
    first, hang = "", margin
    if table is not None and table.end() <= width // 2:
        hang = table.end()
    elif table is not None:  # the second column begins too far to the right: it gets lines of its own
        first, line, hang = line[: table.end()].rstrip(), " " * (margin + 4) + line[table.end() :], margin + 4
    pieces = textwrap.wrap(line, width, subsequent_indent=" " * hang, break_on_hyphens=False, break_long_words=False)
    return [first, *pieces] if first else pieces


def help_width(stream: IO[str] | None = None) -> int:
    """Columns of texts on `stream` (standard output): those of the terminal, from 40 to 100."""
    named = os.environ.get("COLUMNS", "")
    try:
        columns = int(named) if named.isdigit() else os.get_terminal_size((stream or sys.stdout).fileno()).columns
    except (ValueError, OSError):
        return 100
    return min(100, max(40, columns))


class Parser(argparse.ArgumentParser):
    """An argument parser for one verb.

    Args:
        verb: what follows `mathcoder` (`solve`, `data show`).
        summary: one sentence.
        details: paragraphs that follow it; they are filled, save for those with indented lines.
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
        self._positionals.title = "arguments"
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
            hint = did_you_mean(unknown.group(1).split("=")[0], self._option_string_actions)
        raise InputError(message, "", f"{hint} See `mathcoder {self.verb} --help`".strip())


def actions_text(actions: Mapping[str, str]) -> str:
    """The actions of a verb, one a line, each with what it does."""
    width = max(map(len, actions)) + 2
    return "\n".join(f"  {name:<{width}}{summary}" for name, summary in actions.items())


TRAINING = frozenset(
    "accelerate bitsandbytes datasets huggingface_hub matplotlib peft plotext pyarrow safetensors sentencepiece "
    "tokenizers torch transformers".split()
)
"""Import names of the `train` extra, which the laptop install leaves out."""


def require_training(verb: str) -> None:
    """Refuse a verb that trains or converts where the libraries for it are not installed, before any work.

    Raises:
        InputError: with the command that installs them.
    """
    for module in ("torch", "transformers"):  # they stand for all
        try:
            found = importlib.util.find_spec(module) is not None
        except ModuleNotFoundError:
            found = False
        if not found:
            raise not_installed(module, f"`mathcoder {verb}` cannot work without it")


def missing_library(error: BaseException) -> InputError | None:
    """What to raise for an `error` that says a library of the `train` extra is not installed."""
    module = (error.name or "").partition(".")[0] if isinstance(error, ModuleNotFoundError) else ""
    return not_installed(module, "This call cannot work without it") if module in TRAINING else None


def not_installed(module: str, consequence: str) -> InputError:
    """What to raise where `module`, a library of the `train` extra, is missing."""
    return InputError(f"{module} is not installed", consequence, 'pip install "mathcoder-toolkit[train]"')


def positive_int(text: str) -> int:
    """An argument type: a whole number above zero."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} is not above zero")
    return value


def show_facts(facts: Iterable[tuple[str, str]], console: Console, *, title: str | None = None) -> None:
    """A table of names and what is to be said about each."""
    from rich.table import Table
    from rich.text import Text

    heading = None if title is None else Text(title)
    table = Table(box=None, show_header=False, pad_edge=False, title=heading, title_justify="left")
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in facts:
        table.add_row(name, Text(value))
    console.print(table)


def say_weaker_tier() -> None:
    """One line where code ran in a weaker sandbox than the strongest, with the reason."""
    from runtime.sandbox import weaker_tier

    if note := weaker_tier():
        say(f"{note}; mathcoder doctor says more")


def say(message: str, *, style: str = "dim") -> None:
    """One line of progress on standard error; what a terminal would act on is taken out of it."""
    show_message(message, style)


class Ticker:
    """A line of progress now and then: every 2 seconds at a terminal, every 20 elsewhere."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._began = self._said = time.monotonic()

    def __call__(self, count: int, total: int | None = None) -> None:
        """`count` are done."""
        now = time.monotonic()
        if now - self._said >= (2 if sys.stderr.isatty() else 20):
            self._said = now
            of = f" of {total:,}" if total else ""
            say(f"{count:,}{of} {self._what}, {60 * count / (now - self._began):,.0f} a minute")


def confirmed(question: str) -> bool:
    """Whether the person at the terminal says yes; Enter and the end of the input mean no."""
    print(f"{for_screen(question)} [y/N] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def show_message(message: str, style: str) -> None:
    """Print on standard error, broken between words at a terminal, without control characters."""
    text = for_screen(message)
    if getattr(sys.stderr, "isatty", lambda: False)():
        width = help_width(sys.stderr)
        lines = (
            textwrap.wrap(line, width, break_long_words=False, break_on_hyphens=False) for line in text.split("\n")
        )
        text = "\n".join("\n".join(pieces) for pieces in lines)
    print(paint(text, style, wants_colour(sys.stderr)), file=sys.stderr, flush=True)

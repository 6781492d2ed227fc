"""Walking through the solutions of a results file at a terminal, the wrong ones first of all."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runtime.evaluate.records import Record, read_records
from runtime.evaluate.report import FAILURES, failure
from runtime.grade.explain import difference

if TYPE_CHECKING:
    from rich.console import Console

SHOW = ("wrong", "right", "all", "lenient", "strict-differs")
"""Which attempts: `lenient` are those only the lenient grader accepts."""


def inspect_file(
    path: str | Path,
    *,
    console: Console | None = None,
    show: str = "wrong",
    limit: int | None = None,
    ask: Callable[[], str] | None = None,
) -> list[dict[str, Any]]:
    """Show attempts one by one with panels for their blocks.

    Args:
        path: any file of `read_records`.
        console: where to show them; None makes one for standard output.
        show: one of SHOW, or a kind of failure (a key of `runtime.evaluate.report.FAILURES`).
        limit: at most this many.
        ask: called between two attempts; an answer beginning with `q` ends the walk. None shows all without asking,
            as in a pipe.

    Returns:
        `{"set", "id", "sample", "answer", "gold", "correct", "failure"}` of each attempt shown.

    Raises:
        InputError: unknown `show`, or a file that cannot be read.
    """
    from runtime.errors import InputError

    if show not in SHOW and show not in FAILURES:
        raise InputError(f"cannot show {show!r}", "nothing was shown", f"it is one of {', '.join((*SHOW, *FAILURES))}")
    from rich.theme import Theme

    from runtime.show.console import STYLES, make_console

    attempts = read_records(path)
    console = console or make_console()
    # A console of the caller's own may not know the styles of our panels.
    with console.use_theme(Theme(STYLES)):
        return _walk(attempts, console, show, limit, ask)


def _walk(
    attempts: list[Record], console: Console, show: str, limit: int | None, ask: Callable[[], str] | None
) -> list[dict[str, Any]]:
    chosen = [attempt for attempt in attempts if _wanted(attempt, show)]
    shown: list[dict[str, Any]] = []
    for number, attempt in enumerate(chosen[:limit], start=1):
        if shown and ask is not None and ask().strip().lower().startswith("q"):
            break
        _print(attempt, console, f"{number}/{len(chosen)}")
        shown.append(
            {
                "set": attempt.set,
                "id": attempt.id,
                "sample": attempt.sample,
                "answer": attempt.answer,
                "gold": attempt.gold,
                "correct": attempt.correct,
                "failure": failure(attempt),
            }
        )
    if not chosen:
        console.print(f"none of {len(attempts)} attempts to show ({show})", highlight=False)
    return shown


def _wanted(attempt: Record, show: str) -> bool:
    if show == "all":
        return True
    if show == "right":
        return attempt.correct
    if show == "wrong":
        return not attempt.correct
    if show == "strict-differs":
        return attempt.correct != attempt.strict
    if show == "lenient":
        return not attempt.correct and attempt.lenient
    return failure(attempt) == show


def _print(attempt: Record, console: Console, position: str) -> None:
    # Everything of an attempt was written by a model or a cell: shown as text, never as markup.
    from rich.rule import Rule
    from rich.text import Text

    from runtime.show.panels import block_renderables

    console.print(Rule(Text(f"{position}  {attempt.set}  {attempt.id}  sample {attempt.sample}")))
    console.print(Text(attempt.question, style="bold"))
    for item in block_renderables(attempt.blocks, console):
        console.print(item)
    for line in _verdict(attempt):
        console.print(line)


def _verdict(attempt: Record) -> Iterator[Any]:
    from rich.text import Text

    style = "green" if attempt.correct else "red"
    given = "no answer" if attempt.answer is None else f"answer {' '.join(attempt.answer.split())}"
    yield Text(f"{given}; gold {attempt.gold}", style=style)
    kind = failure(attempt)
    if kind:
        yield Text(FAILURES[kind], style="dim")
    if attempt.strict != attempt.correct:
        yield Text(f"strict grading differs: {difference(attempt.answer, attempt.gold)}", style="dim")

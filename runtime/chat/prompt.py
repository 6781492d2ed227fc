"""What a person types: a prompt with history and completion, or plain lines without a terminal."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from prompt_toolkit.completion import CompleteEvent, Completer, Completion
    from prompt_toolkit.document import Document
    from prompt_toolkit.history import History

    from runtime.chat.registry import Command

PROMPT = "› "
CONTINUATION = "· "


class LineReader(Protocol):
    """Where questions come from."""

    interactive: bool

    def read(self) -> str:
        """The next input.

        Raises:
            EOFError: there is none (Ctrl-D, end of the file).
            KeyboardInterrupt: Ctrl-C.
        """
        ...


def make_reader(
    commands: Iterable[Command],
    history: Path | None,
    models: Callable[[], list[str]],
    warn: Callable[[str], None],
) -> LineReader:
    """A prompt on a terminal, else plain lines from standard input.

    Args:
        commands: completed after a slash.
        history: file of earlier inputs; None keeps none.
        models: names that `/model` completes.
        warn: told once where the history cannot be kept.
    """
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        return PlainReader(prompt="")
    if os.environ.get("TERM") == "dumb":
        return PlainReader(prompt="> ")
    return PromptReader(commands, history, models, warn)


class PlainReader:
    """Lines from standard input. A line that ends in a backslash goes on in the next."""

    def __init__(self, prompt: str) -> None:
        self.prompt = prompt
        self.interactive = bool(prompt)

    def read(self) -> str:
        """The next input; raises as `LineReader.read` says."""
        lines: list[str] = []
        while True:
            if self.prompt:
                print(self.prompt if not lines else "  ", end="", flush=True)
            line = readable_line()
            if not line:
                if lines:
                    return "\n".join(lines)
                raise EOFError
            line = line.rstrip("\r\n")
            if not line.endswith("\\"):
                return "\n".join([*lines, line])
            lines.append(line[:-1])


def readable_line() -> str:
    """The next line of standard input, empty at its end; what is not UTF-8 becomes U+FFFD."""
    if isinstance(sys.stdin, io.TextIOWrapper):
        return sys.stdin.buffer.readline().decode("utf-8", "replace")
    return sys.stdin.readline()  # a program that uses us has put text there


class PromptReader:
    """A prompt_toolkit prompt: Enter sends, Alt-Enter or Ctrl-J begins a new line.

    So does a backslash at the end of the line; a pasted text of several lines stays one input.
    """

    interactive = True

    def __init__(
        self,
        commands: Iterable[Command],
        history: Path | None,
        models: Callable[[], list[str]],
        warn: Callable[[str], None],
    ) -> None:
        from prompt_toolkit import PromptSession
        from prompt_toolkit.auto_suggest import AutoSuggestFromHistory
        from prompt_toolkit.completion import ThreadedCompleter
        from prompt_toolkit.output.color_depth import ColorDepth

        self._session: Any = PromptSession(
            history=_history(history, warn),
            completer=ThreadedCompleter(command_completer(list(commands), models)),
            complete_while_typing=False,
            auto_suggest=AutoSuggestFromHistory(),
            multiline=True,
            key_bindings=_bindings(),
            prompt_continuation=lambda width, _line, _wrap: " " * (width - len(CONTINUATION)) + CONTINUATION,
            enable_open_in_editor=True,
            color_depth=ColorDepth.DEPTH_1_BIT if os.environ.get("NO_COLOR") else None,
        )

    def read(self) -> str:
        """The next input; raises as `LineReader.read` says."""
        return str(self._session.prompt(PROMPT)).encode("utf-8", "replace").decode("utf-8")


def _history(path: Path | None, warn: Callable[[str], None]) -> History:
    """Earlier inputs, in a file where one can be kept; a failing disk costs the history alone."""
    from prompt_toolkit.history import FileHistory, InMemoryHistory

    def lost(error: OSError) -> None:
        warn(f"{path} cannot be used ({error.strerror or error}): what you type is not remembered for the next chat")

    class KeptHistory(FileHistory):
        failed = False

        def store_string(self, string: str) -> None:
            if self.failed:
                return
            try:
                super().store_string(string)
            except OSError as error:
                self.failed = True
                lost(error)

    if path is None:
        return InMemoryHistory()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600))
        path.chmod(0o600)
    except OSError as error:
        lost(error)
        return InMemoryHistory()
    return KeptHistory(str(path))


def _bindings() -> Any:
    from prompt_toolkit.application.current import get_app
    from prompt_toolkit.filters import Condition, completion_is_selected
    from prompt_toolkit.key_binding import KeyBindings

    bindings = KeyBindings()
    # While Ctrl-R searches, Enter belongs to the search.
    typing = Condition(lambda: not get_app().layout.is_searching)

    @bindings.add("enter", filter=typing & ~completion_is_selected)
    def _send(event: Any) -> None:
        buffer = event.current_buffer
        before = buffer.document.current_line_before_cursor
        if before.endswith("\\") and buffer.document.is_cursor_at_the_end:
            buffer.delete_before_cursor()
            buffer.insert_text("\n")
        else:
            buffer.validate_and_handle()

    @bindings.add("enter", filter=completion_is_selected)
    def _accept(event: Any) -> None:
        event.current_buffer.complete_state = None

    @bindings.add("escape", "enter")
    @bindings.add("c-j")
    def _new_line(event: Any) -> None:
        event.current_buffer.insert_text("\n")

    return bindings


def command_completer(commands: list[Command], models: Callable[[], list[str]]) -> Completer:
    """Completes `/commands`, and after them files or models where the command takes such."""
    from prompt_toolkit.completion import Completer, Completion, PathCompleter
    from prompt_toolkit.document import Document as PlainDocument

    paths = PathCompleter(expanduser=True)

    class Commands(Completer):
        def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterator[Completion]:
            text = document.text_before_cursor
            if not text.startswith("/") or "\n" in text:
                return
            name, space, rest = text[1:].partition(" ")
            if not space:
                for command in commands:
                    if command.name.startswith(name):
                        yield Completion(f"/{command.name}", start_position=-len(text), display_meta=command.summary)
                return
            chosen = next((item for item in commands if item.name == name), None)
            if chosen is None:
                return
            if chosen.completes == "file":
                yield from paths.get_completions(PlainDocument(rest, len(rest)), complete_event)
            elif chosen.completes == "model":
                names = [item for item in models() if item.startswith(rest)]
                yield from (Completion(item, start_position=-len(rest)) for item in names)
                if not names:
                    yield from paths.get_completions(PlainDocument(rest, len(rest)), complete_event)
            elif chosen.completes == "command":
                yield from (
                    Completion(item.name, start_position=-len(rest)) for item in commands if item.name.startswith(rest)
                )
            elif chosen.choices:
                yield from (
                    Completion(item, start_position=-len(rest)) for item in chosen.choices if item.startswith(rest)
                )

    return Commands()

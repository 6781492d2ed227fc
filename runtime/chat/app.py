"""`mathcoder chat`: an offline maths companion in a terminal."""

from __future__ import annotations

import contextlib
import threading

from rich.text import Text

from runtime.chat.commands import COMMANDS, run_command
from runtime.chat.prompt import LineReader, make_reader
from runtime.chat.session import Chat, ChatOptions
from runtime.errors import MathCoderError
from runtime.sandbox import UNSAFE_WARNING, warm

PLAIN_WORDS = {"help": "/help", "?": "/help", "quit": "/quit", "exit": "/quit", "bye": "/quit"}
"""What people type in other programs. None of it is a problem to solve."""


def chat(options: ChatOptions) -> int:
    """Hold a conversation until the person leaves; returns the exit code.

    Raises:
        MathCoderError: the model or the sandbox cannot be used at all.
    """
    # The sandbox takes most of a second to start, the first panel some imports; both while the model is read.
    threading.Thread(target=_warm, name="sandbox-warm", daemon=True).start()
    session = Chat(options)
    try:
        reader = make_reader(COMMANDS.values(), options.history, options.models, session.warn)
        ChatLoop(session, reader).run()
    finally:
        session.close()
    return 0


def _warm() -> None:
    # The first panels import these; better now, beside the reading of the model, than before the first token.
    import rich.markdown
    import rich.syntax  # noqa: F401

    # What goes wrong here goes wrong again, and is reported, when the first cell is to run.
    with contextlib.suppress(MathCoderError, OSError):
        warm()


class ChatLoop:
    """Reads what a person types, has it answered, and shows mistakes without ending the chat."""

    def __init__(self, chat: Chat, reader: LineReader) -> None:
        self.chat = chat
        self.reader = reader
        self._asked_to_leave = False

    def run(self) -> None:
        """Read and answer until the person leaves."""
        chat = self.chat
        self._greet()
        if chat.options.resume is not None:
            chat.take(chat.options.resume, "the last conversation")
        chat.conversation.log.write("model", name=chat.model_name)
        while not chat.leaving:
            text = self._read()
            if text is None:
                break
            if text.strip():
                self.answer(text)

    def answer(self, text: str) -> None:
        """Do what one input asks for; mistakes are shown and the chat goes on."""
        chat = self.chat
        typed = PLAIN_WORDS.get(text.strip().lower(), text.strip())
        try:
            if typed.startswith("/"):
                run_command(chat, typed)
            else:
                chat.ask(typed)
        except MathCoderError as error:
            chat.console.print(Text(error.for_people(), style="red"))
        except KeyboardInterrupt:
            chat.warn("stopped")
        if chat.options.unsafe_exec and not chat.leaving:
            # Above every prompt: what was said once scrolls away.
            self._say_unsafe()

    def _say_unsafe(self) -> None:
        self.chat.console.print(Text(UNSAFE_WARNING, style="red"))

    def _read(self) -> str | None:
        """The next input; None when the person leaves."""
        try:
            text = self.reader.read()
        except EOFError:
            return None
        except KeyboardInterrupt:
            if self._asked_to_leave or not self.reader.interactive:
                return None
            self._asked_to_leave = True
            self.chat.say("Ctrl-C again, or Ctrl-D, leaves")
            return ""
        self._asked_to_leave = False
        return text

    def _greet(self) -> None:
        if not self.reader.interactive:
            return
        chat = self.chat
        chat.console.print(Text.assemble(("MathCoder", "bold"), f" with {chat.model_name}"))
        if chat.options.unsafe_exec:
            self._say_unsafe()
        examples = chat.examples()[:3]
        if examples:
            chat.say("This model solves problems such as these (/examples shows more):")
            for problem in examples:
                chat.console.print(Text(f"  {problem}"))
        chat.say("Type a problem. /help lists the commands, Ctrl-D leaves.")

"""`/edit`: the last question or code block in a person's editor, and going on from there."""

from __future__ import annotations

import os
import shlex
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from runtime.chat.registry import run_command
from runtime.errors import InputError
from runtime.lce import Block
from runtime.show.panels import block_renderables

if TYPE_CHECKING:
    from runtime.chat.session import Chat

SET = "set EDITOR before the chat begins, e.g. `export EDITOR=nano`"


def edit_question(chat: Chat, old: str) -> None:
    """Ask an edited question in place of `old`."""
    question = edit_text(old, ".md", chat.options.editor).strip()
    if not question or question == old:
        chat.say("unchanged" if question else "empty; nothing was asked")
        return
    forget_through(chat, old)
    chat.show_question(question)
    chat.ask(question)


def edit_code(chat: Chat) -> None:
    """Run an edited code block of the last solution and let the model go on from its result.

    Raises:
        InputError: there is none, or the model's dialect cannot be continued from the middle.
    """
    conversation = chat.conversation
    turn = conversation.turns[-1]
    position = max((at for at, block in enumerate(turn.blocks) if block.type == "code"), default=None)
    if position is None:
        raise InputError("the last solution has no code block", "", "/edit question opens the question")
    if turn.question and conversation.solver.dialect.name != "lce":
        raise InputError(
            f"a solution in the {conversation.solver.dialect.name} dialect cannot be continued from the middle",
            "",
            "change the code and run it with /run",
        )
    old = turn.blocks[position].content
    code = edit_text(f"{old}\n", ".py", chat.options.editor).rstrip("\n")
    if not code.strip() or code == old.rstrip("\n"):
        chat.say("unchanged" if code.strip() else "empty; nothing was run")
        return
    conversation.undo()
    if not turn.question:  # code of the user's own
        run_command(chat, f"/run {code}")
        return
    before = list(turn.blocks[:position])
    for block in before:
        if block.type == "code":
            conversation.sandbox.run(block.content)
    with chat.working("running"):
        result = conversation.sandbox.run(code)
    prefix = [*before, Block("code", code), Block("execution", result.output)]
    for item in block_renderables(prefix[-2:], chat.console):
        chat.console.print(item)
    chat.ask(turn.question, prefix=prefix)


def forget_through(chat: Chat, question: str) -> None:
    """Undo back to and including the turn that asked `question`."""
    while (turn := chat.conversation.undo()) is not None:
        if turn.question == question:
            return


def edit_text(text: str, suffix: str, editor: str | None = None) -> str:
    """`text` after a person has edited it.

    Raises:
        InputError: there is no editor, or it failed.
    """
    chosen = editor or os.environ.get("VISUAL") or os.environ.get("EDITOR")
    if not chosen:
        raise InputError("no editor is set", "nothing was changed", SET)
    descriptor, name = tempfile.mkstemp(suffix=suffix, prefix="mathcoder-")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as handle:
            handle.write(text)
        try:
            status = subprocess.run([*shlex.split(chosen), name], check=False).returncode
        except (OSError, ValueError) as error:
            raise InputError(f"the editor {chosen!r} cannot be started: {error}", "nothing was changed", SET) from None
        if status != 0:
            raise InputError(
                f"the editor {chosen!r} ended with status {status}", "nothing was changed", "save and leave it normally"
            )
        return Path(name).read_text(encoding="utf-8", errors="replace")
    finally:
        os.unlink(name)

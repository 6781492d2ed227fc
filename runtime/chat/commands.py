"""The slash commands of a chat: one function each, with the line that `/help` and completion show."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from rich.table import Table
from rich.text import Text

from runtime.chat.edit import edit_code, edit_question, forget_through
from runtime.chat.log import newest, read_log
from runtime.chat.registry import COMMANDS, GROUPS, command, run_command, unknown
from runtime.chat.session import show_votes
from runtime.errors import InputError
from runtime.settings import Model, validated
from runtime.show.panels import answer_text, execution_panel, why_table
from runtime.solver.libraries import absent
from runtime.text import did_you_mean, for_screen

if TYPE_CHECKING:
    from runtime.chat.session import Chat
    from runtime.show.notebook import Turn

Numeric = TypeVar("Numeric", int, float)


@command("help", "[COMMAND]", "what can be typed here; /help NAME says more", completes="command")
def _help(chat: Chat, rest: str) -> None:
    console = chat.console
    if rest:
        found = COMMANDS.get(rest.lstrip("/"))
        if found is None:
            raise unknown(rest.lstrip("/"))
        console.print(Text(f"/{found.name} {found.usage}".rstrip(), style="bold"))
        console.print(Text(f"{found.summary[:1].upper()}{found.summary[1:]}. {found.details}".rstrip()))
        return
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(no_wrap=True, style="note")
    table.add_column(no_wrap=True, style="bold")
    table.add_column()
    for group, names in GROUPS.items():
        for position, name in enumerate(names):
            table.add_row("" if position else group, f"/{name}", Text(COMMANDS[name].summary))
    console.print(table)
    chat.say("All else is a question. Alt-Enter: new line. Ctrl-C: stop. Ctrl-D: leave.")


@command("examples", "", "problems that this model solves")
def _examples(chat: Chat, _: str) -> None:
    problems = chat.examples()
    if not problems:
        raise InputError(
            f"nothing is known about what {chat.model_name} solves", "", "type a problem and see; /verify votes"
        )
    for problem in problems:
        chat.console.print(Text(f"  {problem}"))


@command(
    "model",
    "[NAME]",
    "show the model, or go on with another",
    "NAME is a file or a name from `mathcoder models`. The conversation and the variables stay.",
    completes="model",
)
def _model(chat: Chat, rest: str) -> None:
    if not rest:
        for name, value in chat.model_facts():
            chat.say(f"{name}: {value}")
        return
    chat.switch_model(rest)


@command(
    "samples",
    "[N]",
    "how many solutions vote on each answer",
    "With more than one, each question is solved N times, each time in its own session; one of the majority is kept.",
)
def _samples(chat: Chat, rest: str) -> None:
    if rest:
        chat.conversation.samples = _number(rest, int, low=1, high=1000, what="/samples")
    count = chat.conversation.samples
    chat.say("one solution to each question" if count == 1 else f"{count} solutions vote on each answer")


@command(
    "temperature",
    "[T]",
    "how freely tokens are drawn; 0 is greedy, repeatable",
)
def _temperature(chat: Chat, rest: str) -> None:
    conversation = chat.conversation
    if rest:
        value = _number(rest, float, low=0.0, high=10.0, what="/temperature")
        conversation.use_settings(conversation.settings.model_copy(update={"temperature": value}))
    value = conversation.settings.temperature
    chat.say(f"temperature {value:g}" + (" (greedy)" if value == 0 else ""))


@command(
    "limits",
    "[KEY=VALUE …]",
    "show or change what a cell and a solution may use",
    "Cell: cell_seconds, memory_mb, output_chars, disk_mb, processes. Solution: max_seconds, "
    " max_tokens, max_blocks, max_block_tokens. A change of a cell's limits starts a new session and runs "
    "the kept cells again.",
    choices=("cell_seconds=", "memory_mb=", "max_seconds=", "max_tokens=", "max_blocks="),
)
def _limits(chat: Chat, rest: str) -> None:
    conversation = chat.conversation
    budgets = ("max_seconds", "max_tokens", "max_blocks", "max_block_tokens")
    limits: dict[str, str] = {}
    settings: dict[str, str] = {}
    for word in rest.split():
        key, equals, value = word.partition("=")
        known = (*type(conversation.limits).model_fields, *budgets)
        if not equals or key not in known:
            hint = did_you_mean(key, known) or f"the limits are {', '.join(known)}"
            raise InputError(f"{word} is not a limit", "nothing was changed", hint)
        (settings if key in budgets else limits)[key] = value
    new_settings = _changed(conversation.settings, settings) if settings else None
    new_limits = _changed(conversation.limits, limits) if limits else None
    if new_settings is not None:
        conversation.use_settings(new_settings)
    if new_limits is not None:
        conversation.use_limits(new_limits)
        chat.note_rebuilt(len(conversation.cells))
    for name, shown in (
        *conversation.limits.shown(),
        *((key, f"{getattr(conversation.settings, key):g}") for key in budgets),
    ):
        chat.say(f"{name} = {shown}")


@command("vars", "", "the variables of the Python session")
def _vars(chat: Chat, _: str) -> None:
    result = chat.conversation.variables()
    rows = [line.split("\t", 2) for line in for_screen(result.output).split("\n") if line.count("\t") >= 2]
    if not rows:
        chat.say("no variables yet")
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("name", "type", "value"):
        table.add_column(heading, overflow="fold")
    for row in rows:
        # Where in memory a function lies tells a person nothing.
        table.add_row(*(Text(re.sub(r" at 0x[0-9a-f]+", "", cell)) for cell in row))
    chat.console.print(table)


@command(
    "run",
    "CODE",
    "run Python in the session that the model's code uses",
    "The last expression is shown, as in Jupyter. The model does not read what you run; its code can use the names.",
)
def _run(chat: Chat, rest: str) -> None:
    if not rest.strip():
        raise InputError("there is no code to run", "", "write e.g. /run x = 5")
    with chat.working("running"):
        result = chat.conversation.run(rest)
    chat.console.print(execution_panel(result.output, result.status, result.seconds))
    for data in result.images:
        chat.images(data)
    if lack := absent([result.output]):
        chat.say(lack)


@command(
    "verify",
    "[N]",
    "solve the last question N more times and show the vote",
    "Default 5, at temperature 0.7 unless another is set. The conversation goes on from a solution of the majority.",
)
def _verify(chat: Chat, rest: str) -> None:
    count = _number(rest, int, low=2, high=1000, what="/verify") if rest else 5
    conversation = chat.conversation
    turn = next((turn for turn in reversed(conversation.turns) if turn.question), None)
    if turn is None or conversation.turns[-1] is not turn:
        raise InputError("the last turn is not a question", "there is nothing to verify", "ask one first")
    before = turn.answer
    conversation.undo()
    chat.vote(turn.question, count)
    vote = conversation.last_vote
    if vote is not None and before is not None and vote.outcome.answer is not None:
        from runtime.grade import equivalent

        agreed = equivalent(vote.outcome.answer, before)
        chat.say("the vote confirms the first answer" if agreed else f"the first answer was {answer_text(before)}")


@command(
    "edit",
    "[question|code]",
    "edit the last question or code block, and go on",
    "Opens your editor. An edited question is asked anew in place of the old one. An edited code block is run, "
    "and the model goes on from its result. The editor is the one in the settings, else $VISUAL, else $EDITOR.",
    choices=("question", "code"),
)
def _edit(chat: Chat, rest: str) -> None:
    if rest not in ("", "question", "code"):
        raise InputError(
            f"/edit opens `question` or `code`, not {rest!r}", "nothing was opened", "/help edit explains it"
        )
    turn = _last_question(chat, "edit")
    if rest == "code":
        edit_code(chat)
        return
    edit_question(chat, turn.question)


@command(
    "retry",
    "",
    "solve the last question again",
    "At temperature 0 the same solution comes out; set /temperature first.",
)
def _retry(chat: Chat, _: str) -> None:
    turn = _last_question(chat, "retry")
    if chat.conversation.settings.temperature == 0 and turn.status == "answered":
        chat.say("temperature is 0, so the same solution is to be expected; /temperature 0.7 gives others")
    forget_through(chat, turn.question)
    chat.show_question(turn.question)
    chat.ask(turn.question)


@command("undo", "", "forget the last question and what its code defined")
def _undo(chat: Chat, _: str) -> None:
    turn = chat.conversation.undo()
    if turn is None:
        raise InputError("there is nothing to undo", "", "/undo takes back a question or a /run")
    chat.say(f"forgotten: {_title(turn.question) or 'your /run'}")


@command("clear", "", "forget the conversation, keep the variables")
def _clear(chat: Chat, _: str) -> None:
    chat.conversation.clear()
    chat.say("the conversation is forgotten, the variables are kept")


@command("reset", "", "forget the conversation and the variables")
def _reset(chat: Chat, _: str) -> None:
    chat.conversation.reset()
    chat.say("the conversation and the variables are forgotten")


def _file_of(rest: str, consequence: str, example: str) -> Path:
    if not rest:
        raise InputError("a file name is missing", consequence, f"write e.g. {example}")
    return Path(rest).expanduser()


@command(
    "save",
    "FILE",
    "save the conversation to a file that /load reads",
    "Every chat is also kept as it grows (`mathcoder chat --resume` goes on with the last one).",
    completes="file",
)
def _save(chat: Chat, rest: str) -> None:
    target = chat.save(_file_of(rest, "nothing was saved", "/save triangle.jsonl"))
    chat.say(f"saved to {target}")


@command(
    "load",
    "FILE",
    "go on with a saved conversation",
    "Its cells are run again to restore the variables.",
    completes="file",
)
def _load(chat: Chat, rest: str) -> None:
    path = _file_of(rest, "nothing was loaded", "/load triangle.jsonl")
    if path.is_dir():
        found = newest(path)
        if found is None:
            raise InputError(
                f"{path} is a folder without saved conversations", "nothing was loaded", "name a file that /save wrote"
            )
        path = found
    chat.take(read_log(path), str(path))


@command(
    "export",
    "FILE",
    "write the conversation as .md, .html, .ipynb or .json",
    "A notebook holds the recorded outputs and runs from top to bottom.",
    completes="file",
)
def _export(chat: Chat, rest: str) -> None:
    _file_of(rest, "nothing was written", "/export solution.ipynb (or .html, .md, .json)")
    chat.say(f"written to {chat.export(rest)}")


@command("stats", "", "tokens, times and cells of this conversation")
def _stats(chat: Chat, _: str) -> None:
    _say_facts(chat, chat.stats())


@command("sandbox", "", "how the code is isolated")
def _sandbox(chat: Chat, _: str) -> None:
    _say_facts(chat, chat.sandbox_facts())


@command("why", "", "why the last solution stopped, with its figures")
def _why(chat: Chat, _: str) -> None:
    if chat.conversation.last is None:
        raise InputError("there is no solution to explain", "", "ask a question first")
    chat.console.print(why_table(chat.conversation.last))
    if chat.conversation.last_vote is not None:
        show_votes(chat)


@command("quit", "", "leave (also: Ctrl-D)")
def _quit(chat: Chat, _: str) -> None:
    chat.leaving = True


def _say_facts(chat: Chat, facts: Iterable[tuple[str, object]]) -> None:
    for name, value in facts:
        chat.say(f"{name}: {value}")


def _last_question(chat: Chat, action: str) -> Turn:
    turn = next((turn for turn in reversed(chat.conversation.turns) if turn.question), None)
    if turn is None:
        raise InputError(f"there is nothing to {action} yet", "", "ask a question first")
    return turn


def _title(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 60 else f"{line[:57]}..."


def _number(text: str, kind: type[Numeric], *, low: Numeric, high: Numeric, what: str) -> Numeric:
    try:
        value = kind(text)
    except ValueError:
        value = None
    if value is None or not low <= value <= high:
        raise InputError(f"{what} takes a number from {low} to {high}, not {_title(text)!r}", "nothing was changed")
    return value


def _changed(settings: Model, changes: dict[str, str]) -> Model:
    return validated(type(settings), settings.model_dump() | changes, "nothing was changed")


__all__ = ["COMMANDS", "run_command"]

"""One chat: what the loop and the slash commands do with it, and what of it reaches the screen."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.table import Table
from rich.text import Text

from runtime.chat.conversation import Conversation
from runtime.chat.keys import no_echo
from runtime.chat.log import ChatLog, Recorded, event_line, turn_as_json
from runtime.errors import InputError
from runtime.files import atomic_path
from runtime.lce import Block
from runtime.sandbox import Limits, Sandbox, weaker_tier
from runtime.settings import SolverSettings
from runtime.show.console import can_animate, make_console
from runtime.show.images import ImageShower, Protocol, protocol_of
from runtime.show.panels import SolutionView, answer_text, duration
from runtime.solver.libraries import absent
from runtime.solver.support import UNSUPPORTED

if TYPE_CHECKING:
    from runtime.engine import Engine
    from runtime.solver import Solution

DECODE_CHARS = 4_000_000
"""Output limit of the session that turns a figure into pixels."""


@dataclass
class ChatOptions:
    """How a chat is set up.

    Attributes:
        model: path of the model.
        load: loads a model.
        settings: budgets and sampling.
        follow: turns settings into those for a loaded model, such as without code where that was measured to help.
        limits: of the Python session.
        samples: solutions that vote on each answer.
        theme: auto, dark or light.
        images: how figures are shown; auto asks the terminal's variables.
        editor: program that `/edit` opens.
        history: file of earlier inputs; None keeps none.
        log: transcript that grows with the conversation; None keeps none.
        resume: a conversation to go on with.
        resolve: turns a name given to `/model` into a path.
        models: names that can be given to `/model`.
        name_of: what a model's path is called on the screen.
        images_folder: where figures are saved; None saves none.
        examples: problems that the model at a path is known to solve.
        unsafe_exec: run cells without isolation where none works; repeated on the screen.
    """

    model: Path
    load: Callable[[Path], Engine]
    settings: SolverSettings = field(default_factory=SolverSettings)
    follow: Callable[[Engine, SolverSettings], SolverSettings] = lambda _, settings: settings
    limits: Limits = field(default_factory=Limits)
    samples: int = 1
    theme: str = "auto"
    images: str = "auto"
    editor: str | None = None
    history: Path | None = None
    log: Path | None = None
    resume: Recorded | None = None
    resolve: Callable[[str], Path] = Path
    models: Callable[[], list[str]] = list
    name_of: Callable[[Path], str] = lambda path: path.name
    images_folder: Path | None = Path("figures")
    examples: Callable[[Path], Sequence[str]] = lambda _: ()
    unsafe_exec: bool = False


class Chat:
    """One chat at a terminal: asks and shows. What was said and computed is in `conversation`."""

    def __init__(self, options: ChatOptions) -> None:
        self.options = options
        self.console = make_console(theme=options.theme)
        self.leaving = self._told_of_tier = False
        self.model = options.model
        with self.working(f"loading {self.model_name}"):
            engine = options.load(options.model)
        log = ChatLog(options.log, self.warn)
        try:
            settings = options.follow(engine, options.settings)
            self.conversation = Conversation(engine, settings, options.limits, log, unsafe_exec=options.unsafe_exec)
        except BaseException:
            engine.close()
            raise
        self.conversation.samples = options.samples
        protocol: Protocol = protocol_of() if options.images == "auto" else options.images  # type: ignore[assignment]
        self.images = ImageShower(self.console, options.images_folder, protocol, self._decoder)

    # Asking

    def ask(self, question: str, *, prefix: Sequence[Block] = ()) -> None:
        """Solve `question` on the screen as the next turn."""
        if self.conversation.samples > 1 and not prefix:
            self.vote(question, self.conversation.samples)
            return
        view = SolutionView(self.console, on_image=self.images)
        with no_echo(), view:
            solution = self.conversation.ask(question, view.on_event, prefix=prefix)
            view.finish(solution)
        self._after(solution)

    def vote(self, question: str, samples: int) -> None:
        """Solve `question` several times; the first is shown, the others counted."""
        view = SolutionView(self.console, on_image=self.images)
        done = 0

        def on_sample(number: int, solution: Solution) -> None:
            nonlocal done
            done = number + 1
            if number == 0:
                view.finish(solution)
            answer = answer_text(solution.answer) if solution.answer is not None else "no answer"
            self.console.print(Text(f"sample {done} of {samples}: {answer}", style="note"))

        with no_echo(), view:
            vote = self.conversation.vote(question, samples, view.on_event, on_sample)
        show_votes(self)
        self._after(vote.solutions[vote.chosen])

    def _after(self, solution: Solution) -> None:
        if solution.is_supported is False:
            self.say(UNSUPPORTED)
        if lack := absent(block.content for block in solution.blocks if block.type == "execution"):
            self.say(lack)
        dropped = self.conversation.dropped
        if dropped:
            turns = "1 older turn" if dropped == 1 else f"{dropped} older turns"
            self.say(f"the context is full: the model no longer saw {turns}; /clear begins anew")
        if solution.cells and (note := weaker_tier()) and not self._told_of_tier:
            self._told_of_tier = True
            self.say(f"{note}; mathcoder doctor says more")
        if solution.cells:
            self.say(f"{duration(solution.seconds)}, {solution.cells} cell{'s' if solution.cells != 1 else ''}")
        else:
            self.say(duration(solution.seconds))

    # What the commands need

    def say(self, message: str) -> None:
        """One quiet line."""
        self.console.print(Text(message, style="note"))

    def warn(self, message: str) -> None:
        """One line on what does not work as it should, while the chat goes on."""
        self.console.print(Text(message, style="warning"))

    @property
    def model_name(self) -> str:
        """What the loaded model is called."""
        return self.options.name_of(self.model)

    def examples(self) -> Sequence[str]:
        """Problems that the loaded model is known to solve."""
        return self.options.examples(self.model)

    def show_question(self, question: str) -> None:
        """Repeat a question that was not just typed."""
        self.console.print(Text(f"› {question}", style="bold"))

    @contextlib.contextmanager
    def working(self, label: str) -> Iterator[None]:
        """A spinner while something runs."""
        if can_animate(self.console):
            with no_echo(), self.console.status(Text(label, style="note")):
                yield
        else:
            yield

    def note_rebuilt(self, cells: int) -> None:
        """Say that the session is new and how it got its variables back."""
        if cells:
            self.say(f"new session; {cells} cell{'s' if cells != 1 else ''} run again to restore the variables")

    def switch_model(self, name: str) -> None:
        """Go on with another model."""
        path = self.options.resolve(name)
        with self.working(f"loading {self.options.name_of(path)}"):
            engine = self.options.load(path)
        asked = self.conversation.settings.model_copy(update={"mode": self.options.settings.mode})
        self.conversation.use_engine(engine, self.options.follow(engine, asked))
        self.model = path
        self.conversation.log.write("model", name=self.model_name)
        self.say(f"now with {self.model_name}")

    def model_facts(self) -> list[tuple[str, str]]:
        """What is known of the loaded model."""
        facts = self.conversation.engine.facts()
        shown = [("file", str(self.model)), ("context", f"{self.conversation.engine.n_ctx:,} tokens")]
        shown.append(("dialect", self.conversation.solver.dialect.name))
        return shown + [(key, str(value)) for key, value in facts.items() if isinstance(value, (str, int, float))]

    def sandbox_facts(self) -> list[tuple[str, str]]:
        """How cells are isolated and bounded."""
        sandbox = self.conversation.sandbox
        facts = [("isolation", sandbox.tier)]
        facts += sandbox.limits.shown()
        return [*facts, ("details", "mathcoder doctor shows each layer")]

    def stats(self) -> list[tuple[str, str]]:
        """Figures of the conversation so far."""
        turns = [turn for turn in self.conversation.turns if turn.question]
        counts = dict.fromkeys(("prompt", "generated", "execution"), 0)
        for turn in turns:
            for key, value in (turn.facts.get("tokens") or {}).items():
                counts[key] = counts.get(key, 0) + int(value)
        seconds = sum(float(turn.facts.get("seconds", 0)) for turn in turns)
        last = self.conversation.last
        used = sum(last.tokens.values()) if last is not None else 0
        return [
            ("questions", str(len(turns))),
            ("answered", str(sum(turn.answer is not None for turn in turns))),
            ("cells", str(len(self.conversation.cells))),
            ("time", duration(seconds)),
            ("tokens", f"{counts['generated']} written, {counts['execution']} from cells"),
            ("context", f"{used} of {self.conversation.engine.n_ctx} tokens in use"),
        ]

    def save(self, target: Path) -> Path:
        """Write the conversation as a transcript."""
        events = [{"event": "chat", "format": 1, "created": time.strftime("%Y-%m-%dT%H:%M:%S%z")}]
        lines: list[dict[str, Any]] = [*events, {"event": "model", "name": self.model_name}]
        lines += [{"event": "turn", **turn_as_json(turn)} for turn in self.conversation.turns]
        try:
            with atomic_path(target) as temporary:
                temporary.touch(mode=0o600)
                os.chmod(temporary, 0o600)
                temporary.write_bytes(b"".join(event_line(line) for line in lines))
        except OSError as error:
            raise InputError(
                f"{target} cannot be written: {error.strerror or error}", "nothing was saved", "choose another place"
            ) from None
        return target

    def take(self, recorded: Recorded, origin: str) -> None:
        """Go on with a recorded conversation."""
        with self.working("restoring"):
            cells = self.conversation.take(recorded)
        log = self.conversation.log
        log.write("reset")
        for turn in self.conversation.turns:
            log.turn(turn)
        count = sum(bool(turn.question) for turn in recorded.turns)
        self.say(f"{origin}: {count} question{'s' if count != 1 else ''}")
        self.note_rebuilt(cells)
        last = next((turn for turn in reversed(recorded.turns) if turn.question), None)
        if last is not None:
            self.show_question(last.question)
            shown = (
                answer_text(last.answer) if last.answer is not None else f"no answer ({last.status}); /retry asks again"
            )
            self.console.print(Text(shown))
        if recorded.lost is not None:
            self.console.print(
                Text(f"line {recorded.lost} of the transcript is damaged and was left out", style="warning")
            )

    def export(self, name: str) -> Path:
        """Write the conversation in the format that the name's suffix says."""
        from runtime.show.notebook_page import export

        written = export(self.conversation.turns, name, title="MathCoder chat", model=self.model_name)
        os.chmod(written, 0o600)
        return written

    def close(self) -> None:
        """End the session and free the model."""
        self.conversation.close()

    def _decoder(self) -> Sandbox:
        return Sandbox(Limits(output_chars=DECODE_CHARS))


def show_votes(chat: Chat) -> None:
    """The groups of the last vote."""
    vote = chat.conversation.last_vote
    if vote is None:
        return
    total = len(vote.solutions)
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("answer", overflow="fold")
    table.add_column("votes", justify="right")
    for answer, count in vote.outcome.groups:
        table.add_row(Text(answer_text(answer)), f"{count} of {total}")
    without = total - sum(count for _, count in vote.outcome.groups)
    if without:
        table.add_row(Text("no answer", style="note"), f"{without} of {total}")
    chat.console.print(table)

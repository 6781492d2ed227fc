"""The form of a native dialect as plain data: how turns, thinking, calls and results are spelled.

A model knows one way to ask for Python, one place where the result stands and one token that ends the call; where any
of the three differs, it stops or answers nonsense. Here all three are fields, so that one reader
(`runtime.solver.dialects.reader`) serves every format. Texts of a form may hold control tokens (`<|im_end|>`,
`<tool_call>`): what the vocabulary has as one token is put in and recognized by its id, what it lacks is spelled. A
text that begins with three backticks is a Markdown fence: it counts at the beginning of a line only.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

from runtime.lce import Kind, Segment
from runtime.settings import Mode
from runtime.solver.dialects.markers import FENCE, merged, pieces, spelling_pattern, unspelled

_FENCED_LINE = re.compile(rf"^{FENCE}", re.MULTILINE)
Decode = Literal["raw", "json", "pyliteral", "fence"]
"""What stands in a call. raw: the code itself (a JSON object with the argument is taken, too). json: an object, or a
list of objects. pyliteral: `[python(code='...')]`. fence: a fenced block."""
State = Literal["kernel", "fresh", "replay"]
"""kernel: names live on from cell to cell. fresh: each cell has a session of its own. replay: as fresh, and the
earlier cells run before it with their prints left out."""


@dataclass(frozen=True)
class Frame:
    """How the turns of a conversation are laid out.

    Attributes:
        open: before the system text, tools declared.
        system: system text the model was trained with, used unless the user sets another.
        plain_system: in its place where no code is wanted.
        close: between system text and question.
        bare: in place of open, system and close where there is no system text; None: the three are used.
        ask: between question and what the model writes, thinking prefilled included.
        past: in place of `ask` before an earlier answer; empty: `ask` is.
        next: between the end of an answer and the question that follows.
        suffix: a sentence that goes with every question (`Please reason step by step ...`).
    """

    ask: str
    open: str = ""
    system: str = ""
    plain_system: str = ""
    close: str = ""
    bare: str | None = None
    past: str = ""
    next: str = ""
    suffix: str = ""


@dataclass(frozen=True)
class Think:
    """Where a model thinks before it answers.

    Attributes:
        open: what begins thinking.
        close: what ends it.
        prefilled: whether the prompt ends inside thinking.
        off: what the prompt ends with where thinking is not wanted; None: it cannot be turned off.
        force: what is put in to end thinking that is over budget; `close` where empty.
    """

    open: str
    close: str
    prefilled: bool = False
    off: str | None = None
    force: str = ""


@dataclass(frozen=True)
class Header:
    """Messages that say in a header what they are (harmony).

    Attributes:
        start: begins another message of the turn, followed by `role`.
        channel: before the channel's name.
        message: ends the header and begins the body.
        end: ends a body after which another message follows.
        channels: name to what its bodies are. The answer stands in text of a `final` channel.
        recipients: who, of those a message can be sent to, runs Python. A message to another is an unknown tool.
        in_role: whether the prompt ends after the role, so that the first message begins with its header's rest.
    """

    start: str
    role: str
    channel: str
    message: str
    end: str
    channels: Mapping[str, Literal["thinking", "text", "final"]]
    recipients: tuple[str, ...]
    in_role: bool = True


@dataclass(frozen=True)
class Call:
    """How the model asks for Python.

    Attributes:
        open: what begins a call; empty where a header says so.
        close: what ends it; empty where the end of the turn does.
        decode: what stands between them, see `runtime.solver.dialects.calls`.
        name: the tool as it was declared.
        argument: the argument that holds the code.
        before: what wraps the code inside of `open` and `close`: `\\n<function=python>\\n<parameter=code>\\n`.
        after: its end.
        ends_on: close: the runtime writes as soon as the call is closed. turn: once the model has ended its turn, so
            that several calls can stand in one. request: once the model asks for the output (`request`).
        request: what asks for the output after a closed call, as ToRA's models write "```output".
        end: tokens that end a turn in which a call was made, put in where a server does not show them.
        in_thinking: whether calls in thinking are run. Where not, a call there counts only if the model ends its turn
            inside its thinking.
        lead: what stands between text and a call that follows it, where a solution is rendered.
        copies: a pattern whose first group, found in the call, takes the place of `{id}` in the result.
    """

    open: str
    close: str
    decode: Decode = "raw"
    name: str = "python"
    argument: str = "code"
    before: str = ""
    after: str = ""
    ends_on: Literal["close", "turn", "request"] = "turn"
    request: str = ""
    end: str = ""
    in_thinking: bool = False
    copies: str = ""
    lead: str = "\n"


@dataclass(frozen=True)
class Result:
    """How the runtime answers a call.

    Attributes:
        open: before the output (after the token that ended the call).
        close: after it, up to where the model goes on writing.
        more: between two results of one turn. Here, in `open` and in `close`, `{id}` is what `Call.copies` found.
        quiet: in place of `close` where the model is not to think; empty: `close` serves.
        continues: same_turn: what is put in is part of the model's own turn. new_turn: it is not, and the model begins
            another one.
        prefills_thinking: whether the model goes on inside thinking.
        quoted: whether the output is the inside of a JSON string.
        style: full: as the session shows it. short: an error is its last line.
        empty: what stands for no output at all.
        error: what an error is told as, `{output}` in it.
        limit: most characters; 0: the solver's own limit of tokens.
    """

    open: str
    close: str
    more: str = ""
    quiet: str = ""
    continues: Literal["same_turn", "new_turn"] = "new_turn"
    prefills_thinking: bool = False
    quoted: bool = False
    style: Literal["full", "short"] = "full"
    empty: str = ""
    error: str = ""
    limit: int = 0


@dataclass(frozen=True)
class Notices:
    """What the model is told of its budgets, each text with `{left}` for what is left.

    Attributes:
        calls: after the result of each of the last calls, where the model was trained to read it.
        nearing: where calls, tokens or seconds near their end; `{what}` says which.
        over: in place of a result once the calls are used up.
        outside: whether notices stand after the result's end and not in it.
    """

    calls: str = ""
    nearing: str = "[{left} {what} left: give the final answer soon, in \\boxed{{}}.]"
    over: str = "[No more code is run. Give the final answer now, in \\boxed{}.]"
    outside: bool = False


@dataclass(frozen=True, kw_only=True)
class Form:
    """How calls and results are spelled, and what may be written at all.

    Attributes:
        think, header, call, result, notices: see there.
        markers: tokens of the form that the vocabulary has (see `NativeDialect.fitted`).
        end: token that the model ends its answer with; empty: the first end of generation in `Frame.next`.
        ends: texts that end the solution as an end token does (`---` of ToRA).
        forbidden: tokens that are the runtime's to write and never the model's.
        boxed: what forces an answer where a budget ends without one.
        mode: what the solutions are restricted to. Text cannot be forbidden: a chain of thought may show code, but then
            it is text, and nobody runs it.
    """

    call: Call
    result: Result
    think: Think | None = None
    header: Header | None = None
    notices: Notices = field(default_factory=Notices)
    markers: frozenset[str] = frozenset()
    end: str = ""
    ends: tuple[str, ...] = ()
    forbidden: tuple[str, ...] = ()
    boxed: str = "\n\nThe final answer is $\\boxed{"
    mode: Mode = "full"

    def pieces(self, text: str, kind: Kind) -> list[Segment]:
        """Text of the form as segments: its tokens by name, the rest as content."""
        return pieces(text, self.markers, kind)

    def texts(self) -> list[str]:
        """Every text of the form."""
        parts = [self.call, self.result, self.think, self.header]
        found = [text for part in parts if part is not None for text in vars(part).values() if isinstance(text, str)]
        return [*found, self.end, *self.ends]

    def harmless(self, text: str, *, fences: bool = False) -> str:
        """Text of others without markers that it could spell and the vocabulary has no token for.

        Args:
            text: a question, an output, or what stands in a history.
            fences: whether a line that begins with a fence would end it.
        """
        text = unspelled(text, self._spelling)
        return _FENCED_LINE.sub(f" {FENCE}", text) if fences else text

    @cached_property
    def _spelling(self) -> re.Pattern[str] | None:
        return spelling_pattern(self.texts(), self.markers)

    @property
    def _answers_in_a_fence(self) -> bool:
        return FENCE in self.result.close

    def executed(
        self, outputs: Sequence[tuple[str, str]], notice: str = "", *, channel: str = "", after_line_end: bool = False
    ) -> list[Segment]:
        """Results in their frame; whatever an output spells stays content.

        Args:
            outputs: (output, what `Call.copies` found in its call).
            notice: what stands behind the frame.
            channel: where the call was made, for forms with headers.
            after_line_end: whether the line break that the frame begins with was written already.
        """
        result = self.result
        made: list[Segment] = []
        for number, (output, copied) in enumerate(outputs):
            before = result.more if number else result.open
            if after_line_end and not number:
                before = before.removeprefix("\n")
            made += self.pieces(before.replace("{id}", copied).replace("{channel}", channel), "execution")
            if result.quoted:
                output = json.dumps(output, ensure_ascii=False)[1:-1]
            made.append(Segment("execution", self.harmless(output, fences=self._answers_in_a_fence), False))
        after = result.close.replace("{id}", outputs[-1][1] if outputs else "")
        return merged([*made, *self.pieces(after + notice, "execution")])

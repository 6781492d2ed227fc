"""A native dialect: the interpreter format a model was trained in, as a form and a frame of turns."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from runtime.engine import Vocabulary
from runtime.grade import final_answer, last_boxed
from runtime.lce import DEFAULT_SYSTEM, EMPTY_EXECUTION, Block, Segment
from runtime.settings import Mode
from runtime.solver.dialects.calls import encoded
from runtime.solver.dialects.dialect import Evidence, Exchange, Listener
from runtime.solver.dialects.form import Form, Frame, State, Think
from runtime.solver.dialects.markers import merged, tokens_of
from runtime.solver.dialects.reader import NativeReader
from runtime.solver.modes import printed_answer

NO_OUTPUT = "[no output]"
"""What a model reads where a cell gave nothing and its dialect has no words for that."""


@dataclass(frozen=True, kw_only=True)
class NativeDialect(Form):
    """How to talk to one family of models; the contract is `runtime.solver.dialects.Dialect`.

    Attributes:
        name: as `--dialect` takes it.
        frame: how turns are laid out.
        plain: in its place where no code is wanted: no tools declared; None: `frame` serves.
        evidence: what speaks for it that the model was trained so.
        why: the same in words, for the line that says which dialect was chosen.
        needs: tokens the model must have.
        thinks: whether a model that can think is let; `thinking` turns it off where `think.off` says how.
        state: what a cell finds of earlier ones.
        sampling: how the model's makers draw tokens.
        limits: settings of the solver in place of its defaults.
    """

    name: str
    frame: Frame
    plain: Frame | None = None
    evidence: Evidence = "prompted"
    why: str = ""
    needs: tuple[str, ...] = ()
    thinks: bool = True
    state: State = "kernel"
    sampling: Mapping[str, float] = field(default_factory=dict)
    limits: Mapping[str, int] = field(default_factory=dict)

    def in_mode(self, mode: Mode) -> NativeDialect:
        """The same dialect for solutions of `mode`."""
        return replace(self, mode=mode)

    @property
    def has_thinking_switch(self) -> bool:
        """Whether a prompt can tell the model not to think."""
        return self.think is not None and self.think.off is not None

    def thinking(self, wanted: bool) -> NativeDialect:
        """The same dialect with thinking, or without it as far as the model can be told."""
        if wanted or not self.thinks or not self.result.quiet:
            return replace(self, thinks=wanted)
        result = replace(self.result, close=self.result.quiet, prefills_thinking=False)
        return replace(self, thinks=False, result=result)

    def fitted(self, vocabulary: Vocabulary | None) -> NativeDialect:
        """The same dialect with the tokens of its form that `vocabulary` has; what it lacks is spelled."""
        if vocabulary is None:
            return replace(self, markers=frozenset(self.needs))
        return replace(self, markers=tokens_of([*self.texts(), *self.needs, *self.forbidden], vocabulary))

    def texts(self) -> list[str]:
        """Every text of the dialect."""
        frames = [frame for frame in (self.frame, self.plain) if frame is not None]
        return [*(text for frame in frames for text in vars(frame).values() if text), *super().texts()]

    def end_of_answer(self, vocabulary: Vocabulary) -> str:
        """The token that the model ends its answer with, by name; empty where nothing says which."""
        if self.end:
            return self.end if vocabulary.control_id(self.end) is not None else ""
        for piece in self.pieces(self.frame.next, "control"):
            token = vocabulary.control_id(piece.text) if piece.is_control else None
            if token is not None and vocabulary.is_end(token):
                return piece.text
        return ""

    @property
    def _begins_thinking(self) -> bool:
        """Whether the prompt ends inside thinking."""
        return self.think is not None and self.think.prefilled and (self.thinks or not self.has_thinking_switch)

    @property
    def _turns(self) -> Frame:
        return self.plain if self.plain is not None and self.mode == "chain-of-thought" else self.frame

    def prompt(self, question: str, system: str, history: Iterable[Exchange] = ()) -> list[Segment]:
        """Everything up to where the model writes."""
        frame = self._turns
        made = self._system("" if system == DEFAULT_SYSTEM else system)
        for earlier, blocks in history:
            made += self._question(earlier, frame.past or frame.ask)
            made += [Segment("prompt", text, control) for _, text, control in self.solution(blocks, history=True)]
            made += self.pieces(frame.next, "prompt")
        off = self.think.off if self.think is not None and not self.thinks else None
        return merged(made + self._question(question, frame.ask if off is None else off))

    def _system(self, given: str) -> list[Segment]:
        frame = self._turns
        own = frame.plain_system if self.mode == "chain-of-thought" and frame.plain_system else frame.system
        text = given or own
        if not text and frame.bare is not None:
            return self.pieces(frame.bare, "prompt")
        content = [Segment("prompt", text, False)] if text else []
        return [*self.pieces(frame.open, "prompt"), *content, *self.pieces(frame.close, "prompt")]

    def _question(self, question: str, ask: str) -> list[Segment]:
        return [Segment("prompt", self.harmless(question), False), *self.pieces(self._turns.suffix + ask, "prompt")]

    def solution(self, blocks: Sequence[Block], *, history: bool = False) -> list[Segment]:
        """The segments of a solution as they stand in the model's context once it has written them.

        Kinds: what the model writes is `text`, `code` or `control` (markers); what the runtime writes, frames of the
        result included, is `execution`. Thinking is left out of `history`, as the models' own templates do.
        """
        if history:
            blocks = [replace(b, content=self.harmless(b.content)) for b in blocks if not b.thinking]
        written = self._messages(blocks, history=history) if self.header is not None else self._stream(blocks)
        return merged(written)

    def _stream(self, blocks: Sequence[Block]) -> list[Segment]:
        call, think = self.call, self.think or Think("", "")
        made: list[Segment] = []
        inside = self._begins_thinking
        for number, block in enumerate(blocks):
            before = blocks[number - 1].type if number else None
            if block.type == "execution":
                if call.ends_on == "request" and before == "code":
                    made += self.pieces(f"\n{call.request}", "control")
                made += self.executed([(block.content, "")])
                inside = self.result.prefills_thinking or (inside and call.in_thinking)
                continue
            if inside and not block.thinking and not (block.type == "code" and call.in_thinking):
                made += self.pieces(think.close, "control")
                inside = False
            if block.type == "code":
                made += self._called(block.content, (call.lead if before == "text" else "") + call.open)
                made += self.pieces(call.end, "control")
                continue
            if block.thinking and not inside:
                made += self.pieces(think.open, "control")
                inside = True
            made.append(Segment("text", block.content, False))
        return made

    def _called(self, code: str, opening: str) -> list[Segment]:
        """A call; whatever its code spells stays content."""
        call = self.call
        before, after = self.pieces(opening + call.before, "control"), self.pieces(call.after + call.close, "control")
        return [*before, Segment("code", encoded(code, call), False), *after]

    def _messages(self, blocks: Sequence[Block], *, history: bool) -> list[Segment]:
        """The same for a form whose messages have headers; of a history the answer alone is kept."""
        header = self.header
        assert header is not None
        channels = {kind: name for name, kind in reversed(list(header.channels.items()))}
        last = max((number for number, b in enumerate(blocks) if b.type == "text" and not b.thinking), default=-1)
        made: list[Segment] = []
        lead = ""
        for number, block in enumerate(blocks):
            if history and number != last:
                continue
            if block.type == "execution":
                made += self.executed([(block.content, "")], channel=channels["thinking"])
                lead = ""
                continue
            is_call = block.type == "code"
            channel = channels["final" if number == last else "thinking"]
            to = f" to={self.call.name} code" if is_call else ""
            opening = f"{lead}{header.channel}{channel}{to}{header.message}"
            if is_call:
                made += self._called(block.content, opening)
            else:
                made += [*self.pieces(opening, "control"), Segment("text", block.content, False)]
            lead = ("" if is_call else header.end) + header.start + header.role
        return made

    def reader(self, vocabulary: Vocabulary | None, listener: Listener | None) -> NativeReader:
        """A reader for one solution."""
        return NativeReader(self, vocabulary, listener, thinking=self._begins_thinking)

    def shaped(self, output: str, status: str) -> str:
        """What a cell gave, in the style that the model was trained to read: see `Result`."""
        result = self.result
        if output == EMPTY_EXECUTION:
            return result.empty or NO_OUTPUT
        if status not in ("ok", "disabled"):
            if result.style == "short":
                output = output.strip().rpartition("\n")[2]
            if result.error:
                output = result.error.replace("{output}", output)
        if result.limit and len(output) > result.limit:
            half = result.limit // 2
            output = f"{output[:half]}...{output[-half:]}"
        return output

    def answer(self, blocks: Sequence[Block]) -> str | None:
        r"""The final answer of a finished solution, or None; the last `\boxed{}` outside thinking first."""
        if self.mode == "program-of-thought":
            return printed_answer(blocks)
        said = [block for block in blocks if not block.thinking]
        if not said or said[-1].type != "text":
            return None
        return last_boxed(said[-1].content) or final_answer(said)

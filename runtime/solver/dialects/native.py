"""A native dialect: the interpreter format a model was trained in, a form and how its turns are laid out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from runtime.engine import Vocabulary
from runtime.grade import final_answer, last_boxed
from runtime.lce import DEFAULT_SYSTEM, Block, Segment
from runtime.settings import Mode
from runtime.solver.dialects.calls import encoded
from runtime.solver.dialects.dialect import Evidence, Exchange, Listener
from runtime.solver.dialects.form import Form, Frame, State
from runtime.solver.dialects.markers import merged, tokens_of
from runtime.solver.dialects.reader import NativeReader
from runtime.solver.modes import printed_answer


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
        thinks: whether a model that can think is let; only where `think.off` says how not to.
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

    def fitted(self, vocabulary: Vocabulary | None) -> NativeDialect:
        """The same dialect with the tokens of its form that `vocabulary` has; what it lacks is spelled."""
        if vocabulary is None:
            return replace(self, markers=frozenset(self.needs))
        texts = [*self._texts(), *self.needs, *self.forbidden]
        return replace(self, markers=tokens_of(texts, vocabulary))

    def _texts(self) -> list[str]:
        parts = [self.frame, self.plain, self.call, self.result, self.think, self.header]
        found = [text for part in parts if part is not None for text in vars(part).values() if isinstance(text, str)]
        return [*found, *self.ends]

    @property
    def _turns(self) -> Frame:
        return self.plain if self.plain is not None and self.mode == "chain-of-thought" else self.frame

    def prompt(self, question: str, system: str, history: Iterable[Exchange] = ()) -> list[Segment]:
        """Everything up to where the model writes."""
        frame = self._turns
        made = self._system("" if system == DEFAULT_SYSTEM else system)
        for earlier, blocks in history:
            made += self._question(earlier, frame.ask)
            made += [Segment("prompt", text, control) for _, text, control in self.solution(blocks, history=True)]
            made += self.pieces(frame.next, "prompt")
        is_off = self.think is not None and self.think.off is not None and not self.thinks
        return merged(made + self._question(question, self.think.off or "" if is_off and self.think else frame.ask))

    def _system(self, given: str) -> list[Segment]:
        frame = self._turns
        own = frame.plain_system if self.mode == "chain-of-thought" and frame.plain_system else frame.system
        text = given or own
        if not text and frame.bare is not None:
            return self.pieces(frame.bare, "prompt")
        content = [Segment("prompt", text, False)] if text else []
        return [*self.pieces(frame.open, "prompt"), *content, *self.pieces(frame.close, "prompt")]

    def _question(self, question: str, ask: str) -> list[Segment]:
        return [Segment("prompt", question, False), *self.pieces(self._turns.suffix + ask, "prompt")]

    def solution(self, blocks: Sequence[Block], *, history: bool = False) -> list[Segment]:
        """The segments of a solution as they stand in the model's context once it has written them.

        Kinds: what the model writes is `text`, `code` or `control` (markers); what the runtime writes, frames of the
        result included, is `execution`. Thinking is left out of `history`, as the models' own templates do.
        """
        made: list[Segment] = []
        for number, block in enumerate(blocks):
            if block.type == "execution":
                made += self.executed([(block.content, "")])
            elif block.type == "code":
                if number and blocks[number - 1].type == "text":
                    made += self.pieces(self.call.lead, "control")
                made += self.pieces(self.call.open, "control")
                made += self.pieces(encoded(block.content, self.call), "code")
                made += self.pieces(self.call.close + self.call.end, "control")
            elif not block.thinking:
                made.append(Segment("text", block.content, False))
            elif not history and self.think is not None:
                made += self.pieces(self.think.open, "control")
                made += [Segment("text", block.content, False), *self.pieces(self.think.close, "control")]
        return merged(made)

    def reader(self, vocabulary: Vocabulary | None, listener: Listener | None) -> NativeReader:
        """A reader for one solution."""
        is_prefilled = self.think is not None and self.think.prefilled and self.thinks
        return NativeReader(self, vocabulary, listener, thinking=is_prefilled)

    def answer(self, blocks: Sequence[Block]) -> str | None:
        r"""The final answer of a finished solution, or None: the last `\boxed{}` outside of thinking comes first."""
        if self.mode == "program-of-thought":
            return printed_answer(blocks)
        said = [block for block in blocks if not block.thinking]
        if not said or said[-1].type != "text":
            return None
        return last_boxed(said[-1].content) or final_answer(said)

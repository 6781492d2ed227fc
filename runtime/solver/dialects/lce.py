"""MathCoder's own dialect: blocks delimited by eight control tokens (see `runtime.lce`)."""

from __future__ import annotations

import codecs
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType

from runtime.engine import TokenSequence, Vocabulary
from runtime.errors import ModelError
from runtime.grade import final_answer
from runtime.lce import (
    BLOCK_TOKENS,
    CONTROL_TOKENS,
    END_OF_BLOCK,
    END_OF_MESSAGE,
    EXECUTION,
    Block,
    BlockType,
    Segment,
    assistant_block_segments,
    conversation,
    segments,
)
from runtime.settings import Mode
from runtime.solver.dialects.dialect import Evidence, Exchange, Listener, Signal
from runtime.solver.dialects.form import State
from runtime.solver.modes import printed_answer


class BlockFormat:
    """MathCoder's own format: eight control tokens, see `runtime.lce`."""

    name = "lce"
    needs = CONTROL_TOKENS
    evidence: Evidence = "trained"
    why = "the model has the eight control tokens"
    notices = None
    state: State = "kernel"
    limits: Mapping[str, int] = MappingProxyType({})
    sampling: Mapping[str, float] = MappingProxyType({})

    def __init__(self, mode: Mode = "full") -> None:
        self._mode: Mode = mode

    def shaped(self, output: str, status: str) -> str:  # noqa: ARG002
        """The output as it is."""
        return output

    def in_mode(self, mode: Mode) -> BlockFormat:
        """The same dialect for solutions of `mode`."""
        return BlockFormat(mode)

    def prompt(self, question: str, system: str, history: Iterable[Exchange] = ()) -> list[Segment]:
        """The segments up to where the model writes."""
        messages = conversation("", system=system)[:1]
        for earlier, blocks in history:
            messages += conversation(earlier, blocks)[1:]
        messages += conversation(question)[1:]
        return segments(messages, generation_prompt=True)

    def reader(self, vocabulary: Vocabulary | None, listener: Listener | None) -> BlockReader:
        """A reader for one solution."""
        if vocabulary is None:
            raise ModelError(
                "the block format needs token ids",
                "",
                "choose the dialect with `dialects.choose`",
            )
        return BlockReader(vocabulary, listener, self._mode)

    def answer(self, blocks: Sequence[Block]) -> str | None:
        """The final answer of a finished solution, or None."""
        return printed_answer(blocks) if self._mode == "program-of-thought" else final_answer(blocks)


class BlockReader:
    """Blocks delimited by control tokens, compared by id: their text is empty, no stop string sees them."""

    def __init__(self, vocabulary: Vocabulary, listener: Listener | None, mode: Mode = "full") -> None:
        ids = {name: vocabulary.control_id(name) for name in CONTROL_TOKENS}
        control = {token for token in ids.values() if token is not None}
        self._control = frozenset(control)
        self._vocabulary = vocabulary
        self._strip = vocabulary.space_prefix
        self._listener = listener
        self._end_of_block, self._end_of_message = ids[END_OF_BLOCK], ids[END_OF_MESSAGE]
        text, code = ids[BLOCK_TOKENS["text"]], ids[BLOCK_TOKENS["code"]]
        self._types: dict[int | None, BlockType] = {text: "text", code: "code"}
        # Between blocks: begin text or code, or end. The model can never begin an execution block: that is the
        # runtime's to write, or, where executions are imagined, to open.
        between = {text, code, self._end_of_message}
        # Inside a block: anything but a control token other than the block's end and the end of everything.
        inside = control - {self._end_of_block, self._end_of_message}
        self._then: frozenset[int] | None = None
        if mode == "chain-of-thought":
            between.discard(code)
        elif mode == "program-of-thought":
            # One program: at most one text before it, and no end of the message without it.
            between.discard(self._end_of_message)
            inside |= {token for token in (self._end_of_message,) if token is not None}
            self._then = frozenset(token for token in (code,) if token is not None)
        self._between = frozenset(token for token in between if token is not None)
        self._inside = frozenset(inside)
        self._open: BlockType | None = None
        self._parts: list[bytes] = []
        self._decode = codecs.getincrementaldecoder("utf-8")("replace")
        self._sequence: TokenSequence | None = None
        self.blocks: list[Block] = []
        self.opened = self.block_tokens = self.thinking_tokens = 0
        self.fault = ""
        self.is_thinking = False

    @property
    def code(self) -> str:
        """What is to be run, after the signal `code`."""
        return self.blocks[-1].content

    def attach(self, sequence: TokenSequence) -> None:
        """Set what `sequence` may draw first."""
        self._sequence = sequence
        sequence.only, sequence.forbidden = self._between, frozenset()

    def push(self, token: int, piece: bytes) -> Signal:
        """Take the next drawn token; returns what it means for the loop."""
        # A file may give its control tokens a text (USER_DEFINED ones).
        if piece and self._open is not None and token not in self._control:
            self.block_tokens += 1
            if not self._parts:
                if self._strip and piece.startswith(b" "):
                    piece = piece[1:]
                if self._open == "execution":
                    self._constrain(None, self._inside)
            self._parts.append(piece)
            if self._listener is not None and (text := self._decode.decode(piece)):
                self._listener.wrote(self._open, text)
            return None
        return self._push_marker(token)

    def _push_marker(self, token: int) -> Signal:
        if self._open is None:
            begun = self._types.get(token)
            if begun is None:
                return "end"
            self._open, self.block_tokens = begun, 0
            self.opened += 1
            self._constrain(None, self._inside)
            if self._listener is not None:
                self._listener.opened(begun)
            return None
        if token == self._end_of_block:
            kind = self._open
            self._close()
            return "code" if kind == "code" else None
        if token == self._end_of_message or self._vocabulary.is_end(token):
            self._close()
            return "end"
        # A token that stands for nothing (an unused one): it takes part in the count and in nothing else.
        self.block_tokens += 1
        return None

    def _close(self) -> None:
        assert self._open is not None
        block = Block(self._open, b"".join(self._parts).decode("utf-8", "replace"))
        if self._listener is not None and (rest := self._decode.decode(b"", True)):
            self._listener.wrote(block.type, rest)
        self._decode.reset()
        self._open, self._parts = None, []
        self.blocks.append(block)
        if self._then is not None:
            self._between = self._then
        self._constrain(self._between, frozenset())
        if self._listener is not None:
            self._listener.closed(block)

    def execution(self, output: str, notice: str = "") -> list[Segment]:  # noqa: ARG002
        """What is put into the sequence after the code block just completed."""
        return assistant_block_segments("execution", output)

    def resume(self) -> Signal:
        """Nothing waits: each code block is run at its end."""
        return None

    def turn(self) -> list[Segment]:
        """Nothing: a solution is one turn."""
        return []

    def end_thinking(self) -> list[Segment]:
        """Nothing: the block format knows no thinking."""
        return []

    def force_answer(self) -> list[Segment]:
        """Nothing: the block format is never forced."""
        return []

    def imagine(self) -> list[Segment]:
        """Open an execution block that the model itself writes; returns what begins it."""
        self._open, self.block_tokens = "execution", 0
        # Not empty: no real execution is, and a model that was never trained to write one likes to end it at once.
        # The engine's own ends count as well: a file may know others beside the end of a message.
        ends = {token for token in (self._end_of_block, self._end_of_message) if token is not None}
        self._constrain(None, self._inside | ends | self._vocabulary.ends)
        return [Segment("execution", EXECUTION, True)]

    def _constrain(self, only: frozenset[int] | None, forbidden: frozenset[int]) -> None:
        if self._sequence is not None:
            self._sequence.only, self._sequence.forbidden = only, forbidden

    def cut(self) -> None:
        """Close an open block with what it holds."""
        if self._open is not None and self._parts:
            self._close()

    def end(self) -> Signal:
        """Close an open block: the model is done."""
        self.cut()
        return "end"

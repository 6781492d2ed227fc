"""Dialects: how a question is put to a model, and how its tokens are read back as blocks.

The block format (`lce`) delimits blocks by control tokens. Models that people already have write Markdown instead:
a fenced `python` block, whose result they expect in a fenced `output` block (ToRA, Qwen2.5-Math). Both become the same
text, code and execution blocks here, so that everything behind the reader is one loop.
"""

from __future__ import annotations

import codecs
from collections.abc import Iterable
from collections.abc import Sequence as Seq
from typing import Literal, Protocol

from runtime.engine import Engine, Sequence, Vocabulary
from runtime.errors import InputError, ModelError
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
from runtime.modes import Mode, printed_answer

Signal = Literal["code", "end"] | None
"""What a token means for the loop: nothing, a code block is complete, or the model is done."""
Turn = tuple[str, Seq[Block]]
"""An earlier question and the blocks that answered it."""


class Listener(Protocol):
    """Who is told about blocks while they are written."""

    def opened(self, block_type: BlockType) -> None:
        """A block begins."""
        ...

    def wrote(self, block_type: BlockType, text: str) -> None:
        """A piece of the open block."""
        ...

    def closed(self, block: Block) -> None:
        """The open block is complete."""
        ...


class Reader(Protocol):
    """Reads one solution, token by token."""

    blocks: list[Block]
    opened: int
    """Text and code blocks begun so far."""
    block_tokens: int
    """Tokens in the open block."""

    def attach(self, sequence: Sequence) -> None:
        """Set what `sequence` may draw first; kept up to date by `push`."""
        ...

    def push(self, token: int, piece: bytes) -> Signal:
        """Take the next drawn token (-1 from a server that sends only text)."""
        ...

    def execution(self, output: str) -> list[Segment]:
        """What is put into the sequence after the code block just completed."""
        ...

    def imagine(self) -> list[Segment]:
        """Open an execution block that the model itself writes; returns what is put into the sequence to begin it."""
        ...

    def cut(self) -> None:
        """Close an open block with what it holds, because a budget ended the solution."""
        ...

    def end(self) -> None:
        """The model is done without saying so by a token (a server's own stop)."""
        ...


class Dialect(Protocol):
    """How to talk to one family of models."""

    @property
    def name(self) -> str:
        """As `--dialect` takes it."""
        ...

    @property
    def needs(self) -> tuple[str, ...]:
        """Control tokens the model must have."""
        ...

    def in_mode(self, mode: Mode) -> Dialect:
        """The same dialect for solutions of `mode`."""
        ...

    def prompt(self, question: str, system: str, history: Iterable[Turn] = ()) -> list[Segment]:
        """Everything up to where the model writes."""
        ...

    def reader(self, vocabulary: Vocabulary | None, listener: Listener | None) -> Reader:
        """A reader for one solution."""
        ...

    def answer(self, blocks: Seq[Block]) -> str | None:
        """The final answer of a finished solution."""
        ...


class BlockFormat:
    """MathCoder's own format: eight control tokens, see `runtime.lce`."""

    name = "lce"
    needs = CONTROL_TOKENS

    def __init__(self, mode: Mode = "full") -> None:
        self._mode: Mode = mode

    def in_mode(self, mode: Mode) -> BlockFormat:
        """See the protocol."""
        return BlockFormat(mode)

    def prompt(self, question: str, system: str, history: Iterable[Turn] = ()) -> list[Segment]:
        """See the protocol."""
        messages = conversation("", system=system)[:1]
        for earlier, blocks in history:
            messages += conversation(earlier, blocks)[1:]
        messages += conversation(question)[1:]
        return segments(messages, generation_prompt=True)

    def reader(self, vocabulary: Vocabulary | None, listener: Listener | None) -> BlockReader:
        """See the protocol."""
        if vocabulary is None:
            raise ModelError("the block format needs token ids", "", "choose the dialect with `runtime.dialect.choose`")
        return BlockReader(vocabulary, listener, self._mode)

    def answer(self, blocks: Seq[Block]) -> str | None:
        """See the protocol."""
        return printed_answer(blocks) if self._mode == "program-of-thought" else final_answer(blocks)


class BlockReader:
    """Blocks delimited by control tokens, compared by id: their text is empty, so no stop string could see them."""

    def __init__(self, vocabulary: Vocabulary, listener: Listener | None, mode: Mode = "full") -> None:
        ids = {name: vocabulary.control_id(name) for name in CONTROL_TOKENS}
        control = {token for token in ids.values() if token is not None}
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
        self._sequence: Sequence | None = None
        self.blocks: list[Block] = []
        self.opened = 0
        self.block_tokens = 0

    def attach(self, sequence: Sequence) -> None:
        """See the protocol."""
        self._sequence = sequence
        sequence.only, sequence.forbidden = self._between, frozenset()

    def push(self, token: int, piece: bytes) -> Signal:
        """See the protocol."""
        if self._open is not None and token != self._end_of_block and piece:
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

    def execution(self, output: str) -> list[Segment]:
        """See the protocol."""
        return assistant_block_segments("execution", output)

    def imagine(self) -> list[Segment]:
        """See the protocol."""
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
        """See the protocol."""
        if self._open is not None and self._parts:
            self._close()

    def end(self) -> None:
        """See the protocol."""
        self.cut()


def _all() -> dict[str, Dialect]:
    from runtime.dialect_fenced import QWEN_MATH, TORA

    return {dialect.name: dialect for dialect in (BlockFormat(), QWEN_MATH, TORA)}


DIALECTS: dict[str, Dialect] = _all()


def choose(name: str, engine: Engine, mode: Mode = "full") -> Dialect:
    """The dialect called `name`, or for `auto` the block format where the model has it, for solutions of `mode`.

    Raises:
        InputError: no dialect has that name.
        ModelError: the model lacks the control tokens the dialect needs; the message names one that fits.
    """
    if name != "auto" and name not in DIALECTS:
        raise InputError(f"there is no dialect {name!r}", "", f"choose one of auto, {', '.join(DIALECTS)}")
    dialect = DIALECTS["lce" if name == "auto" else name].in_mode(mode)
    vocabulary = engine.vocabulary
    if vocabulary is None:
        if dialect.name == "lce":
            raise ModelError(
                f"the block format needs token ids both ways, and {engine.why_text_only}",
                "a server that tokenizes our text could read a question as control tokens, so the format is refused",
                "give a GGUF file of the same model and serve it with vLLM or llama-server, "
                "or use a fenced dialect (--dialect qwen-math, --dialect tora)",
            )
        return dialect
    missing = [token for token in dialect.needs if vocabulary.control_id(token) is None]
    if missing:
        fits = [
            d.name for d in DIALECTS.values() if d.needs and all(vocabulary.control_id(t) is not None for t in d.needs)
        ]
        if not fits:
            fits = ["qwen-math" if "<|im_start|>" in engine.chat_template else "tora"]
        raise ModelError(
            f"the model has no control token {', '.join(missing)}",
            f"the dialect {dialect.name} cannot be spoken with it",
            f"try --dialect {fits[0]}, or a model exported with `mathcoder export`",
        )
    return dialect

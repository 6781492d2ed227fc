"""What a dialect is: how a question is put to a model, and how its tokens are read back as blocks.

The block format (`lce`) delimits blocks by control tokens. Models that people already have write Markdown instead:
a fenced `python` block, whose result they expect in a fenced `output` block (ToRA, Qwen2.5-Math). Both become the same
text, code and execution blocks here, so that everything behind the reader is one loop.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal, Protocol

from runtime.engine import TokenSequence, Vocabulary
from runtime.lce import Block, BlockType, Segment
from runtime.settings import Mode

Signal = Literal["code", "end"] | None
"""What a token means for the loop: nothing, a code block is complete, or the model is done."""
Exchange = tuple[str, Sequence[Block]]
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


class SolutionReader(Protocol):
    """Reads one solution, token by token."""

    blocks: list[Block]
    opened: int
    """Text and code blocks begun so far."""
    block_tokens: int
    """Tokens in the open block."""

    def attach(self, sequence: TokenSequence) -> None:
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

    def prompt(self, question: str, system: str, history: Iterable[Exchange] = ()) -> list[Segment]:
        """Everything up to where the model writes."""
        ...

    def reader(self, vocabulary: Vocabulary | None, listener: Listener | None) -> SolutionReader:
        """A reader for one solution."""
        ...

    def answer(self, blocks: Sequence[Block]) -> str | None:
        """The final answer of a finished solution."""
        ...

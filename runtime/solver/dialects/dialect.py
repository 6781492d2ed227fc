"""What a dialect is: how a question is put to a model, and how its tokens are read back as blocks.

The block format (`lce`) delimits blocks by control tokens. Models that people already have write Markdown instead:
a fenced `python` block, whose result they expect in a fenced `output` block (ToRA, Qwen2.5-Math). Both become the same
text, code and execution blocks here, so that everything behind the reader is one loop.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, Protocol

from runtime.engine import TokenSequence, Vocabulary
from runtime.lce import Block, BlockType, Segment
from runtime.settings import Mode
from runtime.solver.dialects.form import Notices, State

Evidence = Literal["trained", "template", "prompted"]
"""trained: the model was trained to use an interpreter in this very form. template: its chat template declares tools.
prompted: nothing says that it has ever run code."""
Signal = Literal["code", "refused", "turn", "end"] | None
"""What a token means for the loop: nothing, code is to be run, a call cannot be read (`SolutionReader.fault` says why),
the model's turn is over and the runtime goes on (`SolutionReader.turn`), or the model is done."""
Exchange = tuple[str, Sequence[Block]]
"""An earlier question and the blocks that answered it."""


class Listener(Protocol):
    """Who is told about blocks while they are written."""

    def opened(self, block_type: BlockType, thinking: bool = False) -> None:
        """A block begins; `thinking`: a text block that is no part of the answer."""
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
    thinking_tokens: int
    """Tokens of thinking so far."""

    @property
    def code(self) -> str:
        """What is to be run, after the signal `code`."""
        ...

    @property
    def fault(self) -> str:
        """What is wrong with a call, after the signal `refused`."""
        ...

    @property
    def is_thinking(self) -> bool:
        """Whether what is written now is thinking."""
        ...

    def attach(self, sequence: TokenSequence) -> None:
        """Set what `sequence` may draw first; kept up to date by `push`."""
        ...

    def push(self, token: int, piece: bytes) -> Signal:
        """Take the next drawn token (-1 from a server that sends only text)."""
        ...

    def execution(self, output: str, notice: str = "") -> list[Segment]:
        """What is put into the sequence after the code that was run; nothing where the turn goes on first.

        Args:
            output: what the model reads.
            notice: what is told beside it, in dialects that do so.
        """
        ...

    def resume(self) -> Signal:
        """What is next after an execution, before another token is drawn: several calls may have come at once."""
        ...

    def turn(self) -> list[Segment]:
        """What is put into the sequence where the model has ended its turn and waits for results."""
        ...

    def end_thinking(self) -> list[Segment]:
        """Close thinking in the model's place; returns what is put into the sequence."""
        ...

    def force_answer(self) -> list[Segment]:
        """Close what is open and begin the answer in the model's place; returns what is put into the sequence."""
        ...

    def imagine(self) -> list[Segment]:
        """Open an execution block that the model itself writes; returns what begins it in the sequence."""
        ...

    def cut(self) -> None:
        """Close an open block with what it holds, because a budget ended the solution."""
        ...

    def end(self) -> Signal:
        """The model is done without a token that says so (a server's stop): `end`, or what is next even so."""
        ...


class Dialect(Protocol):
    """How to talk to one family of models."""

    @property
    def name(self) -> str:
        """The name that `--dialect` takes."""
        ...

    @property
    def evidence(self) -> Evidence:
        """What speaks for it that the model was trained to use an interpreter so."""
        ...

    @property
    def why(self) -> str:
        """The same in words, for the line that says which dialect was chosen."""
        ...

    @property
    def notices(self) -> Notices | None:
        """What the model is told of its budgets; None: nothing."""
        ...

    @property
    def state(self) -> State:
        """What a cell finds of earlier ones."""
        ...

    def shaped(self, output: str, status: str) -> str:
        """What a cell gave, in the style that the model was trained to read."""
        ...

    @property
    def limits(self) -> Mapping[str, int]:
        """Settings of the solver in place of its defaults."""
        ...

    @property
    def sampling(self) -> Mapping[str, float]:
        """How the model's makers draw tokens."""
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

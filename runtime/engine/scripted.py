"""A scripted engine: it draws recorded tokens instead of sampled ones, through the very same loop.

Used to measure everything around the model (reading blocks, running cells, finding answers) on real transcripts, and
to test the loop without weights. A vocabulary is needed, because the loop exchanges token ids: that of a GGUF file, or
the byte vocabulary here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from runtime.engine.interrupt import StopFlag
from runtime.engine.protocol import About, Decoder, Drawn, Opening, SequenceError, TokenSequence, Vocabulary, encode
from runtime.lce import CONTROL_TOKENS, END_OF_MESSAGE, Block, Segment, assistant_block_segments

Script = Callable[[str], Iterable[Block]]
"""question -> the blocks to write; of its execution blocks the runtime writes all, or, where they are imagined, the
beginning."""


class ByteVocabulary:
    """256 bytes and the eight control tokens: every text has exactly one encoding."""

    space_prefix = False
    bos = None
    size = 256 + len(CONTROL_TOKENS)
    ends = frozenset({256 + CONTROL_TOKENS.index(END_OF_MESSAGE)})

    def encode(self, text: str) -> list[int]:
        """Token ids of `text` as content: no control or end-of-generation id comes out."""
        return list(text.encode("utf-8", "replace"))

    def reserve(self, spellings: Iterable[str]) -> None:
        """Do nothing: bytes spell no token."""

    def piece(self, token: int) -> bytes:
        """The bytes a token stands for; control tokens stand for none."""
        return bytes([token]) if token < 256 else b""

    def control_id(self, name: str) -> int | None:
        """The id of the control token called `name`, or None."""
        return 256 + CONTROL_TOKENS.index(name) if name in CONTROL_TOKENS else None

    def is_end(self, token: int) -> bool:
        """Whether `token` ends generation."""
        return token in self.ends


def script_tokens(
    vocabulary: Vocabulary, blocks: Iterable[Block], *, end: bool = True, imagined: bool = False
) -> list[int]:
    """The ids a model would have drawn to write `blocks`.

    Executions only where it imagines them, and then without their marker, which the runtime writes even so.
    """
    pieces: list[Segment] = []
    for block in blocks:
        written = assistant_block_segments(block.type, block.content)
        if block.type == "execution":
            written = written[1:] if imagined else []
        pieces += written
    return encode(vocabulary, pieces + ([Segment("control", END_OF_MESSAGE, True)] if end else []))


class ReplayEngine:
    """Writes what `script` says for the question found in the prompt.

    See `protocol.Engine` for the contract.

    Args:
        script: question -> blocks. A KeyError makes that sequence fail, as a broken model would.
        vocabulary: tokenizer; the byte vocabulary where none is given.
        n_ctx: tokens one sequence may hold.
        end: draw the end of the message after the last block; otherwise the sequence fails there.
        imagined: write the script's execution blocks too, for a solver in the mode of that name.
        write: in place of a script of the block format: prompt -> the token ids to draw.
    """

    chat_template = ""
    about = About()
    why_text_only = ""

    def __init__(
        self,
        script: Script,
        *,
        vocabulary: Vocabulary | None = None,
        n_ctx: int = 65536,
        end: bool = True,
        imagined: bool = False,
        write: Callable[[list[Segment]], Iterable[int]] | None = None,
    ) -> None:
        self.script = script
        self.write = write
        self.vocabulary: Vocabulary = vocabulary or ByteVocabulary()
        self.n_ctx = n_ctx
        self.end = end
        self.imagined = imagined
        self.stop_flag = StopFlag()

    def open(self, slots: int = 1) -> ReplayDecoder:
        """A decoder for `slots` sequences at once."""
        return ReplayDecoder(self, slots)

    def facts(self) -> dict[str, Any]:
        """What a record of a run needs to know of the model."""
        return {"engine": "replay", "n_ctx": self.n_ctx, "vocabulary": type(self.vocabulary).__name__}

    def close(self) -> None:
        """Do nothing: nothing is held."""


@dataclass(slots=True, eq=False)
class _Scripted(TokenSequence):
    script: Iterator[int] = field(default_factory=lambda: iter(()))
    failure: str = ""


class ReplayDecoder(Decoder):
    """Sequences that draw what the script says; the contract is `protocol.Decoder`."""

    def __init__(self, engine: ReplayEngine, slots: int) -> None:
        super().__init__(engine.vocabulary, engine.n_ctx, slots)
        self.engine: ReplayEngine = engine
        self._live = 0

    @property
    def live(self) -> int:
        """Sequences that hold a slot."""
        return self._live

    def _open(self, prompt: list[Segment], asked: Opening) -> TokenSequence:
        engine = self.engine
        script: Iterable[int]
        if engine.write is not None:
            script = engine.write(prompt)
        else:
            # The question is the last content segment of the prompt.
            question = next(segment.text for segment in reversed(prompt) if not segment.is_control)
            script = script_tokens(engine.vocabulary, engine.script(question), end=engine.end, imagined=engine.imagined)
        sequence = super()._open(prompt, asked)
        assert isinstance(sequence, _Scripted)
        sequence.script = iter(script)
        return sequence

    def begin(self, ids: list[int], asked: Opening) -> TokenSequence:
        if asked.after is not None:
            self.finish(asked.after)
        self._live += 1
        return _Scripted(slot=self._live, ids=ids)

    def step(self, sequences: Sequence[TokenSequence]) -> list[Drawn]:
        """One decode of pending tokens, then one drawn token for every sequence with none left."""
        scripted = [sequence for sequence in sequences if isinstance(sequence, _Scripted)]
        for sequence in scripted:
            if sequence.failure:
                raise SequenceError(sequence, sequence.failure, "nothing more can be drawn")
        drawn = []
        for sequence in scripted:
            token = next(sequence.script, None)
            if token is None:
                # Raised at the next step, so that what the others draw now is not lost.
                sequence.failure = "the script has ended"
                continue
            if token in sequence.forbidden if sequence.only is None else token not in sequence.only:
                sequence.failure = f"the script draws token {token}, which the loop forbids here"
                continue
            sequence.evaluated += sequence.length - sequence.past
            sequence.past = sequence.length
            sequence.ids.append(token)
            drawn.append(Drawn(sequence, token, self.engine.vocabulary.piece(token)))
        return drawn

    def park(self, sequence: TokenSequence) -> None:
        """Give the sequence's cache back for now; its tokens are evaluated again when it is stepped next."""
        sequence.past = 0

    def finish(self, sequence: TokenSequence) -> None:
        """Free the slot."""
        if sequence.slot >= 0:
            sequence.slot = -1
            self._live -= 1

    def close(self) -> None:
        """Do nothing: nothing is held."""

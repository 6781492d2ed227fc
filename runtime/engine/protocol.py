"""Engines: where the next token comes from. One small protocol, several implementations.

An `Engine` owns a model (or a connection to one) and a vocabulary. `open(slots)` gives a `Decoder`, which holds up to
`slots` sequences at once; `step` advances any subset of them by one decode and returns what was drawn. One solution at
a terminal is a decoder with one slot; a batch is the same loop with more. Token ids go in and come out: text is never
tokenized again, so the key-value cache stays valid and a control token can never be spelled.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from runtime.errors import EngineError, ModelError
from runtime.lce import Segment
from runtime.settings import SamplingSettings

if TYPE_CHECKING:
    from runtime.engine.interrupt import StopFlag
    from runtime.engine.trajectory import Trajectory


class Vocabulary(Protocol):
    """Text to token ids and back."""

    space_prefix: bool
    """Whether the tokenizer puts a space before text that follows a control token (and a reader takes it off)."""

    def encode(self, text: str) -> list[int]:
        """Token ids of `text` as content: no control, end-of-generation or reserved id, whatever it spells."""
        ...

    def reserve(self, spellings: Iterable[str]) -> None:
        """Let no content spell these tokens any more: a dialect names those that it reads and writes by id."""
        ...

    def piece(self, token: int) -> bytes:
        """The bytes a token stands for; control tokens stand for none."""
        ...

    def control_id(self, name: str) -> int | None:
        """The id of the token `name`, if it is a control token or one that `reserve` can guard, else None."""
        ...

    def is_end(self, token: int) -> bool:
        """Whether `token` ends generation."""
        ...

    @property
    def ends(self) -> frozenset[int]:
        """All tokens that end generation."""
        ...

    @property
    def bos(self) -> int | None:
        """The token that begins every prompt, or None where the model wants none."""
        ...


@dataclass(slots=True, eq=False)
class TokenSequence:
    """One token sequence in a decoder: `ids[:past]` are in the KV cache, the rest is to be evaluated."""

    slot: int
    ids: list[int] = field(default_factory=list)
    past: int = 0
    evaluated: int = 0
    """Tokens given to the model for this sequence, counting again what had to be read again."""
    reused: int = 0
    """Tokens found in the cache already (a prefix shared with another sequence)."""
    only: frozenset[int] | None = None
    """Where set, the next token is one of these."""
    forbidden: frozenset[int] = frozenset()
    """The next token is none of these."""
    sampler: Any = None
    temperature: float = 0.0
    owner: Any = None
    """Whatever the driver wants to find again from a drawn token."""
    record: Trajectory | None = None
    """Where set, the embedded engine writes down what it draws."""

    @property
    def length(self) -> int:
        """Tokens in all."""
        return len(self.ids)


class Drawn(NamedTuple):
    """One sampled token; `token` may be TEXT_ONLY or ENDED where a server is behind it."""

    sequence: TokenSequence
    token: int
    piece: bytes


ENDED = -2
"""In place of a drawn token: the server says that this sequence is done (its end token is not shown)."""
TEXT_ONLY = -1
"""In place of a drawn token: a piece of text from a server that shows no ids."""


class SequenceError(EngineError):
    """One sequence cannot go on; the others can."""

    def __init__(self, sequence: TokenSequence, cause: str, consequence: str = "", remedy: str = "") -> None:
        super().__init__(cause, consequence, remedy)
        self.sequence = sequence


class ContextFullError(EngineError):
    """The key-value cache has no room for what was to be evaluated; nothing was changed."""


class StoppedError(EngineError):
    """The computation was stopped on request; evaluated tokens are as before the call."""


class Opening(NamedTuple):
    """What `Decoder.start` was asked for, prompt aside; see there."""

    sampling: SamplingSettings
    seed: int
    share: bool = False
    after: TokenSequence | None = None


class Decoder(ABC):
    """A context for some sequences of one engine: prompts become token ids here, the engine does the rest."""

    def __init__(self, vocabulary: Vocabulary | None, n_ctx: int, slots: int) -> None:
        """
        Args:
            vocabulary: None where only text can be exchanged with the model.
            n_ctx: most tokens one sequence may hold.
            slots: most sequences at once.
        """
        self.vocabulary, self.n_ctx, self.slots = vocabulary, n_ctx, slots

    def start(
        self,
        segments: Iterable[Segment],
        sampling: SamplingSettings,
        seed: int,
        *,
        share: bool = False,
        after: TokenSequence | None = None,
    ) -> TokenSequence:
        """A new sequence whose pending tokens are `segments`, with BOS in front where the model wants it.

        Args:
            segments: the prompt.
            sampling: how tokens are drawn.
            seed: seed of this sequence's sampler.
            share: take over what the cache holds of the prompt's beginning for another live sequence (the same system
                text, or another sample of the same question).
            after: finish this sequence, and keep of its cache what the new prompt begins with (a conversation).

        Raises:
            EngineError: no slot is free.
            ModelError: a segment names a control token the model lacks.
        """
        if after is None and self.live >= self.slots:
            raise EngineError(f"all {self.slots} slots are in use", "", "finish a sequence first")
        return self._open(list(segments), Opening(sampling, seed, share, after))

    def _open(self, prompt: list[Segment], asked: Opening) -> TokenSequence:
        """`start` for engines that exchange token ids; one that cannot replaces it."""
        vocabulary = self.vocabulary
        assert vocabulary is not None
        bos = [] if vocabulary.bos is None else [vocabulary.bos]
        return self.begin(bos + encode(vocabulary, prompt), asked)

    @abstractmethod
    def begin(self, ids: list[int], asked: Opening) -> TokenSequence:
        """A new sequence with these tokens pending."""

    @property
    @abstractmethod
    def live(self) -> int:
        """Sequences that hold a slot."""

    def feed(self, sequence: TokenSequence, segments: Iterable[Segment]) -> int:
        """Append content and control tokens that the model did not write; returns how many tokens they are."""
        assert self.vocabulary is not None
        ids = encode(self.vocabulary, segments)
        sequence.ids += ids
        return len(ids)

    @abstractmethod
    def step(self, sequences: Sequence[TokenSequence]) -> list[Drawn]:
        """Advance: one decode of pending tokens, then one drawn token for every sequence with none left.

        Raises:
            ContextFullError: no room; nothing was changed. Park or finish a sequence, then call again.
            StoppedError: `engine.stop_flag` was set.
        """

    @abstractmethod
    def park(self, sequence: TokenSequence) -> None:
        """Give the sequence's cache back for now; its tokens are evaluated again when it is stepped next."""

    @abstractmethod
    def finish(self, sequence: TokenSequence) -> None:
        """Free the slot."""

    @abstractmethod
    def close(self) -> None:
        """Free everything; further calls are errors."""


class About(NamedTuple):
    """What a model's file says of itself, as far as it says anything."""

    architecture: str = ""
    names: str = ""
    """Its own name and those of the models it was made of, one a line."""
    bos: str = ""
    """Spelling of the token that begins a text, whether or not a prompt is begun with it."""
    eos: str = ""
    """Spelling of the token that ends one."""
    dialect: str = ""
    """What it was trained in here, where that was not the block format."""


class Engine(Protocol):
    """A model that can be solved with."""

    n_ctx: int
    stop_flag: StopFlag
    chat_template: str
    """The model's own chat template, empty where it has none."""
    about: About
    why_text_only: str
    """Why `vocabulary` is None, for the message that refuses the block format."""

    @property
    def vocabulary(self) -> Vocabulary | None:
        """None where only text can be exchanged with the model."""
        ...

    def open(self, slots: int = 1) -> Decoder:
        """A decoder for `slots` sequences at once."""
        ...

    def facts(self) -> dict[str, Any]:
        """What a record of a run needs: model, hash, versions, threads, cache types."""
        ...

    def close(self) -> None:
        """Free the model."""
        ...


def encode(vocabulary: Vocabulary, segments: Iterable[Segment]) -> list[int]:
    """Token ids of segments: control tokens by name, all else as content.

    Raises:
        ModelError: the vocabulary has no such control token.
    """
    ids: list[int] = []
    for segment in segments:
        if not segment.is_control:
            ids += vocabulary.encode(segment.text)
        elif (token := vocabulary.control_id(segment.text)) is not None:
            ids.append(token)
        else:
            raise ModelError(
                f"the vocabulary has no control token {segment.text}",
                "a prompt in this dialect cannot be built",
                "use another dialect, or a model that was trained with this one",
            )
    return ids

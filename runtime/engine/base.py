"""What every decoder that is ours does alike, once: from a prompt's segments to a sequence with its tokens pending."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import NamedTuple

from runtime.engine.protocol import TokenSequence, Vocabulary
from runtime.errors import EngineError, ModelError
from runtime.lce import Segment
from runtime.settings import SamplingSettings


class Opening(NamedTuple):
    """What `BaseDecoder.start` was asked for, prompt aside; see there."""

    sampling: SamplingSettings
    seed: int
    share: bool = False
    after: TokenSequence | None = None


class BaseDecoder(ABC):
    """What the decoders share: prompts become token ids, a slot is looked for. See `protocol.Decoder`."""

    def __init__(self, vocabulary: Vocabulary | None, n_ctx: int, slots: int) -> None:
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
        """A new sequence whose pending tokens are the prompt."""
        if after is None and self.live >= self.slots:
            raise EngineError(f"all {self.slots} slots are in use", "", "finish a sequence first")
        return self._open(list(segments), Opening(sampling, seed, share, after))

    def _open(self, prompt: list[Segment], asked: Opening) -> TokenSequence:
        """`start` for engines that exchange token ids; one that cannot replaces it."""
        vocabulary = self.vocabulary
        assert vocabulary is not None
        bos = [] if vocabulary.bos is None else [vocabulary.bos]
        return self._begin(bos + encode(vocabulary, prompt), asked)

    @abstractmethod
    def _begin(self, ids: list[int], asked: Opening) -> TokenSequence:
        """A new sequence with these tokens pending."""

    @property
    @abstractmethod
    def live(self) -> int:
        """Sequences that hold a slot."""

    def feed(self, sequence: TokenSequence, segments: Iterable[Segment]) -> int:
        """Append what the model did not write; returns how many tokens that is."""
        assert self.vocabulary is not None
        ids = encode(self.vocabulary, segments)
        sequence.ids += ids
        return len(ids)


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

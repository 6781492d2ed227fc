"""A model in training as an engine: llama.cpp's protocol on torch, to solve between optimizer steps.

Greedy only, one sequence at a time through the model, each with a key-value cache of its own. Nothing of the model
changes: no weights, no random numbers, no mode that outlasts a call.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import torch

from qlora.adapter import Adapted, inference
from qlora.dialects import dialect_name
from qlora.tokens import segment_tokenizer
from runtime.engine import ContextFullError, Decoder, Drawn, StoppedError, TokenSequence
from runtime.engine.interrupt import StopFlag
from runtime.engine.protocol import About, Opening
from runtime.errors import EngineError, InputError


class TorchEngine:
    """An adapted model as `runtime.engine.protocol.Engine`."""

    why_text_only = ""

    def __init__(self, adapted: Adapted, tokenizer: Any, *, n_ctx: int) -> None:
        """
        Args:
            adapted: the model; it stays the caller's.
            tokenizer: the one it is trained with.
            n_ctx: tokens one solution may hold.
        """
        self.adapted = adapted
        self.vocabulary = segment_tokenizer(tokenizer).vocabulary
        self.n_ctx = n_ctx
        self.stop_flag = StopFlag()
        name = dialect_name(tokenizer)
        bos, eos = str(tokenizer.bos_token or ""), str(tokenizer.eos_token or "")
        self.about = About(bos=bos, eos=eos, dialect="" if name == "lce" else name)
        self.chat_template = tokenizer.chat_template if isinstance(tokenizer.chat_template, str) else ""
        # Unsloth's own forward pass takes no cache of transformers; there everything is read again each time.
        self.cached = not adapted.by_unsloth
        # Published embeddings are padded to a round number; the rows beyond the tokenizer stand for nothing.
        self._padding = max(0, adapted.head.weight.shape[0] - self.vocabulary.size)

    def open(self, slots: int = 1) -> Decoder:
        """A decoder for `slots` sequences at once."""
        return TorchDecoder(self, slots)

    def facts(self) -> dict[str, Any]:
        """What a record of a run needs to know of the model."""
        return {
            "engine": "torch",
            "model": type(self.adapted.peft.get_base_model()).__name__,
            "n_ctx": self.n_ctx,
            "threads": torch.get_num_threads(),
            "device": self.adapted.device.type,
            "dtype": str(self.adapted.dtype).removeprefix("torch."),
            "torch": torch.__version__,
        }

    def close(self) -> None:
        """Do nothing: the model is not this engine's to free."""

    def logits(self, ids: Sequence[int], past: int, cache: Any) -> torch.Tensor:
        """float32 [V] after `ids`, whose first stands at position `past`; `cache` grows by them."""
        adapted = self.adapted
        tokens = torch.tensor([list(ids)], device=adapted.device)
        positions = torch.arange(past, past + len(ids), device=adapted.device)[None]
        autocast = torch.autocast(adapted.device.type, adapted.dtype, enabled=adapted.dtype != torch.float32)
        with inference(adapted), autocast:
            output = adapted.backbone(
                inputs_embeds=adapted.embed(tokens),
                position_ids=positions,
                past_key_values=cache,
                use_cache=cache is not None,
            )
            hidden = adapted.before_head(output[0][0, -1:])
            head = adapted.head
            logits = (hidden @ head.weight.to(hidden.dtype).T).float()[0]
            logits[head.ids] = (hidden @ head.rows.to(hidden.dtype).T).float()[0]
        if self._padding:
            logits[-self._padding :] = -torch.inf
        return logits


class TorchDecoder(Decoder):
    """Some sequences of one engine; see `runtime.engine.protocol.Decoder` for the contract."""

    def __init__(self, engine: TorchEngine, slots: int) -> None:
        if slots < 1:
            raise InputError(f"{slots} slots were asked for", "", "ask for at least 1")
        super().__init__(engine.vocabulary, engine.n_ctx, slots)
        self.engine: TorchEngine = engine
        self._free = list(range(slots - 1, -1, -1))
        self._live: dict[int, TokenSequence] = {}
        self._caches: dict[int, Any] = {}

    @property
    def live(self) -> int:
        """Sequences that hold a slot."""
        return len(self._live)

    def begin(self, ids: list[int], asked: Opening) -> TokenSequence:
        """A new sequence with these tokens pending. The seed is left alone: greedy draws nothing at random.

        Raises:
            InputError: a temperature or a penalty: this engine is greedy.
        """
        sampling, after = asked.sampling, asked.after
        if sampling.temperature != 0.0 or sampling.repeat_penalty != 1.0:
            raise InputError(
                f"temperature {sampling.temperature:g} and repeat_penalty {sampling.repeat_penalty:g} were asked for",
                "a model in training is solved with greedily",
                "set temperature to 0 and repeat_penalty to 1",
            )
        if not ids:
            raise EngineError("an empty prompt cannot be evaluated", "", "ask a question")
        donors = [*self._live.values()] if asked.share else [after] if after is not None else []
        best = max(donors, key=lambda donor: _common(donor, ids), default=None)
        kept = _common(best, ids) if best is not None else 0
        cache = _cut(copy.deepcopy(self._caches.get(best.slot)), kept) if best is not None and kept else None
        if after is not None:
            self.finish(after)
        sequence = TokenSequence(slot=self._free.pop(), ids=ids, past=kept, reused=kept)
        self._caches[sequence.slot] = cache if cache is not None else self._new_cache()
        self._live[sequence.slot] = sequence
        return sequence

    def step(self, sequences: Sequence[TokenSequence]) -> list[Drawn]:
        """One decode of pending tokens, then one drawn token for every sequence with none left."""
        drawn = []
        engine = self.engine
        for sequence in sequences:
            if engine.stop_flag.is_set():
                raise StoppedError("the computation was stopped")
            if sequence.length > self.n_ctx:
                raise ContextFullError(
                    f"{sequence.length} tokens do not fit in a context of {self.n_ctx}", "", "ask for a larger n_ctx"
                )
            cache = self._caches[sequence.slot]
            pending = sequence.ids[sequence.past :]
            logits = engine.logits(pending, sequence.past, cache)
            sequence.evaluated += len(pending)
            if cache is not None:
                sequence.past = sequence.length
            token = _greedy(logits, sequence)
            sequence.ids.append(token)
            drawn.append(Drawn(sequence, token, engine.vocabulary.piece(token)))
        return drawn

    def park(self, sequence: TokenSequence) -> None:
        """Give the sequence's cache back for now; its tokens are evaluated again when it is stepped next."""
        self._caches[sequence.slot] = self._new_cache()
        sequence.past = 0

    def finish(self, sequence: TokenSequence) -> None:
        """Free the slot."""
        if self._live.pop(sequence.slot, None) is not None:
            del self._caches[sequence.slot]
            self._free.append(sequence.slot)

    def close(self) -> None:
        """Free everything."""
        for sequence in list(self._live.values()):
            self.finish(sequence)

    def _new_cache(self) -> Any:
        from transformers import DynamicCache

        # Made without the model's config, it keeps every position; a sliding window is the attention's business.
        return DynamicCache() if self.engine.cached else None


def _greedy(logits: torch.Tensor, sequence: TokenSequence) -> int:
    if sequence.only is not None:
        allowed = sorted(sequence.only)
        return allowed[int(logits[allowed].argmax())]
    if sequence.forbidden:
        logits[sorted(sequence.forbidden)] = -torch.inf
    return int(logits.argmax())


def _common(donor: TokenSequence, ids: list[int]) -> int:
    """Cached tokens of `donor` that `ids` begins with; the last of `ids` is always evaluated."""
    limit = min(donor.past, len(ids) - 1)
    return next((i for i in range(limit) if donor.ids[i] != ids[i]), limit)


def _cut(cache: Any, length: int) -> Any:
    for layer in cache.layers:
        layer.keys, layer.values = layer.keys[..., :length, :], layer.values[..., :length, :]
    return cache

"""Sequences in a `llama_context`: batches filled, tokens drawn, cache shared and given back."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import Any

import numpy as np

from runtime.engine.llama.library import abort_callback, captured_log, last_errors
from runtime.engine.llama.model import LlamaModel
from runtime.engine.llama.schedule import fillers, share_out
from runtime.engine.protocol import ContextFullError, Decoder, Drawn, Opening, StoppedError, TokenSequence
from runtime.engine.trajectory import log_probability
from runtime.errors import EngineError, InputError, ModelError
from runtime.settings import SamplingSettings

_FILLER = 0
"""Any token of the vocabulary."""


class LlamaDecoder(Decoder):
    """One `llama_context`; see `runtime.engine.protocol.Decoder` for the contract.

    Its key-value cache comes in two shapes. In streams, each sequence has cells of its own, and a step attends to the
    longest sequence's length. Unified, all sequences draw on the same cells, and every token is held against the cells
    of all, most of them masked: 16 sequences of 200 tokens spend a quarter of a step on that on a CPU. Streams need
    room for all sequences in full. llama.cpp evaluates together only streams that follow each other, and only as many
    tokens of each as all of them have; for every further group it reads the weights once more, which costs a GPU more
    than the masked cells do. On a CPU two things keep a step in one piece: a sequence with few pending tokens gives
    no more of them than all have; and a slot that has nothing to decode between two that have gets a filler, a token
    that is forgotten after the step.
    """

    def __init__(self, engine: LlamaModel, slots: int) -> None:
        if not 1 <= slots <= 255:
            raise InputError(f"{slots} slots were asked for", "", "ask for 1 to 255")
        super().__init__(engine.vocabulary, engine.n_ctx, slots)
        self.engine: LlamaModel = engine
        self.lib = lib = engine.lib
        self.context: Any = None
        self._free = list(range(slots))
        self._live: dict[int, TokenSequence] = {}
        self._streams = slots > 1 and engine.settings.gpu_layers == 0 and engine.cells(slots) == slots * engine.n_ctx
        # A state that is not kept token by token could not forget a filler.
        keeps_state = lib.llama_model_is_recurrent(engine.handle) or lib.llama_model_is_hybrid(engine.handle)
        self._bridges = self._streams and not keeps_state
        self.context = self._new_context()
        self.memory = lib.llama_get_memory(self.context)
        self._batch_tokens = min(int(lib.llama_n_batch(self.context)), engine.settings.batch_tokens)
        self._make_batch(self._batch_tokens)

    def _new_context(self) -> Any:
        engine, lib = self.engine, self.lib
        params = lib.llama_context_default_params()
        params.n_ctx = engine.cells(self.slots)
        params.n_batch = params.n_ubatch = min(engine.settings.batch_tokens, params.n_ctx)
        params.n_seq_max = self.slots
        params.kv_unified = not self._streams
        params.n_threads = params.n_threads_batch = engine.threads
        params.flash_attn_type = (
            lib.LLAMA_FLASH_ATTN_TYPE_ENABLED if engine.flash_attention else lib.LLAMA_FLASH_ATTN_TYPE_DISABLED
        )
        params.type_k = _ggml_type(lib, engine.settings.cache_type_k)
        params.type_v = _ggml_type(lib, engine.settings.cache_type_v)
        params.offload_kqv = engine.settings.gpu_layers != 0
        with captured_log() as log:
            context = lib.llama_init_from_model(engine.handle, params)
        if not context:
            raise EngineError(
                f"llama.cpp cannot make a context of {params.n_ctx} tokens: {last_errors(log) or 'it gave no reason'}",
                "nothing can be solved",
                "ask for a smaller n_ctx or fewer slots, or free memory",
            )
        lib.llama_set_abort_callback(context, abort_callback(), engine.stop_flag.data)
        if engine.adapter:
            adapters = (lib.llama_adapter_lora_p_ctypes * 1)(engine.adapter)
            scales = (ctypes.c_float * 1)(1.0)
            if lib.llama_set_adapters_lora(context, adapters, 1, scales) != 0:
                lib.llama_free(context)
                raise ModelError(f"the adapter {engine.lora} cannot be applied", "", "check that it fits this base")
        return context

    def _make_batch(self, room: int) -> None:
        # The arrays are ours, so that a prompt is written by slices and a token by four plain stores.
        self._token = (ctypes.c_int32 * room)()
        self._position = (ctypes.c_int32 * room)()
        self._wanted = (ctypes.c_int8 * room)()
        self._slot = (ctypes.c_int32 * room)()
        ones = (ctypes.c_int32 * room)(*([1] * room))
        pointer = ctypes.POINTER(ctypes.c_int32)
        size = ctypes.sizeof(ctypes.c_int32)
        base = ctypes.addressof(self._slot)
        slots = (pointer * room)(*(ctypes.cast(base + i * size, pointer) for i in range(room)))
        self.batch = self.lib.llama_batch(
            n_tokens=0,
            token=ctypes.cast(self._token, pointer),
            embd=None,
            pos=ctypes.cast(self._position, pointer),
            n_seq_id=ctypes.cast(ones, pointer),
            seq_id=ctypes.cast(slots, ctypes.POINTER(pointer)),
            logits=ctypes.cast(self._wanted, ctypes.POINTER(ctypes.c_int8)),
        )
        self._alive = (ones, slots)

    # Sequences

    @property
    def live(self) -> int:
        """Sequences that hold a slot."""
        return len(self._live)

    def begin(self, ids: list[int], asked: Opening) -> TokenSequence:
        if not ids:
            raise EngineError("an empty prompt cannot be evaluated", "", "ask a question")
        if asked.after is not None:
            sequence = self._continue(asked.after, ids)
        else:
            # The lowest, so that the slots in use follow each other.
            slot = min(self._free)
            self._free.remove(slot)
            sequence = TokenSequence(slot=slot, ids=ids)
            self.lib.llama_memory_seq_rm(self.memory, sequence.slot, -1, -1)
        if asked.share:
            self._share_prefix(sequence)
        self._live[sequence.slot] = sequence
        sequence.sampler = self.new_sampler(asked.sampling, asked.seed)
        sequence.temperature = asked.sampling.temperature
        return sequence

    def _continue(self, after: TokenSequence, ids: list[int]) -> TokenSequence:
        common = _common_prefix(after.ids, ids, min(after.past, len(ids) - 1))
        self._live.pop(after.slot)
        self._free_sampler(after)
        if not self.lib.llama_memory_seq_rm(self.memory, after.slot, common, -1):
            # Some memories (recurrent ones) cannot forget a part.
            self.lib.llama_memory_seq_rm(self.memory, after.slot, -1, -1)
            common = 0
        return TokenSequence(slot=after.slot, ids=ids, past=common, reused=common)

    def _share_prefix(self, sequence: TokenSequence) -> None:
        best, length = None, sequence.past
        for donor in self._live.values():
            common = _common_prefix(donor.ids, sequence.ids, min(donor.past, len(sequence.ids) - 1))
            if common > length:
                best, length = donor, common
        if best is None:
            return
        memory, slot = self.memory, sequence.slot
        # Unified: metadata only, both sequences point at the same cells. From stream to stream: whole ones are copied.
        self.lib.llama_memory_seq_cp(memory, best.slot, slot, 0, -1 if self._streams else length)
        if not self.lib.llama_memory_seq_rm(memory, slot, length, -1):
            # Recurrent memories keep only the state at the end.
            self.lib.llama_memory_seq_rm(memory, slot, -1, -1)
            length = 0
        sequence.past = sequence.reused = length

    def _free_sampler(self, sequence: TokenSequence) -> None:
        if sequence.sampler is not None:
            self.lib.llama_sampler_free(sequence.sampler)
            sequence.sampler = None

    def park(self, sequence: TokenSequence) -> None:
        """Give the sequence's cache back for now; its tokens are evaluated again when it is stepped next."""
        self.lib.llama_memory_seq_rm(self.memory, sequence.slot, -1, -1)
        sequence.past = 0

    def finish(self, sequence: TokenSequence) -> None:
        """Free the slot."""
        if self._live.pop(sequence.slot, None) is None:
            return
        self.lib.llama_memory_seq_rm(self.memory, sequence.slot, -1, -1)
        self._free_sampler(sequence)
        self._free.append(sequence.slot)

    # The step

    def step(self, sequences: Sequence[TokenSequence]) -> list[Drawn]:
        """One decode of pending tokens, then one drawn token for every sequence with none left."""
        parts = share_out(sequences, self._batch_tokens, len(sequences) if self._streams else 1)
        if not parts:
            return []
        joined = fillers(parts, self._past, self._batch_tokens, self.n_ctx) if self._bridges else []
        ready = self._fill(parts, joined)
        code = self.lib.llama_decode(self.context, self.batch)
        for slot, past in joined:
            self.lib.llama_memory_seq_rm(self.memory, slot, past, -1)
        if code:
            self._roll_back(parts, code)
        for sequence, count in parts:
            sequence.past += count
            sequence.evaluated += count
        drawn = []
        piece = self.engine.vocabulary.piece
        for sequence, index in ready:
            token = self._draw(sequence, index)
            if sequence.record is not None:
                allowed = (sequence.only, sequence.forbidden)
                log_mu = log_probability(self._logits(index), token, allowed, sequence.temperature)
                sequence.record.add(len(sequence.ids), allowed, log_mu)
            sequence.ids.append(token)
            drawn.append(Drawn(sequence, token, piece(token)))
        return drawn

    def _past(self, slot: int) -> int:
        return self._live[slot].past if slot in self._live else 0

    def _fill(
        self, parts: list[tuple[TokenSequence, int]], joined: list[tuple[int, int]]
    ) -> list[tuple[TokenSequence, int]]:
        """Write the batch in the order of slots; returns the sequences read to their end, and where."""
        token, position, wanted, slot = self._token, self._position, self._wanted, self._slot
        filled = 0
        ready = []
        gaps = iter([*sorted(joined), (self.slots, 0)])
        gap = next(gaps)
        for sequence, count in parts:
            while gap[0] < sequence.slot:
                token[filled], position[filled], slot[filled], wanted[filled] = _FILLER, gap[1], gap[0], 0
                filled += 1
                gap = next(gaps)
            past = sequence.past
            end = filled + count
            if count == 1:
                token[filled], position[filled], slot[filled] = sequence.ids[past], past, sequence.slot
                wanted[filled] = 0
            else:
                token[filled:end] = [*sequence.ids[past : past + count]]
                position[filled:end] = list(range(past, past + count))
                wanted[filled:end] = [0] * count
                slot[filled:end] = [sequence.slot] * count
            if count == len(sequence.ids) - past:
                wanted[end - 1] = 1
                ready.append((sequence, end - 1))
            filled = end
        self.batch.n_tokens = filled
        return ready

    def _roll_back(self, parts: list[tuple[TokenSequence, int]], code: int) -> None:
        if code == 1:
            raise ContextFullError(
                "the context is full", "no further token can be evaluated", "ask for a larger n_ctx or fewer slots"
            )
        # After an abort or a failure some micro-batches may have been stored: back to what we counted.
        for sequence, _ in parts:
            self.lib.llama_memory_seq_rm(self.memory, sequence.slot, sequence.past, -1)
        if code == 2:
            raise StoppedError("the computation was stopped")
        raise EngineError(
            f"llama_decode failed with code {code}", "this solution cannot go on", "try a smaller batch_tokens or n_ctx"
        )

    def _draw(self, sequence: TokenSequence, index: int) -> int:
        token = self._sample(sequence, index)
        only = sequence.only
        if token in sequence.forbidden if only is None else token not in only:
            # Drawing first and masking only on a miss keeps the usual case free of any work over the vocabulary.
            token = self.draw_masked(sequence, index)
        return token

    def draw_masked(self, sequence: TokenSequence, index: int) -> int:
        """A token drawn again from those allowed."""
        logits = self._logits(index)
        if sequence.only is not None:
            allowed = sorted(sequence.only)
            kept = logits[allowed].copy()
            logits.fill(-np.inf)
            logits[allowed] = kept
        else:
            logits[sorted(sequence.forbidden)] = -np.inf
        return self._sample(sequence, index)

    def _sample(self, sequence: TokenSequence, index: int) -> int:
        if sequence.sampler is None:
            return int(self._logits(index).argmax())
        token: int = self.lib.llama_sampler_sample(sequence.sampler, self.context, index)
        return token

    def _logits(self, index: int) -> np.ndarray[Any, np.dtype[np.float32]]:
        """llama.cpp's own memory, shape (vocabulary size,)."""
        pointer = self.lib.llama_get_logits_ith(self.context, index)
        return np.ctypeslib.as_array(pointer, shape=(self.engine.vocabulary.size,))

    def new_sampler(self, sampling: SamplingSettings, seed: int) -> Any:
        """The sampler chain of a whole solution: a new one per block would restart seed and penalties.

        None for the largest logit, which llama.cpp's samplers find only after copying all of them, token by token.
        """
        if sampling.temperature == 0.0 and sampling.repeat_penalty == 1.0:
            return None
        lib = self.lib
        chain = lib.llama_sampler_chain_init(lib.llama_sampler_chain_default_params())

        def add(sampler: Any) -> None:
            lib.llama_sampler_chain_add(chain, sampler)

        if sampling.repeat_penalty != 1.0:
            add(lib.llama_sampler_init_penalties(self.engine.vocabulary.size, 64, sampling.repeat_penalty, 0.0, 0.0))
        if sampling.temperature == 0.0:
            add(lib.llama_sampler_init_greedy())
            return chain
        if sampling.top_k:
            add(lib.llama_sampler_init_top_k(sampling.top_k))
        if sampling.top_p < 1.0:
            add(lib.llama_sampler_init_top_p(sampling.top_p, 1))
        if sampling.min_p > 0.0:
            add(lib.llama_sampler_init_min_p(sampling.min_p, 1))
        add(lib.llama_sampler_init_temp(sampling.temperature))
        add(lib.llama_sampler_init_dist(seed))
        return chain

    def close(self) -> None:
        """Free everything."""
        if self.context is None:
            return
        for sequence in list(self._live.values()):
            self.finish(sequence)
        self.lib.llama_free(self.context)
        self.context = None

    def __enter__(self) -> LlamaDecoder:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _common_prefix(first: list[int], second: list[int], limit: int) -> int:
    if first[:limit] == second[:limit]:
        return limit
    return next(i for i in range(limit) if first[i] != second[i])


def _ggml_type(lib: Any, name: str) -> int:
    if name == "bf16":
        return 30  # GGML_TYPE_BF16, which llama-cpp-python does not name.
    return int(getattr(lib, f"GGML_TYPE_{name.upper()}"))

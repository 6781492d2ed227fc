"""The embedded engine: a GGUF file run by llama.cpp through its low-level API."""

from __future__ import annotations

import ctypes
from collections.abc import Iterable
from collections.abc import Sequence as Seq
from pathlib import Path
from typing import Any

import numpy as np

from runtime.engine import ContextFullError, Drawn, Sequence, StoppedError
from runtime.engine_native import AbortFlag, build_facts, captured_log, last_errors, library, usable_cores
from runtime.engine_vocab import LlamaVocabulary
from runtime.errors import EngineError, InputError, ModelError
from runtime.files import sha256_file
from runtime.lce import Segment
from runtime.settings import EngineSettings, SamplingSettings

_DEFAULT_N_CTX = 4096
_CACHE_BUDGET = 2 * 1024**3
"""Bytes of key-value cache a batch may take before slots share it (sequences are parked when it is full)."""
_BYTES_PER_VALUE = {
    "f32": 4.0,
    "f16": 2.0,
    "bf16": 2.0,
    "q8_0": 1.07,
    "q5_1": 0.75,
    "q5_0": 0.69,
    "q4_1": 0.63,
    "q4_0": 0.57,
}


class LlamaEngine:
    """A model in memory; see `runtime.engine.Engine` for the contract."""

    why_text_only = ""

    def __init__(
        self, path: Path, settings: EngineSettings, *, lora: Path | None = None, vocab_only: bool = False
    ) -> None:
        """
        Args:
            path: GGUF file.
            settings: threads, GPU layers, cache types.
            lora: adapter in GGUF form.
            vocab_only: load no weights (for tokenizing on behalf of a server).

        Raises:
            InputError: a file is missing.
            ModelError: a file is no GGUF, is cut short, or the adapter belongs to another model.
        """
        self.path = path
        self.settings = settings
        self.stop_flag = AbortFlag()
        self._lib = library()
        self._model: Any = None
        self._adapter: Any = None
        self._lora = lora
        self._open_decoders: list[LlamaDecoder] = []
        self._hashes: dict[Path, str] = {}
        _check_magic(path, "model")
        if lora is not None:
            _check_magic(lora, "adapter")
        self._model = self._load_model(vocab_only)
        try:
            self._read_model(vocab_only)
        except BaseException:
            self.close()
            raise

    def _load_model(self, vocab_only: bool) -> Any:
        lib = self._lib
        params = lib.llama_model_default_params()
        params.n_gpu_layers = self.settings.gpu_layers if self.settings.gpu_layers >= 0 else 2**31 - 1
        params.vocab_only = vocab_only
        if self.settings.gpu_layers and not lib.llama_supports_gpu_offload():
            raise InputError(
                f"gpu_layers is {self.settings.gpu_layers}, and the installed llama.cpp was built without GPU support",
                "nothing can be offloaded",
                "leave gpu_layers at 0, or install a llama-cpp-python built for this GPU",
            )
        with captured_log() as log:
            model = lib.llama_model_load_from_file(str(self.path).encode(), params)
        if not model:
            raise ModelError(
                f"llama.cpp cannot load {self.path}: {last_errors(log) or 'it gave no reason'}",
                "nothing can be solved with it",
                "check that the file is complete (compare its size or checksum) and that its architecture is supported",
            )
        return model

    def _read_model(self, vocab_only: bool) -> None:
        lib, model = self._lib, self._model
        prefix = self.meta("tokenizer.ggml.add_space_prefix")
        tokenizer = self.meta("tokenizer.ggml.model")
        # SentencePiece vocabularies default to a space prefix where the file does not say.
        space_prefix = prefix == "true" if prefix else tokenizer == "llama"
        self.vocabulary = LlamaVocabulary(lib.llama_model_get_vocab(model), space_prefix=space_prefix)
        self.chat_template = self.meta("tokenizer.chat_template")
        self.n_ctx_train: int = int(lib.llama_model_n_ctx_train(model))
        wanted = self.settings.n_ctx
        self.n_ctx: int = wanted if wanted is not None else min(self.n_ctx_train or _DEFAULT_N_CTX, _DEFAULT_N_CTX)
        self.threads: int = self.settings.threads or usable_cores()
        flash = self.settings.flash_attention
        self.flash_attention: bool = flash == "on" or (flash == "auto" and self.settings.gpu_layers != 0)
        quantized_v = self.settings.cache_type_v not in ("f32", "f16", "bf16")
        if quantized_v and not self.flash_attention:
            raise InputError(
                f"cache_type_v is {self.settings.cache_type_v} and flash attention is off",
                "llama.cpp stores a quantized value cache only with flash attention",
                "set flash_attention to on, or cache_type_v to f16",
            )
        if not vocab_only and not lib.llama_model_has_decoder(model):
            raise ModelError(f"{self.path} holds a model that generates no text", "", "give a decoder model")
        if self._lora is not None:
            with captured_log() as log:
                self._adapter = lib.llama_adapter_lora_init(model, str(self._lora).encode())
            if not self._adapter:
                raise ModelError(
                    f"the adapter {self._lora} does not fit {self.path}: {last_errors(log) or 'it gave no reason'}",
                    "the model is not used without the adapter that was asked for",
                    "give an adapter in GGUF form made for exactly this base",
                )

    def meta(self, key: str) -> str:
        """A metadata value of the file as text, empty where it has none."""
        size = 256
        while True:
            buffer = ctypes.create_string_buffer(size)
            length = self._lib.llama_model_meta_val_str(self._model, key.encode(), buffer, size)
            if length < size:
                return buffer.value.decode("utf-8", "replace") if length >= 0 else ""
            size = length + 1

    def open(self, slots: int = 1) -> LlamaDecoder:
        """See the protocol."""
        if self._model is None:
            raise EngineError("the engine was closed", "", "load the model again")
        decoder = LlamaDecoder(self, slots)
        self._open_decoders.append(decoder)
        return decoder

    def cells(self, slots: int) -> int:
        """Key-value cells for `slots` sequences: all of them in full where that is affordable."""
        values = self._lib.llama_model_n_embd(self._model) * self._lib.llama_model_n_layer(self._model)
        values = (
            values * self._lib.llama_model_n_head_kv(self._model) / max(1, self._lib.llama_model_n_head(self._model))
        )
        settings = self.settings
        per_cell = values * (_BYTES_PER_VALUE[settings.cache_type_k] + _BYTES_PER_VALUE[settings.cache_type_v])
        affordable = int(_CACHE_BUDGET / per_cell) if per_cell else slots * self.n_ctx
        return max(self.n_ctx, min(slots * self.n_ctx, affordable))

    def facts(self) -> dict[str, Any]:
        """See the protocol."""
        if self.path not in self._hashes:
            self._hashes[self.path] = sha256_file(self.path)
            if self._lora is not None:
                self._hashes[self._lora] = sha256_file(self._lora)
        return {
            "engine": "llama.cpp",
            "model": self.path.name,
            "model_sha256": self._hashes[self.path],
            "lora": self._lora.name if self._lora else None,
            "lora_sha256": self._hashes[self._lora] if self._lora else None,
            "n_ctx": self.n_ctx,
            "threads": self.threads,
            "gpu_layers": self.settings.gpu_layers,
            "flash_attention": self.flash_attention,
            "cache_type_k": self.settings.cache_type_k,
            "cache_type_v": self.settings.cache_type_v,
            **build_facts(),
        }

    def close(self) -> None:
        """See the protocol."""
        for decoder in self._open_decoders:
            decoder.close()
        self._open_decoders.clear()
        if self._model is not None:
            # Frees the adapter with it.
            self._lib.llama_model_free(self._model)
            self._model = self._adapter = None

    def __enter__(self) -> LlamaEngine:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class LlamaDecoder:
    """One `llama_context` with a unified cache; see `runtime.engine.Decoder` for the contract."""

    def __init__(self, engine: LlamaEngine, slots: int) -> None:
        if not 1 <= slots <= 255:
            raise InputError(f"{slots} slots were asked for", "", "ask for 1 to 255")
        self.engine, self.slots, self.n_ctx = engine, slots, engine.n_ctx
        self._lib = lib = engine._lib
        self._context: Any = None
        self._free = list(range(slots - 1, -1, -1))
        self._live: dict[int, Sequence] = {}
        self._context = self._new_context()
        self._memory = lib.llama_get_memory(self._context)
        self._batch_tokens = min(int(lib.llama_n_batch(self._context)), engine.settings.batch_tokens)
        self._make_batch(self._batch_tokens)

    def _new_context(self) -> Any:
        engine, lib = self.engine, self._lib
        params = lib.llama_context_default_params()
        params.n_ctx = engine.cells(self.slots)
        params.n_batch = params.n_ubatch = min(engine.settings.batch_tokens, params.n_ctx)
        params.n_seq_max = self.slots
        params.kv_unified = True
        params.n_threads = params.n_threads_batch = engine.threads
        params.flash_attn_type = (
            lib.LLAMA_FLASH_ATTN_TYPE_ENABLED if engine.flash_attention else lib.LLAMA_FLASH_ATTN_TYPE_DISABLED
        )
        params.type_k = _ggml_type(lib, engine.settings.cache_type_k)
        params.type_v = _ggml_type(lib, engine.settings.cache_type_v)
        params.offload_kqv = engine.settings.gpu_layers != 0
        with captured_log() as log:
            context = lib.llama_init_from_model(engine._model, params)
        if not context:
            raise EngineError(
                f"llama.cpp cannot make a context of {params.n_ctx} tokens: {last_errors(log) or 'it gave no reason'}",
                "nothing can be solved",
                "ask for a smaller n_ctx or fewer slots, or free memory",
            )
        lib.llama_set_abort_callback(context, engine.stop_flag.callback, engine.stop_flag.data)
        if engine._adapter:
            adapters = (lib.llama_adapter_lora_p_ctypes * 1)(engine._adapter)
            scales = (ctypes.c_float * 1)(1.0)
            if lib.llama_set_adapters_lora(context, adapters, 1, scales) != 0:
                lib.llama_free(context)
                raise ModelError(f"the adapter {engine._lora} cannot be applied", "", "check that it fits this base")
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
        self._batch = self._lib.llama_batch(
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

    def start(
        self,
        segments: Iterable[Segment],
        sampling: SamplingSettings,
        seed: int,
        *,
        share: bool = False,
        after: Sequence | None = None,
    ) -> Sequence:
        """See the protocol."""
        if not self._free and after is None:
            raise EngineError(f"all {self.slots} slots are in use", "", "finish a sequence first")
        bos = self.engine.vocabulary.bos
        ids = ([] if bos is None else [bos]) + self._encode(segments)
        if not ids:
            raise EngineError("an empty prompt cannot be evaluated", "", "ask a question")
        if after is not None:
            sequence = self._continue(after, ids)
        else:
            sequence = Sequence(slot=self._free.pop(), ids=ids)
            self._lib.llama_memory_seq_rm(self._memory, sequence.slot, -1, -1)
        if share:
            self._share_prefix(sequence)
        self._live[sequence.slot] = sequence
        sequence.sampler = self._new_sampler(sampling, seed)
        return sequence

    def _continue(self, after: Sequence, ids: list[int]) -> Sequence:
        common = _common_prefix(after.ids, ids, min(after.past, len(ids) - 1))
        self._live.pop(after.slot)
        self._lib.llama_sampler_free(after.sampler)
        after.sampler = None
        if not self._lib.llama_memory_seq_rm(self._memory, after.slot, common, -1):
            # Some memories (recurrent ones) cannot forget a part.
            self._lib.llama_memory_seq_rm(self._memory, after.slot, -1, -1)
            common = 0
        return Sequence(slot=after.slot, ids=ids, past=common, reused=common)

    def _share_prefix(self, sequence: Sequence) -> None:
        best, length = None, sequence.past
        for donor in self._live.values():
            common = _common_prefix(donor.ids, sequence.ids, min(donor.past, len(sequence.ids) - 1))
            if common > length:
                best, length = donor, common
        if best is not None:
            # Metadata only: both sequences point at the same cells.
            self._lib.llama_memory_seq_cp(self._memory, best.slot, sequence.slot, 0, length)
            sequence.past = sequence.reused = length

    def feed(self, sequence: Sequence, segments: Iterable[Segment]) -> int:
        """See the protocol."""
        ids = self._encode(segments)
        sequence.ids += ids
        return len(ids)

    def _encode(self, segments: Iterable[Segment]) -> list[int]:
        vocabulary = self.engine.vocabulary
        ids: list[int] = []
        for segment in segments:
            if segment.is_control:
                token = vocabulary.control_id(segment.text)
                if token is None:
                    raise ModelError(
                        f"{self.engine.path} has no control token {segment.text}",
                        "a prompt in this dialect cannot be built",
                        "use another dialect, or a model that was trained with this one",
                    )
                ids.append(token)
            else:
                ids += vocabulary.encode(segment.text)
        return ids

    def park(self, sequence: Sequence) -> None:
        """See the protocol."""
        self._lib.llama_memory_seq_rm(self._memory, sequence.slot, -1, -1)
        sequence.past = 0

    def finish(self, sequence: Sequence) -> None:
        """See the protocol."""
        if self._live.pop(sequence.slot, None) is None:
            return
        self._lib.llama_memory_seq_rm(self._memory, sequence.slot, -1, -1)
        self._lib.llama_sampler_free(sequence.sampler)
        sequence.sampler = None
        self._free.append(sequence.slot)

    # The step

    def step(self, sequences: Seq[Sequence]) -> list[Drawn]:
        """See the protocol."""
        filled, parts, ready = self._fill(sequences)
        if not filled:
            return []
        self._batch.n_tokens = filled
        code = self._lib.llama_decode(self._context, self._batch)
        if code:
            self._roll_back(parts, code)
        for sequence, count in parts:
            sequence.past += count
            sequence.evaluated += count
        drawn = []
        piece = self.engine.vocabulary.piece
        for sequence, index in ready:
            token = self._draw(sequence, index)
            sequence.ids.append(token)
            drawn.append(Drawn(sequence, token, piece(token)))
        return drawn

    def _fill(self, sequences: Seq[Sequence]) -> tuple[int, list[tuple[Sequence, int]], list[tuple[Sequence, int]]]:
        """Write the batch: single tokens first, so that a long prompt never holds the others up, then prompt chunks."""
        token, position, wanted, slot = self._token, self._position, self._wanted, self._slot
        room = self._batch_tokens
        filled = 0
        parts, ready, long = [], [], []
        for sequence in sequences:
            past = sequence.past
            if len(sequence.ids) - past != 1 or filled == room:
                long.append(sequence)
                continue
            token[filled] = sequence.ids[past]
            position[filled] = past
            wanted[filled] = 1
            slot[filled] = sequence.slot
            parts.append((sequence, 1))
            ready.append((sequence, filled))
            filled += 1
        for sequence in long:
            past = sequence.past
            count = min(len(sequence.ids) - past, room - filled)
            if count <= 0:
                continue
            end = filled + count
            token[filled:end] = [*sequence.ids[past : past + count]]
            position[filled:end] = list(range(past, past + count))
            wanted[filled:end] = [0] * count
            slot[filled:end] = [sequence.slot] * count
            parts.append((sequence, count))
            filled = end
            if past + count == len(sequence.ids):
                wanted[end - 1] = 1
                ready.append((sequence, end - 1))
        return filled, parts, ready

    def _roll_back(self, parts: list[tuple[Sequence, int]], code: int) -> None:
        if code == 1:
            raise ContextFullError(
                "the context is full", "no further token can be evaluated", "ask for a larger n_ctx or fewer slots"
            )
        # After an abort or a failure some micro-batches may have been stored: back to what we counted.
        for sequence, _ in parts:
            self._lib.llama_memory_seq_rm(self._memory, sequence.slot, sequence.past, -1)
        if code == 2:
            raise StoppedError("the computation was stopped")
        raise EngineError(
            f"llama_decode failed with code {code}", "this solution cannot go on", "try a smaller batch_tokens or n_ctx"
        )

    def _draw(self, sequence: Sequence, index: int) -> int:
        lib = self._lib
        token: int = lib.llama_sampler_sample(sequence.sampler, self._context, index)
        only = sequence.only
        if token in sequence.forbidden if only is None else token not in only:
            # Drawing first and masking only on a miss keeps the usual case free of any work over the vocabulary.
            token = self._draw_masked(sequence, index)
        return token

    def _draw_masked(self, sequence: Sequence, index: int) -> int:
        logits = np.ctypeslib.as_array(
            self._lib.llama_get_logits_ith(self._context, index), shape=(self.engine.vocabulary.size,)
        )
        if sequence.only is not None:
            allowed = sorted(sequence.only)
            kept = logits[allowed].copy()
            logits.fill(-np.inf)
            logits[allowed] = kept
        else:
            logits[sorted(sequence.forbidden)] = -np.inf
        token: int = self._lib.llama_sampler_sample(sequence.sampler, self._context, index)
        return token

    def _new_sampler(self, sampling: SamplingSettings, seed: int) -> Any:
        """One chain for the whole solution: a new one per block would start its random numbers and penalties again."""
        lib = self._lib
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
        """See the protocol."""
        if self._context is None:
            return
        for sequence in list(self._live.values()):
            self.finish(sequence)
        self._lib.llama_free(self._context)
        self._context = None

    def __enter__(self) -> LlamaDecoder:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _common_prefix(first: list[int], second: list[int], limit: int) -> int:
    if first[:limit] == second[:limit]:
        return limit
    return next(i for i in range(limit) if first[i] != second[i])


def _ggml_type(lib: Any, name: str) -> int:
    return int(getattr(lib, f"GGML_TYPE_{name.upper()}"))


def _check_magic(path: Path, what: str) -> None:
    if not path.is_file():
        raise InputError(f"there is no {what} file at {path}", "", "check the path")
    with open(path, "rb") as handle:
        magic = handle.read(4)
    if magic != b"GGUF":
        raise ModelError(
            f"{path} is no GGUF file (it begins with {magic!r})",
            f"it cannot be used as {what}",
            "export one with `mathcoder export`, or convert the model with llama.cpp's converter",
        )

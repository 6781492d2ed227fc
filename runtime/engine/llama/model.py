"""A GGUF file in memory: weights, adapter, vocabulary, and what the file says about itself."""

from __future__ import annotations

import ctypes
import os
from pathlib import Path
from typing import Any

from runtime.engine.interrupt import StopFlag
from runtime.engine.llama.library import captured_log, free_memory, last_errors, library, usable_cores
from runtime.engine.llama.vocabulary import LlamaVocabulary
from runtime.engine.protocol import About
from runtime.errors import InputError, ModelError
from runtime.files import sha256_file
from runtime.lce import BASE_FILE_KEY, BASE_KEY, DIALECT_META, END_OF_BLOCK, ROLE_KEY, ROLES
from runtime.settings import EngineSettings

_DEFAULT_N_CTX = 4096
_LARGEST_N_CTX = 32768
_CACHE_BUDGET = 2 * 1024**3
"""Bytes of key-value cache a batch may take before slots share it (sequences are parked when it is full)."""
_SMALL = 20_000_000
"""Parameters below which a second thread is not worth waiting for: threads wait at every layer, spinning, and where
another process is busy one wait lasts as long as its turn (the nano model on two busy cores: 7 tokens/s instead of
380)."""
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


class LlamaModel:
    """A model in memory, with its adapter and its vocabulary.

    Attributes:
        is_small: whether a second thread of one decoder would only be waited for.
        threads: of each decoder.
    """

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
            ModelError: a file is not a GGUF file, is cut short, or the adapter belongs to another model.
        """
        self.path = path
        self.settings = settings
        self.stop_flag = StopFlag()
        self.lib = library()
        self.handle: Any = None
        self.adapter: Any = None
        self.lora = lora
        self._hashes: dict[Path, str] = {}
        _check_magic(path, "model")
        if lora is not None:
            _check_magic(lora, "adapter")
        self.handle = self._load_model(vocab_only)
        try:
            self._read_model(vocab_only)
        except BaseException:  # Ctrl-C included: nobody else could free the model.
            self.close()
            raise

    def _load_model(self, vocab_only: bool) -> Any:
        lib = self.lib
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
            model = lib.llama_model_load_from_file(os.fsencode(self.path), params)
        if not model:
            raise ModelError(
                f"llama.cpp cannot load {self.path}: {last_errors(log) or 'it gave no reason'}",
                "nothing can be solved with it",
                "check that the file is complete (compare its size or checksum) and that its architecture is supported",
            )
        return model

    def _read_model(self, vocab_only: bool) -> None:
        lib, model = self.lib, self.handle
        prefix = self.meta("tokenizer.ggml.add_space_prefix")
        tokenizer = self.meta("tokenizer.ggml.model")
        # SentencePiece vocabularies default to a space prefix where the file does not say.
        space_prefix = prefix == "true" if prefix else tokenizer == "llama"
        if self.lora is not None:
            self.adapter = self._load_adapter(self.lora)
        roles = {token: name for role, token in ROLES.items() if (name := self._said(f"{ROLE_KEY}{role}"))}
        handle = lib.llama_model_get_vocab(model)
        self.chat_template = self.meta("tokenizer.chat_template")
        self.vocabulary = LlamaVocabulary(handle, space_prefix=space_prefix, roles=roles, template=self.chat_template)
        self.about = self._about()
        self.quantization = self._quantization()
        self.n_ctx_train: int = int(lib.llama_model_n_ctx_train(model))
        wanted = self.settings.n_ctx
        self.n_ctx: int = wanted if wanted is not None else self._roomy_context(vocab_only)
        self.is_small: bool = not vocab_only and lib.llama_model_n_params(model) < _SMALL
        self.threads: int = self.settings.threads or (1 if self.is_small else usable_cores())
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

    def _about(self) -> About:
        named = ("general.name", "general.basename", "general.base_model.0.name", "general.finetune")
        lib, vocabulary = self.lib, self.lib.llama_model_get_vocab(self.handle)
        ids = (lib.llama_vocab_bos(vocabulary), lib.llama_vocab_eos(vocabulary))
        bos, eos = (self.vocabulary.name(token) if token >= 0 else "" for token in ids)
        names = "\n".join(name for key in named if (name := self.meta(key)))
        return About(self.meta("general.architecture"), names, bos, eos, self._said(DIALECT_META))

    def _load_adapter(self, lora: Path) -> Any:
        lib = self.lib
        with captured_log() as log:
            adapter = lib.llama_adapter_lora_init(self.handle, os.fsencode(lora))
        if not adapter:
            raise ModelError(
                f"the adapter {lora} does not fit {self.path}: {last_errors(log) or 'it gave no reason'}",
                "the model is not used without the adapter that was asked for",
                "give an adapter in GGUF form made for exactly this base",
            )
        wanted, named = (
            self._text_of(lib.llama_adapter_meta_val_str, adapter, key) for key in (BASE_KEY, BASE_FILE_KEY)
        )
        if wanted and self.sha256(self.path) != wanted:
            lib.llama_adapter_lora_free(adapter)
            raise ModelError(
                f"the adapter {lora} was trained on another file than {self.path} (SHA-256 {wanted[:12]}…, this one "
                f"has {self.sha256(self.path)[:12]}…)",
                "on another base an adapter writes nonsense, so it is not used",
                f"give the file it was made for ({named})",
            )
        return adapter

    def _swap_adapter(self, lora: Path | None) -> None:
        """Put another adapter, or none, in the place of the present one.

        No context may hold the old one any more.

        Raises:
            InputError: there is no such file.
            ModelError: it does not fit this model; the old adapter stays.
        """
        if lora is not None:
            _check_magic(lora, "adapter")
            self._hashes.pop(lora, None)  # The same name, another file.
        # Loaded while the old one is still there: one that came to lie at its address would pass for it.
        new = self._load_adapter(lora) if lora is not None else None
        if self.adapter:
            self.lib.llama_adapter_lora_free(self.adapter)
        self.adapter, self.lora = new, lora

    def _said(self, key: str) -> str:
        """A metadata value of the adapter, or else of the model."""
        of_adapter = ""
        if self.adapter:
            of_adapter = self._text_of(self.lib.llama_adapter_meta_val_str, self.adapter, key)
        return of_adapter or self.meta(key)

    def meta(self, key: str) -> str:
        """A metadata value of the file as text, empty where it has none."""
        return self._text_of(self.lib.llama_model_meta_val_str, self.handle, key)

    @staticmethod
    def _text_of(read: Any, handle: Any, key: str) -> str:
        size = 256
        while True:
            buffer = ctypes.create_string_buffer(size)
            length = read(handle, key.encode(), buffer, size)
            if length < size:
                return buffer.value.decode("utf-8", "replace") if length >= 0 else ""
            size = length + 1

    def _quantization(self) -> str:
        """What the weights are stored in, as the file says (`general.file_type`): `Q4_K_M`, `Q8_0`, `F32`.

        Of a file that does not say, llama.cpp's guess from the tensors, marked as one: `F32 (guessed)`.
        """
        lib = self.lib
        said = self.meta("general.file_type")
        for name, value in vars(lib).items():
            if name.startswith("LLAMA_FTYPE_") and said == str(value):
                return name.removeprefix("LLAMA_FTYPE_").removeprefix("MOSTLY_").removeprefix("ALL_")
        buffer = ctypes.create_string_buffer(256)
        lib.llama_model_desc(self.handle, buffer, len(buffer))
        # "llama 0.5B (guessed) all F32": architecture, size, type; the mark stood behind it in older versions.
        words = buffer.value.decode("utf-8", "replace").split()[2:]
        name = " ".join(word for word in words if word not in ("all", "mostly", "(guessed)"))
        return f"{name or 'unknown'} (guessed)"

    def _roomy_context(self, vocab_only: bool) -> int:
        """Tokens a solution may hold: 4,096 in the block format, whose solutions are short.

        Models that think, or call tools as often as they like, get what a quarter of the free memory holds, up to
        32,768.
        """
        trained = self.n_ctx_train or _DEFAULT_N_CTX
        if vocab_only or self.vocabulary.control_id(END_OF_BLOCK) is not None:
            return min(trained, _DEFAULT_N_CTX)
        per_cell = self._bytes_per_cell()
        affordable = int(free_memory() / 4 / per_cell) // 1024 * 1024 if per_cell else _LARGEST_N_CTX
        return min(trained, _LARGEST_N_CTX, max(_DEFAULT_N_CTX, affordable))

    def _bytes_per_cell(self) -> float:
        """Bytes one token takes in the key-value cache, as far as the head counts tell."""
        lib, model, settings = self.lib, self.handle, self.settings
        values = lib.llama_model_n_embd(model) * lib.llama_model_n_layer(model)
        values = values * lib.llama_model_n_head_kv(model) / max(1, lib.llama_model_n_head(model))
        return float(values * (_BYTES_PER_VALUE[settings.cache_type_k] + _BYTES_PER_VALUE[settings.cache_type_v]))

    def cells(self, slots: int) -> int:
        """Key-value cells for `slots` sequences: all of them in full where that is affordable."""
        per_cell = self._bytes_per_cell()
        affordable = int(_CACHE_BUDGET / per_cell) if per_cell else slots * self.n_ctx
        return max(self.n_ctx, min(slots * self.n_ctx, affordable))

    def sha256(self, path: Path) -> str:
        """Hex SHA-256 of one of the model's files, computed once."""
        if path not in self._hashes:
            self._hashes[path] = sha256_file(path)
        return self._hashes[path]

    def close(self) -> None:
        """Free the model, and the adapter with it."""
        if self.handle is not None:
            self.lib.llama_model_free(self.handle)
            self.handle = self.adapter = None


def _check_magic(path: Path, what: str) -> None:
    if not path.is_file():
        raise InputError(f"there is no {what} file at {path}", "", "check the path")
    with open(path, "rb") as handle:
        magic = handle.read(4)
    if magic != b"GGUF":
        raise ModelError(
            f"{path} is not a GGUF file (it begins with {magic!r})",
            f"it cannot be used as {what}",
            "export one with `mathcoder export`, or convert the model with llama.cpp's converter",
        )

"""The process in which a GGUF file is measured: `python -m export.certify.measure_worker SPEC.json`.

Own process: a damaged file can take native code down, and the certificate should then say so. Loads with llama.cpp's
defaults (16-bit KV cache), flash attention off, tokenizes every segment with the runtime's own vocabulary, and
prints `PROGRESS` lines; the result goes into a JSON file.
"""

from __future__ import annotations

import ctypes
import json
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from export.certify.check import role_names
from export.certify.compare import Reference, Tally
from export.gguf.file import read_gguf
from export.rows import Sample
from runtime.engine.llama.library import captured_log, last_errors, library
from runtime.engine.llama.vocabulary import LlamaVocabulary
from runtime.errors import ModelError

_CHUNK = 256


class Measured:
    """A loaded GGUF file with one context."""

    def __init__(
        self, path: str, *, n_ctx: int, threads: int, lora: str | None = None, reserved: Sequence[str] = ()
    ) -> None:
        self.lib = lib = library()
        with captured_log() as log:
            self.model = lib.llama_model_load_from_file(os.fsencode(path), lib.llama_model_default_params())
        if not self.model:
            raise ModelError(
                f"llama.cpp cannot load {path}: {last_errors(log) or 'it gave no reason'}",
                "it cannot be certified",
                "export it again",
            )
        params = lib.llama_context_default_params()
        params.n_ctx = n_ctx
        params.n_batch = params.n_ubatch = _CHUNK
        params.n_threads = params.n_threads_batch = threads
        params.flash_attn_type = lib.LLAMA_FLASH_ATTN_TYPE_DISABLED
        self.context = lib.llama_init_from_model(self.model, params)
        if not self.context:
            raise ModelError(
                f"llama.cpp cannot make a context of {n_ctx} tokens for {path}",
                "it cannot be certified",
                "lower certify.context",
            )
        if lora is not None:
            self._apply(lora)
        handle = lib.llama_model_get_vocab(self.model)
        roles = role_names(read_gguf(lora or path))
        template = str(read_gguf(path).metadata.get("tokenizer.chat_template", ""))
        self.vocabulary = LlamaVocabulary(handle, space_prefix=False, roles=roles, template=template)
        self.vocabulary.reserve(reserved)
        self.size = int(lib.llama_vocab_n_tokens(handle))
        self.batch = lib.llama_batch_init(_CHUNK, 0, 1)

    def _apply(self, lora: str) -> None:
        adapter = self.lib.llama_adapter_lora_init(self.model, os.fsencode(lora))
        if not adapter:
            raise ModelError(
                f"llama.cpp cannot put the adapter {lora} on this file",
                "it cannot be certified",
                "check that it fits the base",
            )
        adapters = (self.lib.llama_adapter_lora_p_ctypes * 1)(adapter)
        if self.lib.llama_set_adapters_lora(self.context, adapters, 1, (ctypes.c_float * 1)(1.0)):
            raise ModelError(
                f"llama.cpp cannot use the adapter {lora}", "it cannot be certified", "check that it fits the base"
            )

    def forget(self) -> None:
        """Empty the KV cache."""
        self.lib.llama_memory_clear(self.lib.llama_get_memory(self.context), True)

    def decode(self, ids: list[int], start: int, wanted: set[int]) -> np.ndarray:
        """Evaluate `ids` from position `start` on; returns logits of `wanted`, `(len(wanted), vocabulary)`."""
        found = []
        for first in range(0, len(ids), _CHUNK):
            piece = ids[first : first + _CHUNK]
            batch = self.batch
            batch.n_tokens = len(piece)
            places = []
            for index, token in enumerate(piece):
                position = start + first + index
                batch.token[index] = token
                batch.pos[index] = position
                batch.n_seq_id[index] = 1
                batch.seq_id[index][0] = 0
                batch.logits[index] = position in wanted
                if position in wanted:
                    places.append(index)
            if code := self.lib.llama_decode(self.context, batch):
                raise ModelError(
                    f"llama.cpp cannot evaluate this file (code {code})",
                    "it cannot be certified",
                    "free memory, or export it again",
                )
            for index in places:
                pointer = self.lib.llama_get_logits_ith(self.context, index)
                found.append(np.ctypeslib.as_array(pointer, shape=(self.size,)).copy())
        return np.stack(found) if found else np.empty((0, self.size), dtype=np.float32)

    def token_ids(self, segments: list[tuple[str, bool]]) -> list[int]:
        """Token ids as the solver makes them: control tokens by name, content with special parsing off."""
        ids = [] if self.vocabulary.bos is None else [self.vocabulary.bos]
        for text, is_control in segments:
            if is_control:
                control = self.vocabulary.control_id(text)
                ids.append(-1 if control is None else control)
            else:
                ids += self.vocabulary.encode(text)
        return ids


def main(spec_file: str) -> None:
    """Measure as the JSON file `spec_file` says and write its `result` file."""
    spec = json.loads(Path(spec_file).read_text(encoding="utf-8"))
    rows = [Sample(**row) for row in json.loads(Path(spec["samples"]).read_text(encoding="utf-8"))]
    longest = max(len(row.input_ids) for row in rows)
    measured = Measured(
        spec["model"], n_ctx=longest + spec["speed_tokens"] + 8, threads=spec["threads"], reserved=spec["reserved"]
    )
    reference = Reference(Path(spec["reference"]), spec["positions"], spec["vocabulary"]).open()
    targets = np.array([row.input_ids[i] for row in rows for i in row.positions], dtype=np.int64)
    tally = Tally(targets, [kind for row in rows for kind in row.kinds], reference)
    equal = prompt_tokens = 0
    prompt_seconds = 0.0
    for number, row in enumerate(rows, 1):
        equal += measured.token_ids(row.segments) == row.input_ids
        measured.forget()
        started = time.perf_counter()
        logits = measured.decode(row.input_ids, 0, {i - 1 for i in row.positions})
        prompt_seconds += time.perf_counter() - started
        prompt_tokens += len(row.input_ids)
        tally.add(logits)
        print("PROGRESS", number, len(rows), flush=True)
    result: dict[str, Any] = {"token_ids_equal": equal == len(rows), "rows_with_equal_ids": equal, **tally.result()}
    result["tokens_per_second"] = {"prompt": round(prompt_tokens / max(prompt_seconds, 1e-9), 1)}
    if spec["speed_tokens"]:
        result["tokens_per_second"]["generation"] = round(_generation_speed(measured, rows[0], spec["speed_tokens"]), 1)
    Path(spec["result"]).write_text(json.dumps(result), encoding="utf-8")


def _generation_speed(measured: Measured, row: Sample, count: int) -> float:
    """Tokens per second, one at a time, after the row's prompt."""
    measured.forget()
    prompt = row.input_ids[: row.positions[0]]
    token = int(measured.decode(prompt, 0, {len(prompt) - 1})[0].argmax())
    started = time.perf_counter()
    for index in range(count):
        position = len(prompt) + index
        token = int(measured.decode([token], position, {position})[0].argmax())
    return count / max(time.perf_counter() - started, 1e-9)


if __name__ == "__main__":
    main(sys.argv[1])

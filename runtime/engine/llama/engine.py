"""The embedded engine: a GGUF file run by llama.cpp through its low-level API."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from runtime.engine.llama.decoder import LlamaDecoder
from runtime.engine.llama.library import build_facts
from runtime.engine.llama.model import LlamaModel
from runtime.errors import EngineError
from runtime.settings import EngineSettings

__all__ = ["LlamaDecoder", "LlamaEngine"]


class LlamaEngine(LlamaModel):
    """A model that can be solved with; see `runtime.engine.protocol.Engine` for the contract."""

    why_text_only = ""

    def __init__(
        self, path: Path, settings: EngineSettings, *, lora: Path | None = None, vocab_only: bool = False
    ) -> None:
        """Load a model; arguments and errors are those of `LlamaModel`."""
        self._open_decoders: list[LlamaDecoder] = []
        super().__init__(path, settings, lora=lora, vocab_only=vocab_only)

    def open(self, slots: int = 1) -> LlamaDecoder:
        """A decoder for `slots` sequences at once."""
        if self.handle is None:
            raise EngineError("the engine was closed", "", "load the model again")
        decoder = LlamaDecoder(self, slots)
        self._open_decoders.append(decoder)
        return decoder

    def facts(self) -> dict[str, Any]:
        """What a record of a run needs to know of the model."""
        return {
            "engine": "llama.cpp",
            "model": self.path.name,
            "model_sha256": self.sha256(self.path),
            "quantization": self.quantization,
            "lora": self.lora.name if self.lora else None,
            "lora_sha256": self.sha256(self.lora) if self.lora else None,
            "n_ctx": self.n_ctx,
            "threads": self.threads,
            "gpu_layers": self.settings.gpu_layers,
            "flash_attention": self.flash_attention,
            "cache_type_k": self.settings.cache_type_k,
            "cache_type_v": self.settings.cache_type_v,
            **build_facts(),
        }

    def close(self) -> None:
        """Free contexts and model."""
        for decoder in self._open_decoders:
            decoder.close()
        self._open_decoders.clear()
        super().close()

    def __enter__(self) -> LlamaEngine:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

"""The embedded engine: a GGUF file run by llama.cpp through its low-level API."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runtime.engine.llama.decoder import LlamaDecoder
from runtime.engine.llama.library import build_facts
from runtime.engine.llama.logits import LogitsDecoder
from runtime.engine.llama.model import LlamaModel
from runtime.errors import EngineError
from runtime.settings import EngineSettings

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

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

    def use_adapter(self, lora: Path | None) -> None:
        """Solve with this adapter from now on, or with the model alone.

        Decoders that are open are closed first: what their caches hold was computed with the old adapter, and
        llama.cpp neither forgets it nor notices.

        Args:
            lora: in GGUF form, for this very model; its tokens' roles are not looked at.

        Raises:
            InputError: there is no such file.
            ModelError: it does not fit this model; the old adapter stays.
        """
        self._close_decoders()
        self._swap_adapter(lora)

    def logits(self, ids: Sequence[int]) -> NDArray[np.float32]:
        """float32 [tokens, vocabulary]: what the model with its adapter predicts after each of `ids`.

        Raises:
            InputError: more tokens than the context holds.
        """
        with LogitsDecoder(self, 1) as decoder:
            return decoder.logits(ids)

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
        self._close_decoders()
        super().close()

    def _close_decoders(self) -> None:
        for decoder in self._open_decoders:
            decoder.close()
        self._open_decoders.clear()

    def __enter__(self) -> LlamaEngine:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

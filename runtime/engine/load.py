"""`load`: an engine from a GGUF file or from a server's address."""

from __future__ import annotations

from pathlib import Path

from runtime.engine.protocol import Engine
from runtime.errors import InputError
from runtime.settings import EngineSettings, validated


def load(
    model: str | Path,
    *,
    n_ctx: int | None = None,
    gpu_layers: int | None = None,
    threads: int | None = None,
    lora: str | Path | None = None,
    endpoint: str | None = None,
    settings: EngineSettings | None = None,
    api_key: str | None = None,
) -> Engine:
    """Load a GGUF file, or connect to a server that holds the model.

    Args:
        model: path of a GGUF file. With `endpoint`, either the GGUF file whose vocabulary the server's model shares
            (then token ids are exchanged, which the block format needs) or the name the server knows the model by.
        n_ctx: tokens one solution may hold; None takes what the model was trained with, at most 4096.
        gpu_layers: layers to keep on the GPU; -1 for all, None for what `settings` says.
        threads: threads for decoding; None takes the physical cores.
        lora: a LoRA adapter in GGUF form, for the base that `model` is.
        endpoint: base URL of an OpenAI-compatible server, such as `http://127.0.0.1:8000/v1`.
        settings: the rest (flash attention, cache types, batch size); the arguments above win over it.
        api_key: sent to the endpoint as a bearer token.

    Raises:
        InputError: a file is missing, or the combination of arguments makes no sense.
        ModelError: the file is no usable GGUF, or the adapter does not fit it.
        EngineError: llama.cpp is not installed, or the server does not answer.
    """
    chosen = settings or EngineSettings()
    given = {"n_ctx": n_ctx, "gpu_layers": gpu_layers, "threads": threads}
    changes = {name: value for name, value in given.items() if value is not None}
    chosen = validated(EngineSettings, {**chosen.model_dump(), **changes}, "no model was loaded")
    if endpoint is not None:
        if lora is not None:
            raise InputError(
                "lora and endpoint were both given", "a remote server loads its own adapters", "give one of the two"
            )
        from runtime.engine.server.engine import EndpointEngine

        return EndpointEngine(str(model), endpoint, chosen, api_key=api_key)
    from runtime.engine.llama.engine import LlamaEngine

    return LlamaEngine(Path(model), chosen, lora=Path(lora) if lora is not None else None)

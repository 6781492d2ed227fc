"""What is exported: a run folder, an adapter folder of peft or unsloth, or a merged model folder."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from export.merge.adapter import Adapter, read_adapter
from export.merge.nf4 import Nf4, nf4_of, stored_shape
from export.merge.tensors import TensorFolder
from export.settings import ExportSettings
from qlora.base import weights_sha256
from qlora.weights import read_object
from runtime.errors import InputError, ModelError
from runtime.files import fetch, sha256_file

_WHOLE_HASH_BYTES = 2_000_000_000
_SAMPLES, _SAMPLE_BYTES = 64, 1 << 20


GGUF_FILE = "gguf.json"
"""In a base's folder: `{"file", "path", "sha256", "architecture", "tensor_types", "adds_space"}` of its GGUF."""


def gguf_facts(folder: Path) -> dict[str, Any] | None:
    """What `GGUF_FILE` of a base's folder says; None where the base was not made from a GGUF."""
    file = folder / GGUF_FILE
    return read_object(file, "what its GGUF was is not known") if file.is_file() else None


@dataclass
class Source:
    """Everything an export needs to know about its input.

    Attributes:
        name: what the files are called.
        base: the base model's folder (or the merged model itself).
        tokenizer: folder with the tokenizer that training used.
        adapter: None for a merged folder.
        run: contents of `run.json`, empty where there is none.
        held_out: file with the rows to certify on, or None.
        base_config: the base's `config.json`.
    """

    name: str
    path: Path
    base: Path
    tokenizer: Path
    adapter: Adapter | None
    run: dict[str, Any]
    held_out: Path | None
    base_config: dict[str, Any]
    tensors: TensorFolder = field(repr=False)

    @property
    def gguf(self) -> dict[str, Any] | None:
        """What is known of the GGUF file that the base was made from (`GGUF_FILE`), None where it was not."""
        return gguf_facts(self.base)

    @property
    def merge_into(self) -> str:
        """`nf4` or `16bit`: what training put the adapter on."""
        quantization = self.run.get("quantization")
        if quantization is None and not self.run:
            # A peft folder does not say. QLoRA is what this project, unsloth and most people train.
            return "nf4"
        return "nf4" if quantization and quantization.get("type", "nf4") == "nf4" else "16bit"

    @property
    def nf4(self) -> Nf4:
        """How training quantized the base."""
        return nf4_of(self.run)


def open_source(path: str | os.PathLike[str], settings: ExportSettings) -> Source:
    """Look at `path` and all it refers to, and raise every problem that can be seen without work.

    Raises:
        InputError: the path holds nothing to export, or a run that is not finished.
        ModelError: the base is missing, broken, of an unsupported kind, or not the one the adapter was trained on.
    """
    folder = Path(path)
    if not folder.is_dir():
        raise InputError(f"{folder} does not exist", "nothing was exported", "give a run, adapter or model folder")
    run_file = folder / "run.json"
    if run_file.is_file():
        source = _from_run(folder, run_file, settings)
    elif (folder / "adapter_config.json").is_file():
        source = _from_adapter(folder, settings)
    elif (folder / "config.json").is_file():
        source = _build(folder, folder, folder, None, {}, settings)
    else:
        raise InputError(
            f"{folder} holds neither run.json, adapter_config.json nor config.json",
            "nothing was exported",
            "give the folder that `mathcoder train` wrote, a peft adapter, or a model in Hugging Face format",
        )
    _check_match(source)
    return source


def _from_run(folder: Path, run_file: Path, settings: ExportSettings) -> Source:
    run = read_object(run_file, "nothing was exported")
    adapter_folder = folder / "adapter"
    if not (adapter_folder / "adapter_config.json").is_file():
        raise InputError(
            f"{folder} holds no trained adapter yet (status {run.get('status', 'unknown')})",
            "nothing was exported",
            "finish the training; the same train command resumes it",
        )
    base = resolve_base(str(run.get("base_path") or run.get("base") or ""), relative_to=folder)
    source = _build(folder, base, folder / "tokenizer", read_adapter(adapter_folder), run, settings)
    expected = run.get("base_sha256")
    if expected and (found := weights_sha256(source.tensors.files)) != expected:
        raise ModelError(
            f"the base in {base} is not the one this adapter was trained on (SHA-256 {found[:12]}…, "
            f"run.json says {str(expected)[:12]}…)",
            "an adapter on another base computes nonsense; nothing was exported",
            "restore the base, or train again",
        )
    return source


def _from_adapter(folder: Path, settings: ExportSettings) -> Source:
    adapter = read_adapter(folder)
    named = adapter.config.get("base_model_name_or_path") or ""
    base = resolve_base(named, relative_to=folder)
    tokenizer = folder if (folder / "tokenizer_config.json").is_file() else base
    return _build(folder, base, tokenizer, adapter, {}, settings)


def resolve_base(named: str, relative_to: Path) -> Path:
    """The folder of a base given as a path or a hub id (from the hub's cache, or downloaded).

    Raises:
        InputError: it can be found nowhere.
    """
    if not named:
        raise InputError("the adapter does not name its base", "nothing was merged", "set base_model_name_or_path")
    for candidate in (Path(named), relative_to / named):
        if candidate.is_dir():
            return candidate
    if named.startswith(("/", ".")) or named.count("/") != 1:
        raise InputError(f"the base model {named} does not exist", "nothing was merged", "restore the folder")
    patterns = ["*.json", "*.safetensors", "tokenizer.model", "*.txt", "*.jinja"]
    return fetch(
        named,
        "model",
        patterns,
        ignored=["consolidated*"],
        consequence="nothing was merged",
        remedy="download the model and give its folder",
    )


def _build(
    path: Path, base: Path, tokenizer: Path, adapter: Adapter | None, run: dict[str, Any], settings: ExportSettings
) -> Source:
    config_file = base / "config.json"
    if not config_file.is_file():
        raise InputError(f"the base {base} holds no config.json", "nothing was merged", "give a Hugging Face model")
    config = read_object(config_file, "nothing was merged")
    if not (tokenizer / "tokenizer.json").is_file() and not (tokenizer / "tokenizer.model").is_file():
        raise InputError(f"{tokenizer} holds no tokenizer.json", "nothing was exported", "save the tokenizer there")
    held_out = settings.held_out or (path / "held_out.jsonl")
    if settings.held_out is not None and not settings.held_out.is_file():
        raise InputError(f"{settings.held_out} does not exist", "nothing was exported", "check held_out")
    return Source(
        name=settings.name or str(run.get("name") or path.resolve().name),
        path=path,
        base=base,
        tokenizer=tokenizer,
        adapter=adapter,
        run=run,
        held_out=held_out if held_out.is_file() else None,
        base_config=config,
        tensors=TensorFolder(base),
    )


def _check_match(source: Source) -> None:
    """Every module of the adapter exists in the base with the shape the adapter expects."""
    if source.adapter is None:
        return
    tied = bool(source.base_config.get("tie_word_embeddings")) or "lm_head.weight" not in source.tensors
    for module, pair in source.adapter.low_rank.items():
        weight = f"{module}.weight"
        if weight not in source.tensors and tied and module == "lm_head":
            weight = "model.embed_tokens.weight"
        if weight not in source.tensors:
            raise ModelError(
                f"the adapter changes {module}, which the base {source.base} does not have",
                "the adapter belongs to another base; nothing was merged",
                "set base_model_name_or_path to its own base",
            )
        shape = stored_shape(source.tensors, weight) or source.tensors[weight].shape
        if shape[-1] != pair.shape[-1] or (shape[0] != pair.shape[0] and not _is_vocabulary(module)):
            raise ModelError(
                f"{module} is {tuple(shape)} in the base and {pair.shape} in the adapter",
                "the adapter belongs to another base; nothing was merged",
                "set base_model_name_or_path to its own base",
            )


def _is_vocabulary(module: str) -> bool:
    return module.endswith(("embed_tokens", "lm_head", "wte"))


def fast_hash(file: Path) -> str:
    """SHA-256 of a file; of a large one, of its size and of samples spread over it."""
    size = file.stat().st_size
    if size <= _WHOLE_HASH_BYTES:
        return sha256_file(file)
    digest = hashlib.sha256(str(size).encode())
    with open(file, "rb") as handle:
        for index in range(_SAMPLES):
            handle.seek(index * (size - _SAMPLE_BYTES) // (_SAMPLES - 1))
            digest.update(handle.read(_SAMPLE_BYTES))
    return digest.hexdigest()

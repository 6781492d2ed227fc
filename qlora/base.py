"""The base model on disk: found and checked, and its tokenizer with the eight control tokens."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qlora.architectures import refuse_untrainable, tested
from qlora.dialects import speak
from qlora.quiet import quiet_libraries
from qlora.settings import LoraSettings
from qlora.tokens import add_control_tokens, reuse_control_tokens, segment_tokenizer
from qlora.vocabulary import ENDS_KEY
from qlora.weights import read_object, weight_files
from runtime.errors import InputError, ModelError
from runtime.files import fetch, sha256_file

BLOCKSIZE = 64
"""Weights that share one NF4 scale (arXiv 2305.14314, section 3)."""


@dataclass(frozen=True)
class Base:
    """A base on disk.

    Attributes:
        name: what the recipe calls it.
        path: its folder.
        config: its config.json.
    """

    name: str
    path: Path
    config: dict[str, Any]

    @property
    def weight_files(self) -> list[Path]:
        """The safetensors files that hold its weights."""
        return weight_files(self.path)

    def sha256(self) -> str:
        """Of the weight file, or of the hashes of all weight files in the order of their names."""
        return weights_sha256(self.weight_files)

    @property
    def is_tested(self) -> bool:
        """Whether the loop was tested with its architecture."""
        return tested(self.config) is not None


def weights_sha256(files: Sequence[Path]) -> str:
    """Hash of one weight file, or of the hashes of all in the order given."""
    hashes = [_name_in_hub_cache(file) or sha256_file(file) for file in files]
    return hashes[0] if len(hashes) == 1 else hashlib.sha256("".join(hashes).encode()).hexdigest()


def _name_in_hub_cache(file: Path) -> str | None:
    """The SHA-256 of a file in the hub's cache, which names large files by it; None elsewhere.

    To hash the 13.5 GB of a 7B base takes 8 s from an NVMe disk and minutes from a slower one, at every start.
    """
    blob = file.resolve()
    in_cache = blob.parent.name == "blobs" and blob.parent.parent.name.startswith("models--")
    return blob.name if in_cache and re.fullmatch(r"[0-9a-f]{64}", blob.name) else None


def find_base(name: str, *, untested: bool = False) -> Base:
    """Find a base by folder or hub id and check that it can be trained.

    Args:
        name: folder or hub id.
        untested: take an architecture outside the tested ones, too.

    Raises:
        InputError: there is no such base.
        ModelError: files are missing or broken, or the architecture or its quantization is not supported.
    """
    path = Path(name).expanduser()
    if not path.is_dir():
        path = _from_hub(name)
    if not (path / "config.json").is_file():
        raise ModelError(f"{path} has no config.json", "it is not a model folder", "check `base`")
    base = Base(name, path, read_object(path / "config.json", "the base cannot be loaded"))
    _check(base, untested=untested)
    return base


def _from_hub(name: str) -> Path:
    if name.startswith((".", "/", "~")) or name.count("/") != 1:
        raise InputError(f"there is no base model {name}", "nothing was trained", "give a folder or a hub id ORG/NAME")
    with quiet_libraries():
        return fetch(
            name,
            "model",
            ["*.json", "*.safetensors", "tokenizer*", "*.txt", "*.jinja"],
            # Mistral's own format beside transformers': all weights a second time.
            ignored=["consolidated*"],
            consequence="nothing was trained",
            remedy="give a folder that holds the model",
        )


def _check(base: Base, *, untested: bool) -> None:
    refuse_untrainable(base.name, base.config, untested=untested)
    quantization = base.config.get("quantization_config")
    if quantization and not (quantization.get("load_in_4bit") and quantization.get("bnb_4bit_quant_type") == "nf4"):
        method = quantization.get("quant_method", "an unknown method")
        raise ModelError(
            f"{base.name} is already quantized with {method}",
            "NF4 cannot be put on top of it",
            "use the base in 16 bits, or one quantized to NF4 by bitsandbytes",
        )
    weight_files(base.path)


def load_tokenizer(base: Base, lora: LoraSettings | None = None, dialect: str = "lce") -> Any:
    """The base's tokenizer with the eight control tokens added, or played by tokens it has.

    In another dialect it stays as it is.

    Raises:
        InputError: there is no such dialect.
        ModelError: it is missing, broken or not a fast one, or lacks what the dialect needs.
    """
    with quiet_libraries():
        from transformers import AutoTokenizer

        try:
            tokenizer = AutoTokenizer.from_pretrained(str(base.path))
        except Exception as error:
            # Not narrower: for a broken tokenizer.json the Rust tokenizers raise Exception itself.
            if not (base.path / "tokenizer.json").is_file():
                raise ModelError(
                    f"{base.name} has no tokenizer.json, and its other files make no fast tokenizer",
                    "rows cannot be tokenized segment by segment",
                    "use a base whose folder has one, or fetch the base again",
                ) from error
            raise ModelError(
                f"the tokenizer of {base.name} cannot be loaded ({first_line(error)})", "", "fetch the base again"
            ) from error
        if dialect != "lce":
            speak(tokenizer, dialect)
        elif lora is not None and lora.control_tokens == "reuse":
            reuse_control_tokens(tokenizer, lora.reuse_tokens, tokenizer.init_kwargs.get(ENDS_KEY) or ())
        else:
            add_control_tokens(tokenizer)
        segment_tokenizer(tokenizer)
    return tokenizer


def first_line(error: BaseException) -> str:
    """The kind of an error and the first line of what it says."""
    return f"{type(error).__name__}: {(str(error).strip().splitlines() or [''])[0][:200]}"

"""What a recipe may say about export, and the thresholds a certificate has to meet."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from qlora.settings import Settings

MergeBase = Literal["auto", "nf4", "16bit"]
OnProgress = Callable[[str, float], None]
"""Called with what is being done and the share of the stage that is done."""


class Thresholds(Settings):
    """What a file must meet to be called certified.

    KL is in nats per supervised token, to the adapter model.

    A right merge measures 1e-8 to 1e-5 (16-bit rounding), one into the wrong form of the base 1.5e-3 and more: the
    limits for the merged model and the unquantized file lie between.
    """

    merged_kl: float = Field(default=3e-4, gt=0, description="merged model")
    f16_kl: float = Field(default=3e-4, gt=0, description="F16, BF16 and F32 GGUF")
    f16_top1: float = Field(default=0.995, ge=0, le=1, description="equal most likely tokens, F16, BF16 and F32 GGUF")
    quant_kl: float = Field(default=0.05, gt=0, description="5 bits and more")
    quant_top1: float = Field(default=0.97, ge=0, le=1, description="equal most likely tokens, 5 bits and more")
    low_bit_kl: float = Field(default=0.15, gt=0, description="below 5 bits")
    low_bit_top1: float = Field(default=0.93, ge=0, le=1, description="equal most likely tokens, below 5 bits")
    solve_drop: float = Field(default=0.01, ge=0, le=1, description="share of problems a type may lose against F16")


class CertifySettings(Settings):
    """How much the certificate measures."""

    rows: int = Field(default=64, ge=0, description="held-out rows compared; 0 writes no certificate")
    max_positions: int = Field(default=8192, ge=1, description="supervised positions compared at most")
    context: int = Field(default=4096, ge=32, description="held-out rows with more tokens are left out")
    speed_tokens: int = Field(default=32, ge=0, description="tokens generated to measure tokens/s")
    problems: int = Field(
        default=0, ge=0, description="held-out questions solved with execution, on F16 and every type"
    )
    both_bases: bool = Field(default=True, description="also print the KL of the adapter on the 16-bit base")
    thresholds: Thresholds = Thresholds()


class ExportSettings(Settings):
    """One export: how to merge, which types to write, what to prove."""

    quant: tuple[str, ...] = Field(
        default=("Q8_0",), min_length=1, description="llama.cpp types, e.g. Q4_K_M, Q8_0, F16"
    )
    merge_into: MergeBase = Field(
        default="auto", description="nf4: the dequantized 4-bit base; auto: what training used"
    )
    dtype: Literal["float16", "bfloat16", "float32"] = Field(default="float16", description="of the merged weights")
    adapter_type: Literal["f32", "f16", "bf16", "q8_0"] = Field(
        default="f16", description="of the tensors of an adapter exported alone (--adapter-only)"
    )
    token_embedding_type: str | None = Field(default=None, description="ggml type of the embeddings, e.g. Q8_0")
    output_tensor_type: str | None = Field(default=None, description="ggml type of the output head")
    imatrix: Path | None = Field(default=None, description="importance matrix, or .jsonl rows to collect one")
    pre_tokenizer: str | None = Field(
        default=None, description="llama.cpp pre-tokenizer of a byte-level BPE of one's own"
    )
    name: str | None = Field(
        default=None, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", description="default: the run's name"
    )
    held_out: Path | None = Field(default=None, description="rows to certify on; default: the run's own held-out rows")
    pick: float | None = Field(
        default=None, gt=0, le=1, description="keep the smallest type within this share of F16's solves"
    )
    keep_merged: bool = Field(default=False, description="leave the merged Hugging Face folder beside the GGUF files")
    shard_mb: int = Field(default=2000, ge=1, description="size of a merged shard")
    llama_cpp: Path | None = Field(
        default=None,
        description="llama.cpp's converter (folder, or .tar.gz source distribution) instead of the fetched",
    )
    threads: int | None = Field(default=None, ge=1, description="default: the processor's cores")
    certify: CertifySettings = CertifySettings()

    @field_validator("quant", mode="before")
    @classmethod
    def _split_types(cls, value: Any) -> Any:
        if isinstance(value, str):
            value = [part for part in value.replace(" ", "").split(",") if part]
        if not isinstance(value, (list, tuple)):
            return value
        return tuple(dict.fromkeys(str(part).upper() for part in value))

    @model_validator(mode="after")
    def _known_types(self) -> ExportSettings:
        for name in self.quant:
            if problem := unknown_type(name, file_types()):
                raise ValueError(problem)
        for tensor_type in (self.token_embedding_type, self.output_tensor_type):
            if tensor_type is not None and (problem := unknown_type(tensor_type.upper(), tensor_types())):
                raise ValueError(problem)
        if self.pick is not None and self.certify.problems == 0:
            raise ValueError("pick compares solve rates; set certify.problems to the number of problems to solve")
        if self.pick is not None and self.certify.rows == 0:
            raise ValueError("pick chooses among certified files; it needs a certificate (certify.rows above 0)")
        return self


def unknown_type(name: str, known: dict[str, int]) -> str | None:
    """Why `name` is not a type of `known`, with the nearest names; None if it is one."""
    if name in known:
        return None
    near = difflib.get_close_matches(name, known, n=3, cutoff=0.4) or sorted(known)[:8]
    return f"unknown quantization type {name!r}; nearest: {', '.join(near)}"


@cache
def file_types() -> dict[str, int]:
    """`{name: llama_ftype}` of every type the installed llama.cpp can write."""
    return _constants("LLAMA_FTYPE_", drop=("MOSTLY_", "ALL_"), without=("GUESSED",))


@cache
def tensor_types() -> dict[str, int]:
    """`{name: ggml_type}` of the installed llama.cpp, for single tensors."""
    return _constants("GGML_TYPE_", without=("COUNT", "I8", "I16", "I32", "I64", "F64", "Q8_K", "Q8_1"))


def _constants(prefix: str, *, drop: tuple[str, ...] = (), without: tuple[str, ...] = ()) -> dict[str, int]:
    from runtime.engine.llama.library import bindings

    result = {}
    for key, value in vars(bindings()).items():
        if key.startswith(prefix) and isinstance(value, int):
            name = key.removeprefix(prefix)
            for part in drop:
                name = name.removeprefix(part)
            if name not in without:
                result[name] = value
    return result

"""One export under way: its inputs, its folders, and what later stages need of earlier ones."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from export.gguf.file import read_gguf
from export.gguf.llamacpp import installed_version
from export.gguf.tokenizer import TokenizerFacts, tokenizer_facts
from export.merge.merge import Layout, MergePlan, plan_merge, read_layout
from export.merge.source import Source, fast_hash
from export.merge.vocabulary import load_tokenizer
from export.settings import ExportSettings
from runtime.errors import ModelError
from runtime.files import sha256_file

FORMAT = 1
"""Raised when a change of code changes the bytes of exported files, so that older unfinished work is not used."""


@dataclass(frozen=True)
class Job:
    """Everything the stages of one export share.

    Attributes:
        source: what is exported.
        out: folder of the results.
        into: base the adapter is merged into, `nf4` or `16bit`.
        tokenizer: as transformers loads it; `facts` says what it does.
        layout, plan: the base's architecture, and every tensor that will be written.
        fingerprint: hash of all that decides the bytes of the unquantized file.
    """

    source: Source
    settings: ExportSettings
    out: Path
    into: str
    tokenizer: Any = field(repr=False)
    facts: TokenizerFacts = field(repr=False)
    layout: Layout = field(repr=False)
    plan: MergePlan = field(repr=False)
    fingerprint: str

    @property
    def work(self) -> Path:
        """Folder for what is not a result."""
        return self.out / f".{self.source.name}-export"

    @property
    def merged(self) -> Path:
        """The merged Hugging Face folder."""
        return self.out / f"{self.source.name}-merged" if self.settings.keep_merged else self.work / "merged"

    @property
    def wide_type(self) -> str:
        """GGUF type that holds the merged weights as they are."""
        return {"float16": "F16", "bfloat16": "BF16", "float32": "F32"}[self.settings.dtype]

    @property
    def wide(self) -> Path:
        """The unquantized GGUF: a result where it was asked for, else a work file."""
        folder = self.out if self.wide_type in self.settings.quant else self.work
        return folder / f"{self.source.name}-{self.wide_type}.gguf"

    def target(self, type_name: str) -> Path:
        """Path of one result."""
        return self.out / f"{self.source.name}-{type_name}.gguf"

    def files(self) -> dict[str, Path]:
        """`{type: path}` of all GGUF files, the unquantized one first whether it is a result or not."""
        return {self.wide_type: self.wide} | {
            name: self.target(name) for name in self.settings.quant if name != self.wide_type
        }

    @property
    def certificate(self) -> Path:
        """Path of the certificate."""
        return self.out / f"{self.source.name}.certificate.json"

    @property
    def certificate_fingerprint(self) -> str:
        """Hash of all that decides what the certificate measures."""
        settings = self.settings.model_dump(mode="json", exclude={"pick", "keep_merged", "threads", "llama_cpp"})
        rows = None if self.source.held_out is None else fast_hash(self.source.held_out)
        return hashlib.sha256(json.dumps([self.fingerprint, settings, rows]).encode()).hexdigest()[:32]

    def finished_certificate(self) -> dict[str, Any] | None:
        """The certificate of an earlier call with the same inputs, None where there is none."""
        try:
            found = json.loads(self.certificate.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        return found if found.get("fingerprint") == self.certificate_fingerprint else None

    def is_done(self, file: Path) -> bool:
        """Whether `file` is whole and of this job."""
        try:
            return file.is_file() and read_gguf(file).metadata.get("mathcoder.fingerprint") == self.fingerprint
        except ModelError:
            return False


def plan_job(source: Source, settings: ExportSettings, out: Path) -> Job:
    """Decide what will be written, before any work.

    Raises:
        ModelError: base, adapter or tokenizer cannot be used.
    """
    into = source.merge_into if settings.merge_into == "auto" else settings.merge_into
    tokenizer = load_tokenizer(source.tokenizer)
    facts = tokenizer_facts(source.tokenizer, tokenizer)
    layout = read_layout(source.base)
    plan = plan_merge(source, layout, into=into, dtype=settings.dtype)
    return Job(source, settings, out, into, tokenizer, facts, layout, plan, _fingerprint(source, settings, into))


def _fingerprint(source: Source, settings: ExportSettings, into: str) -> str:
    parts: list[Any] = [FORMAT, installed_version(), source.name]
    parts += [into, settings.dtype, settings.pre_tokenizer]
    parts += [source.run.get("quantization"), source.base_config]
    parts += [fast_hash(file) for file in source.tensors.files]
    if source.adapter is not None:
        parts += [sha256_file(file) for file in sorted(source.adapter.folder.glob("adapter_*")) if file.is_file()]
    parts += [sha256_file(file) for file in sorted(source.tokenizer.glob("*token*")) if file.is_file()]
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()[:32]

"""When a merged model does not compute what the adapter model does: what is wrong with it, by name.

A KL says that something is wrong; these checks look at sampled tensors and at both configurations to say what.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from export.gguf.file import GgufFile, read_gguf
from export.job import Job
from export.merge.merge import Layout, MergePlan
from export.merge.nf4 import dequantize_stored, stored_shape
from export.merge.source import Source
from export.merge.tensors import TensorFolder, read_rows
from runtime.errors import ModelError

if TYPE_CHECKING:
    import torch

_ROWS = 256
_SAME = 4e-3
"""Relative distance below which two tensors are the same but for 16-bit rounding (bfloat16: 2^-9)."""
_MAY_DIFFER = {
    "vocab_size", "tie_word_embeddings", "dtype", "torch_dtype", "_name_or_path", "quantization_config",
    "transformers_version", "architectures",
}  # fmt: skip


@dataclass(frozen=True)
class _Parts:
    """Rows of one tensor, taken apart, float32."""

    found: torch.Tensor
    base: torch.Tensor
    other_base: torch.Tensor
    change: torch.Tensor


def diagnose_merged(job: Job) -> list[str]:
    """What is wrong with the merged folder, as sentences; empty where nothing was found."""
    source, layout, plan = job.source, job.layout, job.plan
    findings = compare_configs(source.base, job.merged)
    tensors = TensorFolder(job.merged)
    if missing := [tensor.name for tensor in plan.planned if tensor.name not in tensors]:
        return [*findings, f"the merged model lacks {missing[0]}"]
    adapter = source.adapter
    if adapter is None:
        return findings
    if adapter.is_zero:
        findings.append("every low-rank change of the adapter is zero: it was saved untrained")
    verdicts: dict[str, list[str]] = {}
    for name in _sampled(source, layout):
        if verdict := _judge(_take_apart(source, layout, tensors, name, job.into)):
            verdicts.setdefault(verdict, []).append(name)
    findings += [f"{', '.join(names)}: {verdict}" for verdict, names in verdicts.items()]
    return findings + _diagnose_vocabulary(plan, layout, tensors)


def compare_configs(base: Path, merged: Path) -> list[str]:
    """Settings in which the merged model's configuration differs from its base's and may not."""
    ours, theirs = (
        _flat(json.loads((folder / "config.json").read_text(encoding="utf-8"))) for folder in (merged, base)
    )
    return [
        f"{key} is {ours.get(key)!r} in the merged model and {theirs.get(key)!r} in its base"
        for key in sorted({*ours, *theirs})
        if key.split(".")[-1] not in _MAY_DIFFER
        and key.split(".")[0] not in _MAY_DIFFER
        and ours.get(key) != theirs.get(key)
    ]


def _flat(value: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    result: dict[str, Any] = {}
    for key, inner in value.items():
        if isinstance(inner, dict):
            result |= _flat(inner, f"{prefix}{key}.")
        else:
            result[prefix + key] = inner
    return result


def _sampled(source: Source, layout: Layout) -> list[str]:
    """Weights of the first and the last adapted linear layers."""
    assert source.adapter is not None
    linear = [name for name in source.adapter.low_rank if name in layout.linear and f"{name}.weight" in source.tensors]
    return [f"{name}.weight" for name in dict.fromkeys([*linear[:2], *linear[-2:]])]


def _take_apart(source: Source, layout: Layout, tensors: TensorFolder, name: str, into: str) -> _Parts:
    assert source.adapter is not None
    info = source.tensors[name]
    rows = min(_ROWS, info.shape[0])
    module = name.removesuffix(".weight")
    if stored_shape(source.tensors, name):
        sixteen = four = dequantize_stored(source.tensors, name)[:_ROWS]
        rows = sixteen.shape[0]
    else:
        sixteen = read_rows(info, 0, rows).float()
        quantized = module in layout.linear and source.merge_into == "nf4"
        four = source.nf4.round_trip(read_rows(info))[:rows] if quantized else sixteen
    pair = source.adapter.low_rank[module]
    base = four if into == "nf4" else sixteen
    changed = base + pair.rows(0, rows)
    if pair.magnitude is not None:
        changed *= (read_rows(pair.magnitude, 0, rows).float() / changed.norm(dim=1))[:, None]
    return _Parts(tensors.read(name, 0, rows).float(), base, sixteen if into == "nf4" else four, changed - base)


def _judge(parts: _Parts) -> str | None:
    found, base, change = parts.found, parts.base, parts.change
    if _distance(found, base + change) < _SAME:
        return None
    if _distance(found, base) < _SAME:
        return "the adapter left no trace (merged without it, or with a zeroed one)"
    if _distance(found, parts.other_base + change) < _SAME:
        return "merged into the other form of the base (16-bit instead of dequantized, or the reverse)"
    if float((found * base).sum() / (found.norm() * base.norm() + 1e-30)) < 0.5:
        return "the weights are of another base than the adapter's"
    return "the change is not this adapter's (another adapter, or another scale)"


def _distance(a: torch.Tensor, b: torch.Tensor) -> float:
    return float((a - b).norm() / (b.norm() + 1e-30))


def _diagnose_vocabulary(plan: MergePlan, layout: Layout, tensors: TensorFolder) -> list[str]:
    """Input embeddings and head, against what the plan would write."""
    findings = []
    for name, what in ((layout.embedding, "input embeddings"), (layout.head, "output head")):
        if name not in plan.produce:
            continue
        expected = next(iter(plan.produce[name]())).float()[:_ROWS]
        found = tensors.read(name, 0, expected.shape[0]).float()
        if found.shape == expected.shape and _distance(found, expected) < _SAME:
            findings += _diagnose_last_rows(plan, tensors, name, what)
            continue
        other = layout.head if name == layout.embedding else layout.embedding
        if other in plan.produce:
            theirs = next(iter(plan.produce[other]())).float()[:_ROWS]
            if theirs.shape == found.shape and _distance(found, theirs) < _SAME:
                findings.append(f"the {what} ({name}) hold the rows of {other}: swapped or wrongly tied")
                continue
        findings.append(f"the {what} ({name}) are not those of the adapter model")
    return findings


def _diagnose_last_rows(plan: MergePlan, tensors: TensorFolder, name: str, what: str) -> list[str]:
    """Added token rows stand last; they are what training moved most."""
    last = None
    for piece in plan.produce[name]():
        last = piece
    assert last is not None
    count = min(64, last.shape[0])
    found = tensors.read(name, tensors[name].shape[0] - count, count).float()
    if _distance(found, last[-count:].float()) < _SAME:
        return []
    return [f"the trained token rows of the {what} ({name}) are not the adapter's"]


def diagnose_gguf(wide: Path, merged: Path) -> list[str]:
    """What is wrong with the unquantized GGUF, against the merged folder it was made from."""
    try:
        file = read_gguf(wide)
    except ModelError as error:
        return [str(error)]
    config = _flat(json.loads((merged / "config.json").read_text(encoding="utf-8")))
    return _compare_parameters(file, config) + _compare_tensors(file, TensorFolder(merged))


def _compare_parameters(file: GgufFile, config: dict[str, Any]) -> list[str]:
    pairs = {
        "rope.freq_base": config.get("rope_parameters.rope_theta", config.get("rope_theta")),
        "block_count": config.get("num_hidden_layers"),
        "attention.head_count": config.get("num_attention_heads"),
        "attention.head_count_kv": config.get("num_key_value_heads"),
        "embedding_length": config.get("hidden_size"),
        "attention.layer_norm_rms_epsilon": config.get("rms_norm_eps"),
    }
    findings = []
    for name, wanted in pairs.items():
        found = file.parameter(name)
        if wanted is not None and found is not None and abs(float(found) - float(wanted)) > 1e-6 * abs(float(wanted)):
            findings.append(f"{name} is {found} in the GGUF and {wanted} in the merged model")
    return findings


def _compare_tensors(file: GgufFile, tensors: TensorFolder) -> list[str]:
    """Compare tensors that the converter copies as they are.

    Attention weights are permuted for some architectures.
    """
    import numpy as np

    names = {
        "token_embd.weight": "model.embed_tokens.weight",
        "output.weight": "lm_head.weight",
        "output_norm.weight": "model.norm.weight",
        "blk.0.ffn_down.weight": "model.layers.0.mlp.down_proj.weight",
    }
    findings = []
    if ("output.weight" in file.tensors) != ("lm_head.weight" in tensors):
        findings.append("one of GGUF and merged model ties its output head, the other does not")
    for ours, theirs in names.items():
        if ours not in file.tensors or theirs not in tensors:
            continue
        rows = min(_ROWS, tensors[theirs].shape[0])
        found, wanted = file.rows(ours, 0, rows), tensors.read(theirs, 0, rows).float().numpy()
        if ours == "output_norm.weight" and file.architecture.startswith("gemma"):
            wanted = wanted + 1.0  # stored as the distance from one there, and as it is in a GGUF
        if found.shape != wanted.shape or np.linalg.norm(found - wanted) > _SAME * np.linalg.norm(wanted):
            findings.append(f"{ours} of the GGUF is not {theirs} of the merged model")
    return findings

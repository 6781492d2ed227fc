"""The certificate of an adapter alone, on the very file it belongs to, against the model in torch."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from export.rows import read_samples
from runtime.files import sha256_file
from runtime.likeness import Likeness

if TYPE_CHECKING:
    from export.merge.source import Source
    from export.settings import ExportSettings


def certify_adapter(source: Source, adapter: Path, base: Path, settings: ExportSettings) -> dict[str, Any]:
    """Measure an exported adapter on the file it belongs to.

    Args:
        source: the run; its held-out rows are compared.
        adapter: the LoRA GGUF.
        base: the GGUF the run's base was made from.
        settings: how many rows, and the thresholds (those of a quantized file).

    Returns:
        The certificate: `certified`, and `reasons` where it does not hold.
    """
    from export.certify.measure_torch import load_adapter_model, supervised_logits
    from export.certify.measure_worker import Measured
    from export.gguf.llamacpp import installed_version
    from export.merge.vocabulary import load_tokenizer
    from qlora.tokens import segment_tokenizer
    from runtime.engine.llama.library import usable_cores

    assert source.held_out is not None
    certify, limits = settings.certify, settings.certify.thresholds
    tokenizer = load_tokenizer(source.tokenizer)
    samples = read_samples(
        source.held_out,
        tokenizer,
        rows=certify.rows,
        context=certify.context,
        max_positions=certify.max_positions,
    )
    model = load_adapter_model(source, nf4=source.merge_into == "nf4", rows=0)
    longest = max(len(row.input_ids) for row in samples.rows)
    measured = Measured(
        str(base),
        n_ctx=longest + 8,
        threads=settings.threads or usable_cores(),
        lora=str(adapter.resolve()),
        reserved=segment_tokenizer(tokenizer).vocabulary.reserved,
    )
    likeness, equal = Likeness(), 0
    for row, wanted in zip(samples.rows, supervised_logits(model, samples), strict=True):
        equal += measured.token_ids(row.segments) == row.input_ids
        measured.forget()
        logits = measured.decode(row.input_ids, 0, {position - 1 for position in row.positions})
        likeness.add(wanted[:, : logits.shape[1]], logits[:, : wanted.shape[1]])
    data = source.run.get("data") or {}
    reasons = []
    if equal < len(samples.rows):
        reasons.append(f"token ids differ from training's (equal in {equal} of {len(samples.rows)} rows)")
    if likeness.kl > limits.quant_kl:
        reasons.append(f"KL {likeness.kl:.2g} above {limits.quant_kl:g}")
    if likeness.top1 < limits.quant_top1:
        reasons.append(f"top-1 agreement {likeness.top1:.4f} below {limits.quant_top1:g}")
    return {
        "format": 1,
        "name": source.name,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "certified": not reasons,
        "reasons": reasons,
        "reference": "the adapter model in torch, sums in float32",
        "adapter": {"file": adapter.name, "bytes": adapter.stat().st_size, "sha256": sha256_file(adapter)},
        "base": {"file": base.name, "sha256": sha256_file(base)},
        "training": {
            "rows": data.get("rows"),
            "rows_sha256": data.get("sha256"),
            **{key: source.run[key] for key in ("seed", "steps", "backend") if key in source.run},
        },
        "rows": {"compared": len(samples.rows), "positions": likeness.positions},
        "token_ids_equal": equal == len(samples.rows),
        "kl": likeness.kl,
        "top1": likeness.top1,
        "versions": {"llama_cpp_python": installed_version()},
    }

"""The certificate: every model from the adapter to each quantization, on the same held-out rows.

The adapter model in torch is the reference. A file is certified only if it meets every threshold of the recipe and
nothing is wrong with what it was made from; whatever fails is written down with the reason.
"""

from __future__ import annotations

import json
import math
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from export.certify.compare import Reference, Tally
from export.certify.diagnose import diagnose_gguf, diagnose_merged
from export.certify.problems import HeldOutQuestion, Solve
from export.gguf.convert import run_worker
from export.gguf.quantize import UNQUANTIZED
from export.job import Job
from export.merge.source import fast_hash
from export.plan import BITS, available_memory
from export.rows import Samples, read_samples
from export.settings import CertifySettings, OnProgress, Thresholds
from qlora.tokens import segment_tokenizer, unlearned
from runtime.files import write_text

FORMAT = 1
ADAPTER, BASE, OTHER_BASE, MERGED = "adapter model", "base without adapter", "adapter on the other base", "merged model"
_LOW_BITS = 5.0
_FEW_ROWS = 8
_SMALL = 50_000_000


@dataclass
class Certifier:
    """Measures one export and writes its certificate.

    Attributes:
        models: measurements by model; GGUF files under their type.
        faults: what is wrong with the files whatever was measured.
    """

    job: Job
    models: dict[str, dict[str, Any]] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)

    @property
    def certify(self) -> CertifySettings:
        """The certificate's settings."""
        return self.job.settings.certify

    def run(self, progress: OnProgress, solve: Solve | None = None) -> dict[str, Any]:
        """Measure everything; returns the certificate."""
        import torch

        job = self.job
        assert job.source.held_out is not None
        threads = torch.get_num_threads()
        if job.plan.items < _SMALL:
            torch.set_num_threads(1)
        samples = read_samples(
            job.source.held_out,
            job.tokenizer,
            rows=self.certify.rows,
            context=self.certify.context,
            max_positions=self.certify.max_positions,
        )
        job.work.mkdir(parents=True, exist_ok=True)
        reference = Reference(job.work / "reference.f32", samples.positions, job.plan.rows)
        try:
            self._measure_torch(samples, reference, progress)
            self._measure_files(samples, reference, progress)
        finally:
            reference.path.unlink(missing_ok=True)
            torch.set_num_threads(threads)
        if self.certify.problems:
            self._solve(progress, solve)
        self.faults = diagnose_merged(job)
        self.faults += diagnose_gguf(job.wide, job.merged)
        self.faults += self._diagnose_use()
        self._judge()
        return self._certificate(samples)

    # Measuring

    def _measure_torch(self, samples: Samples, reference: Reference, progress: OnProgress) -> None:
        from export.certify.measure_torch import load_adapter_model, load_merged_model, supervised_logits

        if self.job.source.adapter is None:
            # A merged folder is its own reference.
            model = load_merged_model(self.job.merged)
            self._fill_reference(supervised_logits(model, samples, progress, MERGED), samples, reference, MERGED)
            return
        model = load_adapter_model(self.job.source, nf4=self.job.into == "nf4", rows=self.job.plan.rows)
        self._fill_reference(supervised_logits(model, samples, progress, ADAPTER), samples, reference, ADAPTER)
        with model.disable_adapter():
            self._tally(supervised_logits(model, samples, progress, BASE), samples, reference, BASE)
        del model
        needed = 5 * self.job.plan.items
        free = available_memory()
        if free is not None and needed > free:
            reason = f"needs {needed / 1e9:.0f} GB of memory in 32 bits, {free / 1e9:.0f} GB are free"
            self.models[MERGED] = {"not_measured": reason}
            return
        model = load_merged_model(self.job.merged)
        self._tally(supervised_logits(model, samples, progress, MERGED), samples, reference, MERGED)
        del model
        if self.certify.both_bases and self.job.source.merge_into == "nf4":
            model = load_adapter_model(self.job.source, nf4=self.job.into != "nf4", rows=self.job.plan.rows)
            self._tally(supervised_logits(model, samples, progress, OTHER_BASE), samples, reference, OTHER_BASE)

    def _fill_reference(self, logits: Any, samples: Samples, reference: Reference, name: str) -> None:
        tally = Tally(samples.targets(), samples.kinds())
        array = reference.open(write=True)
        for piece in logits:
            array[tally.position : tally.position + len(piece)] = piece[:, : reference.vocabulary]
            tally.add(piece)
        del array  # writes it out
        self.models[name] = tally.result()

    def _tally(self, logits: Any, samples: Samples, reference: Reference, name: str) -> None:
        tally = Tally(samples.targets(), samples.kinds(), reference.open())
        for piece in logits:
            tally.add(piece)
        self.models[name] = tally.result()

    def _measure_files(self, samples: Samples, reference: Reference, progress: OnProgress) -> None:
        with tempfile.TemporaryDirectory(prefix="mathcoder-") as scratch:
            rows = Path(scratch) / "samples.json"
            rows.write_text(json.dumps([row.as_dict() for row in samples.rows]), encoding="utf-8")
            for type_name, file in self.job.files().items():
                self.models[type_name] = self._measure_file(type_name, file, rows, reference, Path(scratch), progress)

    def _measure_file(
        self, type_name: str, file: Path, rows: Path, reference: Reference, scratch: Path, progress: OnProgress
    ) -> dict[str, Any]:
        result = scratch / f"{type_name}.json"
        spec = {
            "model": str(file), "samples": str(rows), "result": str(result), "reference": str(reference.path),
            "positions": reference.positions, "vocabulary": reference.vocabulary,
            "threads": self._threads(), "speed_tokens": self.certify.speed_tokens,
            "reserved": segment_tokenizer(self.job.tokenizer).vocabulary.reserved,
        }  # fmt: skip
        spec_file = scratch / f"{type_name}.spec.json"
        spec_file.write_text(json.dumps(spec), encoding="utf-8")

        def on_line(line: str) -> None:
            if line.startswith("PROGRESS"):
                _, done, total = line.split()
                progress(type_name, int(done) / int(total))

        done = run_worker("export.certify.measure_worker", [str(spec_file)], on_line)
        facts = {"file": file.name, "bytes": file.stat().st_size, "sha256": fast_hash(file)}
        if done.code or not result.is_file():
            reasons = [line for line in done.lines if not line.startswith("PROGRESS")]
            return {**facts, "failed": reasons[-1] if reasons else f"llama.cpp ended with code {done.code}"}
        return {**facts, **json.loads(result.read_text(encoding="utf-8"))}

    def _solve(self, progress: OnProgress, solve: Solve | None) -> None:
        from export.certify.problems import read_problems, solve_with_runtime

        assert self.job.source.held_out is not None
        problems: Sequence[HeldOutQuestion] = read_problems(self.job.source.held_out, self.certify.problems)
        files = self.job.files()
        solve = solve or partial(solve_with_runtime, threads=self._threads())
        for number, (type_name, file) in enumerate(files.items()):
            progress(f"{len(problems)} problems, {type_name}", number / len(files))
            right = solve(file, problems)
            self.models[type_name]["solved"] = {"correct": sum(map(bool, right)), "of": len(problems)}

    def _threads(self) -> int:
        """Threads to measure with.

        A small model gains nothing from a second one and waits for it at every layer.
        """
        from runtime.engine.llama.library import usable_cores

        return self.job.settings.threads or (1 if self.job.plan.items < _SMALL else usable_cores())

    # Judging

    def _diagnose_use(self) -> list[str]:
        """Whether the adapter does anything for the rows it was trained for."""
        adapter, base = self.models.get(ADAPTER), self.models.get(BASE)
        if adapter is None or base is None:
            return []
        ours, theirs = adapter["perplexity"]["all"], base["perplexity"]["all"]
        if ours < theirs:
            return []
        return [
            f"the adapter does not help on the held-out rows (perplexity {ours:.3g}, without it {theirs:.3g}): "
            "untrained, or trained on another base"
        ]

    def _judge(self) -> None:
        thresholds = self.certify.thresholds
        wide = self.models[self.job.wide_type]
        for name, entry in self.models.items():
            if name not in (ADAPTER, BASE, OTHER_BASE):
                reasons = judge(name, entry, thresholds, wide)
                if name != MERGED:
                    reasons += self.faults
                entry["certified"] = not reasons
                entry["reasons"] = reasons

    def _warnings(self, samples: Samples) -> list[str]:
        """What the figures, right as they are, do not say."""
        warnings = []
        if (rows := len(samples.rows)) < _FEW_ROWS:
            warnings.append(
                f"only {rows} held-out row{'s were' if rows > 1 else ' was'} compared: a fault that shows in others "
                "is not seen; give more with held_out or certify.rows"
            )
        reference = self.models[MERGED if self.job.source.adapter is None else ADAPTER]
        control = reference["perplexity"].get("control")
        if warning := unlearned(None if control is None else math.log(control)):
            warnings.append(warning)
        return warnings

    def _certificate(self, samples: Samples) -> dict[str, Any]:
        from export.gguf.llamacpp import installed_version

        source, run = self.job.source, self.job.source.run
        results = {name: self.models[name]["certified"] for name in self.job.settings.quant}
        return {
            "format": FORMAT,
            "name": source.name,
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
            "fingerprint": self.job.certificate_fingerprint,
            "certified": bool(results) and all(results.values()),
            "files": results,
            "faults": self.faults,
            "warnings": self._warnings(samples),
            "reference": "the adapter model in torch, sums in float32"
            if source.adapter
            else "the merged model in torch",
            "merge": {"into": self.job.into, "dtype": self.job.settings.dtype},
            "base": {"name": run.get("base") or str(source.base), "sha256": run.get("base_sha256")},
            "training": {key: run[key] for key in ("data", "seed", "steps", "backend", "versions") if key in run},
            "rows": {
                "file": source.held_out.name if source.held_out else None,
                "sha256": fast_hash(source.held_out) if source.held_out else None,
                "available": samples.available,
                "compared": len(samples.rows),
                "too_long": samples.too_long,
                "positions": samples.positions,
            },
            "versions": {"llama_cpp_python": installed_version()},
            "thresholds": self.certify.thresholds.model_dump(),
            "models": self.models,
        }


def judge(name: str, entry: dict[str, Any], thresholds: Thresholds, wide: dict[str, Any]) -> list[str]:
    """Why a model is not certified, as phrases; empty where it is.

    Args:
        name: `merged model` or a GGUF type.
        entry: its measurements.
        thresholds: limits.
        wide: measurements of the unquantized GGUF, for the solve rate.
    """
    if "failed" in entry:
        return [str(entry["failed"])]
    if "not_measured" in entry:
        return []
    reasons = []
    if entry.get("not_finite"):
        reasons.append(f"NaN or infinite logits at {entry['not_finite']} positions")
    if entry.get("token_ids_equal") is False:
        reasons.append(f"token ids differ from training's (equal in {entry['rows_with_equal_ids']} rows)")
    kl, top1 = limits(name, thresholds)
    if "kl" in entry and entry["kl"] > kl:
        reasons.append(f"KL {entry['kl']:.2g} above {kl:g}")
    if "top1" in entry and entry["top1"] < top1:
        reasons.append(f"top-1 agreement {entry['top1']:.4f} below {top1:g}")
    if "solved" in entry and "solved" in wide and entry is not wide:
        lost = (wide["solved"]["correct"] - entry["solved"]["correct"]) / max(1, entry["solved"]["of"])
        if lost > thresholds.solve_drop:
            reasons.append(f"solves {lost:.1%} fewer problems than the unquantized file")
    return reasons


def limits(name: str, thresholds: Thresholds) -> tuple[float, float]:
    """Largest KL and smallest top-1 agreement of a model."""
    if name == MERGED:
        return thresholds.merged_kl, thresholds.f16_top1
    if name in UNQUANTIZED:
        return thresholds.f16_kl, thresholds.f16_top1
    if BITS.get(name, 4.0) < _LOW_BITS:
        return thresholds.low_bit_kl, thresholds.low_bit_top1
    return thresholds.quant_kl, thresholds.quant_top1


def write_certificate(certificate: dict[str, Any], target: Path) -> None:
    """Write the certificate atomically."""
    write_text(target, json.dumps(certificate, indent=2, ensure_ascii=False) + "\n")

"""What a reinforcement run writes down of itself, so that it is a run folder like any other."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qlora.plots import draw
from qlora.runfolder import RunFolder, refuse_difference, versions
from runtime.files import write_text
from runtime.lce import Block, conversation

if TYPE_CHECKING:
    from recipes.reinforce.job import Job
    from recipes.reinforce.policy import Policy

FREE = frozenset({"steps", "slots", "evaluate_every", "refill", "patience"})
"""Keys of `reinforce` that a run may be continued with other values of."""
CURVES = {
    "pass": ("share of solutions", ("pass_at_1", "pass_at_k", "maj_at_k")),
    "collapse": ("share", ("flat_share", "void_share", "no_cell_share", "unsupported")),
    "entropy": ("nats per token", ("entropy",)),
    "mismatch": ("nats per token", ("mismatch_kl", "kl_to_start")),
    "length": ("drawn tokens", ("length_mean", "length_p95")),
}
"""Picture -> label and the figures of the log in it."""


def describe(job: Job, policy: Policy) -> dict[str, Any]:
    """The part of `run.json` that is known before the first step."""
    return {
        "name": job.name,
        "base": str(job.gguf),
        "base_path": str(policy.base.path.resolve()),
        "base_sha256": policy.base.sha256(),
        "backend": "peft",
        "quantization": None,
        "versions": versions(),
        "seed": job.train.seed,
        "data": {
            "source": job.source, "sha256": job.questions.sha256, "questions": len(job.questions.pool),
            "held_out": len(job.questions.held_out), "refused": job.questions.refused,
        },
        "reinforce": job.options.model_dump(mode="json"),
        "recipe": {
            "train": job.train.model_dump(mode="json"),
            "lora": policy.lora.model_dump(mode="json"),
            "solve": job.solve.model_dump(mode="json"),
        },
        "total_steps": job.options.steps,
        "started": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }  # fmt: skip


def refuse_other(old: dict[str, Any], new: dict[str, Any], folder: Path) -> None:
    """Refuse to go on with a run of another recipe, base or pool.

    Raises:
        InputError: the difference, key by key.
    """
    refuse_difference(_decisive(old), _decisive(new), folder)


def _decisive(run: dict[str, Any]) -> dict[str, Any]:
    flat = {"base_sha256": run.get("base_sha256"), "questions": run.get("data", {}).get("sha256")}
    flat |= {f"reinforce.{key}": value for key, value in run.get("reinforce", {}).items() if key not in FREE}
    for section in ("train", "lora", "solve"):
        values = run.get("recipe", {}).get(section, {})
        skipped = ("micro_tokens", "keep_checkpoints", "trackers", "tensorboard")
        flat |= {f"{section}.{key}": value for key, value in values.items() if key not in skipped}
    return flat


def write_held_out(folder: RunFolder, lines: list[dict[str, Any]], system: str) -> None:
    """The held-out questions that the model solves, as rows: what `mathcoder export` certifies on."""
    rows = []
    for line in lines:
        if line["right"]:
            blocks = [Block(block["type"], block["content"]) for block in line["blocks"]]
            rows.append({"messages": conversation(line["question"], blocks, system=system)})
    write_text(folder.path / "held_out.jsonl", "".join(json.dumps(row) + "\n" for row in rows))


def plot(log: list[dict[str, Any]], evaluated: list[dict[str, Any]], folder: Path) -> list[Path]:
    """Pictures of the log and of the evaluations; none without matplotlib or without a log."""
    try:
        import matplotlib

        matplotlib.use("Agg")
    except ImportError:
        return []
    files = []
    for name, (label, keys) in CURVES.items():
        lines = {
            key: ([e["step"] for e in log if key in e], [e[key] for e in log if key in e])
            for key in keys
            if any(key in e for e in log)
        }
        if lines:
            files.append(draw(folder / f"{name}.png", label, lines))
    if evaluated:
        steps = [e["step"] for e in evaluated]
        lines = {key: (steps, [e[key] for e in evaluated]) for key in ("pass_at_1", "low", "high")}
        files.append(draw(folder / "held_out.png", "share of held-out questions", lines))
    return files

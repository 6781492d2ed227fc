"""Is `mathcoder plan` right about memory? What it says against the run's own peak, for some shapes.

    python benchmarks/qlora_plan.py [--json FILE] [--rows N]

Without a GPU the peak is that of the whole process, as the operating system counts it, and so is the plan's; with one
it is what torch reserved, and the plan's without the CUDA context. Plan and run are processes of their own. Random
weights: memory does not ask what they say.

The plan counts tensors. glibc keeps freed blocks of up to 32 MB, with holes that the next tensor does not fit,
and a process may hold twice what its tensors take. Here it is told to give blocks of 1 MB and more back at once, which
costs some time; `MALLOC_MMAP_THRESHOLD_=1048576 mathcoder train ...` does the same where memory is scarce.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from figures import ROOT, Figures, add_json_argument

sys.path.insert(0, str(ROOT / "tests" / "qlora"))

SHAPES: dict[str, dict[str, Any]] = {
    "nano": {},
    "llama 41M": {
        "architecture": "llama", "hidden_size": 512, "intermediate_size": 1376, "num_hidden_layers": 12,
        "num_attention_heads": 8, "num_key_value_heads": 8,
    },
    "qwen2 70M, tied": {
        "architecture": "qwen2", "tied": True, "style": "bytes", "hidden_size": 768, "intermediate_size": 2304,
        "num_hidden_layers": 10, "num_attention_heads": 12, "num_key_value_heads": 2,
    },
}  # fmt: skip


def main() -> int:
    """Plan, run, compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_json_argument(parser, "qlora_plan")
    parser.add_argument("--rows", type=int, default=96, help="rows to train on (default 96)")
    parser.add_argument("--only", choices=SHAPES, help="one shape, and nothing is written")
    args = parser.parse_args()
    figures = Figures("qlora_plan", rows=args.rows)
    with tempfile.TemporaryDirectory() as name:
        for shape, options in SHAPES.items():
            for layers in (0, "all") if args.only in (None, shape) else ():
                compare(figures, shape, options, Path(name), args.rows, layers)
    return figures.finish(None if args.only else args.json)


def compare(figures: Figures, shape: str, options: dict[str, Any], folder: Path, rows: int, layers: int | str) -> None:
    """Add the figures of one shape, with so many layers under gradient checkpointing."""
    from factory import make_base, sum_rows, write_jsonl

    base = "nano" if not options else str(make_base(folder / shape.split()[0], **options))
    shape = f"{shape}, checkpointing {'no layer' if layers == 0 else 'all layers'}"
    source = write_jsonl(folder / "rows.jsonl", sum_rows(rows))
    recipe = folder / f"{shape.split()[0]}.yaml"
    recipe.write_text(
        json.dumps(
            {
                "name": "plan", "base": base, "data": {"source": str(source), "held_out_percent": 0},
                "train": {
                    "batch_rows": rows, "max_steps": 2, "backend": "peft", "checkpoint_layers": layers,
                },
            }
        )
    )  # fmt: skip
    planned = json.loads(mathcoder("plan", str(recipe), "--json", expected=(0, 1)))
    mathcoder("train", str(recipe), "--out", str(folder / shape), MALLOC_MMAP_THRESHOLD_="1048576")
    log = [json.loads(line) for line in (folder / shape / "log.jsonl").read_text().splitlines()]
    context = planned["memory"]["libraries"]
    said = planned["memory"]["total"] - (context if planned["device"] == "cuda" else 0)
    peak = log[-1]["memory_gb"] * 1e9
    figures.add(f"{shape}: plan over peak", said / peak, at_least=0.9, at_most=1.1)
    figures.add(f"{shape}: peak", peak / 1e6, unit="MB")
    if planned["device"] == "cpu":
        # The libraries are the larger part of a small model's peak; what is the model's own is harder to say.
        figures.add(f"{shape}: the same without the libraries", (said - context) / (peak - context))
    figures.details[shape] = {"plan": planned["memory"], "tokens": log[-1]["tokens"], "device": planned["device"]}


def mathcoder(*words: str, expected: tuple[int, ...] = (0,), **environment: str) -> str:
    """Standard output of the command, run with these environment variables too."""
    done = subprocess.run(
        [sys.executable, "-m", "recipes", *words],
        cwd=ROOT, env={**os.environ, **environment}, capture_output=True, text=True,
    )  # fmt: skip
    if done.returncode not in expected:
        raise SystemExit(f"mathcoder {words[0]} failed: {done.stderr[-1000:]}")
    return done.stdout


if __name__ == "__main__":
    sys.exit(main())

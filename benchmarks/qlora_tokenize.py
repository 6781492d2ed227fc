"""Time and memory to read, tokenize and lay out 80,000 rows, without and with the token cache.

    python benchmarks/qlora_tokenize.py [ROWS.jsonl] [--rows 80000] [--base DIR]

The rows of the file are repeated with the copy's number before the question, so that no two are equal. The tokenizer is
the embedded base's; its vocabulary of 1,528 makes more tokens of a row than a usual one of 32,000 and more, so that
memory is measured in the harder case. Prints each target beside its figure, writes
benchmarks/results/qlora_tokenize.json, and exits with 1 where a target is missed.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from figures import ROOT, Figures

BATCH, CONTEXT, MICRO_TOKENS = 64, 2048, 8192


def main() -> int:
    """Measure, print and write; exit code 1 over 180 seconds or 2 GB."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", nargs="?", default=ROOT.parent / "shared" / "data" / "mathcodeinstruct_dev.jsonl")
    parser.add_argument("--rows", type=int, default=80_000)
    parser.add_argument("--base", default=str(ROOT / "recipes" / "nano" / "base"))
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results" / "qlora_tokenize.json")
    args = parser.parse_args()
    load = os.getloadavg()[0]
    if load > 0.5:
        print(f"others use this machine (load {load:.1f}): times of the wall will mislead", file=sys.stderr)
    with tempfile.TemporaryDirectory() as folder:
        os.environ["MATHCODER_CACHE"] = folder
        source = Path(folder) / "rows.jsonl"
        write_copies(Path(args.file), source, args.rows)
        size = source.stat().st_size
        print(f"{args.rows:,} rows, {size / 1e6:.0f} MB, {os.cpu_count()} cores", flush=True)
        runs = [measure(source, args.base, what) for what in ("without cache", "with cache")]
    figures = Figures("qlora_tokenize", rows=args.rows, bytes=size)
    figures.details["load_before"], figures.details["runs"] = load, runs
    figures.add("seconds without cache", runs[0]["seconds"], at_most=180)
    figures.add("peak", max(run["peak_gb"] for run in runs), at_most=2, unit="GB")
    return figures.finish(args.out)


def write_copies(original: Path, target: Path, count: int) -> None:
    """`count` rows made from those of `original`."""
    lines = original.read_text(encoding="utf-8").splitlines()
    with open(target, "w", encoding="utf-8") as out:
        for number in range(count):
            row = json.loads(lines[number % len(lines)])
            block = next(message for message in row["messages"] if message["role"] == "user")["content"][0]
            block["content"] = f"({number // len(lines)}) {block['content']}"
            out.write(json.dumps(row, ensure_ascii=False) + "\n")


def measure(source: Path, base: str, what: str) -> dict[str, Any]:
    """From the file to the layout of every step of an epoch: seconds, and the peak of the process so far."""
    from qlora.base import find_base, load_tokenizer
    from qlora.packing import RowOrder, group_rows
    from qlora.prepare import prepare
    from qlora.settings import DataSettings

    tokenizer = load_tokenizer(find_base(base))
    started, cpu = time.perf_counter(), time.process_time()
    data = prepare(DataSettings(source=str(source)), tokenizer, CONTEXT)
    order = RowOrder(len(data.rows), BATCH, 0)
    groups = [
        group_rows(order.at(step), data.table.lengths, MICRO_TOKENS, packed=True) for step in range(order.steps(1))
    ]
    taken, worked = time.perf_counter() - started, time.process_time() - cpu
    tokens = len(data.table.ids)
    fill = tokens / (sum(len(step) for step in groups) * MICRO_TOKENS)
    print(
        f"{what}: {taken:.1f} s ({worked:.1f} s of processor time); {tokens:,} tokens, "
        f"{len(data.too_long):,} rows over {CONTEXT}, micro-batches {fill:.0%} full",
        flush=True,
    )
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9
    return {
        "what": what, "seconds": round(taken, 2), "processor_seconds": round(worked, 2), "tokens": tokens,
        "too_long": len(data.too_long), "fill": round(fill, 4), "peak_gb": round(peak, 3),
    }  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())

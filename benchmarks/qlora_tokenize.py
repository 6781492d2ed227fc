"""Time and memory to read, tokenize and lay out 80,000 rows, first without and then with the token cache.

    python benchmarks/qlora_tokenize.py [ROWS.jsonl] [--rows 80000]

The rows of the file are repeated with the copy's number before the question, so that no two are equal.
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

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "qlora")]
BATCH, CONTEXT, MICRO_TOKENS = 64, 2048, 8192


def main() -> int:
    """Measure and print; exit code 1 over 180 seconds or 2 GB."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", nargs="?", default=ROOT.parent / "shared" / "data" / "mathcodeinstruct_dev.jsonl")
    parser.add_argument("--rows", type=int, default=80_000)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["MATHCODER_CACHE"] = folder
        source = Path(folder) / "rows.jsonl"
        write_copies(Path(args.file), source, args.rows)
        print(f"{args.rows:,} rows, {source.stat().st_size / 1e6:.0f} MB, {os.cpu_count()} cores")
        seconds = [measure(source, what) for what in ("without cache", "with cache")]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    print(f"peak memory {peak:.2f} GB; the cache saves {seconds[0] - seconds[1]:.0f} s")
    return 0 if seconds[0] <= 180 and peak <= 2 else 1


def write_copies(original: Path, target: Path, count: int) -> None:
    """`count` rows made from those of `original`."""
    lines = original.read_text(encoding="utf-8").splitlines()
    with open(target, "w", encoding="utf-8") as out:
        for number in range(count):
            row = json.loads(lines[number % len(lines)])
            block = row["messages"][1]["content"][0]
            block["content"] = f"({number // len(lines)}) {block['content']}"
            out.write(json.dumps(row, ensure_ascii=False) + "\n")


def measure(source: Path, what: str) -> float:
    """Seconds from the file to the layout of every step of an epoch."""
    from factory import tokenizer_of

    from qlora.packing import RowOrder, group_rows
    from qlora.prepare import prepare
    from qlora.settings import DataSettings
    from qlora.tokens import add_control_tokens

    tokenizer = tokenizer_of("sentencepiece")
    add_control_tokens(tokenizer)
    started, cpu = time.perf_counter(), time.process_time()
    data = prepare(DataSettings(source=str(source)), tokenizer, CONTEXT)
    order = RowOrder(len(data.rows), BATCH, 0)
    groups = [
        group_rows(order.at(step), data.table.lengths, MICRO_TOKENS, packed=True) for step in range(order.steps(1))
    ]
    taken = time.perf_counter() - started
    fill = len(data.table.ids) / (sum(len(step) for step in groups) * MICRO_TOKENS)
    print(
        f"{what}: {taken:.1f} s ({time.process_time() - cpu:.1f} s of processor time); {len(data.table.ids):,} tokens, "
        f"{len(data.too_long):,} rows over {CONTEXT}, micro-batches {fill:.0%} full"
    )
    return taken


if __name__ == "__main__":
    sys.exit(main())

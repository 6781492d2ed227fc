"""Does `data convert` lose anything, and how many of GSM8K's solutions become rows?

    python benchmarks/data_convert.py [--data DIR] [--rows N] [--sessions N]

- Every development row to fenced text and to tool calls and back: the same blocks (no code runs).
- GSM8K's training solutions to rows whose executed last answer equals the gold one: at least 95 %.

Exit code 1 where a promise is broken.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from recipes.data import fenced, tools  # noqa: E402
from recipes.data.convert import convert  # noqa: E402
from recipes.data.formats import read  # noqa: E402
from recipes.data.rows import read_lines  # noqa: E402
from runtime.grade import equivalent, final_answer, strict_equal  # noqa: E402
from runtime.lce import Block  # noqa: E402


def there_and_back(path: Path) -> bool:
    """Print how many rows came back as they were, for each format."""
    kept = True
    for name, module in (("fenced", fenced), ("tools", tools)):
        same = total = 0
        for line in read_lines([path]):
            total += 1
            there = json.loads(json.dumps(module.write(line.value["messages"])))
            same += read(there).messages() == line.value["messages"]
        kept &= same == total
        print(f"{name}: {same} of {total} rows came back with the same blocks")
    return kept


def gsm8k(path: Path, rows: int | None, sessions: int | None) -> bool:
    """Convert with real executions and grade what was written, independently of the converter's own check."""
    lines = path.read_text(encoding="utf-8").splitlines()[:rows]
    gold = {json.loads(line)["question"]: json.loads(line)["gold"] for line in lines}
    with tempfile.TemporaryDirectory() as folder:
        source, out = Path(folder) / "gsm8k.jsonl", Path(folder) / "rows.jsonl"
        source.write_text("\n".join(lines) + "\n", encoding="utf-8")
        begun = time.monotonic()
        report = convert(
            str(source), out, sessions=sessions, on_progress=lambda n: n % 500 or print(f"  {n}", flush=True)
        )
        seconds = time.monotonic() - begun
        right = 0
        for line in read_lines([out]):
            messages = line.value["messages"]
            answer = gold[messages[1]["content"][0]["content"]]
            blocks = [Block(block["type"], block["content"]) for block in messages[-1]["content"]]
            last = [block.content for block in blocks if block.type == "execution"][-1]
            right += strict_equal(last, answer) and equivalent(final_answer(blocks), answer)
    share = 100 * right / len(lines)
    print(f"GSM8K: {right} of {len(lines)} rows end in an execution equal to the gold answer = {share:.2f} % "
          f"(promised 95 %), {report.cells} cells, {report.failed_cells} failed, {seconds:.0f} s")  # fmt: skip
    print(f"left out: {dict(report.left_out)}")
    return share >= 95


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument(
        "--data", type=Path, default=Path(os.environ.get("MATHCODER_SHARED_DATA", ROOT.parent / "shared" / "data"))
    )
    parser.add_argument("--rows", type=int, help="only the first N solutions of GSM8K")
    parser.add_argument("--sessions", type=int, help="sandbox sessions at once")
    arguments = parser.parse_args()
    kept = there_and_back(arguments.data / "mathcodeinstruct_dev.jsonl")
    kept &= gsm8k(arguments.data / "questions" / "GSM8K_train.jsonl", arguments.rows, arguments.sessions)
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())

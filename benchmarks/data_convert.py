"""Does `data convert` lose anything, and how many of GSM8K's solutions become rows?

    python benchmarks/data_convert.py [--data DIR] [--rows N] [--sessions N]

- Every development row to fenced text and to tool calls and back: the same blocks (no code runs).
- GSM8K's training solutions to rows whose executed last answer equals the gold one: at least 95 %.

Exit code 1 where a promise is broken.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

from figures import RESULTS, SHARED_DATA, Figures

from recipes.data import fenced, tools
from recipes.data.convert import convert
from recipes.data.formats import read
from recipes.data.rows import read_lines
from runtime.grade import equivalent, final_answer, strict_equal
from runtime.lce import Block


def there_and_back(path: Path, figures: Figures) -> None:
    """Print how many rows came back as they were, for each format."""
    for name, module in (("fenced", fenced), ("tools", tools)):
        same = total = 0
        for line in read_lines([path]):
            total += 1
            there = json.loads(json.dumps(module.write(line.value["messages"])))
            same += read(there).messages() == line.value["messages"]
        figures.count(f"{name}: development rows that come back with the same blocks", same, total)


def gsm8k(path: Path, rows: int | None, sessions: int | None, figures: Figures) -> None:
    """Convert with real executions and grade what was written, independently of the converter's own check."""
    # Not splitlines: some solutions hold line separators of Unicode, which end no line of JSON.
    lines = path.read_text(encoding="utf-8").rstrip("\n").split("\n")[:rows]
    gold = {json.loads(line)["question"]: json.loads(line)["gold"] for line in lines}
    with tempfile.TemporaryDirectory() as folder:
        source, out = Path(folder) / "gsm8k.jsonl", Path(folder) / "rows.jsonl"
        source.write_text("\n".join(lines) + "\n", encoding="utf-8")
        begun = time.monotonic()
        report = convert(
            str(source), out, sessions=sessions, fresh=True,
            on_progress=lambda n: n % 512 or print(f"  {n}", flush=True),
        )  # fmt: skip
        seconds = time.monotonic() - begun
        right = 0
        for line in read_lines([out]):
            messages = line.value["messages"]
            answer = gold[messages[1]["content"][0]["content"]]
            blocks = [Block(block["type"], block["content"]) for block in messages[-1]["content"]]
            last = [block.content for block in blocks if block.type == "execution"][-1]
            right += strict_equal(last, answer) and equivalent(final_answer(blocks), answer)
    share = 100 * right / len(lines)
    print(f"GSM8K: {right} of {len(lines)} rows, {report.cells} cells, {report.failed_cells} failed, {seconds:.0f} s")
    print(f"left out: {dict(report.left_out)}")
    figures.details["gsm8k"] = {**report.as_dict(), "right": right, "of": len(lines), "seconds": round(seconds, 1)}
    figures.add("GSM8K: rows whose last execution is the gold answer", share, at_least=95, unit="%")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path, default=SHARED_DATA)
    parser.add_argument("--rows", type=int, help="only the first N solutions of GSM8K")
    parser.add_argument("--sessions", type=int, help="sandbox sessions at once")
    arguments = parser.parse_args()
    figures = Figures("data_convert")
    there_and_back(arguments.data / "mathcodeinstruct_dev.jsonl", figures)
    gsm8k(arguments.data / "questions" / "GSM8K_train.jsonl", arguments.rows, arguments.sessions, figures)
    return figures.finish(RESULTS / "data_convert.json" if arguments.rows is None else None)


if __name__ == "__main__":
    sys.exit(main())

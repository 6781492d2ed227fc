"""The grader on the published outputs and MATH golds: the paper's cells, differences, speed.

    python benchmarks/grade_traces.py [--data DIR] [--differences] [--json FILE]

For each published file: the paper's cell, strict, default and lenient accuracy. `--differences` lists every answer on
which the default grader and strict grading differ, with the reason. Then: MATH golds against themselves and against the
box of their solution, 2,000 random pairs of different golds, and gradings per minute of one core beside math-verify's
in the same run (processor time; no verdict is cached, a text is read once).

Exit code 1 where a cell is off: strict on GSM8K and SVAMP exactly as published, default within one point.
"""

from __future__ import annotations

import argparse
import json
import logging
import random
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from figures import SHARED_DATA  # noqa: E402

from runtime.evaluate.records import read_records, strict_differences  # noqa: E402
from runtime.grade import equivalent, last_boxed  # noqa: E402
from runtime.grade.compare import _cached_read, _equivalent  # noqa: E402

PAPER = {
    "L-7b-GSM8K": 64.2,
    "L-7b-SVAMP": 71.5,
    "CL-7b-SVAMP": 70.7,
    "L-7b-mathematics": 46.9,
    "L-7b-simuleq": 47.5,
    "CL-7b-mathematics": 55.8,
    "CL-7b-simuleq": 49.6,
}
EXACT = {"L-7b-GSM8K": 64.22, "L-7b-SVAMP": 71.5, "CL-7b-SVAMP": 70.7}


def cells(data: Path, list_differences: bool) -> tuple[dict[str, Any], bool]:
    """Accuracy of every published file under the three graders."""
    figures: dict[str, Any] = {}
    good = True
    print(f"{'file':20} {'paper':>6} {'strict':>7} {'default':>8} {'lenient':>8}  answers that differ")
    for name, paper in PAPER.items():
        path = data / "traces" / f"{name}.jsonl"
        attempts = read_records(path)
        n = len(attempts)
        strict = round(100 * sum(a.strict for a in attempts) / n, 2)
        default = round(100 * sum(a.correct for a in attempts) / n, 2)
        lenient = round(100 * sum(equivalent(a.answer, a.gold, lenient=True) for a in attempts) / n, 2)
        differences = strict_differences(path)
        reasons = Counter(entry["reason"] for entry in differences)
        figures[name] = {"paper": paper, "strict": strict, "default": default, "lenient": lenient, "reasons": reasons}
        good &= abs(default - paper) <= 1 and EXACT.get(name, strict) == strict
        print(f"{name:20} {paper:6.1f} {strict:7.2f} {default:8.2f} {lenient:8.2f}  {len(differences)}")
        for entry in differences if list_differences else ():
            verdict = "right" if entry["correct"] else "wrong"
            print(f"    {verdict} by default: {entry['answer']!r} against {entry['gold']!r} ({entry['reason']})")
    return figures, good


def golds(data: Path) -> dict[str, Any]:
    """MATH golds against themselves, their boxes, and each other."""
    rows = [
        json.loads(line)
        for part in range(1, 6)
        for line in (data / "questions" / f"MATH_{part}.jsonl").read_text("utf-8").splitlines()
    ]
    self_unequal = [row["gold"] for row in rows if not equivalent(row["gold"], row["gold"])]
    boxes = [(last_boxed(row["solution"]), row["gold"]) for row in rows]
    boxes = [(box, gold) for box, gold in boxes if box is not None]
    by_default = [pair for pair in boxes if not equivalent(*pair)]
    by_lenient = [pair for pair in boxes if not equivalent(*pair, lenient=True)]
    different = sorted({row["gold"] for row in rows})
    rng = random.Random(7)
    sampled = [tuple(rng.sample(different, 2)) for _ in range(2000)]
    equal = [pair for pair in sampled if equivalent(*pair)]
    print(f"MATH golds: {len(rows)}, not equal to themselves: {len(self_unequal)}")
    print(f"  boxes: {len(boxes)}, not equal to the gold: {len(by_default)}, in lenient mode: {len(by_lenient)}")
    for box, gold in by_default:
        why = "damaged gold" if (box, gold) in by_lenient else "percent sign on one side"
        print(f"    {box!r} against {gold[:40]!r} ({why})")
    print(f"  2,000 random pairs of different golds called equal: {len(equal)} {equal}")
    return {
        "golds": len(rows),
        "self_unequal": len(self_unequal),
        "boxes_unequal": len(by_default),
        "boxes_unequal_lenient": len(by_lenient),
        "random_pairs_equal": len(equal),
    }


def speed(data: Path) -> dict[str, Any]:
    """Gradings a minute on all published answers, ours and math-verify's."""
    from math_verify import parse, verify

    pairs = [
        (str(attempt.answer), attempt.gold)
        for name in PAPER
        for attempt in read_records(data / "traces" / f"{name}.jsonl")
    ]
    _equivalent.cache_clear()
    _cached_read.cache_clear()
    worst, slowest = 0.0, ("", "")
    before = time.process_time()
    for pair in pairs:
        started = time.monotonic()
        # Past the verdict cache: a repeated pair costs what it costs.
        _equivalent.__wrapped__(*pair, False)
        if (taken := time.monotonic() - started) > worst:
            worst, slowest = taken, pair
    ours = time.process_time() - before
    sample = random.Random(3).sample(pairs, 300)
    started = time.process_time()
    for answer, gold in sample:
        try:
            verify(
                parse(f"${gold}$", parsing_timeout=None),
                parse(f"${answer}$", parsing_timeout=None),
                timeout_seconds=None,
            )
        except Exception:
            continue
    theirs = time.process_time() - started
    rate, other = 60 * len(pairs) / ours, 60 * len(sample) / theirs
    print(
        f"speed: {rate:,.0f} gradings a minute of one core on {len(pairs)} answers; worst pair {worst:.3f} s: {slowest}"
    )
    print(f"  math-verify alone: {other:,.0f} on {len(sample)} of them; ratio {rate / other:.1f}")
    return {
        "gradings_per_minute": round(rate),
        "math_verify_per_minute": round(other),
        "worst_seconds": round(worst, 3),
    }


def main() -> int:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=SHARED_DATA, help="folder with traces/ and questions/")
    parser.add_argument("--differences", action="store_true", help="list every answer the two graders differ on")
    parser.add_argument("--json", type=Path, help="write the figures here")
    arguments = parser.parse_args()
    logging.disable(logging.CRITICAL)
    if not (arguments.data / "traces").is_dir():
        print(f"no published outputs at {arguments.data}; name the folder with --data", file=sys.stderr)
        return 2
    table, good = cells(arguments.data, arguments.differences)
    figures = {"cells": table, "math": golds(arguments.data), "speed": speed(arguments.data)}
    if arguments.json:
        from runtime.files import write_text

        write_text(arguments.json, json.dumps(figures, indent=2) + "\n")
    return int(not good)


if __name__ == "__main__":
    sys.exit(main())

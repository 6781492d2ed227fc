"""Real transcripts through the loop: blocks are drawn token by token, cells run in the sandbox.

    python benchmarks/solver_replay.py [--rows N] [--vocab MODEL.gguf | bytes] [--slots 4] [--go-on] [FILE ...]

For each file: how many rows ran exactly the recorded cells, how many answers are the recorded ones, and how many
execution blocks came out as recorded, by the rules of `sandbox_fidelity`. What is recorded as the answer is
`completion`, the last block; where the house's rule for answers finds none in the recorded blocks (they were cut off at
an execution, or end in long prose), the replay has to find none either, and `none recorded` counts those rows.

The figures of a file are kept as soon as it is done; `--go-on` takes those that an earlier run left. Exit code 1
where a share is below its promise: answers 99.5 % and cells 100 % of each file, plain executions 99.7 % of all.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from figures import SHARED_DATA, Figures, add_json_argument
from sandbox_fidelity import is_traceback, kind_of, last_error, normal

from recipes.places import PACKAGED_MODEL
from runtime.engine.llama.engine import LlamaEngine
from runtime.engine.scripted import ReplayEngine
from runtime.evaluate.replay import ReplayReport, compare, recorded_script
from runtime.files import sha256_file
from runtime.sandbox import Limits, host
from runtime.sandbox.host import launchers
from runtime.settings import EngineSettings, SolverSettings
from runtime.solver import Solution
from runtime.solver.batch import Item, solve_batch

LIMITS = Limits(cell_seconds=20, output_chars=2_000_000, memory_mb=2048)
"""As wide as those of `sandbox_fidelity`: what is compared is the text, not the patience."""
SETTINGS = SolverSettings(
    max_tokens=10**6,
    max_block_tokens=10**6,
    max_execution_tokens=10**6,
    max_blocks=10**4,
    max_seconds=10**6,
    max_repeated_errors=99,
)


def same_output(mine: str, theirs: str) -> bool:
    """Whether `sandbox_fidelity` calls them equal; tracebacks go by the exception's name."""
    if normal(mine) == normal(theirs):
        return True
    return is_traceback(theirs) and last_error(mine)[0] == last_error(theirs)[0]


def count_executions(counts: Counter[str], trace: Mapping[str, Any], solution: Solution) -> list[tuple[str, str, str]]:
    """Count one row's executions by kind; returns (kind, ours, recorded) of those that differ."""
    made = [block.content for block in solution.blocks if block.type == "execution"]
    recorded = [block["content"] for block in trace["blocks"] if block["type"] == "execution"]
    after_timeout, differing = False, []
    for mine, theirs in zip(made, recorded, strict=False):
        kind = kind_of(theirs, after_timeout=after_timeout)
        after_timeout = after_timeout or kind == "timed out in the record"
        equal = same_output(mine, theirs)
        counts[kind] += 1
        counts[f"{kind}, equal"] += equal
        if not equal:
            differing.append((kind, mine, theirs))
    return differing


def replay(
    path: Path, rows: int | None, vocab: Path | None, slots: int, listing: list[dict[str, Any]]
) -> dict[str, Any]:
    """Replay one file; the figures of it."""
    begun = time.monotonic()
    traces = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()][:rows]
    script, traces = recorded_script(traces)
    tokenizer = LlamaEngine(vocab, EngineSettings(), vocab_only=True) if vocab else None
    engine = ReplayEngine(script, vocabulary=tokenizer.vocabulary if tokenizer else None, n_ctx=1 << 20)
    items = [Item(str(index), index, trace["question"]) for index, trace in enumerate(traces)]
    report = ReplayReport()
    executions: Counter[str] = Counter()
    for item, solution in solve_batch(engine, items, SETTINGS, slots=slots, limits=LIMITS):
        trace = traces[item.index]
        known = len(report.differing), report.cells_equal
        compare(report, trace, solution, same_output)
        outputs = count_executions(executions, trace, solution)
        if outputs or len(report.differing) > known[0] or report.cells_equal == known[1]:
            listing.append(
                {
                    "where": f"{path.stem}#{trace['id']}",
                    "status": solution.status,
                    "detail": solution.detail,
                    "answer": solution.answer,
                    "completion": trace["completion"],
                    "answer differs": len(report.differing) > known[0],
                    "cells differ": report.cells_equal == known[1],
                    "executions": outputs,
                }
            )
        if report.rows % 200 == 0:
            print(f"  {path.stem}: {report.rows} rows, {time.monotonic() - begun:.0f} s", file=sys.stderr, flush=True)
    if tokenizer is not None:
        tokenizer.close()
    return {
        **asdict(report),
        "kinds": dict(sorted(executions.items())),
        "seconds": round(time.monotonic() - begun, 1),
        "sha256": sha256_file(path),
        "vocabulary": vocab.name if vocab else "bytes",
    }


def main() -> int:
    data = SHARED_DATA
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="*", type=Path, default=sorted((data / "traces").glob("*.jsonl")))
    parser.add_argument("--rows", type=int, help="only so many of each file")
    parser.add_argument(
        "--vocab", default=str(PACKAGED_MODEL), help="GGUF file whose tokenizer is used, or `bytes` (default: nano's)"
    )
    parser.add_argument("--slots", type=int, default=4)
    parser.add_argument("--go-on", action="store_true", help="keep the figures of files that an earlier run finished")
    parser.add_argument("--list", type=Path, help="write every row that differs here, one JSON a line")
    add_json_argument(parser, "solver_replay")
    arguments = parser.parse_args()
    if not arguments.files:
        sys.exit(f"no traces in {data}; set MATHCODER_SHARED_DATA")
    launchers.NICE = 0  # About what is computed, not about how fast others get on meanwhile.
    vocab = None if arguments.vocab == "bytes" else Path(arguments.vocab)
    kept: dict[str, dict[str, Any]] = {}
    if arguments.go_on and arguments.json.is_file():
        kept = json.loads(arguments.json.read_text(encoding="utf-8"))["files"]
    figures = Figures("solver_replay", rows=arguments.rows or "all", tier=host.get(None).tier, slots=arguments.slots)
    files = figures.details["files"] = {}
    code = 0
    for path in arguments.files:
        found, listing = kept.get(path.stem), []
        if found is None or found["sha256"] != sha256_file(path):
            found = replay(path, arguments.rows, vocab, arguments.slots, listing)
        files[path.stem] = found
        tell(figures, path.stem, found)
        if arguments.list is not None:
            with open(arguments.list, "a", encoding="utf-8") as handle:
                handle.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in listing)
        if path == arguments.files[-1]:
            tell_all(figures, files.values())
        code = figures.finish(arguments.json)
    return code


def tell(figures: Figures, name: str, found: Mapping[str, Any]) -> None:
    """One file's figures beside what is promised."""
    rows = found["rows"]
    figures.add(f"{name}: rows", rows)
    figures.add(f"{name}: answers equal", found["answers_equal"] / rows, at_least=0.995)
    figures.add(f"{name}: none recorded", found["answers_equal"] - found["literal"])
    figures.add(f"{name}: cells equal", found["cells_equal"] / rows, at_least=1.0)
    figures.add(f"{name}: all executions equal", found["executions_equal"] / max(1, found["executions"]))


def tell_all(figures: Figures, files: Iterable[Mapping[str, Any]]) -> None:
    """The sandbox's promise is about all files together."""
    kinds = [found["kinds"] for found in files]
    plain, equal = (sum(kind.get(name, 0) for kind in kinds) for name in ("plain", "plain, equal"))
    figures.add("all files: plain executions", plain)
    figures.add("all files: plain executions equal", equal / max(1, plain), at_least=0.997)


if __name__ == "__main__":
    sys.exit(main())

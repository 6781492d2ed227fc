"""Real transcripts through the loop: recorded blocks are drawn token by token, cells run in the sandbox.

    python benchmarks/solver_replay.py [--rows N] [--vocab MODEL.gguf] [--slots 4] [FILE ...]

Prints for each file how many rows ran exactly the recorded cells, how many execution blocks came out as recorded, and
how many answers are the recorded ones.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from runtime.batch import Item, solve_batch  # noqa: E402
from runtime.engine_llama import LlamaEngine  # noqa: E402
from runtime.replay import ReplayEngine, ReplayReport, compare, recorded_script  # noqa: E402
from runtime.sandbox import Limits  # noqa: E402
from runtime.settings import EngineSettings, SolverSettings  # noqa: E402

_DECIMAL = re.compile(r"-?\d+\.\d+(?:[eE][+-]?\d+)?")
_ERROR = re.compile(r"\b([A-Z]\w*(?:Error|Exception|Interrupt|Iteration))\b")


def rounded(text: str) -> str:
    """Decimals to six places, as the record has them."""
    return _DECIMAL.sub(lambda match: f"{round(float(match.group()), 6):f}".rstrip("0").rstrip("."), text)


def same_output(mine: str, theirs: str) -> bool:
    """Equal after rounding; tracebacks, whose layout depends on versions, by the name of the exception."""
    if mine.strip() == theirs.strip() or rounded(mine).split() == rounded(theirs).split():
        return True
    ours, recorded = _ERROR.findall(mine), _ERROR.findall(theirs)
    failed = any(sign in theirs + mine for sign in ("Traceback", "Cell In["))
    return failed and bool(ours) and ours[-1] in recorded


def replay(path: Path, rows: int | None, vocab: Path | None, slots: int, show: int = 0) -> ReplayReport:
    traces = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()][:rows]
    script, traces = recorded_script(traces)
    tokenizer = LlamaEngine(vocab, EngineSettings(), vocab_only=True) if vocab else None
    engine = ReplayEngine(script, vocabulary=tokenizer.vocabulary if tokenizer else None)
    settings = SolverSettings(
        max_tokens=10**6, max_block_tokens=10**6, max_execution_tokens=10**5, max_seconds=3600, max_repeated_errors=99
    )
    items = [Item(str(index), index, trace["question"]) for index, trace in enumerate(traces)]
    report = ReplayReport()
    limits = Limits(output_chars=50_000)
    for item, solution in solve_batch(engine, items, settings, slots=slots, limits=limits):
        before = report.executions_equal - report.executions
        compare(report, traces[item.index], solution, same_output)
        if show and report.executions_equal - report.executions < before:
            show -= 1
            made = [b.content for b in solution.blocks if b.type == "execution"]
            told = [b["content"] for b in traces[item.index]["blocks"] if b["type"] == "execution"]
            for mine, theirs in zip(made, told, strict=False):
                if not same_output(mine, theirs):
                    print(f"  {path.stem} {item.id}: made {mine[-200:]!r}, recorded {theirs[-200:]!r}")
    return report


def main() -> None:
    data = Path(os.environ.get("MATHCODER_SHARED_DATA", ROOT.parent / "shared" / "data"))
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("files", nargs="*", type=Path, default=sorted((data / "traces").glob("*.jsonl")))
    parser.add_argument("--rows", type=int)
    parser.add_argument("--vocab", type=Path, help="GGUF file whose tokenizer is used; bytes where none is given")
    parser.add_argument("--slots", type=int, default=4)
    parser.add_argument("--show", type=int, default=0, help="differing executions to print")
    arguments = parser.parse_args()
    if not arguments.files:
        sys.exit(f"no traces in {data}; set MATHCODER_SHARED_DATA")
    for path in arguments.files:
        begun = time.monotonic()
        r = replay(path, arguments.rows, arguments.vocab, arguments.slots, arguments.show)
        print(
            f"{path.stem:22} rows {r.rows:5}  answers {r.answers_equal / r.rows:7.2%} (to the letter {r.literal})  "
            f"cells {r.cells_equal / r.rows:7.2%}  executions {r.executions_equal}/{r.executions} "
            f"= {r.executions_equal / max(1, r.executions):.2%}  {time.monotonic() - begun:.0f} s  {r.statuses}",
            flush=True,
        )


if __name__ == "__main__":
    main()

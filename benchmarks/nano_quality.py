"""How well the nano model solves held-out problems, kind by kind: `python benchmarks/nano_quality.py MODEL.gguf ...`.

Prints, for every file, the problems solved of each kind with Wilson 95 % intervals; for the first file also what is
left with code execution switched off, and how often a wrong execution result changes the answer. `--before FILE` names
a GGUF of the base before fine-tuning. The figures go to benchmarks/results/nano_quality.json.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from recipes.cli.places import PACKAGED_MODEL
from recipes.nano.exam import KINDS, Paper, sit, tampered
from runtime.engine import load
from runtime.files import sha256_file, write_text
from runtime.stats import wilson

CONTEXT = 8 * 1024
"""Tokens shared by the sequences that are decoded together."""

RESULTS = Path(__file__).parent / "results" / "nano_quality.json"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("models", nargs="*", type=Path, default=[PACKAGED_MODEL], help="default: the packaged one")
    parser.add_argument("--before", type=Path, help="GGUF of the base before fine-tuning")
    parser.add_argument("--n", type=int, default=200, help="problems of each kind")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--show", type=int, default=0, help="print this many wrong solutions of each kind")
    args = parser.parse_args()
    console = Console()
    results: dict[str, Any] = {"n": args.n, "seed": args.seed, "models": {}}
    first: list[Paper] = []
    for path in args.models:
        began = time.perf_counter()
        engine = load(path, n_ctx=CONTEXT)
        papers = [sit(engine, kind, args.n, seed=args.seed) for kind in KINDS]
        first = first or papers
        seconds = time.perf_counter() - began
        tokens = sum(solution.tokens["generated"] for paper in papers for solution in paper.solutions)
        _record(console, results, path, papers, {"seconds": round(seconds, 1), "generated": tokens})
        _show_wrong(console, papers, args.show)
    engine = load(args.models[0], n_ctx=CONTEXT)
    off = [sit(engine, kind, args.n, seed=args.seed, code_execution=False) for kind in KINDS]
    _record(console, results, args.models[0], off, {}, suffix=" execution off")
    wrong = [sit(engine, kind, args.n, seed=args.seed, on_execution=tampered) for kind in KINDS]
    results["tampered"] = {paper.kind: _changed(paper, other) for paper, other in zip(first, wrong, strict=True)}
    console.print(f"answers changed by a wrong execution result: {results['tampered']}")
    if args.before:
        _record(
            console, results, args.before, [sit(load(args.before, n_ctx=CONTEXT), kind, args.n) for kind in KINDS], {}
        )
    write_text(RESULTS, json.dumps(results, indent=1) + "\n")


def _record(
    console: Console,
    results: dict[str, Any],
    path: Path,
    papers: list[Paper],
    more: dict[str, Any],
    *,
    suffix: str = "",
) -> None:
    table = Table(title=f"{path.name}{suffix}")
    for column in ("kind", "solved", "of", "%", "95 % interval"):
        table.add_column(column)
    for paper in papers:
        n = len(paper.problems)
        interval = wilson(paper.solved, n)
        table.add_row(
            paper.kind,
            str(paper.solved),
            str(n),
            f"{paper.solved / n:.1%}",
            f"{interval.low:.1%} to {interval.high:.1%}",
        )
    console.print(table)
    results["models"][path.name + suffix] = {
        "sha256": sha256_file(path),
        "solved": {paper.kind: paper.solved for paper in papers},
        **more,
    }


def _changed(paper: Paper, other: Paper) -> str:
    """Of the solutions that ran code, how many end in another answer when the model reads a wrong result."""
    pairs = [(a, b) for a, b in zip(paper.solutions, other.solutions, strict=True) if a.cells]
    return f"{sum(a.answer != b.answer for a, b in pairs)} of {len(pairs)}"


def _show_wrong(console: Console, papers: list[Paper], count: int) -> None:
    for paper in papers:
        wrong = [index for index, right in enumerate(paper.right) if not right][:count]
        for index in wrong:
            problem, solution = paper.problems[index], paper.solutions[index]
            console.rule(f"{paper.kind} {problem.family.name}: {solution.answer} instead of {problem.gold}")
            console.print(problem.question, markup=False)
            for block in solution.blocks:
                console.print(f"{block.type}: {block.content}", markup=False)


if __name__ == "__main__":
    main()

"""How well the nano model solves: `python benchmarks/nano_quality.py MODEL.gguf ...`.

Held-out problems, kind by kind.

Prints, for every file, the problems solved of each kind with Wilson 95 % intervals; for the first file also what is
left with code execution switched off, and how often a wrong execution result changes the answer. `--before FILE` names
a GGUF of the base before fine-tuning. Each target stands beside its figure, and the exit code is 1 where one is missed.
The figures go to benchmarks/results/nano_quality.json.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

from figures import Figures, add_json_argument
from rich.console import Console
from rich.table import Table

from recipes.nano.exam import KINDS, Paper, sit
from recipes.places import PACKAGED_MODEL
from runtime.engine import load
from runtime.evaluate.stats import wilson
from runtime.files import sha256_file

CONTEXT = 8 * 1024
"""Tokens shared by the sequences that are decoded together."""

SOLVED = {"numbers": 0.95, "wording": 0.80}
"""Least share of held-out problems solved, by kind."""
AT_MOST_WITHOUT = 0.20
"""Most that may be solved before fine-tuning, and with code execution switched off."""
CHANGED = 0.90
"""Least share of solutions whose answer follows a wrong execution result."""


def main() -> int:
    """Measure and print; 1 where a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("models", nargs="*", type=Path, default=[PACKAGED_MODEL], help="default: the packaged one")
    parser.add_argument("--before", type=Path, help="GGUF of the base before fine-tuning")
    parser.add_argument("--n", type=int, default=200, help="problems of each kind")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--show", type=int, default=0, help="print this many wrong solutions of each kind")
    add_json_argument(parser, "nano_quality")
    args = parser.parse_args()
    console = Console()
    figures = Figures("nano_quality", n=args.n, seed=args.seed)
    results = figures.details
    results["models"] = {}
    sat: list[list[Paper]] = []
    for path in args.models:
        began = time.perf_counter()
        engine = load(path, n_ctx=CONTEXT, threads=1)
        papers = [sit(engine, kind, args.n, seed=args.seed) for kind in KINDS]
        sat.append(papers)
        seconds = time.perf_counter() - began
        tokens = sum(solution.tokens["generated"] for paper in papers for solution in paper.solutions)
        _record(console, results, path, papers, {"seconds": round(seconds, 1), "generated": tokens})
        _show_wrong(console, papers, args.show)
    first = sat[0]
    engine = load(args.models[0], n_ctx=CONTEXT, threads=1)
    off = [sit(engine, kind, args.n, seed=args.seed, mode="no-execution") for kind in KINDS]
    _record(console, results, args.models[0], off, {}, suffix=" execution off")
    wrong = [sit(engine, kind, args.n, seed=args.seed, mode="wrong-results") for kind in KINDS]
    pairs = [_changed(paper, other) for paper, other in zip(first, wrong, strict=True)]
    changed, counted = (sum(column) for column in zip(*pairs, strict=True))
    results["tampered"] = {paper.kind: f"{a} of {b}" for paper, (a, b) in zip(first, pairs, strict=True)}
    without = [("execution off", off)]
    if args.before:
        before = [sit(load(args.before, n_ctx=CONTEXT, threads=1), kind, args.n, seed=args.seed) for kind in KINDS]
        _record(console, results, args.before, before, {}, suffix=" before fine-tuning")
        without.append(("before fine-tuning", before))

    for paper in first:
        if paper.kind in SOLVED:
            figures.add(f"{paper.kind} solved", _share(paper), at_least=SOLVED[paper.kind])
    for path, papers in zip(args.models[1:], sat[1:], strict=True):
        # Of 200, as the target is worded; rounded, because shares are no whole numbers.
        apart = max(200 * abs(_share(a) - _share(b)) for a, b in zip(first, papers, strict=True) if a.kind in SOLVED)
        figures.add(f"problems of 200 apart from {path.name}", round(apart, 6), at_most=1)
    for name, papers in without:
        figures.add(f"{name}, best kind", max(map(_share, papers)), at_most=AT_MOST_WITHOUT)
    figures.add(f"answers that follow a wrong result, of {counted}", changed / counted, at_least=CHANGED)
    return figures.finish(args.json)


def _share(paper: Paper) -> float:
    return paper.solved / len(paper.problems)


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


def _changed(paper: Paper, other: Paper) -> tuple[int, int]:
    """(changed, counted): solutions that ran code, and how many end in another answer on a wrong result."""
    pairs = [(a, b) for a, b in zip(paper.solutions, other.solutions, strict=True) if a.cells]
    return sum(a.answer != b.answer for a, b in pairs), len(pairs)


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
    raise SystemExit(main())

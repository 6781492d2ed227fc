"""The nano model on question sets it was not made for: `python benchmarks/eval_nano.py`.

And on held-out families of its own.

    python benchmarks/eval_nano.py [--questions DIR] [--generated N] [--limit N] [--out DIR] [--json FILE]

DIR holds SVAMP.jsonl and mathematics.jsonl (`question` and `gold` on every line); without it only the generated sets
are solved. The generated ones are word problems in the manner of MAWPS, drawn from `recipes.nano` by a fixed seed, with
numbers, names and (in three of four sets) wordings or whole families of no training stage; each is written beside the
results as a .jsonl file, so that any other model can be asked the same with `mathcoder eval`.

Prints solved share and Wilson's 95 % interval of each set, beside the two published baselines on SVAMP that were
trained from scratch. There is no target: the figures are what they are. A run that was stopped goes on.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import get_args

from figures import ROOT, SHARED_DATA, Figures, add_json_argument

from recipes.nano.problems import HeldOutKind, held_out
from recipes.places import PACKAGED_MODEL
from runtime.engine import load
from runtime.evaluate.run import run_eval
from runtime.files import write_text
from runtime.settings import SolverSettings

SEED = 20260
SVAMP_BASELINES = {"GTS": 30.8, "Graph2Tree": 36.5}
"""Percent of SVAMP solved by models trained from scratch on MAWPS and ASDiv-A (Patel et al., arXiv 2103.07191)."""
SETS = {"svamp": "SVAMP.jsonl", "mathematics": "mathematics.jsonl"}


def generated(kind: HeldOutKind, n: int, folder: Path) -> str:
    """A file of `n` held-out problems of `kind`, as `--data` takes it."""
    path = folder / f"nano-{kind}.jsonl"
    rows = [
        {"id": f"{kind}/{index}", "question": problem.question, "gold": problem.gold, "subject": problem.family.name}
        for index, problem in enumerate(held_out(kind, n, SEED))
    ]
    folder.mkdir(parents=True, exist_ok=True)
    write_text(path, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    return f"nano-{kind}={path}"


def main() -> int:
    """Solve, print and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    shared = SHARED_DATA / "questions"
    parser.add_argument("--questions", type=Path, default=shared, help="folder with SVAMP.jsonl and mathematics.jsonl")
    parser.add_argument("--generated", type=int, default=400, help="problems of each generated set")
    parser.add_argument("--limit", type=int, help="at most this many questions of each set")
    parser.add_argument("--out", type=Path, default=ROOT / "runs" / "eval-nano", help="folder of the run")
    parser.add_argument("--model", type=Path, default=PACKAGED_MODEL)
    add_json_argument(parser, "eval_nano")
    args = parser.parse_args()
    sets = [f"{name}={args.questions / file}" for name, file in SETS.items() if (args.questions / file).is_file()]
    for file in (file for file in SETS.values() if not (args.questions / file).is_file()):
        print(f"not solved: there is no {args.questions / file}; name the folder with --questions")
    sets += [generated(kind, args.generated, args.out) for kind in get_args(HeldOutKind)]
    figures = Figures("eval_nano", generated=args.generated, limit=args.limit, seed=SEED)
    engine = load(args.model, n_ctx=8 * 1024, threads=1)
    try:
        settings = SolverSettings(max_tokens=400, max_blocks=9)
        outcome = run_eval(engine, sets, args.out, settings=settings, limit=args.limit, seed=1, plots=False)
    finally:
        engine.close()
    for name, summary in outcome["report"].items():
        share = summary["pass@1"]
        label = f"{name}, {round(share['value'] * share['n'])} of {share['n']}"
        figures.add(label, round(100 * share["value"], 2), unit="%")
        print(f"    95 % interval {100 * share['low']:.2f} to {100 * share['high']:.2f}; {summary['failures']}")
    for name, percent in SVAMP_BASELINES.items():
        print(f"published on SVAMP, from scratch: {name} {percent} %")
    figures.details = {
        "sets": outcome["report"],
        "facts": {
            key: value
            for key, value in outcome["facts"].items()
            if key in ("model_sha256", "quantization", "dialect", "mode", "parallel_sequences", "grader_sha256")
        },
        "data": {name: {"sha256": data["sha256"]} for name, data in outcome["facts"]["data"].items()},
        "published_svamp": SVAMP_BASELINES,
    }
    trial = args.limit is not None or len(sets) < len(SETS) + len(get_args(HeldOutKind))
    return figures.finish(None if trial and args.json == parser.get_default("json") else args.json)


if __name__ == "__main__":
    raise SystemExit(main())

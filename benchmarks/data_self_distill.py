"""Does one round of self-distillation help? The loop of `recipes/self-distill.yaml` on the nano model.

    python benchmarks/data_self_distill.py [--out DIR] [--rows 1000] [--unlabelled 700] [--samples 3] [--exam 400]

1. The families of fine-tuning are cut in two. The first model is fine-tuned on executed rows of the labelled half.
2. It samples solutions of problems of all families, whose answers it is not told; questions whose samples all agree
   become rows (`data solve --keep agree`).
3. The second model is fine-tuned, from the base again, on the labelled rows and those.
4. Both solve the same held-out problems (numbers and names of no training stage) of all families, greedily.

Prints the solve rates and their paired difference with its 95 % interval (Newcombe) and McNemar's exact p-value, in
all and apart for the labelled and the unlabelled families, and how many of the kept rows are right. As a control
`--control` fine-tunes a third model on the labelled rows repeated to the same number of rows, since more steps alone
may help. Every stage is kept in DIR, in a folder named by the base and the sizes, and not done again.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from figures import RESULTS, ROOT, Figures

from recipes.data.rows import QuestionLine, beside, read_lines, write_lines
from recipes.data.solve import sample, samples_path, select
from recipes.nano.families import FAMILIES
from recipes.nano.problems import Problem, draw, mentions_held_out_number
from recipes.nano.rows import execute_in_sandbox
from runtime.files import sha256_file
from runtime.grade import equivalent
from runtime.settings import SolverSettings
from runtime.stats import paired_difference, wilson

SETTINGS = SolverSettings(max_tokens=400, max_blocks=9)


def digest(arguments: argparse.Namespace) -> str:
    """A name for what decides the result: another base or other sizes must not go on from the stages of these."""
    base = sha256_file(ROOT / "recipes" / "nano" / "base" / "model.safetensors")
    told = {key: value for key, value in vars(arguments).items() if key not in ("out", "control")}
    return hashlib.sha256(json.dumps([base, told], sort_keys=True).encode()).hexdigest()[:8]


def halves(seed: int) -> tuple[list[str], list[str]]:
    """Names of the labelled and the unlabelled families of fine-tuning."""
    names = sorted(name for name, family in FAMILIES.items() if family.stage == "fine_tuning")
    random.Random(seed).shuffle(names)
    return sorted(names[: len(names) // 2]), sorted(names[len(names) // 2 :])


def problems(names: Sequence[str], n: int, seed: str, *, held_out: bool) -> Iterator[Problem]:
    rng = random.Random(seed)
    for index in range(n):
        yield draw(FAMILIES[names[index % len(names)]], rng, held_out=held_out)


def labelled_rows(path: Path, names: Sequence[str], n: int) -> None:
    if path.exists():
        return
    rows = []
    for problem in problems(names, 2 * n, "labelled", held_out=False):
        blocks = problem.blocks(execute_in_sandbox)
        if not mentions_held_out_number(problem.question, blocks):
            rows.append(problem.row_of(blocks))
        if len(rows) == n:
            break
    write_lines(path, rows)


def model(out: Path, name: str, sources: Sequence[Path], epochs: float) -> Path:
    """Fine-tune the nano base on the rows of `sources` and export it; returns the GGUF file."""
    from export.pipeline import export
    from export.settings import CertifySettings, ExportSettings
    from qlora.train import train
    from recipes.schema import load_recipe

    target = out / "models" / name
    found = sorted(target.glob("*.gguf"))
    if found:
        return found[0]
    rows = out / f"{name}.rows.jsonl"
    lines = [line.value for line in read_lines(sources)]
    random.Random(1).shuffle(lines)
    write_lines(rows, lines)
    settings = load_recipe("nano", [f"train.epochs={epochs}"], data=str(rows)).qlora()
    summary = train(settings.model_copy(update={"name": name}), out / "runs" / name)
    if summary.status != "finished":
        raise KeyboardInterrupt
    exported = export(out / "runs" / name, ExportSettings(quant=("Q8_0",), certify=CertifySettings(rows=0)), target)
    return exported.files["Q8_0"]


def exam(out: Path, name: str, gguf: Path, asked: Sequence[Problem]) -> list[bool]:
    from runtime.engine import load

    lines = [QuestionLine(str(n), n, problem.question, problem.gold, "") for n, problem in enumerate(asked)]
    target = out / f"exam-{name}.jsonl"
    engine = load(gguf)
    try:
        sample(engine, lines, target, settings=SETTINGS, samples=1, source={"source": "held out"}, slots=8)
    finally:
        engine.close()
    answers = {line.value["id"]: line.value["answer"] for line in read_lines([samples_path(target)])}
    # A sample that failed has no line: it is not solved.
    return [answers.get(line.id) is not None and equivalent(answers[line.id], line.gold) for line in lines]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--out", type=Path, default=ROOT / "runs" / "self-distill")
    parser.add_argument("--rows", type=int, default=1000, help="labelled rows")
    parser.add_argument("--unlabelled", type=int, default=700, help="problems without answers")
    parser.add_argument("--samples", type=int, default=3)
    parser.add_argument("--temperature", type=float, default=0.7)
    parser.add_argument("--exam", type=int, default=400, help="held-out problems")
    parser.add_argument("--epochs", type=float, default=2.0)
    parser.add_argument("--seed", type=int, default=0, help="which families are labelled")
    parser.add_argument("--control", action="store_true", help="also train as long on the labelled rows alone")
    arguments = parser.parse_args()
    out: Path = arguments.out / digest(arguments)
    out.mkdir(parents=True, exist_ok=True)
    begun = time.monotonic()

    def say(text: str) -> None:
        print(f"[{time.monotonic() - begun:5.0f} s] {text}", flush=True)

    known, unknown = halves(arguments.seed)
    say(f"{len(known)} labelled families, {len(unknown)} unlabelled ones: {', '.join(unknown)}")
    first_rows = out / "labelled.jsonl"
    labelled_rows(first_rows, known, arguments.rows)
    first = model(out, "first", [first_rows], arguments.epochs)
    say("first model fine-tuned")

    asked = list(problems([*known, *unknown], arguments.unlabelled, "unlabelled", held_out=False))
    kept = kept_rows(out, first, asked, arguments)
    say("; ".join(kept))
    distilled = out / "distilled.jsonl"
    second = model(out, "second", [first_rows, distilled], arguments.epochs)
    say("second model fine-tuned")

    held = list(problems([*known, *unknown], arguments.exam, "exam", held_out=True))
    before, after = exam(out, "first", first, held), exam(out, "second", second, held)
    is_known = [problem.family.name in known for problem in held]
    whole = len(held) >= 400 and arguments.rows >= 1000
    figures = Figures("data_self_distill")
    figures.details["unlabelled_families"] = unknown
    figures.details["kept"] = kept
    compare("all held-out problems", before, after, figures)
    for title, wanted in (("labelled families", True), ("unlabelled families", False)):
        chosen = [index for index, value in enumerate(is_known) if value is wanted]
        compare(title, [before[i] for i in chosen], [after[i] for i in chosen], figures)
    if arguments.control:
        more = sum(1 for _ in read_lines([distilled])) / arguments.rows
        control = model(out, "control", [first_rows], arguments.epochs * (1 + more))
        compare("control: the labelled rows for as many steps", before, exam(out, "control", control, held), figures)
    say("done")
    figures.details["arguments"] = {key: value for key, value in vars(arguments).items() if key != "out"}
    low = paired_difference(before, after).low
    figures.add("lower end of the paired 95 % interval, all held-out problems", 100 * low, above=0, unit="points")
    return figures.finish(RESULTS / "data_self_distill.json" if whole else None)


def kept_rows(out: Path, gguf: Path, asked: Sequence[Problem], arguments: argparse.Namespace) -> list[str]:
    """Sample, keep what agrees, and say how much of that is right, which the loop itself never knows."""
    from runtime.engine import load

    target = out / "distilled.jsonl"
    lines = [QuestionLine(str(n), n, problem.question, None, "") for n, problem in enumerate(asked)]
    settings = SETTINGS.model_copy(update={"temperature": arguments.temperature})
    engine = load(gguf)
    try:
        source = {"source": "unlabelled nano problems"}
        sample(engine, lines, target, settings=settings, samples=arguments.samples, source=source, slots=8)
    finally:
        engine.close()
    report = select([samples_path(target)], target, "agree")
    provenance = [line.value for line in read_lines([beside(target, "provenance")])]
    if not provenance:
        raise SystemExit(f"no question was kept ({dict(report.dropped)}): there is nothing to train on")
    right = sum(equivalent(entry["answer"], asked[int(entry["id"])].gold) for entry in provenance)
    return [
        f"{report.rows} of {report.questions} unlabelled questions kept ({dict(report.dropped)})",
        f"{right} of these answers are right ({wilson(right, len(provenance)).percent()} %)",
    ]


def compare(title: str, before: Sequence[bool], after: Sequence[bool], figures: Figures) -> None:
    d = paired_difference(before, after)
    print(
        f"{title}: {100 * d.first:.1f} % -> {100 * d.second:.1f} % of {d.n}; difference {100 * d.difference:+.1f} "
        f"[{100 * d.low:+.1f}, {100 * d.high:+.1f}] points, p = {d.p_value:.2g} "
        f"(only before {d.only_first}, only after {d.only_second})",
        flush=True,
    )
    interval = [round(100 * d.low, 2), round(100 * d.high, 2)]
    points = {"difference_points": round(100 * d.difference, 2), "interval_points": interval, "p": d.p_value}
    figures.details[title] = {"n": d.n, "solved_before": sum(before), "solved_after": sum(after), **points}


if __name__ == "__main__":
    sys.exit(main())

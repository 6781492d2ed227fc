"""Does one round of self-distillation help? The loop of `recipes/self-distill.yaml` on the nano model.

    python benchmarks/data_self_distill.py [--out DIR] [--rows 400] [--unlabelled 500] [--samples 3] [--exam 400]

1. The families of fine-tuning are cut in two. The first model is fine-tuned on executed rows of the labelled half.
2. It samples solutions of problems of all families, whose answers it is not told; questions whose samples all agree
   become rows (`data solve --keep agree`).
3. The second model is fine-tuned, from the base again, on the labelled rows and those.
4. Both solve the same held-out problems (numbers and names of no training stage) of all families, greedily.

Prints the solve rates and their paired difference with its 95 % interval (Newcombe) and McNemar's exact p-value, in
all and apart for the labelled and the unlabelled families, and how many of the kept rows are right. Since more steps
alone may help, a third model, the control, is fine-tuned on the labelled rows for as many steps as the second one.

Every stage lies in a folder named by what decides it, goes on where it was killed, and is not done twice: another
`--exam` size, say, trains nothing again. Trials belong on another `--exam-seed` than the figure that is reported.
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
from typing import Any

from figures import RESULTS, ROOT, Figures

from recipes.data.rows import QuestionLine, beside, read_lines, write_lines
from recipes.data.solve import sample, samples_path, select
from recipes.nano.families import FAMILIES
from recipes.nano.problems import Problem, draw, mentions_held_out_number
from recipes.nano.rows import ROW_LIMITS, execute_in_sandbox
from runtime.evaluate.stats import paired_difference, wilson
from runtime.files import sha256_file
from runtime.grade import equivalent
from runtime.settings import SolverSettings

# No limit of time decides about a problem: the machine may be busy with other things.
SETTINGS = SolverSettings(max_tokens=400, max_blocks=9, max_seconds=7200.0)
RECIPE = "self-distill"


def named(*facts: Any) -> str:
    """A short name for what decides a stage."""
    return hashlib.sha256(json.dumps(facts, sort_keys=True, default=str).encode()).hexdigest()[:10]


def halves(seed: int) -> tuple[list[str], list[str]]:
    """Names of the labelled and the unlabelled families of fine-tuning."""
    names = sorted(name for name, family in FAMILIES.items() if family.stage == "fine_tuning")
    random.Random(seed).shuffle(names)
    return sorted(names[: len(names) // 2]), sorted(names[len(names) // 2 :])


def problems(names: Sequence[str], n: int, seed: str, *, held_out: bool) -> Iterator[Problem]:
    rng = random.Random(seed)
    for index in range(n):
        yield draw(FAMILIES[names[index % len(names)]], rng, held_out=held_out)


def labelled_rows(path: Path, asked: Sequence[Problem], n: int) -> None:
    """The first `n` of `asked` that can be executed without naming a number of evaluation, as rows."""
    if path.exists():
        return
    rows: list[dict[str, Any]] = []
    for problem in asked:
        blocks = problem.blocks(execute_in_sandbox)
        if not mentions_held_out_number(problem.question, blocks):
            rows.append(problem.row_of(blocks))
        if len(rows) == n:
            break
    else:
        raise SystemExit(f"only {len(rows)} of {n} labelled rows could be made")
    write_lines(path, rows)


def model(folder: Path, sources: Sequence[Path], epochs: float) -> Path:
    """Fine-tune the nano base on the rows of `sources` and export it; returns the GGUF file."""
    from export.pipeline import export
    from export.settings import CertifySettings, ExportSettings
    from qlora.train import train
    from recipes.schema import load_recipe

    target = folder / "gguf"
    found = sorted(target.glob("*.gguf"))
    if found:
        return found[0]
    rows = folder / "rows.jsonl"
    lines = [line.value for line in read_lines(sources)]
    random.Random(1).shuffle(lines)
    write_lines(rows, lines)
    settings = load_recipe(RECIPE, [f"train.epochs={epochs}"], data=str(rows)).qlora()
    summary = train(settings, folder / "run")
    if summary.status != "finished":
        raise KeyboardInterrupt
    print(f"{folder.name}: {len(lines)} rows, {summary.total_steps} steps", flush=True)
    exported = export(folder / "run", ExportSettings(quant=("Q8_0",), certify=CertifySettings(rows=0)), target)
    return exported.files["Q8_0"]


def answers(
    gguf: Path, lines: Sequence[QuestionLine], target: Path, settings: SolverSettings, samples: int, slots: int
) -> None:
    """Sample into the samples file of `target`.

    Raises:
        SystemExit: some samples failed for a reason that is not the model's.
    """
    from runtime.engine import load

    engine = load(gguf)
    try:
        report = sample(
            engine, lines, target, settings=settings, samples=samples, limits=ROW_LIMITS, slots=slots,
            source={"source": "generated nano problems", "sha256": named([line.question for line in lines])},
        )  # fmt: skip
    finally:
        engine.close()
    if report.failed:
        raise SystemExit(f"samples failed, start again to go on: {dict(report.failed)}")


def exam(gguf: Path, asked: Sequence[Problem], arguments: argparse.Namespace) -> list[bool]:
    """Whether each problem is solved greedily."""
    lines = [QuestionLine(str(n), n, problem.question, problem.gold, "") for n, problem in enumerate(asked)]
    target = gguf.parent.parent / f"exam-{named([line.question for line in lines])}.jsonl"
    answers(gguf, lines, target, SETTINGS, 1, arguments.slots)
    given = {line.value["id"]: line.value["answer"] for line in read_lines([samples_path(target)])}
    return [given[line.id] is not None and equivalent(given[line.id], line.gold) for line in lines]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--out", type=Path, default=ROOT / "runs" / "self-distill")
    parser.add_argument("--rows", type=int, default=400, help="labelled rows")
    parser.add_argument("--unlabelled", type=int, default=500, help="problems without answers")
    parser.add_argument("--samples", type=int, default=3)
    parser.add_argument("--temperature", type=float, default=0.7)
    parser.add_argument("--exam", type=int, default=400, help="held-out problems")
    parser.add_argument("--exam-seed", default="exam", help="which held-out problems")
    parser.add_argument("--epochs", type=float, default=2.0)
    parser.add_argument("--seed", type=int, default=0, help="which families are labelled")
    parser.add_argument("--slots", type=int, default=16, help="sequences decoded together")
    parser.add_argument(
        "--until",
        choices=("first", "second"),
        help="stop when this model has sat the exam: `second` leaves out the control",
    )
    arguments = parser.parse_args()
    begun = time.monotonic()

    def say(text: str) -> None:
        print(f"[{time.monotonic() - begun:5.0f} s] {text}", flush=True)

    known, unknown = halves(arguments.seed)
    every = [*known, *unknown]
    say(f"{len(known)} labelled families, {len(unknown)} unlabelled ones: {', '.join(unknown)}")
    labelled = list(problems(known, 2 * arguments.rows, "labelled", held_out=False))
    asked = list(problems(every, arguments.unlabelled, "unlabelled", held_out=False))
    held = list(problems(every, arguments.exam, arguments.exam_seed, held_out=True))

    base = sha256_file(ROOT / "recipes" / "nano" / "base" / "model.safetensors")
    recipe = sha256_file(ROOT / "recipes" / f"{RECIPE}.yaml")
    texts = [[problem.question for problem in part] for part in (labelled, asked)]
    first = arguments.out / f"first-{named(base, recipe, arguments.rows, arguments.epochs, texts[0])}"
    second = first / f"second-{named(texts[1], arguments.samples, arguments.temperature)}"
    second.mkdir(parents=True, exist_ok=True)

    first_rows, distilled = first / "labelled.jsonl", second / "distilled.jsonl"
    labelled_rows(first_rows, labelled, arguments.rows)
    start = model(first, [first_rows], arguments.epochs)
    say("first model fine-tuned")
    before = exam(start, held, arguments)
    say(f"first model: {sum(before)} of {len(held)} held-out problems solved")
    if arguments.until == "first":
        return 0
    kept = kept_rows(start, asked, distilled, arguments)
    say(f"kept: {json.dumps(kept)}")
    taught = model(second, [first_rows, distilled], arguments.epochs)
    after = exam(taught, held, arguments)
    say("second model fine-tuned and examined")

    figures = Figures("data_self_distill")
    figures.details["arguments"] = {key: value for key, value in vars(arguments).items() if key != "out"}
    figures.details["unlabelled_families"] = unknown
    figures.details["kept"] = kept
    low = compare("all held-out problems", before, after, figures)
    is_known = [problem.family.name in known for problem in held]
    for title, wanted in (("labelled families", True), ("unlabelled families", False)):
        chosen = [index for index, value in enumerate(is_known) if value is wanted]
        compare(title, [before[i] for i in chosen], [after[i] for i in chosen], figures)
    if arguments.until is None:
        longer = arguments.epochs * (1 + kept["rows"] / arguments.rows)
        control = exam(model(second / "control", [first_rows], longer), held, arguments)
        compare("control: the labelled rows alone for as many steps", before, control, figures)
        compare("from the control to the second model", control, after, figures)
    say("done")
    figures.add("lower end of the paired 95 % interval, all held-out problems", low, above=0, unit="points")
    whole = len(held) >= 400 and arguments.exam_seed == parser.get_default("exam_seed")
    return figures.finish(RESULTS / "data_self_distill.json" if whole else None)


def kept_rows(gguf: Path, asked: Sequence[Problem], target: Path, arguments: argparse.Namespace) -> dict[str, Any]:
    """Sample, keep what agrees, and count how much of that is right, which the loop itself never knows."""
    lines = [QuestionLine(str(n), n, problem.question, None, "") for n, problem in enumerate(asked)]
    settings = SETTINGS.model_copy(update={"temperature": arguments.temperature})
    answers(gguf, lines, target, settings, arguments.samples, arguments.slots)
    report = select([samples_path(target)], target, "agree")
    provenance = [line.value for line in read_lines([beside(target, "provenance")])]
    if not provenance:
        raise SystemExit(f"no question was kept ({dict(report.dropped)}): there is nothing to train on")
    right = sum(equivalent(entry["answer"], asked[int(entry["id"])].gold) for entry in provenance)
    return {
        "rows": report.rows,
        "of_unlabelled_questions": report.questions,
        "dropped": dict(report.dropped),
        "with_the_right_answer": right,
        "right_percent": wilson(right, len(provenance)).percent(),
    }


def compare(title: str, before: Sequence[bool], after: Sequence[bool], figures: Figures) -> float:
    """Print and keep one paired comparison; returns the lower end of its interval in points."""
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
    return 100 * d.low


if __name__ == "__main__":
    sys.exit(main())

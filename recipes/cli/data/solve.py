"""`mathcoder data solve`: rows from a model's own solutions."""

from __future__ import annotations

import argparse
from pathlib import Path

from recipes.cli.command import Parser, Ticker, positive_int, say
from recipes.cli.data.shared import keep_arguments, model_argument, show_refused, show_selected
from runtime.errors import InputError


def parser() -> Parser:
    """Arguments of `mathcoder data solve`."""
    from recipes.cli.solving import add_model_arguments, add_solver_arguments

    result = Parser(
        "data solve",
        "Sample solutions of questions and keep the right or the agreeing ones as rows.",
        details="""\
--keep gold keeps solutions equal to the question's gold answer, --keep agree those of questions whose samples all
agree, which needs no gold. Rows go to OUT, where each came from to OUT's provenance file, every sample to its
samples file: a call that was killed goes on there. Several machines take --shard I/N each, and `mathcoder data
merge` puts their files together. With --endpoint a server draws the tokens; code always runs here.""",
        examples=[
            (
                "mathcoder data solve q.jsonl --model m.gguf --keep gold --out rows.jsonl",
                "one greedy solution of each question",
            ),
            (
                "mathcoder data solve q.jsonl --model m.gguf --samples 3 --keep agree --out rows.jsonl",
                "self-distillation: keep what three samples agree on",
            ),
            (
                "mathcoder data solve q.jsonl --model m.gguf --shard 2/4 --keep gold --out part2.jsonl",
                "the second quarter, on a second machine",
            ),
        ],
        see_also=["data merge", "data check", "solve"],
    )
    result.add_argument("questions", metavar="QUESTIONS", help="a .jsonl file with `question` (and `gold`, `id`)")
    model_argument(result)
    keep_arguments(result)
    result.add_argument(
        "--samples",
        type=positive_int,
        metavar="N",
        help="solutions of each question (default: 1 with --keep gold, 3 with agree)",
    )
    result.add_argument("--slots", type=positive_int, default=8, metavar="N", help="sequences decoded together")
    result.add_argument("--shard", metavar="I/N", help="only every N-th question, beginning with the I-th")
    add_model_arguments(result)
    add_solver_arguments(result)
    return result


def run(args: argparse.Namespace) -> int:
    """Sample, and select the solutions that become rows."""
    from recipes.cli.solving import differing, read_call
    from recipes.data.rows import Refused, files_of, read_questions, sha256_of
    from recipes.data.solve import Shard, sample, samples_path, select

    samples = args.samples or (1 if args.keep == "gold" else 3)
    if args.keep == "agree" and samples < 2:
        raise InputError(
            "--keep agree needs several samples to compare", "nothing was sampled", "give --samples 2 or more"
        )
    shard = Shard.parse(args.shard) if args.shard is not None else None
    refused = Refused()
    questions = read_questions(args.questions, refused, need_gold=args.keep == "gold")
    show_refused(refused, args.questions)
    args.samples = None
    call = read_call(args)
    settings = differing(call.settings, "several samples") if samples > 1 else call.settings
    tick = Ticker("samples")
    with call.load(args.model) as engine:
        report = sample(
            engine,
            questions,
            args.out,
            settings=settings,
            samples=samples,
            # The name alone: a run may go on from another folder, and the hash tells files apart.
            source={"source": Path(args.questions).name, "sha256": sha256_of(files_of(args.questions))},
            limits=call.limits,
            slots=args.slots,
            shard=shard,
            on_sample=lambda done, of, _: tick(done, of),
        )
    if report.already:
        say(f"{report.already:,} of {report.asked:,} samples stood in {samples_path(args.out)} already")
    for reason, count in report.failed.most_common(5):
        say(f"{count:,} samples failed and can be asked for again by the same call: {reason}", style="red")
    selected = select([samples_path(args.out)], args.out, args.keep, per_question=args.per_question)
    show_selected(args, selected, {"refused": dict(refused.counts), "failed": report.failed.total()})
    return 1 if report.failed or not selected.rows else 0

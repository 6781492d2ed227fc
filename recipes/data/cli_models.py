"""The actions of `mathcoder data` that need a model: solve, merge, interpolate."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recipes.cli.command import Parser, positive_int, say
from runtime.errors import InputError

if TYPE_CHECKING:
    from recipes.cli.preferences import Preferences
    from recipes.data.ask import Asker
    from recipes.data.rows import QuestionLine
    from recipes.data.solve import SelectReport
    from runtime.engine import Engine

SAMPLE_TEMPERATURE = 0.7
"""Several samples of a question must differ, so a greedy setting is replaced by this (and said)."""


def _solve_parser() -> Parser:
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
    result.add_argument(
        "--model", required=True, metavar="MODEL", help="a GGUF file, a name, or a server's name for it"
    )
    _keep_arguments(result)
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


def _keep_arguments(result: Parser) -> None:
    result.add_argument("--keep", choices=("gold", "agree"), required=True, help="which solutions become rows")
    result.add_argument("--out", type=Path, required=True, metavar="FILE", help="the .jsonl file of rows")
    result.add_argument(
        "--per-question",
        type=positive_int,
        metavar="K",
        help="rows a question may give (default: all with --keep gold, 1 with agree)",
    )
    result.add_argument("--json", action="store_true", help="print the report as JSON")


def _solve(args: argparse.Namespace) -> int:
    from recipes.cli.solving import cell_limits, load_engine, model_of, person, solver_settings
    from recipes.data.cli import Ticker
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
    _refusals(refused, args.questions)
    args.samples = None
    preferences = person(args)
    settings, limits = solver_settings(args, preferences), cell_limits(preferences)
    if samples > 1 and settings.temperature == 0:
        say(f"several samples must differ: temperature {SAMPLE_TEMPERATURE} instead of 0")
        settings = settings.model_copy(update={"temperature": SAMPLE_TEMPERATURE})
    engine = load_engine(args, model_of(args, args.model), preferences)
    tick = Ticker("samples")
    try:
        report = sample(
            engine,
            questions,
            args.out,
            settings=settings,
            samples=samples,
            # The name alone: a run may go on from another folder, and the hash tells files apart.
            source={"source": Path(args.questions).name, "sha256": sha256_of(files_of(args.questions))},
            limits=limits,
            slots=args.slots,
            shard=shard,
            on_sample=lambda done, of, _: tick(done, of),
        )
    finally:
        engine.close()
    if report.already:
        say(f"{report.already:,} of {report.asked:,} samples stood in {samples_path(args.out)} already")
    for reason, count in report.failed.most_common(5):
        say(f"{count:,} samples failed and can be asked for again by the same call: {reason}", style="red")
    selected = select([samples_path(args.out)], args.out, args.keep, per_question=args.per_question)
    _show_selected(args, selected, {"refused": dict(refused.counts), "failed": report.failed.total()})
    return 1 if report.failed or not selected.rows else 0


def _refusals(refused: Any, source: str) -> None:
    for reason, count in refused.counts.items():
        say(f"{source}: {count:,} lines left out: {reason}", style="red")
    for line in refused.listed[:5]:
        say(f"  {line}")


def _show_selected(args: argparse.Namespace, selected: SelectReport, more: Mapping[str, Any]) -> None:
    from recipes.data.cli import show_counts

    if args.json:
        told = {
            "rows": selected.rows,
            "questions": selected.questions,
            "kept_questions": selected.kept_questions,
            "dropped": dict(selected.dropped),
            **more,
        }
        print(json.dumps(told, indent=2))
        return
    show_counts(
        f"{args.out}: {selected.rows:,} rows of {selected.kept_questions:,} questions; of {selected.questions:,} "
        "questions dropped:",
        dict(selected.dropped.most_common()),
    )


# merge


def _merge_parser() -> Parser:
    result = Parser(
        "data merge",
        "Put the shards of one `data solve` together, as if it had been one call.",
        details="Missing and doubled shards, unfinished ones, and shards of different runs are named and refused.",
        examples=[("mathcoder data merge part1.jsonl part2.jsonl --keep gold --out rows.jsonl", "two shards")],
        see_also=["data solve"],
    )
    result.add_argument("shards", nargs="+", metavar="SHARD", help="the --out of each shard's call")
    _keep_arguments(result)
    result.add_argument("--allow-missing", action="store_true", help="go on without what is missing")
    return result


def _merge(args: argparse.Namespace) -> int:
    from recipes.data.merge import merge

    selected = merge(args.shards, args.out, args.keep, per_question=args.per_question, allow_missing=args.allow_missing)
    _show_selected(args, selected, {})
    return 0 if selected.rows else 1


# interpolate


def _interpolate_parser() -> Parser:
    from recipes.cli.solving import add_model_arguments, add_solver_arguments

    result = Parser(
        "data interpolate",
        "Let a model write problems between an easy and a hard set, and judge them as the paper did.",
        details="""\
Pairs are drawn, the model writes a problem between them, near-copies are removed. With --solve K the problem is
solved K times and kept where all answers agree. Then the model says, in both orders, which problem is harder;
the report puts the paper's figures beside ours. With --endpoint the model is asked through the server's chat
interface (key in OPENAI_API_KEY). OUT is a question file for `data solve`. A killed run goes on.""",
        examples=[
            (
                "mathcoder data interpolate --easy e.jsonl --hard h.jsonl --model M --endpoint URL --out new.jsonl",
                "a hundred new problems, written by a server's model",
            ),
        ],
        see_also=["data solve", "data decontaminate"],
    )
    result.add_argument("--easy", required=True, metavar="FILE", help="questions, such as those of GSM8K")
    result.add_argument("--hard", required=True, metavar="FILE", help="questions, such as those of MATH")
    result.add_argument(
        "--model", required=True, metavar="MODEL", help="a GGUF file, a name, or a server's name for it"
    )
    result.add_argument("--out", type=Path, required=True, metavar="FILE", help="the .jsonl file of new questions")
    result.add_argument("--pairs", type=positive_int, default=100, metavar="N", help="pairs to draw")
    result.add_argument("--solve", type=int, default=0, metavar="K", help="keep what K solutions agree on; 0: skip")
    result.add_argument("--solver", metavar="MODEL", help="with --solve: the model that solves (default: MODEL)")
    result.add_argument("--no-judge", action="store_true", help="do not judge difficulty")
    result.add_argument("--slots", type=positive_int, default=8, metavar="N", help="requests or sequences at once")
    result.add_argument("--json", action="store_true", help="print the report as JSON")
    add_model_arguments(result)
    add_solver_arguments(result)
    return result


def _interpolate(args: argparse.Namespace) -> int:
    from recipes.cli.solving import person
    from recipes.data.cli import Ticker
    from recipes.data.interpolate import draw_pairs, interpolate
    from recipes.data.rows import Refused, files_of, read_questions, sha256_of

    if args.solve == 1 or args.solve < 0:
        raise InputError(
            "--solve 1 gives one solution, which agrees with nobody", "nothing was asked", "give 0, or 2 or more"
        )
    refused = Refused()
    easy, hard = read_questions(args.easy, refused), read_questions(args.hard, refused)
    _refusals(refused, "the problem files")
    seed = args.seed or 1
    pairs = draw_pairs(easy, hard, args.pairs, seed)
    preferences = person(args)
    tick = Ticker("replies")
    engines: list[Engine] = []
    try:
        writer, judge = _askers(args, preferences, engines)
        solvable = _solvable_with(args, preferences, engines) if args.solve else None
        report = interpolate(
            pairs,
            writer,
            args.out,
            source={
                "easy": sha256_of(files_of(args.easy)),
                "hard": sha256_of(files_of(args.hard)),
                "pairs": args.pairs,
                "seed": seed,
            },
            judge=None if args.no_judge else judge,
            solvable=solvable,
            on_reply=lambda stage, done, of: tick(done, of),
        )
    finally:
        for engine in engines:
            engine.close()
    _show_interpolated(args, report.as_dict())
    return 0 if report.kept else 1


def _askers(args: argparse.Namespace, preferences: Preferences, engines: list[Engine]) -> tuple[Asker, Asker]:
    """The writer, and the judge, which is the same model drawing greedily."""
    from recipes.cli.solving import load_engine, model_of, solver_settings
    from recipes.data.ask import ChatAsker, LocalAsker

    if args.endpoint:
        key = os.environ.get("OPENAI_API_KEY")
        warm = 0.7 if args.temperature is None else args.temperature
        common: dict[str, Any] = {"api_key": key, "parallel": args.slots}
        return (
            ChatAsker(args.endpoint, args.model, temperature=warm, **common),
            ChatAsker(args.endpoint, args.model, temperature=0.0, max_tokens=256, **common),
        )
    settings = solver_settings(args, preferences)
    engine = load_engine(args, model_of(args, args.model), preferences)
    engines.append(engine)
    warm_settings = (
        settings if settings.temperature else settings.model_copy(update={"temperature": SAMPLE_TEMPERATURE})
    )
    greedy = settings.model_copy(update={"temperature": 0.0})
    return LocalAsker(engine, warm_settings, args.slots), LocalAsker(engine, greedy, args.slots)


def _solvable_with(
    args: argparse.Namespace, preferences: Preferences, engines: list[Engine]
) -> Callable[[Sequence[QuestionLine]], Mapping[str, str | None]]:
    """The paper's own filter as a test of solvability: an answer where all K samples agree."""
    from recipes.cli.solving import cell_limits, load_engine, model_of, solver_settings

    settings, limits = solver_settings(args, preferences), cell_limits(preferences)
    if settings.temperature == 0:
        settings = settings.model_copy(update={"temperature": SAMPLE_TEMPERATURE})
    if args.solver is None and not args.endpoint:
        engine = engines[0]
    else:
        engine = load_engine(args, model_of(args, args.solver or args.model), preferences)
        engines.append(engine)

    def answers(questions: Sequence[QuestionLine]) -> dict[str, str | None]:
        import hashlib

        from recipes.data.solve import agreed_answers, sample, samples_path

        digest = hashlib.sha256(repr([(question.id, question.question) for question in questions]).encode()).hexdigest()
        sample(
            engine,
            questions,
            args.out,
            settings=settings,
            samples=args.solve,
            source={"source": "interpolated", "sha256": digest},
            limits=limits,
            slots=args.slots,
        )
        return agreed_answers(samples_path(args.out))

    return answers


def _show_interpolated(args: argparse.Namespace, told: Mapping[str, Any]) -> None:
    from recipes.data.cli import show_counts, show_lines

    if args.json:
        print(json.dumps(told, indent=2))
        return
    show_counts(f"{args.out}: {told['kept']:,} new problems of {told['pairs']:,} pairs; left out:", told["left_out"])
    harder, easier = told["harder_than_easy"], told["easier_than_hard"]
    show_lines(
        [
            f"harder than the easy problem: {harder['percent']} % of {harder['judged']} (the paper: 83.2 %)",
            f"easier than the hard problem: {easier['percent']} % of {easier['judged']} (the paper: 95.6 %)",
        ],
        2,
    )


BUILDERS: dict[str, tuple[Callable[[], Parser], Callable[[argparse.Namespace], int]]] = {
    "solve": (_solve_parser, _solve),
    "merge": (_merge_parser, _merge),
    "interpolate": (_interpolate_parser, _interpolate),
}

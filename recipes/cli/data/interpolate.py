"""`mathcoder data interpolate`: new problems between an easy and a hard set."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recipes.cli.command import Parser, Ticker, positive_int
from recipes.cli.data.shared import model_argument, show_counts, show_lines, show_refused
from runtime.errors import InputError

if TYPE_CHECKING:
    from recipes.cli.solving import Call
    from recipes.data.ask import Asker
    from recipes.data.rows import QuestionLine
    from runtime.engine import Engine


def parser() -> Parser:
    """Arguments of `mathcoder data interpolate`."""
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
    model_argument(result)
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


def run(args: argparse.Namespace) -> int:
    """Draw pairs, let the model write, and report."""
    from recipes.cli.solving import read_call
    from recipes.data.interpolate import draw_pairs, interpolate
    from recipes.data.rows import Refused, files_of, read_questions, sha256_of

    if args.solve == 1 or args.solve < 0:
        raise InputError(
            "--solve 1 gives one solution, which agrees with nobody", "nothing was asked", "give 0, or 2 or more"
        )
    refused = Refused()
    easy, hard = read_questions(args.easy, refused), read_questions(args.hard, refused)
    show_refused(refused, "the problem files")
    seed = args.seed or 1
    pairs = draw_pairs(easy, hard, args.pairs, seed)
    call = read_call(args)
    tick = Ticker("replies")
    with ExitStack() as engines:
        writer, judge, own = _askers(call, engines)
        solvable = _solvable_with(call, own, engines) if args.solve else None
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
    _show_interpolated(args, report.as_dict())
    return 0 if report.kept else 1


def _askers(call: Call, engines: ExitStack) -> tuple[Asker, Asker, Engine | None]:
    """The writer, the judge, which is the same model drawing greedily, and their engine where it is here."""
    from recipes.data.ask import ChatAsker, LocalAsker
    from runtime.settings import VARIED_TEMPERATURE

    args = call.args
    if args.endpoint:
        key = os.environ.get("OPENAI_API_KEY")
        warm = VARIED_TEMPERATURE if args.temperature is None else args.temperature
        common: dict[str, Any] = {"api_key": key, "parallel": args.slots}
        return (
            ChatAsker(args.endpoint, args.model, temperature=warm, **common),
            ChatAsker(args.endpoint, args.model, temperature=0.0, max_tokens=256, **common),
            None,
        )
    engine = engines.enter_context(call.load(args.model))
    greedy = call.settings.model_copy(update={"temperature": 0.0})
    return (
        LocalAsker(engine, call.settings.that_differ(), args.slots),
        LocalAsker(engine, greedy, args.slots),
        engine,
    )


def _solvable_with(
    call: Call, own: Engine | None, engines: ExitStack
) -> Callable[[Sequence[QuestionLine]], Mapping[str, str | None]]:
    """The paper's own filter as a test of solvability: an answer where all K samples agree."""
    args = call.args
    if own is None or args.solver is not None:
        engine = engines.enter_context(call.load(args.solver or args.model))
    else:
        engine = own

    def answers(questions: Sequence[QuestionLine]) -> dict[str, str | None]:
        import hashlib

        from recipes.data.solve import agreed_answers, sample, samples_path

        digest = hashlib.sha256(repr([(question.id, question.question) for question in questions]).encode()).hexdigest()
        sample(
            engine,
            questions,
            args.out,
            settings=call.settings.that_differ(),
            samples=args.solve,
            source={"source": "interpolated", "sha256": digest},
            limits=call.limits,
            slots=args.slots,
        )
        return agreed_answers(samples_path(args.out))

    return answers


def _show_interpolated(args: argparse.Namespace, told: Mapping[str, Any]) -> None:
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

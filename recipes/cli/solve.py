"""`mathcoder solve`: one question, or a file of them."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recipes.cli.command import Parser, positive_int, say, say_weaker_tier
from runtime.errors import InputError, ModelError
from runtime.text import for_screen

if TYPE_CHECKING:
    from rich.console import Console

    from recipes.cli.solving import Call
    from runtime.engine import Engine
    from runtime.solver import Solution


def parser() -> Parser:
    """Arguments of `mathcoder solve`."""
    from recipes.cli.solving import add_session_arguments

    result = Parser(
        "solve",
        "Solve a question: the model writes text and code, the code runs in the sandbox, its results go on.",
        details="""\
The question stands on the command line or comes from standard input. With --questions many are solved at
once: a .jsonl file with `question` (and, if you like, `id` and `gold`) on each line, or plain text with one
question a line; `-` is standard input. With --out the results are kept in a file that a second call continues.

Results go to standard output, progress to standard error. The exit code is 1 where a single question gets no
answer, or where an item of a batch ends in an error.""",
        examples=[
            ('mathcoder solve nano "Write 77 in base 2."', "watch it being solved"),
            ("mathcoder solve nano --examples", "problems that this model solves, one a line"),
            ('echo "Write 77 in base 2." | mathcoder solve nano --answer-only', "the answer and nothing else"),
            ('mathcoder solve model.gguf "..." --samples 8', "eight solutions vote"),
            ('mathcoder solve model.gguf "..." --to solution.ipynb', "as a notebook (also .md, .html, .json)"),
            ("mathcoder solve model.gguf --questions q.jsonl --out results.jsonl", "a file of questions, resumable"),
        ],
        see_also=["chat", "eval", "models"],
    )
    result.add_argument(
        "model",
        nargs="?",
        metavar="MODEL",
        help="a GGUF file, or a name from `mathcoder models` (default: the setting `model`)",
    )
    result.add_argument("question", nargs="?", metavar="QUESTION", help="the question (default: standard input)")
    result.add_argument("--examples", action="store_true", help="print problems that the model is known to solve")
    result.add_argument("--questions", metavar="FILE", help="solve every question of a file; - for standard input")
    result.add_argument("--out", type=Path, metavar="FILE", help="with --questions: keep results in this .jsonl file")
    result.add_argument("--fresh", action="store_true", help="with --out: begin again where the file holds results")
    result.add_argument("--slots", type=positive_int, default=8, metavar="N", help="sequences decoded together")
    result.add_argument(
        "--to", type=Path, metavar="FILE", help="also write the solution as .md, .html, .ipynb or .json"
    )
    result.add_argument("--json", action="store_true", help="print one JSON object")
    result.add_argument("--answer-only", action="store_true", help="print the answer and nothing else")
    add_session_arguments(result)
    return result


def run(args: argparse.Namespace) -> int:
    """Solve."""
    from recipes.cli.solving import follow_verdict, model_of, read_call

    call = read_call(args)
    if args.question is None and args.questions is None and call.preferences.model and not _is_model(args.model):
        args.model, args.question = call.preferences.model, args.model
    elif args.question is None and " " in (args.model or "") and not _is_model(args.model):
        raise InputError(
            "no model was named",
            "there is a question alone",
            'write `mathcoder solve nano "..."`, or set MATHCODER_MODEL',
        )
    _check(args)
    if args.examples:
        return _print_examples(model_of(args, args.model))
    if args.questions is not None:
        from recipes.cli.solve_many import read_questions, solve_many

        questions = read_questions(args.questions)
        with call.load(args.model) as engine:
            call = replace(call, settings=follow_verdict(args, engine, call.settings))
            return solve_many(call, engine, questions)
    model_of(args, args.model)  # A name that stands for nothing is told before the question is read.
    question = _question(args)
    with call.load(args.model) as engine:
        call = replace(call, settings=follow_verdict(args, engine, call.settings))
        return (_vote if call.preferences.samples > 1 else _solve)(call, engine, question)


def _is_model(word: str | None) -> bool:
    """Whether the one word given names a model; else it is a question for the model in the settings."""
    from recipes.models import prefix_of, resolve

    if word is None:
        return False
    try:
        resolve(word)
    except InputError:
        return word.endswith(".gguf") or prefix_of(word) is not None
    except ModelError:  # it is one, and cannot be used
        return True
    return True


def _print_examples(model: Path | str) -> int:
    from recipes.models import examples_of

    problems = examples_of(Path(model))
    if not problems:
        raise InputError(f"nothing is known about what {model} solves", "", "ask it a question and see")
    print("\n".join(problems))
    return 0


def _check(args: argparse.Namespace) -> None:
    if args.json and args.answer_only:
        raise InputError("--json and --answer-only exclude each other", "nothing was solved", "give one of them")
    if args.questions is None and args.out is not None:
        raise InputError("--out keeps the results of --questions", "", "for one solution use --to FILE")
    if args.fresh and args.out is None:
        raise InputError("--fresh is for --out", "there is no file to begin again", "name one with --out FILE.jsonl")
    if args.questions is not None:
        for name, value in (("a question", args.question), ("--to", args.to)):
            if value is not None:
                raise InputError(f"--questions and {name} exclude each other", "nothing was solved", "give one of them")
        if args.unsafe_exec:
            raise InputError(
                "--unsafe-exec is for single questions", "a batch never runs code without isolation", "leave it away"
            )
    if args.to is not None:
        from runtime.show.notebook_page import SUFFIXES

        if args.to.suffix.lower() not in SUFFIXES:
            raise InputError(f"--to {args.to} is not an export format", "", f"end the name in {', '.join(SUFFIXES)}")


def _question(args: argparse.Namespace) -> str:
    from runtime.solver import check_question

    if args.question is not None:
        text = str(args.question)
    elif sys.stdin is None or sys.stdin.isatty():
        raise InputError("there is no question", "", 'give one: mathcoder solve MODEL "What is 2 + 2?"')
    else:
        from recipes.cli.solve_many import question_text

        text = question_text(sys.stdin.buffer.read(), "standard input").strip()
    check_question(text)
    return text


def _solve(call: Call, engine: Engine, question: str) -> int:
    from recipes.cli.solving import warn_unsafe
    from runtime.sandbox import Sandbox
    from runtime.show.console import make_console
    from runtime.show.panels import SolutionView
    from runtime.solver import Solver

    args = call.args
    warn_unsafe(args.unsafe_exec)
    quiet = args.json or args.answer_only
    console = make_console(theme=call.preferences.theme, stderr=quiet)
    images: dict[int, list[bytes]] = {}
    with Sandbox(call.limits, unsafe_exec=args.unsafe_exec) as sandbox:
        solver = Solver(engine, sandbox, call.settings)
        view = SolutionView(console, quiet=quiet)
        with view:
            solution = solver.solve(question, on_event=_collecting(view.on_event, images), seed=args.seed)
            view.finish(solution)
        _mark(console, solution, quiet=args.json)
        solver.close()
    say_weaker_tier()
    if args.json:
        told = {**solution.as_dict(), "supported": solution.is_supported}
        print(json.dumps({"question": question, **told, "model": engine.facts()}, indent=2, default=str))
    elif args.answer_only:
        _print_answer(solution)
    if args.to is not None:
        _export(args, question, solution, images)
    return exit_code(solution)


def _vote(call: Call, engine: Engine, question: str) -> int:
    """Several samples at once, then the vote."""
    from recipes.cli.solving import differing
    from runtime.show.console import make_console
    from runtime.show.panels import answer_text, show_solution
    from runtime.solver.batch import Item, solve_batch, with_samples
    from runtime.solver.vote import vote

    args = call.args
    if args.unsafe_exec:
        raise InputError("--unsafe-exec and --samples exclude each other", "nothing was solved", "give one of them")
    settings = differing(call.settings, "samples that vote")
    count = call.preferences.samples
    items = with_samples([Item("0", 0, question)], count)
    solved: dict[int, Solution] = {}
    for item, solution in solve_batch(engine, items, settings, limits=call.limits, slots=min(args.slots, count)):
        solved[item.sample] = solution
        answer = answer_text(solution.answer) if solution.answer is not None else "no answer"
        say(f"sample {len(solved)} of {count}: {answer}")
    # Which sample is finished first is a matter of timing; the order in which they vote must not be.
    solutions = [solved[sample] for sample in sorted(solved)]
    outcome = vote(solutions)
    chosen = solutions[outcome.members[0]] if outcome.members else solutions[-1]
    if args.json:
        facts = {
            "question": question,
            "answer": outcome.answer,
            "votes": outcome.votes,
            "groups": [{"answer": answer, "votes": votes} for answer, votes in outcome.groups],
            "samples": [solution.as_dict() for solution in solutions],
            "model": engine.facts(),
        }
        print(json.dumps(facts, indent=2, default=str))
    elif args.answer_only:
        _print_answer(chosen)
    else:
        console = make_console(theme=call.preferences.theme)
        show_solution(console, chosen.blocks, chosen.answer, chosen.status, chosen.detail)
        console.print(f"{outcome.votes} of {count} solutions agree", style="note")
        _mark(console, chosen)
    if args.to is not None:
        _export(args, question, chosen, {})
    return exit_code(chosen)


def _mark(console: Console, solution: Solution, *, quiet: bool = False) -> None:
    """Say that nothing computed shows the answer, and which library lacked.

    A program reads the first from `supported`.
    """
    from rich.text import Text

    from runtime.solver.libraries import absent
    from runtime.solver.support import UNSUPPORTED

    if quiet:
        return
    if solution.is_supported is False:
        console.print(UNSUPPORTED, style="note")
    if lack := absent(block.content for block in solution.blocks if block.type == "execution"):
        console.print(Text(lack, style="note"))


def exit_code(solution: Solution) -> int:
    """0 with an answer, 130 where the person stopped it, else 1."""
    if solution.status == "interrupted":
        return 130
    return 0 if solution.answer is not None else 1


def _print_answer(solution: Solution) -> None:
    from runtime.show.panels import why

    if solution.answer is not None:
        print(for_screen(solution.answer).replace("\n", " "))
    else:
        say(why(solution.status, solution.detail), style="red")


def _collecting(on_event: Any, images: dict[int, list[bytes]]) -> Any:
    """`on_event`, with the figures of each execution kept in `images`."""
    count = 0

    def take(event: Any) -> None:
        nonlocal count
        from runtime.solver import Execution

        if isinstance(event, Execution):
            if event.images:
                images[count] = list(event.images)
            count += 1
        on_event(event)

    return take


def _export(args: argparse.Namespace, question: str, solution: Solution, images: dict[int, list[bytes]]) -> None:
    from runtime.show.notebook import Turn
    from runtime.show.notebook_page import export

    facts = {key: value for key, value in solution.as_dict().items() if key not in ("blocks", "answer", "status")}
    turn = Turn(question, solution.blocks, solution.answer, solution.status, images, facts)
    path = export([turn], args.to, title="MathCoder", model=Path(str(args.model)).name)
    say(f"written to {path}")

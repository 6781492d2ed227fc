"""Many questions for `mathcoder solve`: reading them, solving them in batch, one result a line."""

from __future__ import annotations

import hashlib
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from recipes.cli.command import say, say_weaker_tier
from recipes.cli.solving import Call, differing
from runtime.errors import DataError, InputError
from runtime.files import BadLine, json_line, parse_line
from runtime.text import for_screen

if TYPE_CHECKING:
    from runtime.engine import Engine
    from runtime.evaluate.results_file import ResultsFile
    from runtime.solver import Solution
    from runtime.solver.batch import Item

REPORT_SECONDS = 2.0
"""Between two lines of progress where standard error is no terminal, ten times this."""


class Questions(NamedTuple):
    """The items of a file, and what identifies it."""

    items: list[Item]
    facts: dict[str, Any]


def read_questions(source: str) -> Questions:
    """Questions of a file or, for `-`, standard input: JSON lines with `question`, or one a line.

    Raises:
        InputError: the file cannot be read, is not text, or holds no question.
        DataError: lines that are not questions, or an id given twice; every such line is named.
    """
    from runtime.solver.batch import Item

    try:
        data = sys.stdin.buffer.read() if source == "-" else Path(source).expanduser().read_bytes()
    except OSError as error:
        raise InputError(
            f"{source} cannot be read: {error.strerror or error}", "nothing was solved", "check the path"
        ) from None
    text = question_text(data, source)
    # Not `splitlines`, for which form feeds and U+2028 end lines as well: both may stand inside a JSON string.
    lines = [(number, line) for number, line in enumerate(text.replace("\r\n", "\n").split("\n"), 1) if line.strip()]
    if not lines:
        raise InputError(f"{source} holds no question", "nothing was solved", "write one a line")
    as_json = source.endswith((".jsonl", ".json")) or isinstance(parse_line(lines[0][1].encode()), dict)
    items: list[Item] = []
    bad: list[str] = []
    seen: dict[str, int] = {}
    for number, line in lines:
        row = parse_line(line.encode()) if as_json else {"question": line.strip()}
        if isinstance(row, BadLine):
            bad.append(f"line {number} is {row.reason}")
            continue
        if not isinstance(row, dict) or not isinstance(row.get("question"), str):
            bad.append(f"line {number} is not an object with a `question`")
            continue
        name = str(row.get("id", len(items)))
        if name in seen:
            bad.append(f"line {number} repeats the id {name!r} of line {seen[name]}")
            continue
        seen[name] = number
        items.append(Item(name, len(items), row["question"], row.get("gold")))
    if bad:
        more = f"; and {len(bad) - 5} more" if len(bad) > 5 else ""
        raise DataError(f"{source}: {'; '.join(bad[:5])}{more}", "nothing was solved", "correct the file")
    return Questions(items, {"source": source, "sha256": hashlib.sha256(data).hexdigest(), "questions": len(items)})


def question_text(data: bytes, source: str) -> str:
    """What a person gave as questions, as text.

    Raises:
        InputError: it is not valid UTF-8, or holds NUL bytes.
    """
    try:
        # With or without the mark that some editors put in front.
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise InputError(
            f"{source} is not UTF-8 text (line {line}, byte {data[error.start]:#04x})",
            "nothing was solved",
            "save it as UTF-8; a model or an archive holds no questions",
        ) from None
    if "\0" in text:
        raise InputError(f"{source} is not text: it holds NUL bytes", "nothing was solved", "give a text file")
    return text


def solve_many(call: Call, engine: Engine, questions: Questions) -> int:
    """Solve `questions`; exit code 1 where an item ended in an error."""
    from runtime.solver.batch import solve_batch, with_samples

    args, settings, limits, samples = call.args, call.settings, call.limits, call.preferences.samples
    if samples > 1:
        settings = differing(settings, "samples that vote")
    items = list(with_samples(questions.items, samples))
    progress = _Tally(len(items))
    if args.out is None:
        answers = _Answers(questions.items, samples)
        for item, solution in solve_batch(engine, items, settings, limits=limits, slots=args.slots):
            progress.done(solution)
            if args.answer_only:
                answers.add(item, solution)
            else:
                print(json_line(_line(item, solution)), end="", flush=True)
        say_weaker_tier()
        return progress.finish()
    from runtime.evaluate.results_file import ResultsFile
    from runtime.solver.dialects import choose, within_limits

    dialect = choose(settings.dialect, engine, settings.mode, settings.thinking)
    facts = {
        **engine.facts(),
        "dialect": dialect.name,
        "settings": within_limits(settings, dialect).model_dump(mode="json"),
        "limits": limits.model_dump(mode="json"),
        "data": questions.facts,
        "samples": samples,
        "slots": args.slots,
        "date": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
    }
    with ResultsFile(args.out, facts, fresh=args.fresh) as results:
        pending = list(results.pending(items))
        if len(pending) < len(items):
            say(f"{args.out} holds {len(items) - len(pending)} of {len(items)} results; going on")
        progress.skip(len(items) - len(pending))
        for item, solution in solve_batch(engine, pending, settings, limits=limits, slots=args.slots):
            results.append(_line(item, solution))
            progress.done(solution)
        if args.answer_only:
            _print_kept(results, _Answers(questions.items, samples), items)
    say(f"results: {args.out}")
    say_weaker_tier()
    return progress.finish()


def _line(item: Item, solution: Solution) -> dict[str, Any]:
    from runtime.evaluate.results_file import result_line
    from runtime.grade import equivalent, strict_equal

    if item.gold is None:
        return result_line(item, solution)
    gold, answer = str(item.gold), solution.answer
    if answer is None:
        return result_line(item, solution, strict=False, lenient=False)
    return result_line(item, solution, strict=strict_equal(answer, gold), lenient=equivalent(answer, gold))


def _print_kept(results: ResultsFile, answers: _Answers, items: list[Item]) -> None:
    """The answers of a whole results file, what earlier calls solved included."""
    from runtime.lce import Block
    from runtime.solver import Solution

    asked = {(item.id, item.sample): item for item in items}
    for line in map(parse_line, results.reading()):
        blocks = [Block(block["type"], block["content"]) for block in line["blocks"]]
        answers.add(asked[line["id"], line["sample"]], Solution(blocks, line["answer"], line["status"]))


class _Answers:
    """Prints one answer a question, in the order of the questions; an empty line where there is none."""

    def __init__(self, items: list[Item], samples: int) -> None:
        self.samples = samples
        self.waiting: dict[int, dict[int, Solution]] = {item.index: {} for item in items}
        self.next = 0

    def add(self, item: Item, solution: Solution) -> None:
        from runtime.solver.vote import vote

        self.waiting[item.index][item.sample] = solution
        while (ready := self.waiting.get(self.next)) is not None and len(ready) == self.samples:
            answer = vote([ready[sample] for sample in sorted(ready)]).answer
            print(for_screen(answer).replace("\n", " ") if answer is not None else "", flush=True)
            del self.waiting[self.next]
            self.next += 1


class _Tally:
    """How far a batch is, on standard error."""

    def __init__(self, total: int) -> None:
        self.total = total
        self.count = self.errors = self.unanswered = 0
        self.began = self.said = time.monotonic()

    def skip(self, count: int) -> None:
        """`count` results stood in the file already."""
        self.total -= count

    def done(self, solution: Solution) -> None:
        """One more solution."""
        self.count += 1
        self.errors += solution.status == "error"
        self.unanswered += solution.answer is None
        if solution.status == "error":
            say(f"an item failed: {solution.detail}", style="red")
        now = time.monotonic()
        if now - self.said >= REPORT_SECONDS * (1 if sys.stderr.isatty() else 10):
            self.said = now
            rate = self.count / (now - self.began)
            left = (self.total - self.count) / rate
            say(f"{self.count} of {self.total} solved, {rate * 60:.0f} a minute, {left:.0f} s left")

    def finish(self) -> int:
        """Say how it went; returns the exit code."""
        seconds = time.monotonic() - self.began
        say(f"{self.count} solved in {seconds:.1f} s, {self.unanswered} without an answer, {self.errors} failed")
        return 1 if self.errors else 0

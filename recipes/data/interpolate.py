"""`data interpolate`: problems between an easy and a hard one, as in the paper, with its report.

A pair of problems goes to a model, which writes a new one. What reads like a copy of another problem is removed; what
several solutions do not agree on counts as unsolvable; and the model judges, in both orders, whether the new problem
is harder than the first and easier than the second. Every reply is kept in a file, so that a killed run asks on.
"""

from __future__ import annotations

import hashlib
import random
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from recipes.data.ask import Asker
from recipes.data.rows import QuestionLine, beside, write_lines
from recipes.data.words import grams, key, pairs, words
from runtime.errors import InputError

PAPER_HARDER, PAPER_EASIER = 83.2, 95.6
"""Percent of the paper's new problems that GPT-4 judged harder than their GSM8K and easier than their MATH source."""

WRITE = """\
Here are two mathematics problems. The first is easy, the second is hard.

Easy problem:
{easy}

Hard problem:
{hard}

Write one new problem whose difficulty lies between the two: harder than the easy one, easier than the hard one. It must
be different from both, complete in itself, and have exactly one answer, a number or a short expression. Do not solve
it. Write the new problem and nothing else between <problem> and </problem>."""

JUDGE = """\
Which of these two mathematics problems is harder to solve?

Problem A:
{a}

Problem B:
{b}

Reply with the single letter A or B."""

COPY = 0.6
"""Share of a problem's runs of three words, numbers masked, that another one may hold before it counts as its copy."""

Order = Literal["harder", "easier", "tie", "unjudged"]


@dataclass(frozen=True)
class Pair:
    """An easy problem and a hard one."""

    number: int
    easy: QuestionLine
    hard: QuestionLine


@dataclass
class Interpolated:
    """One new problem and what was found out about it."""

    pair: Pair
    question: str
    answer: str | None = None
    against_easy: Order = "unjudged"
    against_hard: Order = "unjudged"

    def as_dict(self) -> dict[str, Any]:
        """A line of the output: a question that `data solve` takes."""
        return {
            "id": f"between/{self.pair.number}",
            "question": self.question,
            "answer": self.answer,
            "easy_id": self.pair.easy.id,
            "hard_id": self.pair.hard.id,
            "against_easy": self.against_easy,
            "against_hard": self.against_hard,
        }


@dataclass
class InterpolationReport:
    """Counts of every stage; `left_out` by reason, each listed with its pair."""

    pairs: int = 0
    kept: list[Interpolated] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)
    listing: list[dict[str, Any]] = field(default_factory=list)

    def leave_out(self, pair: Pair, reason: str, detail: str = "") -> None:
        """Count and list one pair without a problem."""
        self.left_out[reason] += 1
        self.listing.append({"pair": pair.number, "easy_id": pair.easy.id, "hard_id": pair.hard.id, "reason": reason,
                             "detail": detail[:300]})  # fmt: skip

    def judged(self, side: Literal["against_easy", "against_hard"], wanted: Order) -> Any:
        """Share of the judged problems `wanted` on `side`, with Wilson's interval; ties count against it."""
        from runtime.evaluate.stats import wilson

        verdicts = [getattr(item, side) for item in self.kept]
        readable = [verdict for verdict in verdicts if verdict != "unjudged"]
        return wilson(sum(verdict == wanted for verdict in readable), len(readable))

    def as_dict(self) -> dict[str, Any]:
        """For `--json`, the paper's own figures beside ours."""
        harder, easier = self.judged("against_easy", "harder"), self.judged("against_hard", "easier")
        return {
            "pairs": self.pairs,
            "kept": len(self.kept),
            "left_out": dict(self.left_out),
            "harder_than_easy": {"percent": harder.percent(), "judged": harder.n, "paper_percent": PAPER_HARDER},
            "easier_than_hard": {"percent": easier.percent(), "judged": easier.n, "paper_percent": PAPER_EASIER},
            "ties": sum("tie" in (item.against_easy, item.against_hard) for item in self.kept),
        }


def draw_pairs(easy: Sequence[QuestionLine], hard: Sequence[QuestionLine], n: int, seed: int) -> list[Pair]:
    """`n` different pairs, drawn by `seed`.

    Raises:
        InputError: there are not so many.
    """
    if n > len(easy) * len(hard):
        most = len(easy) * len(hard)
        raise InputError(
            f"{n:,} pairs were asked for; {len(easy):,} easy and {len(hard):,} hard problems make {most:,}",
            "none was drawn",
            "give a smaller --pairs, or more problems",
        )
    chosen = random.Random(seed).sample(range(len(easy) * len(hard)), n)
    return [Pair(number, easy[c // len(hard)], hard[c % len(hard)]) for number, c in enumerate(chosen)]


_TAG = re.compile(r"<(/?)problem>", re.I)
_LABEL = re.compile(r"^\s*(?:#+\s*)?(?:\*\*)?(?:new )?problem\s*:?(?:\*\*)?\s*:?\s*", re.I)


def problem_in(reply: str) -> tuple[str, str]:
    """The problem a reply holds, and why it holds none."""
    tagged = [reply[opening.end() : closing.start()] for opening, closing in pairs(_TAG.finditer(reply))]
    if len(tagged) > 1:
        return "", "more than one problem"
    text = _LABEL.sub("", tagged[0] if tagged else reply).strip()
    if not tagged and (len(text) > 1500 or re.search(r"\b(?:solution|answer)\s*:", text, re.I)):
        return "", "no problem in the reply"
    if len(words(text)) < 5:
        return "", "too short to be a problem"
    if len(text) > 4000:
        return "", "too long to be a problem"
    return text, ""


class Copies:
    """Finds problems that differ from earlier ones in their numbers or in a few words only."""

    def __init__(self) -> None:
        self._exact: dict[str, str] = {}
        self._runs: dict[tuple[str, ...], set[str]] = {}

    def add(self, name: str, text: str) -> None:
        """Take in one problem."""
        self._exact.setdefault(key(text), name)
        for run in _masked(text):
            self._runs.setdefault(run, set()).add(name)

    def like(self, text: str) -> str | None:
        """The name of a problem that `text` copies, or None."""
        if (name := self._exact.get(key(text))) is not None:
            return name
        runs = _masked(text)
        shared: Counter[str] = Counter(name for run in runs for name in self._runs.get(run, ()))
        best = shared.most_common(1)
        return best[0][0] if best and best[0][1] >= COPY * len(runs) else None


def _masked(text: str) -> set[tuple[str, ...]]:
    return set(grams(["#" if word[0].isdigit() else word for word in words(text)], 3))


_LETTER = re.compile(r"\b([AB])\b")


def chosen_letter(reply: str) -> str | None:
    """Which of the two problems a reply names: a single letter, or the last one of a longer reply."""
    found = _LETTER.findall(reply)
    return found[-1] if found else None


def verdict(first: str | None, second: str | None) -> Order:
    """What two replies say of the new problem, which is A in the first and B in the second.

    Judging in one order alone would measure the model's liking for a letter.
    """
    if first is None or second is None:
        return "unjudged"
    harder = (first == "A", second == "B")
    return "harder" if all(harder) else "tie" if any(harder) else "easier"


def interpolate(
    pairs: Sequence[Pair],
    writer: Asker,
    out: str | Path,
    *,
    source: Mapping[str, Any],
    judge: Asker | None = None,
    solvable: Callable[[Sequence[QuestionLine]], Mapping[str, str | None]] | None = None,
    on_reply: Callable[[str, int, int], None] | None = None,
) -> InterpolationReport:
    """Write new problems to `out`, what was left out and the replies beside it.

    Args:
        source: facts that identify the problem files and the drawing.
        judge: the model that compares; None skips the judging.
        solvable: problems to the answers on which solutions agree, by id, None where they do not; None skips this.
        on_reply: called with (stage, done, of).

    Raises:
        EngineError: the model cannot be reached; replies so far are kept.
        InputError: `out` was begun with other pairs or another model.
    """
    report = InterpolationReport(pairs=len(pairs))
    replies = _Replies(beside(out, "replies"), {"data": dict(source), **_model_facts(writer, judge)}, on_reply)
    try:
        prompts = [(str(p.number), WRITE.format(easy=p.easy.question, hard=p.hard.question)) for p in pairs]
        texts = replies.get("write", writer, prompts)
        new = _new_problems(pairs, texts, report)
        if solvable is not None:
            new = _solvable(new, solvable, report)
        if judge is not None:
            _judge(new, judge, replies)
    finally:
        replies.close()
    report.kept = new
    write_lines(out, (item.as_dict() for item in new))
    write_lines(beside(out, "left-out"), report.listing)
    return report


def _model_facts(writer: Asker, judge: Asker | None) -> dict[str, Any]:
    prompts = hashlib.sha256((WRITE + JUDGE).encode()).hexdigest()
    facts = writer.facts()
    return {**facts, "settings": {"writer": facts.get("settings"), "judge": judge.facts() if judge else None,
                                  "prompts": prompts}}  # fmt: skip


def _new_problems(
    pairs: Sequence[Pair], texts: Mapping[str, tuple[str, str]], report: InterpolationReport
) -> list[Interpolated]:
    copies = Copies()
    for pair in pairs:
        copies.add(f"easy {pair.easy.id}", pair.easy.question)
        copies.add(f"hard {pair.hard.id}", pair.hard.question)
    new: list[Interpolated] = []
    for pair in pairs:
        reply, error = texts[str(pair.number)]
        if error:
            report.leave_out(pair, "no reply", error)
            continue
        text, why = problem_in(reply)
        if why:
            report.leave_out(pair, why, reply)
        elif (other := copies.like(text)) is not None:
            report.leave_out(pair, "a near-copy", f"of {other}: {text}")
        else:
            copies.add(f"new {pair.number}", text)
            new.append(Interpolated(pair, text))
    return new


def _solvable(
    new: list[Interpolated],
    solvable: Callable[[Sequence[QuestionLine]], Mapping[str, str | None]],
    report: InterpolationReport,
) -> list[Interpolated]:
    lines = [QuestionLine(str(n.pair.number), n.pair.number, n.question, None, "") for n in new]
    answers = solvable(lines) if lines else {}
    kept = []
    for item in new:
        item.answer = answers.get(str(item.pair.number))
        if item.answer is None:
            report.leave_out(item.pair, "unsolvable: the solutions do not agree", item.question)
        else:
            kept.append(item)
    return kept


def _judge(new: Sequence[Interpolated], judge: Asker, replies: _Replies) -> None:
    prompts = []
    for item in new:
        for side, other in (("easy", item.pair.easy.question), ("hard", item.pair.hard.question)):
            prompts.append((f"{item.pair.number}/{side}/1", JUDGE.format(a=item.question, b=other)))
            prompts.append((f"{item.pair.number}/{side}/2", JUDGE.format(a=other, b=item.question)))
    texts = replies.get("judge", judge, prompts)
    for item in new:
        letters = {
            (side, n): chosen_letter(texts[f"{item.pair.number}/{side}/{n}"][0])
            for side in ("easy", "hard")
            for n in (1, 2)
        }
        item.against_easy = verdict(letters["easy", 1], letters["easy", 2])
        item.against_hard = verdict(letters["hard", 1], letters["hard", 2])


class _Replies:
    """Replies on disk: only what is missing is asked, and errors are asked again by the next call."""

    def __init__(self, path: Path, facts: Mapping[str, Any], on_reply: Callable[[str, int, int], None] | None) -> None:
        from runtime.evaluate.results_file import ResultsFile, read_results

        self._file = ResultsFile(path, facts)
        self._known = {str(line["id"]): line for line in read_results(path)}
        self._on_reply = on_reply

    def get(self, stage: str, asker: Asker, prompts: Iterable[tuple[str, str]]) -> dict[str, tuple[str, str]]:
        """(text, error) by key."""
        result: dict[str, tuple[str, str]] = {}
        missing = []
        total = 0
        for name, prompt in prompts:
            total += 1
            digest = hashlib.sha256(prompt.encode()).hexdigest()[:16]
            known = self._known.get(f"{stage}/{name}/{digest}")
            if known is not None:
                result[name] = (known["text"], "")
            else:
                missing.append((name, digest, prompt))
        digests = {name: digest for name, digest, _ in missing}
        for reply in asker.ask((name, prompt) for name, _, prompt in missing):
            result[reply.key] = (reply.text, reply.error)
            if not reply.error:
                line = {"id": f"{stage}/{reply.key}/{digests[reply.key]}", "sample": 0, "text": reply.text}
                self._file.append(line)
            if self._on_reply is not None:
                self._on_reply(stage, len(result), total)
        return result

    def close(self) -> None:
        self._file.close()

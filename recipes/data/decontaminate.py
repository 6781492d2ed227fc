"""`data decontaminate`: rows that ask what a benchmark asks, found five ways, with the reason.

`exact`: the same text. `normalised`: the same but for case, spacing, punctuation and typography. `masked`: the same but
for its numbers (of a question of at least eight words, so that no sum is taken for another). `13-gram`: thirteen
words in a row are shared (the measure of GPT-3, arXiv 2005.14165, appendix C). `contained`: a benchmark question of
8 to 12 words, too short for that measure, stands whole in a longer text. Nothing is dropped silently: rows are only
left out where an output is asked for, and each of them is listed beside it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from qlora.data import problem_of, question_of
from recipes.data.rows import Refused, beside, files_of, read_lines, read_questions, write_lines
from recipes.data.words import grams, key, words

Reason = Literal["exact", "normalised", "masked", "13-gram", "contained"]
GRAM = 13
SHORT = 8
"""Words. A shorter question is a phrase that others hold by chance (`What is 5 + 3?` begins `What is 5 + 3 * 2?`)."""


@dataclass(frozen=True)
class Hit:
    """One row that asks what a benchmark asks.

    Attributes:
        benchmark: file and id of the benchmark's question.
        shared: the thirteen words, or the beginning of the row's question.
    """

    place: str
    index: int
    reason: Reason
    benchmark: str
    shared: str

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


class Benchmarks:
    """The questions to stay away from, ready to be looked up."""

    def __init__(self) -> None:
        self.questions: list[tuple[str, str]] = []
        self._exact: dict[str, int] = {}
        self._keys: dict[str, int] = {}
        self._masked: dict[str, int] = {}
        # Hashes of the runs of words; a find is confirmed in the words themselves.
        self._grams: dict[int, int] = {}
        self._short: dict[tuple[str, ...], list[int]] = {}

    def add(self, name: str, question: str) -> None:
        """Take in one question, called `name` in reports."""
        number = len(self.questions)
        self.questions.append((name, question))
        self._exact.setdefault(question.strip(), number)
        if normal := key(question):
            self._keys.setdefault(normal, number)
        spoken = words(question)
        if len(spoken) >= SHORT:
            self._masked.setdefault(_without_numbers(spoken), number)
        for run in grams(spoken, GRAM):
            self._grams.setdefault(hash(run), number)
        if SHORT <= len(spoken) < GRAM:
            self._short.setdefault(tuple(spoken[:SHORT]), []).append(number)

    def find(self, question: str) -> tuple[Reason, str, str] | None:
        """The first way in which `question` is one of these: reason, benchmark, what is shared."""
        number = self._exact.get(question.strip())
        if number is not None:
            return "exact", self.questions[number][0], question.strip()[:120]
        normal = key(question)
        number = self._keys.get(normal) if normal else None
        if number is not None:
            return "normalised", self.questions[number][0], question.strip()[:120]
        spoken = words(question)
        number = self._masked.get(_without_numbers(spoken)) if len(spoken) >= SHORT else None
        if number is not None:
            return "masked", self.questions[number][0], question.strip()[:120]
        for run in grams(spoken, GRAM):
            number = self._grams.get(hash(run))
            if number is not None and run in set(grams(words(self.questions[number][1]), GRAM)):
                return "13-gram", self.questions[number][0], " ".join(run)
        for start, beginning in enumerate(grams(spoken, SHORT)):
            for number in self._short.get(beginning, ()):
                whole = words(self.questions[number][1])
                # The words alone would not tell `3 + 5` from `3 - 5`.
                if spoken[start : start + len(whole)] == whole and key(self.questions[number][1]) in normal:
                    return "contained", self.questions[number][0], " ".join(whole)
        return None


def _without_numbers(spoken: Sequence[str]) -> str:
    return " ".join("#" if any(char.isdigit() for char in word) else word for word in spoken)


@dataclass
class Overlap:
    """What was found; `unread` are lines that are neither rows nor questions and are never written."""

    rows: int = 0
    hits: list[Hit] = field(default_factory=list)
    by_reason: Counter[str] = field(default_factory=Counter)
    by_benchmark: Counter[str] = field(default_factory=Counter)
    benchmark_questions: int = 0
    unread: Refused = field(default_factory=Refused)
    benchmark_unread: Refused = field(default_factory=Refused)

    def as_dict(self) -> dict[str, Any]:
        """For `--json`."""
        return {
            "rows": self.rows,
            "hits": len(self.hits),
            "by_reason": dict(self.by_reason),
            "by_benchmark": dict(self.by_benchmark),
            "benchmark_questions": self.benchmark_questions,
            "unread": dict(self.unread.counts),
            "benchmark_unread": dict(self.benchmark_unread.counts),
            "listing": [hit.as_dict() for hit in self.hits],
        }


def benchmarks_from(sources: Sequence[str], refused: Refused) -> Benchmarks:
    """The questions of files and folders.

    Raises:
        InputError: a source is not there or holds no question.
    """
    result = Benchmarks()
    for source in sources:
        for path in files_of(source):
            for question in read_questions(str(path), refused):
                result.add(f"{path.name}#{question.id}", question.question)
    return result


def decontaminate(source: str, against: Sequence[str], *, out: str | Path | None = None) -> Overlap:
    """Look every row (or question) of `source` up in `against`.

    Args:
        out: write the rows without a hit here, and the hits to its `hits` file.

    Raises:
        InputError: a source is not there.
        DataError: a file that cannot be read to its end.
    """
    overlap = Overlap()
    benchmarks = benchmarks_from(against, overlap.benchmark_unread)
    overlap.benchmark_questions = len(benchmarks.questions)
    clean = _clean_rows(source, benchmarks, overlap)
    if out is None:
        for _ in clean:
            pass
    else:
        write_lines(out, clean)
        write_lines(beside(out, "hits"), (hit.as_dict() for hit in overlap.hits))
    return overlap


def _clean_rows(source: str, benchmarks: Benchmarks, overlap: Overlap) -> Iterator[Any]:
    for index, line in enumerate(read_lines(files_of(source))):
        asked = asked_by(line.value)
        if not asked:
            overlap.unread.add(line.place, getattr(line.value, "reason", "neither a row nor a question"))
            continue
        overlap.rows += 1
        found = next((found for question in asked if (found := benchmarks.find(question))), None)
        if found is None:
            yield line.value
            continue
        overlap.hits.append(Hit(line.place, index, *found))
        overlap.by_reason[found[0]] += 1
        overlap.by_benchmark[found[1].partition("#")[0]] += 1


def asked_by(value: Any) -> list[str]:
    """The questions in one record: every user turn of a row or a chat, or the `question` of anything else."""
    if not isinstance(value, dict):
        return []
    if problem_of(value) is None:
        texts: Iterable[str] = (question_of([message]) for message in value["messages"] if message["role"] == "user")
        return [text for text in texts if text.strip()]
    from recipes.data.records import questions_in

    return questions_in(value)

"""Reading and writing JSON lines of any schema, so that one bad line costs one line.

Where rows come from is `qlora.sources`' business; this module adds what foreign files need: the `nano` source,
questions, and outputs that name what was left out.
"""

from __future__ import annotations

import gzip
import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from qlora.data import problem_of
from qlora.sources import read_sources, resolve
from runtime.errors import InputError
from runtime.files import BadLine, Line, atomic_path, json_line, jsonl
from runtime.files.jsonl import LONGEST_LINE
from runtime.lce import Block


def files_of(source: str) -> list[Path]:
    """The files behind `source`: a file, a folder, a hub id, or `nano`.

    Raises:
        InputError: nothing is there, or it is of a format that is not read.
        DataError: the hub cannot be reached.
    """
    if source == "nano":
        from recipes.nano.rows import training_rows_path

        return [training_rows_path()]
    return resolve(source)


def read_lines(files: Iterable[Path], *, longest: int = LONGEST_LINE) -> Iterator[Line]:
    """Every line of `files`, the unreadable ones as `BadLine`.

    Raises:
        DataError: a file that cannot be read to its end.
    """
    for path in files:
        if path.name.endswith(".parquet"):
            for name, number, value in read_sources([path], hashlib.sha256()):
                yield Line(name, number, value)
        else:
            yield from jsonl.read_lines(path, halves=True, longest=longest)


def sha256_of(files: Iterable[Path]) -> str:
    """One hash over the bytes of `files`, in order."""
    digest = hashlib.sha256()
    for path in files:
        with open(path, "rb") as handle:
            while chunk := handle.read(1 << 20):
                digest.update(chunk)
    return digest.hexdigest()


def why_no_row(value: Any) -> str | None:
    """Why `value` is not a row of the hub schema, with a hint at the schema it has; None if it is a row."""
    if isinstance(value, BadLine):
        return value.reason
    reason = problem_of(value)
    if reason is None:
        return None
    from recipes.data.formats import detect

    other = detect(value)
    return f"{reason} (it reads as {other}: see `mathcoder data convert`)" if other not in (None, "lce") else reason


def solutions_of(messages: Sequence[Mapping[str, Any]]) -> list[list[Block]]:
    """The blocks of each assistant message of a valid row."""
    return [
        [Block(block["type"], block["content"]) for block in message["content"]]
        for message in messages
        if message["role"] == "assistant"
    ]


@dataclass(frozen=True, slots=True)
class QuestionLine:
    """One question of a file. `gold` is None where the file has none."""

    id: str
    index: int
    question: str
    gold: str | None
    place: str


@dataclass
class Refused:
    """Lines that could not be used: all of them counted by reason, the first ones listed with their place."""

    counts: Counter[str] = field(default_factory=Counter)
    listed: list[str] = field(default_factory=list)
    keep: int = 1000

    def add(self, place: str, reason: str) -> None:
        """Count one."""
        # Details such as offsets in brackets would make every reason its own.
        self.counts[reason.split(" (")[0]] += 1
        if len(self.listed) < self.keep:
            self.listed.append(f"{place}: {reason}")

    @property
    def total(self) -> int:
        """How many."""
        return self.counts.total()


def read_questions(source: str, refused: Refused, *, need_gold: bool = False) -> list[QuestionLine]:
    """Questions of a .jsonl file (`question` or `problem`; `gold` or `answer`), or the user texts of rows.

    What is no question, repeats an id, or lacks the gold answer where `need_gold`, is counted in `refused` and left
    out; the others keep the index that their line gave them, so that seeds and shards never depend on bad lines.

    Raises:
        InputError: no such file, or no usable question in it.
    """
    from runtime.evaluate.records import gold_text

    questions: list[QuestionLine] = []
    seen: dict[str, str] = {}
    for index, line in enumerate(read_lines(files_of(source))):
        value = line.value
        if isinstance(value, BadLine):
            refused.add(line.place, value.reason)
            continue
        text, gold, name = _question_in(value)
        if text is None or not text.strip():
            refused.add(line.place, "no `question`")
            continue
        if need_gold and (gold is None or not gold_text(gold).strip()):
            refused.add(line.place, "no gold answer")
            continue
        identity = str(name if name is not None else index)
        if identity in seen:
            refused.add(line.place, f"repeats an id ({identity!r} of {seen[identity]})")
            continue
        seen[identity] = line.place
        questions.append(QuestionLine(identity, index, text, None if gold is None else gold_text(gold), line.place))
    if not questions:
        first = f" ({refused.listed[0]})" if refused.listed else ""
        wanted = "give lines with `question`" + (" and `gold`" if need_gold else "")
        raise InputError(f"{source} holds no usable question{first}", "there is nothing to do", wanted)
    return questions


def _question_in(value: Any) -> tuple[str | None, Any, Any]:
    if not isinstance(value, Mapping):
        return None, None, None
    if problem_of(value) is None:
        from qlora.data import question_of
        from runtime.grade import final_answer

        return question_of(value["messages"]), final_answer(solutions_of(value["messages"])[-1]), value.get("id")
    text = next((value[key] for key in ("question", "problem") if isinstance(value.get(key), str)), None)
    return text, value.get("gold", value.get("answer")), value.get("id")


def write_lines(target: str | Path, values: Iterable[Any]) -> int:
    """Write `values` as JSON lines, gzipped where the name says so, atomically; returns how many."""
    count = 0
    target = Path(target)
    with atomic_path(target) as temporary:
        opener: Any = gzip.open if target.name.endswith(".gz") else open
        with opener(temporary, "wt", encoding="utf-8") as handle:
            for value in values:
                handle.write(json_line(value))
                count += 1
    return count


def beside(target: str | Path, word: str) -> Path:
    """The file beside `rows.jsonl` called `rows.WORD.jsonl`."""
    target = Path(target)
    stem = target.name.removesuffix(".gz").removesuffix(".jsonl")
    return target.with_name(f"{stem}.{word}.jsonl")

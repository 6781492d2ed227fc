"""Files of solved questions: our results lines, published outputs, and prediction/gold pairs.

`read_records` brings all three to one shape; grading, reports, comparison and inspection work on that.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from runtime.errors import DataError, InputError
from runtime.evaluate.known_sets import rule_of
from runtime.evaluate.results_file import meta_path, read_facts
from runtime.files import read_objects
from runtime.grade import final_answer, strict_equal
from runtime.grade.explain import difference
from runtime.grade.rules import EXACT, Rule, accepts
from runtime.lce import CONTROL_TOKENS, Block, parse


@dataclass(slots=True)
class Record:
    """One solution of one question, from any format.

    Attributes:
        set: the question set's name.
        answer: the final answer; None where there is none.
        last_block: content of the last block, whatever its type: what strict grading of published outputs looks at.
        line: the whole line it came from.
        rule: how the answer is compared, from the line's `grading` or the name of its set.
    """

    set: str
    id: str
    index: int
    sample: int
    question: str
    gold: str
    answer: str | None
    last_block: str | None
    blocks: list[Block]
    line: dict[str, Any] = field(repr=False)
    rule: Rule = EXACT

    @property
    def is_graded(self) -> bool:
        """Whether it says something of the model: not where the engine or the machine failed (status `error`)."""
        return self.line.get("status") != "error"

    @property
    def strict(self) -> bool:
        """Strict numeric verdict (see `grade_file`)."""
        return strict_equal(self.last_block, self.gold)

    @property
    def correct(self) -> bool:
        """The default grader's verdict, by the rule of the question's set."""
        return accepts(self.answer, self.gold, self.rule)

    @property
    def lenient(self) -> bool:
        """The lenient grader's verdict."""
        return accepts(self.answer, self.gold, self.rule, lenient=True)


def read_records(path: str | Path) -> list[Record]:
    """All attempts of a .jsonl file.

    Understood: results lines (`answer`, `gold`, `sample`, ...), published outputs (`blocks`, `completion`), and lines
    with `prediction` (or `answer`, or `completion`) and `gold`.

    Raises:
        InputError: the file cannot be read or holds nothing.
        DataError: a line has no gold answer, or nothing to grade.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"there is no file {path}", "nothing was graded", "check the path")
    stem = path.name.removesuffix(".gz").removesuffix(".jsonl")
    rows = read_objects(path, "nothing was graded")
    attempts = [_record(row, index, stem, path, number) for index, (number, row) in enumerate(rows)]
    if not attempts:
        raise InputError(f"{path} holds no lines", "nothing was graded", "check the file")
    return attempts


def _record(row: dict[str, Any], index: int, stem: str, path: Path, number: int) -> Record:
    if row.get("gold") is None:
        raise DataError(f"line {number} of {path} has no `gold`", "nothing was graded", "every line needs one")
    blocks = _blocks(row.get("blocks"), number, path) or _rendered(row.get("completion"))
    published = "completion" in row and "status" not in row
    if "prediction" in row:
        answer = last = _text(row["prediction"])
    elif published:
        answer = final_answer(blocks) if blocks else final_answer(_text(row["completion"]) or "")
        last = blocks[-1].content if blocks else _text(row["completion"])
    elif "answer" in row:
        answer = last = _text(row["answer"])
    elif "blocks" in row:
        answer = last = final_answer(blocks)
    else:
        raise DataError(
            f"line {number} of {path} has nothing to grade",
            "nothing was graded",
            "a line needs `answer`, `prediction`, `completion` or `blocks` beside `gold`",
        )
    name = str(row.get("set") or row.get("dataset") or stem)
    try:
        rule = rule_of(name, row)
    except ValueError as error:
        raise DataError(f"line {number} of {path}: {error}", "nothing was graded", "correct `grading`") from None
    return Record(
        set=name,
        id=str(row.get("id", index)),
        index=_whole(row.get("index"), index),
        sample=_whole(row.get("sample"), 0),
        question=str(row.get("question", "")),
        gold=gold_text(row["gold"]),
        answer=answer,
        last_block=last,
        blocks=blocks,
        line=row,
        rule=rule,
    )


def _blocks(value: Any, number: int, path: Path) -> list[Block]:
    if not value:
        return []
    try:
        return [Block.of(block) for block in value]
    except (TypeError, KeyError) as error:
        raise DataError(
            f"line {number} of {path} has `blocks` that are not a list of type and content",
            "nothing was graded",
            "write them as the released data does",
        ) from error


def _rendered(completion: Any) -> list[Block]:
    """The blocks of a completion that was kept with its control tokens; none for any other."""
    if not isinstance(completion, str) or not any(token in completion for token in CONTROL_TOKENS):
        return []
    try:
        return parse(completion)
    except ValueError:
        return []


def _whole(value: Any, otherwise: int) -> int:
    """`value` where it is a whole number, as ours are; another tool's key of that name may hold anything."""
    return value if isinstance(value, int) and not isinstance(value, bool) else otherwise


def _text(value: Any) -> str | None:
    return None if value is None else gold_text(value)


def gold_text(value: Any) -> str:
    """A gold answer as text; SVAMP stores its integers as floats (51.0), which read as 51."""
    if isinstance(value, float) and math.isfinite(value) and value.is_integer():
        return str(int(value))
    return str(value)


def grade_file(path: str | Path, strict: bool = False) -> dict[str, dict[str, Any]]:
    """Grade answers that already exist.

    Args:
        path: our results or published outputs (see `read_records`).
        strict: plain numbers only, within 1e-6, as it reproduces the published GSM8K and SVAMP cells. Of published
            outputs it looks at the last block whatever its type, because the published numbers did; the default grader
            never takes an answer that stands only in an execution.

    Returns:
        `{set: {"n", "correct", "accuracy"}}`, accuracy in percent to two decimals. Several samples of one question
        count each; lines with status `error` do not count.
    """
    return accuracy_table(read_records(path), strict=strict)


def accuracy_table(attempts: Iterable[Record], *, strict: bool = False) -> dict[str, dict[str, Any]]:
    """`{set: {n, correct, accuracy}}` of graded attempts, as they appear; accuracy None without any."""
    table: dict[str, dict[str, Any]] = {}
    for attempt in attempts:
        row = table.setdefault(attempt.set, {"n": 0, "correct": 0, "accuracy": None})
        if not attempt.is_graded:
            continue
        row["n"] += 1
        row["correct"] += attempt.strict if strict else attempt.correct
    for row in table.values():
        if row["n"]:
            row["accuracy"] = round(100 * row["correct"] / row["n"], 2)
    return table


def strict_differences(path: str | Path) -> list[dict[str, Any]]:
    """Every attempt on which the default grader and strict grading differ, with the reason.

    Returns:
        `{"set", "id", "sample", "answer", "gold", "strict", "correct", "reason"}` for each.
    """
    found = []
    for attempt in read_records(path):
        strict, correct = attempt.strict, attempt.correct
        if strict != correct and attempt.is_graded:
            found.append(
                {
                    "set": attempt.set,
                    "id": attempt.id,
                    "sample": attempt.sample,
                    "answer": attempt.answer,
                    "gold": attempt.gold,
                    "strict": strict,
                    "correct": correct,
                    "reason": difference(attempt.answer, attempt.gold),
                }
            )
    return found


def read_meta(path: str | Path) -> dict[str, Any]:
    """The facts of the run beside a results file, empty where there are none."""
    meta = meta_path(path)
    if not meta.is_file():
        return {}
    return read_facts(meta)

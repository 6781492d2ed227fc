"""From a recipe's data section to the token table, with an account of every row left out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qlora.data import BadRow, Row, RowSet, load_rows, problem_of, question_of, split_held_out
from qlora.settings import DataSettings
from qlora.token_cache import cached_table
from qlora.tokenized import TokenTable
from runtime.errors import DataError, InputError
from runtime.files import read_objects
from runtime.lce import SUPERVISED_KINDS

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Prepared:
    """Rows ready to train on.

    Attributes:
        rows: rows to train on, in file order; `table` has their tokens.
        held_out: rows kept out by the recipe's share.
        bad: invalid rows.
        too_long: rows over the context, with their tokens.
        left_out: rows dropped by a filter of the recipe, by filter.
        supervised: kinds that carry loss.
        loaded: how many valid rows the source holds.
    """

    source: RowSet
    rows: list[Row]
    table: TokenTable
    held_out: list[Row]
    too_long: list[tuple[Row, int]]
    left_out: dict[str, int]
    supervised: frozenset[str]

    @property
    def bad(self) -> list[BadRow]:
        """Invalid rows of the source."""
        return self.source.bad

    @property
    def supervised_per_row(self) -> NDArray[np.int64]:
        """int64 [rows]: tokens that carry loss."""
        return self.table.supervised_per_row(self.supervised)

    def account(self) -> dict[str, Any]:
        """What became of every row, for `run.json`."""
        return {
            "source": self.source.source,
            "files": [Path(file).name for file in self.source.files],
            "sha256": self.source.sha256,
            "rows": len(self.rows),
            "valid": len(self.source),
            "bad": [str(row) for row in self.bad],
            "held_out": len(self.held_out),
            "too_long": [{"row": row.place, "tokens": tokens} for row, tokens in self.too_long],
            "left_out": self.left_out,
            "tokens": self.table.tokens_per_kind(),
            "supervised_kinds": sorted(self.supervised),
        }


def prepare(data: DataSettings, tokenizer: Any, context: int) -> Prepared:
    """Load, filter, hold out and tokenize.

    Raises:
        InputError: a file is missing, or the filters leave nothing.
        DataError: bad rows beyond the set share, or rows without a supervised token.
    """
    source = load_rows(data.source, file=data.file, revision=data.revision, max_bad_percent=data.max_bad_percent)
    supervised = SUPERVISED_KINDS | ({"execution"} if data.train_on_execution else set())
    rows, held_out = split_held_out(source.rows, data.held_out_percent)
    left_out: dict[str, int] = {}
    if data.exclude_questions:
        excluded = _questions(data.exclude_questions)
        rows = _keep(rows, [row.question not in excluded for row in rows], left_out, "exclude_questions")
    if data.only_questions:
        wanted = _questions(data.only_questions)
        rows = _keep(rows, [row.question in wanted for row in rows], left_out, "only_questions")
    if data.blocks != "all":
        rows = [select_blocks(row, data.blocks) for row in rows]
        rows = _keep(rows, [problem_of({"messages": row.messages}) is None for row in rows], left_out, "blocks")
    if data.max_rows is not None:
        rows = rows[: data.max_rows]
    table = cached_table(rows, tokenizer)
    lengths = table.lengths
    too_long = [(row, int(length)) for row, length in zip(rows, lengths, strict=True) if length > context]
    if too_long:
        fits = [index for index, length in enumerate(lengths) if length <= context]
        rows, table = [rows[index] for index in fits], table.select(fits)
    if not rows:
        raise InputError(
            f"of {len(source)} rows none is left to train on ({len(held_out)} held out, {len(too_long)} over the "
            f"context of {context} tokens, {sum(left_out.values())} left out by filters)",
            "nothing was trained",
            "raise train.context, or check the filters under data",
        )
    prepared = Prepared(source, rows, table, held_out, too_long, left_out, frozenset(supervised))
    _refuse_masked(prepared)
    return prepared


def select_blocks(row: Row, blocks: str) -> Row:
    """The row with only its text blocks (`text`), or only its code blocks and their executions (`code`)."""
    kept = ("text",) if blocks == "text" else ("code", "execution")
    messages = [
        {**message, "content": [block for block in message["content"] if block["type"] in kept]}
        if message["role"] == "assistant"
        else message
        for message in row.messages
    ]
    return Row(messages, row.file, row.line)


def _keep(rows: list[Row], wanted: list[bool], left_out: dict[str, int], name: str) -> list[Row]:
    kept = [row for row, keep in zip(rows, wanted, strict=True) if keep]
    left_out[name] = len(rows) - len(kept)
    return kept


def _questions(files: list[str]) -> set[str]:
    questions: set[str] = set()
    for name in files:
        for number, value in read_objects(Path(name).expanduser(), "questions cannot be filtered"):
            questions.add(_question(value, f"{name}:{number}"))
    return questions


def _question(value: Any, place: str) -> str:
    if isinstance(value, dict) and isinstance(value.get("question"), str):
        return str(value["question"])
    if isinstance(value, dict) and problem_of(value) is None:
        return question_of(value["messages"])
    raise InputError(f"{place} has neither `question` nor `messages`", "questions cannot be filtered")


def _refuse_masked(prepared: Prepared) -> None:
    """Nothing is worse than a run that learns nothing: every row must have something to learn."""
    for row, count in zip(prepared.rows, prepared.supervised_per_row, strict=True):
        if count == 0:
            raise DataError(
                f"all labels of {row.place} are masked",
                "a row without labels is not trained on, so training does not start",
                "`mathcoder data show FILE` prints rows coloured by kind",
            )

"""Rows of MathCodeInstruct to token ids, with the kind of every token.

    rows = load_rows("train_80k.jsonl")
    encoded = encode(rows[0], tokenizer)     # input_ids, labels, kinds: one entry per token

A row is `{"messages": [{"role", "content": [{"type", "content"}, ...]}, ...]}`. Labels follow the kinds and nothing
else: -100 for the prompt and for execution results, the token itself for text, code and the markers the model writes.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple, overload

from qlora.sources import read_sources, resolve
from qlora.tokens import segment_tokenizer
from runtime.errors import DataError
from runtime.files import BadLine
from runtime.lce import BLOCK_TYPES, SUPERVISED_KINDS, Segment, segments

IGNORED = -100
"""Label of a token that carries no loss."""


@dataclass(frozen=True)
class Row:
    """One validated training row and where it came from. `row["messages"]` works too."""

    messages: list[dict[str, Any]]
    file: str = ""
    line: int = 0

    def __getitem__(self, key: str) -> Any:
        if key != "messages":
            raise KeyError(key)
        return self.messages

    @property
    def question(self) -> str:
        """Text of the first user message."""
        return question_of(self.messages)

    @cached_property
    def question_sha256(self) -> str:
        """Hex SHA-256 of the question: what decides about holding out, and the row's name in `run.json`."""
        return hashlib.sha256(self.question.encode()).hexdigest()

    @property
    def place(self) -> str:
        """`file:line` for messages to people."""
        return f"{self.file}:{self.line}" if self.file else "row"


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row that cannot be used, and why."""

    file: str
    line: int
    reason: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.reason}"


@dataclass(frozen=True)
class RowSet(Sequence[Row]):
    """The valid rows of a source, and an account of the others.

    Attributes:
        rows: valid rows in file order.
        bad: rows that failed validation.
        source: what was asked for.
        files: the files that were read.
        sha256: hash of the files' bytes, in order.
    """

    rows: list[Row]
    bad: list[BadRow] = field(default_factory=list)
    source: str = ""
    files: list[str] = field(default_factory=list)
    sha256: str = ""

    @overload
    def __getitem__(self, index: int) -> Row: ...
    @overload
    def __getitem__(self, index: slice) -> list[Row]: ...
    def __getitem__(self, index: int | slice) -> Row | list[Row]:
        return self.rows[index]

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[Row]:
        return iter(self.rows)


class Encoded(NamedTuple):
    """Token ids of one row; the three lists have one entry per token."""

    input_ids: list[int]
    labels: list[int]
    kinds: list[str]


def load_rows(
    source: str | Path, *, file: str | None = None, revision: str | None = None, max_bad_percent: float = 1.0
) -> RowSet:
    """Read and validate every row of `source`.

    Args:
        source: a `.jsonl`, `.jsonl.gz` or `.parquet` file, a folder of such files, or a hub data set id.
        file: for a hub id or a folder, the one file to read.
        revision: for a hub id, a branch, tag or commit.
        max_bad_percent: refuse when more than this share of the rows is bad (0 to 100). Bad rows within the share are
            left out and listed in `RowSet.bad`.

    Raises:
        InputError: no such file, folder or data set.
        DataError: a file that cannot be read to its end, no valid row, or too many bad rows (the first are listed).
    """
    files = resolve(str(source), file=file, revision=revision)
    rows: list[Row] = []
    bad: list[BadRow] = []
    digest = hashlib.sha256()
    for name, line, value in read_sources(files, digest):
        reason = value.reason if isinstance(value, BadLine) else problem_of(value)
        if reason is None:
            rows.append(Row(value["messages"], name, line))
        else:
            bad.append(BadRow(name, line, reason))
    result = RowSet(rows, bad, str(source), [str(path) for path in files], digest.hexdigest())
    _refuse_unusable(result, max_bad_percent)
    return result


def _refuse_unusable(result: RowSet, max_bad_percent: float) -> None:
    total = len(result.rows) + len(result.bad)
    if total == 0:
        raise DataError(f"{result.source} holds no rows", "there is nothing to train on", "check the file")
    percent = 100 * len(result.bad) / total
    if not result.rows or percent > max_bad_percent:
        listed = "; ".join(str(row) for row in result.bad[:5])
        more = f"; and {len(result.bad) - 5} more" if len(result.bad) > 5 else ""
        raise DataError(
            f"{len(result.bad)} of {total} rows of {result.source} are bad ({percent:.1f} %): {listed}{more}",
            f"refused, since at most {max_bad_percent:g} % may be bad" if result.rows else "there is nothing to use",
            "correct the rows"
            + (", or raise data.max_bad_percent in the recipe" if result.rows else "")
            + " (`mathcoder data check` lists the bad ones, `mathcoder data convert` reads other formats)",
        )


def problem_of(value: Any) -> str | None:
    """Why `value` is not a row one can train on, or None if it is one."""
    if not isinstance(value, Mapping):
        return f"a row is an object with a `messages` list, this is {type(value).__name__}"
    messages = value.get("messages")
    if not isinstance(messages, list) or not messages:
        return "`messages` is missing, empty or no list"
    roles = []
    for number, message in enumerate(messages):
        problem = _problem_of_message(message)
        if problem is not None:
            return f"messages[{number}]: {problem}"
        roles.append(message["role"])
    turns = roles[1:] if roles[0] == "system" else roles
    if not turns or len(turns) % 2 or any(role != ("user", "assistant")[i % 2] for i, role in enumerate(turns)):
        return f"roles are {', '.join(roles)}; expected an optional system, then user and assistant in turn"
    blocks = (block for message in messages if message["role"] == "assistant" for block in message["content"])
    if not any(block["type"] != "execution" and block["content"].strip() for block in blocks):
        return "the assistant wrote no text and no code, so nothing carries loss"
    if not question_of(messages).strip():
        return "the question is empty"
    return None


def _problem_of_message(message: Any) -> str | None:
    if not isinstance(message, Mapping) or message.get("role") not in ("system", "user", "assistant"):
        return "expected an object with role system, user or assistant"
    content = message.get("content")
    if not isinstance(content, list) or not content:
        return "`content` is missing, empty or no list"
    allowed = BLOCK_TYPES if message["role"] == "assistant" else ("text",)
    for number, block in enumerate(content):
        if not isinstance(block, Mapping) or block.get("type") not in allowed:
            return f"content[{number}]: `type` must be {' or '.join(allowed)} in a {message['role']} message"
        text = block.get("content")
        if not isinstance(text, str):
            return f"content[{number}]: `content` is {type(text).__name__}, expected a string"
        if not text.isascii() and any("\ud800" <= char <= "\udfff" for char in text):
            return f"content[{number}]: half of a surrogate pair, which is not Unicode text"
    return None


def question_of(messages: Sequence[Mapping[str, Any]]) -> str:
    """Text of the first user message, or '' where there is none."""
    for message in messages:
        if message["role"] == "user":
            return "\n".join(block["content"] for block in message["content"])
    return ""


def percentile(question: str) -> int:
    """`sha256(question) mod 100`: looks at nothing but the text, so that duplicates stay together."""
    return int(hashlib.sha256(question.encode()).hexdigest(), 16) % 100


def is_held_out(question: str, percent: int) -> bool:
    """Whether rows with this question are kept out of training: a longer file holds out the same."""
    return percentile(question) < percent


def split_held_out(rows: Sequence[Row], percent: int) -> tuple[list[Row], list[Row]]:
    """Rows to train on, and rows held out, both in order."""
    kept: list[Row] = []
    held: list[Row] = []
    for row in rows:
        (held if int(row.question_sha256, 16) % 100 < percent else kept).append(row)
    return kept, held


def encode(row: Row | Mapping[str, Any], tokenizer: Any, *, supervised: Collection[str] = SUPERVISED_KINDS) -> Encoded:
    """Token ids, labels and kinds of one row.

    Args:
        row: a `Row`, or a mapping with `messages` in the hub schema.
        tokenizer: a fast transformers tokenizer that has the eight control tokens (`qlora.tokens.add_control_tokens`),
            or speaks another dialect (`qlora.dialects.speak`).
        supervised: kinds that carry loss.

    Raises:
        ModelError: the tokenizer is not a fast one, or lacks control tokens.
        ValueError: messages outside the schema.
    """
    tokens = segment_tokenizer(tokenizer)
    input_ids = list(tokens.prefix)
    kinds: list[str] = ["prompt"] * len(input_ids)
    for segment in tokens.segments(row["messages"]):
        ids = tokens.ids(segment)
        input_ids += ids
        kinds += [segment.kind] * len(ids)
    return Encoded(input_ids, labels_of(input_ids, kinds, supervised), kinds)


def labels_of(input_ids: Sequence[int], kinds: Sequence[str], supervised: Collection[str]) -> list[int]:
    """The token where its kind is supervised, -100 elsewhere."""
    return [token if kind in supervised else IGNORED for token, kind in zip(input_ids, kinds, strict=True)]


def row_segments(row: Row | Mapping[str, Any], tokenizer: Any = None) -> list[Segment]:
    """The segments of a row, in the dialect of `tokenizer` or, without one, in the block format."""
    if tokenizer is None:
        return segments(row["messages"])
    return segment_tokenizer(tokenizer).segments(row["messages"])


def rows_to_jsonl(rows: Sequence[Row]) -> str:
    """Rows as JSON lines in the hub schema."""
    return "".join(json.dumps({"messages": row.messages}, ensure_ascii=False) + "\n" for row in rows)

"""The rows a certificate compares models on: held-out rows, tokenized as training tokenizes them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runtime.errors import DataError
from runtime.files import read_objects

if TYPE_CHECKING:
    import numpy as np

KIND_GROUPS = ("text", "code", "control")
"""Kinds of supervised tokens; perplexity is given for each apart."""


@dataclass(frozen=True)
class Sample:
    """One held-out row.

    Attributes:
        question: the first user message.
        input_ids: token ids, BOS included where the tokenizer adds it.
        positions: indices `i` whose token is supervised; the logits at `i - 1` predict it.
        kinds: kind of each of these tokens.
        segments: `(text, is_control)` in order, for a second tokenizer to tokenize.
    """

    question: str
    input_ids: list[int]
    positions: list[int]
    kinds: list[str]
    segments: list[tuple[str, bool]]

    def as_dict(self) -> dict[str, Any]:
        """For a worker process."""
        return vars(self)


@dataclass(frozen=True)
class Samples:
    """The rows that are compared, and an account of the others."""

    rows: list[Sample]
    available: int
    too_long: int

    @property
    def positions(self) -> int:
        """Supervised positions in all."""
        return sum(len(row.positions) for row in self.rows)

    def targets(self) -> np.ndarray:
        """Supervised token ids of all rows, int64."""
        import numpy as np

        return np.array([row.input_ids[i] for row in self.rows for i in row.positions], dtype=np.int64)

    def kinds(self) -> list[str]:
        """Kind of each supervised token."""
        return [kind for row in self.rows for kind in row.kinds]


def read_samples(file: Path, tokenizer: Any, *, rows: int, context: int, max_positions: int) -> Samples:
    """Up to `rows` rows of `file`, spread evenly, tokenized, with at most `max_positions` supervised.

    Raises:
        DataError: the file holds no usable row.
    """
    from qlora.data import encode, row_segments

    messages = list(read_messages(file))
    step = max(1.0, len(messages) / max(1, rows))
    chosen = [messages[int(index * step)] for index in range(min(rows, len(messages)))]
    result: list[Sample] = []
    too_long = used = 0
    for row in chosen:
        encoded = encode({"messages": row}, tokenizer)
        positions = [i for i, label in enumerate(encoded.labels) if label != -100 and i > 0]
        if len(encoded.input_ids) > context:
            too_long += 1
            continue
        if used + len(positions) > max_positions and result:
            break
        used += len(positions)
        result.append(
            Sample(
                question=question_of(row),
                input_ids=list(encoded.input_ids),
                positions=positions,
                kinds=[encoded.kinds[i] for i in positions],
                segments=[(piece.text, piece.is_control) for piece in row_segments({"messages": row}, tokenizer)],
            )
        )
    if not result or used == 0:
        raise DataError(
            f"{file} holds no row with supervised tokens within {context} tokens",
            "nothing can be certified on it",
            "give other rows with held_out, or raise certify.context",
        )
    return Samples(result, len(messages), too_long)


def read_messages(file: Path) -> Iterator[list[dict[str, Any]]]:
    """The messages of every row of a `.jsonl` file in the hub schema.

    Raises:
        DataError: a line that is not a row.
    """
    for number, row in read_objects(file, "nothing can be certified on it"):
        if not isinstance(row.get("messages"), list):
            message = f"line {number} of {file} is not a row: it has no `messages`"
            raise DataError(message, "nothing can be certified on it", "give a file of rows as held_out")
        yield row["messages"]


def question_of(messages: list[dict[str, Any]]) -> str:
    """Text of the first user message."""
    for message in messages:
        if message["role"] == "user":
            return "\n".join(block["content"] for block in message["content"])
    return ""

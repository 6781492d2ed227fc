"""The variants of an ablation, and the rule by which each one's rows come from the same LCE rows.

Rules, all of them functions of one row:

- `lce`: the row as it is.
- `text`: text blocks alone, for a chain of thought. What the code found is said in words: the last line of each
  execution's output becomes the sentence "The result is X." at the end of the text before it. An execution that failed
  or printed nothing says nothing, and neither does one whose last line is longer than 200 characters.
- `code`: one code block and its result, for a program of thought. The row's code blocks are joined in order, without
  those whose execution failed; the execution is the last block's. A row whose last output is not its answer is left
  out: there the answer came from the text, and a program alone would teach another one.
- `no_text`: text before the code is removed; code and executions stay, and at the end the bare answer. A row that
  states no answer is left out.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from qlora.data import Row, problem_of
from runtime.errors import InputError
from runtime.evaluate.report import failed_execution
from runtime.grade import equivalent, final_answer
from runtime.lce import EMPTY_EXECUTION, Block
from runtime.solver.modes import printed_answer
from runtime.text import did_you_mean

LONGEST_RESULT = 200
"""Characters of a result that a text-only row repeats."""

Blocks = list[Block]


@dataclass(frozen=True)
class Variant:
    """One variant.

    Attributes:
        name: as `--variants` calls it.
        says: what it takes away, in a line.
        rows: the rule of its rows, a key of RULES.
        share: of the rows, drawn by the hash of the question, so that a smaller share is part of a larger one.
        original_only: without the interpolated rows.
        on_execution: whether executions carry loss.
        rank: of the adapter; None for the recipe's. `alpha / r` stays.
        mode: how its model solves, a mode of `mathcoder eval`.
        is_main: whether it is trained at equal supervised tokens too.
    """

    name: str
    says: str
    rows: str = "lce"
    share: float = 1.0
    original_only: bool = False
    on_execution: bool = False
    rank: int | None = None
    mode: str = "full"
    is_main: bool = field(default=False, compare=False)

    @property
    def training(self) -> tuple[Any, ...]:
        """What decides the trained weights: variants that agree in it are trained once."""
        return self.rows, self.share, self.original_only, self.on_execution, self.rank


LCE = Variant("lce", "text, code and executions; no loss on executions", is_main=True)
_NAMED = (
    LCE,
    Variant("execution-loss", "loss on executions too", on_execution=True, is_main=True),
    Variant("text-only", "chain of thought", rows="text", mode="chain-of-thought", is_main=True),
    Variant("code-only", "program of thought", rows="code", mode="program-of-thought", is_main=True),
    Variant("no-interpolated", "without interpolated rows", original_only=True),
    Variant("imagined", "loss on executions, and the model writes them itself", on_execution=True, mode="imagined",
            is_main=True),
    Variant("no-text", "code and executions, then the bare answer", rows="no_text"),
)  # fmt: skip
NAMED = {variant.name: variant for variant in _NAMED}
DEFAULT = (*NAMED, "rows-50", "rank-4")
_NUMBERED = re.compile(r"(rows|rank)-(\d{1,4})")


def variant_of(name: str) -> Variant:
    """The variant called `name`: one of NAMED, `rows-N` (percent of the rows) or `rank-N`.

    Raises:
        InputError: there is none.
    """
    name = name.strip().lower()
    if name in NAMED:
        return NAMED[name]
    if match := _NUMBERED.fullmatch(name):
        number = int(match[2])
        if match[1] == "rows" and 1 <= number < 100:
            return Variant(name, f"{number} % of the rows", share=number / 100)
        if match[1] == "rank" and 1 <= number <= 1024:
            return Variant(name, f"rank {number}", rank=number)
    raise InputError(
        f"unknown variant {name!r}",
        "nothing was started",
        did_you_mean(name, NAMED, "did you mean {}? ")
        + f"The variants are {', '.join(NAMED)}, rows-N (percent, 1 to 99) and rank-N (1 to 1024)",
    )


# Rules


def _lce(blocks: Blocks) -> Blocks:
    return blocks


def _text(blocks: Blocks) -> Blocks:
    found: Blocks = []
    for block in blocks:
        if block.type == "text":
            found.append(block)
        elif block.type == "execution" and (said := _said(block.content)):
            if found and found[-1].type == "text":
                found[-1] = Block("text", f"{found[-1].content.rstrip()}\n\n{said}")
            else:
                found.append(Block("text", said))
    return found


def _said(output: str) -> str:
    """The sentence that stands for an execution in a row of text alone; empty where nothing is to say."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    if not lines or output.strip() == EMPTY_EXECUTION or failed_execution(output) or len(lines[-1]) > LONGEST_RESULT:
        return ""
    return f"The result is {lines[-1]}."


def _code(blocks: Blocks) -> Blocks | None:
    codes: list[str] = []
    result: Block | None = None
    pending: str | None = None
    for block in blocks:
        if block.type == "code":
            pending = block.content
        elif block.type == "execution" and pending is not None:
            if not failed_execution(block.content):
                codes.append(pending.strip("\n"))
                result = block
            pending = None
    answer = final_answer(blocks)
    if not codes or result is None or answer is None:
        return None
    program = [Block("code", "\n".join(codes)), Block("execution", result.content)]
    printed = printed_answer(program)
    return program if printed is not None and equivalent(printed, answer) else None


def _no_text(blocks: Blocks) -> Blocks | None:
    answer = final_answer(blocks)
    kept = [block for block in blocks if block.type != "text"]
    return [*kept, Block("text", answer)] if answer is not None and kept else None


RULES: dict[str, Callable[[Blocks], Blocks | None]] = {"lce": _lce, "text": _text, "code": _code, "no_text": _no_text}
"""From the blocks of one solution to those of the variant; None leaves the row out."""


@dataclass(frozen=True)
class Derived:
    """A variant's rows, and how many LCE rows gave none."""

    rows: list[Row]
    left_out: int


def derive(
    rows: Sequence[Row],
    variant: Variant,
    originals: Collection[str] | None = None,
    *,
    may_be_empty: bool = False,
) -> Derived:
    """The rows of `variant`, in order.

    Args:
        rows: LCE rows.
        variant: which rule and how many.
        originals: questions that are not interpolated; needed by `original_only`.
        may_be_empty: whether no row at all is an answer, as for held-out rows.

    Raises:
        InputError: none is left, or nobody said which rows are interpolated.
    """
    if variant.original_only and originals is None:
        raise InputError(
            f"nobody said which rows are interpolated, so that {variant.name} would be the same as {LCE.name}",
            "nothing was started",
            "name .jsonl files with the questions that are not, with --original, or leave the variant out",
        )
    found = []
    for row in rows:
        if variant.original_only and originals is not None and row.question not in originals:
            continue
        if variant.share < 1 and _place(row.question) >= variant.share:
            continue
        messages = [_message(message, RULES[variant.rows]) for message in row.messages]
        if all(message is not None for message in messages) and problem_of({"messages": messages}) is None:
            found.append(Row([message for message in messages if message is not None], row.file, row.line))
    if not found and not may_be_empty:
        raise InputError(
            f"of {len(rows):,} rows none is left for the variant {variant.name} ({variant.says})",
            "nothing was started",
            f"leave it out of --variants, or give rows that have what it keeps (rule `{variant.rows}`)",
        )
    return Derived(found, len(rows) - len(found))


def _message(message: Mapping[str, Any], rule: Callable[[Blocks], Blocks | None]) -> dict[str, Any] | None:
    if message["role"] != "assistant":
        return dict(message)
    blocks = rule([Block(block["type"], block["content"]) for block in message["content"]])
    if not blocks:
        return None
    return {**message, "content": [{"type": block.type, "content": block.content} for block in blocks]}


def _place(question: str) -> float:
    """Where a question stands between 0 and 1, by another hash than the one that holds out rows."""
    digest = hashlib.sha256(f"ablation rows\n{question}".encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64

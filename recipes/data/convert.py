"""`data convert`: rows of other formats into ours, their code run, and ours into theirs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from qlora.data import problem_of
from recipes.data.formats import Format, detect, read
from recipes.data.journal import journaled
from recipes.data.outputs import agreement
from recipes.data.records import Dialogue, FormatError
from recipes.data.renumber import with_copies
from recipes.data.rows import beside, files_of, read_lines, sha256_of, write_lines
from recipes.data.verdict import run_cells
from runtime.files import BadLine, Line
from runtime.lce import Block

if TYPE_CHECKING:
    from runtime.sandbox import Limits

Target = Literal["lce", "fenced", "tools"]
TARGETS: tuple[Target, ...] = ("lce", "fenced", "tools")


@dataclass
class ConvertReport:
    """What was converted. `differing` counts executions that came out otherwise than the record had them."""

    read: Counter[str] = field(default_factory=Counter)
    written: int = 0
    cells: int = 0
    failed_cells: int = 0
    differing: int = 0
    left_out: Counter[str] = field(default_factory=Counter)

    def as_dict(self) -> dict[str, Any]:
        """For `--json`."""
        return {
            "read": dict(self.read),
            "written": self.written,
            "cells": self.cells,
            "failed_cells": self.failed_cells,
            "executions_that_differ_from_the_record": self.differing,
            "left_out": dict(self.left_out.most_common()),
        }


@dataclass
class _Result:
    """One record's outcome: `value` to be written, or `reason`. `place` names the record to people."""

    place: str
    format: str
    value: Any = None
    reason: str = ""
    cells: int = 0
    failed: int = 0
    differing: int = 0


def convert(
    source: str,
    out: str | Path,
    to: Target = "lce",
    *,
    declared: Format | None = None,
    run: bool | None = None,
    bare_answer: bool = False,
    copies: int = 0,
    limits: Limits | None = None,
    sessions: int | None = None,
    fresh: bool = False,
    on_progress: Callable[[int], None] | None = None,
) -> ConvertReport:
    """Convert every record of `source`; the rest is listed with reasons in `out`'s `left-out` file.

    Both files appear whole or not at all. A call that was killed goes on where it stopped: what was converted is in a
    journal until `out` is written.

    Args:
        to: the format written.
        declared: the format of all records; by default each is looked at.
        run: make executions by running the code. By default where the target is `lce` and the record is not.
        bare_answer: where a solution's last text boxes its answer, add a text block with that answer alone, which is
            how the released rows end and what the solver shows as the answer.
        copies: of each question with an equation, copies with other numbers (`recipes.data.renumber`).
        sessions: sandbox sessions at once.
        fresh: forget what an interrupted call has converted.
        on_progress: called with the number of records done so far.

    Raises:
        InputError: no such source, or another process converts it just now.
        SandboxError: code has to be run and cannot be isolated on this machine.
    """
    from runtime.sandbox import Limits

    bounds = limits or Limits(cell_seconds=10.0)
    files = files_of(source)
    asked: dict[str, Any] = {
        "source": source,
        "sha256": sha256_of(files),
        "to": to,
        "from": declared,
        "run": run,
        "bare": bare_answer,
    }
    if copies:
        asked["copies"] = copies
    facts = {"data": asked, "limits": bounds.model_dump(mode="json")}
    report = ConvertReport()
    left_out: list[dict[str, Any]] = []

    def work(_: int, line: Line) -> dict[str, Any]:
        return vars(convert_one(line, to, declared, run, bounds, bare_answer=bare_answer))

    def rows(results: Iterator[dict[str, Any]]) -> Iterator[Any]:
        for result in (_Result(**item) for item in results):
            report.read[result.format] += 1
            report.cells += result.cells
            report.failed_cells += result.failed
            report.differing += result.differing
            if result.reason:
                report.left_out[result.reason.split(":")[0].split(" (")[0]] += 1
                left_out.append({"place": result.place, "format": result.format, "reason": result.reason})
            else:
                report.written += 1
                yield result.value

    with journaled(
        "convert",
        with_copies(read_lines(files), copies),
        work,
        facts,
        sessions=sessions,
        fresh=fresh,
        on_progress=on_progress,
    ) as results:
        write_lines(out, rows(results))
        write_lines(beside(out, "left-out"), left_out)
    return report


def convert_one(
    line: Line, to: Target, declared: Format | None, run: bool | None, limits: Limits, *, bare_answer: bool = False
) -> _Result:
    """One record, converted or with the reason why not."""
    from recipes.data import fenced, tools

    value = line.value
    if isinstance(value, BadLine):
        return _Result(line.place, "unreadable", reason=value.reason)
    found = declared or detect(value)
    result = _Result(line.place, found or "unknown")
    try:
        dialogue = read(value, declared)
        wanted = run if run is not None else (to == "lce" and found != "lce")
        messages = dialogue.messages(_executed(dialogue, limits, result) if wanted else None)
        if (reason := problem_of({"messages": messages})) is not None:
            raise FormatError(reason)
        if dialogue.checked and wanted:
            _hold_to_gold(messages, dialogue)
        if bare_answer:
            _add_bare_answers(messages)
        result.value = {"messages": messages} if to == "lce" else (fenced if to == "fenced" else tools).write(messages)
    except FormatError as error:
        result.reason = str(error)
    except (KeyError, TypeError, AttributeError, IndexError) as error:
        # A foreign record whose shape promises a format and then breaks it.
        result.reason = f"broken record: {type(error).__name__} {error}"
    return result


def _executed(dialogue: Dialogue, limits: Limits, result: _Result) -> list[tuple[str, list[Block]]]:
    """The turns with true executions in place of whatever was recorded.

    Raises:
        FormatError: a cell that ran out of time or was killed.
    """
    from runtime.solver import cleaned

    codes = [block.content for _, blocks in dialogue.turns for block in blocks if block.type == "code"]
    outcomes = iter(run_cells(codes, limits))
    turns = []
    for question, blocks in dialogue.turns:
        fresh: list[Block] = []
        for position, block in enumerate(blocks):
            if block.type == "execution":
                continue
            fresh.append(block)
            if block.type != "code":
                continue
            outcome = next(outcomes)
            result.cells += 1
            result.failed += outcome.status == "error"
            if outcome.status in ("timeout", "killed"):
                raise FormatError(f"a cell that did not end: block {position}, {outcome.status}")
            output = cleaned(outcome.output)
            follows = blocks[position + 1] if position + 1 < len(blocks) else None
            if follows is not None and follows.type == "execution":
                result.differing += agreement(follows.content, output) == "differs"
            fresh.append(Block("execution", output))
        turns.append((question, fresh))
    return turns


def _hold_to_gold(messages: list[dict[str, Any]], dialogue: Dialogue) -> None:
    from runtime.grade import strict_equal

    executions = [block["content"] for block in messages[-1]["content"] if block["type"] == "execution"]
    if not executions or not strict_equal(executions[-1], dialogue.gold):
        raise FormatError(f"the last execution is not the gold answer: {executions[-1:]} for {dialogue.gold!r}")


def _add_bare_answers(messages: list[dict[str, Any]]) -> None:
    from runtime.grade import last_boxed

    for message in messages:
        last = message["content"][-1]
        if message["role"] == "assistant" and last["type"] == "text" and (box := last_boxed(last["content"])):
            message["content"].append({"type": "text", "content": box})

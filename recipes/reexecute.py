"""Running the code of recorded rows again, many sessions at once, and comparing what comes out."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from runtime.lce import Block

if TYPE_CHECKING:
    from qlora.data import Row
    from runtime.sandbox import Limits

SESSIONS = 4
"""Sandbox sessions at once: a cell waits more than it computes."""
PATIENCE = 30.0
"""Seconds a cell may take here: on a busy machine an honest result must not be taken for a time-out."""
WIDE = 200_000
"""Output limit here: a recorded result is compared whole."""


@dataclass(frozen=True)
class Difference:
    """One execution that came out otherwise.

    Attributes:
        place: file and line of the row.
        block: which block of the solution, from 0.
        cause: see `cause_of`.
    """

    place: str
    block: int
    cause: str
    recorded: str
    now: str

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


@dataclass
class Reexecution:
    """What came of running rows again: `causes` counts every cell, `equal` among them."""

    cells: int = 0
    causes: Counter[str] = field(default_factory=Counter)
    differences: list[Difference] = field(default_factory=list)


def reexecute(
    rows: Iterable[Row], *, limits: Limits | None = None, on_row: Callable[[int], None] | None = None
) -> Reexecution:
    """Run every code block of `rows`, each row in a fresh session, and compare with what is recorded.

    Args:
        rows: validated rows.
        limits: of the sessions; by default the usual ones with room for long outputs.
        on_row: called with the number of rows done so far.

    Raises:
        SandboxError: code cannot be isolated on this machine.
    """
    from runtime.sandbox import Limits

    bounds = limits or Limits(output_chars=WIDE, cell_seconds=PATIENCE)
    result = Reexecution()
    with ThreadPoolExecutor(SESSIONS) as threads:
        for count, found in enumerate(threads.map(lambda row: _row(row, bounds), rows), start=1):
            for place, block, cause, recorded, now in found:
                result.cells += 1
                result.causes[cause] += 1
                if cause != "equal":
                    result.differences.append(Difference(place, block, cause, recorded, now))
            if on_row is not None:
                on_row(count)
    return result


def _row(row: Row, limits: Limits) -> list[tuple[str, int, str, str, str]]:
    from runtime.sandbox import Sandbox
    from runtime.solver import cleaned

    found = []
    place = f"{row.file}:{row.line}"
    with Sandbox(limits) as sandbox:
        for blocks in solutions_of(row.messages):
            for position, block in enumerate(blocks):
                if block.type != "code":
                    continue
                result = sandbox.run(block.content)
                follows = blocks[position + 1] if position + 1 < len(blocks) else None
                recorded = follows.content if follows is not None and follows.type == "execution" else None
                now = cleaned(result.output)
                found.append((place, position, cause_of(recorded, now, result.status), recorded or "", now))
    return found


def cause_of(recorded: str | None, now: str, status: str) -> str:
    """Why a recorded execution and a fresh one differ, in a few words; `equal` where they do not."""
    if recorded is None:
        return "no recorded execution"
    if recorded.strip() == now.strip():
        return "equal"
    if status in ("timeout", "killed"):
        return "time-out" if status == "timeout" else "killed"
    failed_before, failed_now = "Traceback" in recorded, "Traceback" in now
    if failed_before and failed_now:
        return "both fail, with other words"
    if failed_now:
        return "fails now"
    return "failed before" if failed_before else "differs"


def solutions_of(messages: Sequence[Any]) -> list[list[Block]]:
    """The blocks of each assistant message."""
    return [
        [Block(block["type"], block["content"]) for block in message["content"]]
        for message in messages
        if message["role"] == "assistant"
    ]


def imports_of(code: str) -> set[str]:
    """Top-level names of the modules that `code` imports; none where it is no valid Python."""
    try:
        tree = ast.parse(code)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return set()
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module.partition(".")[0])
    return names

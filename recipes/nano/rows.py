"""Rows for fine-tuning the nano base: problems whose every execution came from the sandbox."""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from recipes.nano import family
from recipes.nano.problems import Problem, mentions_held_out_number, training_problems
from runtime.errors import DataError
from runtime.files import atomic_path, cache_folder, sha256_file
from runtime.sandbox import Limits, Sandbox

ROWS = 3600
"""Rows that the nano recipe trains on."""

SESSIONS = 3
"""Sandbox sessions at once: a cell waits more than it computes."""

CHUNK = 16
"""Problems that share a session. Their code assigns every name it reads, which the tests hold by running it alone."""


def training_rows_path(n: int = ROWS, seed: int = 1, *, on_row: Callable[[int], None] | None = None) -> Path:
    """Path of `n` rows in the hub schema, made on the first call and kept in the cache.

    Args:
        n: how many rows.
        seed: which problems.
        on_row: called with the number of rows done so far.

    Raises:
        DataError: a template's code failed in the sandbox, or its output is not the problem's right answer.
        SandboxError: code cannot be isolated on this machine.
    """
    folder = cache_folder() / "nano"
    target = folder / f"rows-{n}-{seed}-{_templates_hash()}.jsonl"
    if not target.exists():
        write_rows(target, n, seed, on_row=on_row)
    return target


ROW_LIMITS = Limits(cell_seconds=60.0)
"""The code is our own and takes milliseconds; sandboxes have the lowest priority, and a busy machine is no mistake."""


def write_rows(target: Path, n: int, seed: int, *, on_row: Callable[[int], None] | None = None) -> None:
    """Execute `n` training problems in the sandbox and write their rows to `target`."""
    problems = training_problems(3 * n, seed)
    rows: list[str] = []
    with ThreadPoolExecutor(SESSIONS) as threads:
        while len(rows) < n:
            chunks = [list(itertools.islice(problems, CHUNK)) for _ in range(2 * SESSIONS)]
            for chunk in threads.map(_executed_rows, chunks):
                rows += chunk
                if on_row:
                    on_row(min(len(rows), n))
    with atomic_path(target) as temporary:
        temporary.write_text("".join(rows[:n]), encoding="utf-8")


def _executed_rows(problems: list[Problem]) -> list[str]:
    with Sandbox(ROW_LIMITS) as sandbox:
        return [row for problem in problems if (row := _executed_row(problem, sandbox))]


def _executed_row(problem: Problem, sandbox: Sandbox) -> str | None:
    """The row as a line of JSON; None where its outputs name a number that only evaluation may use."""
    blocks = problem.blocks(lambda codes: [sandbox.run(code).output for code in codes])
    if blocks[-1].content != problem.gold:
        raise DataError(
            f"family {problem.family.name}: the code gives {blocks[-1].content!r}, right is {problem.gold!r}",
            "No training rows were written",
            "Mend the family's template",
        )
    if mentions_held_out_number(problem.question, blocks):
        return None
    return json.dumps(problem.row_of(blocks)) + "\n"


def execute_in_sandbox(codes: list[str]) -> list[str]:
    """Outputs of one solution's code blocks, run in one fresh session."""
    with Sandbox(ROW_LIMITS) as sandbox:
        return [sandbox.run(code).output for code in codes]


def _templates_hash() -> str:
    folder = Path(family.__file__).parent
    files = sorted([*folder.glob("families/*.*"), folder / "words.py", folder / "family.py", folder / "problems.py"])
    return hashlib.sha256("".join(map(sha256_file, files)).encode()).hexdigest()[:8]

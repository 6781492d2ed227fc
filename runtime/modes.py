"""Modes of a solution: the full loop, and the baselines that take one part of it away.

They exist to measure what each part is worth (`mathcoder eval --mode`), so each is a restriction of the very same loop:
the reader of a dialect decides what the model may begin, `runtime.attempt` what an execution is and when it is over.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from runtime.lce import EMPTY_EXECUTION, Block

Mode = Literal["full", "chain-of-thought", "program-of-thought", "imagined"]
"""
full: text, code and real executions, as often as the model wants.
chain-of-thought: no code; the model may begin text blocks only.
program-of-thought: one code block, run once; what it printed is the answer and the model writes nothing further
    (Chen et al., arXiv 2211.12588).
imagined: the model writes the execution blocks itself and no code is run (the ablation of arXiv 2310.03731). In every
    other mode an execution block can come from the runtime alone.
"""
WITHOUT_CELLS: frozenset[Mode] = frozenset({"chain-of-thought", "imagined"})
"""Modes in which no code is ever run."""


def printed_answer(blocks: Sequence[Block]) -> str | None:
    r"""The answer of a program of thought: the last line its one cell printed, or the `\boxed{}` in it.

    What the sandbox itself adds (that output was left out, that variables are lost) the cell did not print.

    None where the solution does not end in an execution or nothing was printed. Whether the cell failed is not in the
    blocks; the loop knows it and does not ask here then.
    """
    if not blocks or blocks[-1].type != "execution":
        return None
    # Here, so that settings can be read without the grader and the sandbox.
    from runtime.grade import last_boxed
    from runtime.sandbox.session import NOTICE

    # A cell's own line of that look is indented, so that it is none of these.
    printed = "\n".join(line for line in blocks[-1].content.split("\n") if not line.startswith(NOTICE))
    lines = [line.strip() for line in printed.splitlines() if line.strip()]
    if not lines or lines[-1] == EMPTY_EXECUTION:
        return None
    return last_boxed(lines[-1]) or lines[-1]

"""Modes of a solution: the full loop, and the baselines that take one part of it away.

They exist to measure what each part is worth (`mathcoder eval --mode`), so each is a restriction of the very same loop:
the reader of a dialect decides what the model may begin, `runtime.solver.attempt` what an execution
is and when it is over.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from decimal import Decimal

from runtime.lce import EMPTY_EXECUTION, Block


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
    from runtime.sandbox import NOTICE

    # A cell's own line of that look is indented, so that it is none of these.
    printed = "\n".join(line for line in blocks[-1].content.split("\n") if not line.startswith(NOTICE))
    lines = [line.strip() for line in printed.splitlines() if line.strip()]
    if not lines or lines[-1] == EMPTY_EXECUTION:
        return None
    return last_boxed(lines[-1]) or lines[-1]


_NUMBER = re.compile(r"(?<![\w.])\d+(?:\.\d+)?(?!\w|\.\d)")
_TRUTH = {"True": "False", "False": "True"}
_STEP, _TAIL = 111, 15


def wrong_result(output: str, question: str) -> str:
    """`output` with every number replaced by another of its kind that is not in `question`.

    Truth values are turned over; a result with neither stays as it is. A model that reads what its code gives answers
    with something else then.
    """
    asked = {Decimal(number) for number in _NUMBER.findall(question)}

    def other(found: re.Match[str]) -> str:
        whole, dot, decimals = found.group().partition(".")
        # In text: a cell may print more digits than Decimal computes with, or int reads.
        head, tail = whole[:-_TAIL], int(whole[-_TAIL:])
        for k in range(1, len(asked) + 2):
            moved = f"{head}{(tail + k * _STEP) % 10**_TAIL:0{_TAIL}d}" if head else str(tail + k * _STEP)
            if Decimal(new := f"{moved}{dot}{decimals}") not in asked:
                break
        return new

    if _NUMBER.search(output):
        return _NUMBER.sub(other, output)
    return _TRUTH.get(output.strip(), output)

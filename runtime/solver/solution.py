"""What is told of a solution: events while it is written, and the result."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

from runtime.engine.trajectory import Trajectory
from runtime.lce import Block, BlockType

SolutionStatus = Literal[
    "answered",
    "no_answer",
    "block_limit",
    "token_limit",
    "time_limit",
    "context_full",
    "repeated_error",
    "interrupted",
    "error",
]


# Events


@dataclass(frozen=True, slots=True)
class BlockStarted:
    """A block begins. For `execution`: the cell starts to run now."""

    type: BlockType
    thinking: bool = False
    """Of a text block: whether it is thinking, see `runtime.lce.Block`."""


@dataclass(frozen=True, slots=True)
class TextPiece:
    """A piece of the open text or code block, as soon as it is whole characters."""

    type: BlockType
    text: str


@dataclass(frozen=True, slots=True)
class BlockEnded:
    """The open block is complete."""

    block: Block


@dataclass(frozen=True, slots=True)
class Execution:
    """A cell has run. Comes between the BlockStarted and the BlockEnded of its execution block."""

    code: str
    output: str
    status: str
    seconds: float
    images: tuple[bytes, ...] = ()
    is_stopped: bool = False
    """Whether the cell did not run to its end."""


Event = BlockStarted | TextPiece | BlockEnded | Execution
OnEvent = Callable[[Event], None]
OnExecution = Callable[[str, str], str]
"""(code, output) -> the output the model is shown."""


# Results


@dataclass
class Solution:
    """What came of one question.

    Attributes:
        blocks: everything written, executions included.
        answer: the final answer; where a budget ended the solution, the last boxed one so far; else None.
        status: how it ended; `answered` and `no_answer` are the model's own ends.
        tokens: `prompt`, `generated` (by the model) and `execution` (put in by the runtime).
        evaluated: tokens given to the model. Without parking this is prompt + generated + execution - reused - 1: each
            once, and the last drawn token never, since nothing follows it.
        reused: prompt tokens found in the cache.
        cells: cells run.
        failed_cells: cells that ended with an error, a time-out or a kill.
        ms: wall-clock milliseconds `decode`, `execution`, `wall`.
        seconds: wall-clock seconds in all.
        seed: seed of this solution's sampler.
        detail: why it ended, where the status needs words.
        notices: what the sandbox itself said of a cell (time-out, lost variables, cut output), by the index of its
            execution block. The block shows it, too, but what a cell printed may look the same.
        stopped: indices of execution blocks whose cells did not run to their end.
        repeats: how often the cache had to be given up and read again (batches that share a small context).
        runs_cells: whether code was run in this mode, so that executions are results.
        trajectory: what was drawn with which probability, where it was asked for; no part of `as_dict`.
    """

    blocks: list[Block]
    answer: str | None
    status: SolutionStatus
    tokens: dict[str, int] = field(default_factory=lambda: {"prompt": 0, "generated": 0, "execution": 0})
    cells: int = 0
    failed_cells: int = 0
    seconds: float = 0.0
    seed: int = 0
    evaluated: int = 0
    reused: int = 0
    ms: dict[str, float] = field(default_factory=lambda: {"decode": 0.0, "execution": 0.0, "wall": 0.0})
    detail: str = ""
    repeats: int = 0
    notices: dict[int, list[str]] = field(default_factory=dict)
    stopped: list[int] = field(default_factory=list)
    runs_cells: bool = False
    trajectory: Trajectory | None = field(default=None, repr=False)

    @cached_property
    def is_supported(self) -> bool | None:
        """Whether an executed result shows the answer; None without an answer, or where no code is run."""
        if self.answer is None or not self.runs_cells:
            return None
        from runtime.solver.support import is_supported

        return is_supported(self.answer, self.blocks)

    def as_dict(self) -> dict[str, Any]:
        """Everything, with blocks in the hub schema; ready for JSON."""
        return {
            "blocks": [block.as_dict() for block in self.blocks],
            "answer": self.answer,
            "status": self.status,
            "detail": self.detail,
            "tokens": dict(self.tokens),
            "evaluated": self.evaluated,
            "reused": self.reused,
            "repeats": self.repeats,
            "notices": {str(index): notices for index, notices in self.notices.items()},
            "stopped": list(self.stopped),
            "cells": self.cells,
            "failed_cells": self.failed_cells,
            "ms": {key: round(value, 3) for key, value in self.ms.items()},
            "seconds": round(self.seconds, 4),
            "seed": self.seed,
        }


def failed(detail: str, seed: int = 0) -> Solution:
    """A solution that never began."""
    return Solution(blocks=[], answer=None, status="error", detail=detail, seed=seed)

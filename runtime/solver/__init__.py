"""The solve loop: text, code, execution, text, answer; one question after another or many at once."""

from runtime.solver.attempt import EXECUTION_DISABLED, Attempt, check_question, cleaned
from runtime.solver.loop import Solver
from runtime.solver.solution import (
    BlockEnded,
    BlockStarted,
    Event,
    Execution,
    OnEvent,
    OnExecution,
    Solution,
    SolutionStatus,
    TextPiece,
    failed,
)

__all__ = [
    "EXECUTION_DISABLED",
    "Attempt",
    "BlockEnded",
    "BlockStarted",
    "Event",
    "Execution",
    "OnEvent",
    "OnExecution",
    "Solution",
    "SolutionStatus",
    "Solver",
    "TextPiece",
    "check_question",
    "cleaned",
    "failed",
]

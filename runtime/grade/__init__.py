"""Grading: what a solution answers, and whether that answer equals the gold answer.

Nothing here evaluates its input as code, raises on any pair of strings, or takes longer than two seconds for one.
"""

from runtime.grade.compare import equivalent, verdicts
from runtime.grade.extract import final_answer, last_boxed
from runtime.grade.strict import strict_equal

__all__ = ["equivalent", "final_answer", "last_boxed", "strict_equal", "verdicts"]

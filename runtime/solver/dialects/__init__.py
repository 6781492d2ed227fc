"""Dialects: how a model is asked, how it calls Python and how it is answered, each as one object."""

from runtime.solver.dialects.choose import DIALECTS, choose, fitting, line_about, within_limits
from runtime.solver.dialects.dialect import Dialect, Exchange, Listener, Signal, SolutionReader

__all__ = [
    "DIALECTS",
    "Dialect",
    "Exchange",
    "Listener",
    "Signal",
    "SolutionReader",
    "choose",
    "fitting",
    "line_about",
    "within_limits",
]

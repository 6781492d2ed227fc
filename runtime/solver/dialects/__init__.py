"""Dialects: how a model is asked, how it calls Python and how it is answered, each as one object."""

from runtime.solver.dialects.choose import DIALECTS, choose, fitting
from runtime.solver.dialects.dialect import Dialect, Listener, Reader, Signal, Turn

__all__ = ["DIALECTS", "Dialect", "Listener", "Reader", "Signal", "Turn", "choose", "fitting"]

"""Wall-clock time that a cell is given back because the machine kept it from running.

Cells run at the lowest rank. Beside a model that trains, one may wait for the processor ten times as long as it runs,
and its limit, which is wall-clock time, would end it in the middle of harmless work. The kernel counts how long a
thread was ready and had to wait. That time was not the cell's, so it gets it back, up to `MOST` times its limit.

A cell might starve itself, with children or threads of its own, to run on. So whoever is seen in company once, or has
waited for a child, gets nothing. What is too short-lived to be seen is bounded by `MOST`.
"""

from __future__ import annotations

from . import processes

MOST = 3.0
"""Limits' worth of time that is given back at most: no cell runs longer than four times its limit."""


class Allowance:
    """One cell's claim to more time.

    Args:
        pid: the process that runs the cell.
        limit: seconds the cell may take.
    """

    def __init__(self, pid: int, limit: float) -> None:
        self.pid, self.limit = pid, limit
        self.alone = True
        self._waited = processes.run_delay(pid)
        self._faults = processes.threads_and_child_faults(pid)[1]

    def look(self, company: bool) -> None:
        """Notice whether the cell runs by itself; `company`: the session has processes that the cell started."""
        threads, faults = processes.threads_and_child_faults(self.pid)
        if company or threads > 1 or faults > self._faults:
            self.alone = False

    def granted(self) -> float:
        """Seconds beyond the limit, so far."""
        if not self.alone:
            return 0.0
        return min(MOST * self.limit, max(0.0, processes.run_delay(self.pid) - self._waited))

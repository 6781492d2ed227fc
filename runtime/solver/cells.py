"""Sandbox sessions of a batch: one a lane, run by threads while the others are decoded."""

from __future__ import annotations

import queue
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from runtime.engine import TokenSequence
from runtime.errors import CellNotRunError, SandboxError
from runtime.solver.attempt import Attempt
from runtime.solver.item import Item

if TYPE_CHECKING:
    from runtime.sandbox import CellResult, Limits, Sandbox

_STARTS = 3
"""Tries to start a session for a cell before its item ends in an error."""


@dataclass(eq=False)
class Lane:
    """An item on its way."""

    item: Item
    attempt: Attempt
    sequence: TokenSequence
    number: int
    """Admission order: the oldest lane is never parked, so that something always finishes."""
    sandbox: Sandbox | None = None
    begun: float = 0.0


class Cells:
    """Sandbox sessions, one a lane, run by threads that wait for them.

    Attributes:
        running: lanes whose cell runs or waits for a free thread.
        done: (lane, result, error) of each cell that has run.
    """

    def __init__(self, limits: Limits | None, threads: int) -> None:
        self._limits = limits
        self._pool = ThreadPoolExecutor(max_workers=threads, thread_name_prefix="cell")
        self.done: queue.SimpleQueue[tuple[Lane, CellResult | None, BaseException | None]] = queue.SimpleQueue()
        self.running: set[Lane] = set()

    def run(self, lane: Lane) -> None:
        """Have the lane's code run; the result comes to `done`."""
        self.running.add(lane)
        lane.begun = time.monotonic()
        self._pool.submit(self._work, lane)

    def _work(self, lane: Lane) -> None:
        result: CellResult | None = None
        error: BaseException | None = None
        for _ in range(_STARTS):
            if lane not in self.running:
                break
            try:
                if lane.sandbox is None:
                    from runtime.sandbox import Sandbox

                    lane.sandbox = Sandbox(self._limits)
                if lane.attempt.is_fresh:
                    lane.sandbox.reset()
                result, error = lane.sandbox.run(lane.attempt.cell), None
                break
            except SandboxError as caught:
                # The cell was not run: its session's processes were killed while they started, say, and the next try
                # finds new ones. Only what stays broken is the item's error, and what has lost the item's variables.
                error = caught
                if isinstance(caught, CellNotRunError) and caught.lost:
                    break
            except BaseException as caught:  # Whatever it is, the loop waits for this lane and decides what it means.
                error = caught
                break
        if lane in self.running:
            self.done.put((lane, result, error))
        elif lane.sandbox is not None:
            lane.sandbox.close()

    def abandon(self, lane: Lane) -> None:
        """Interrupt a lane's cell and take no notice of what it gives; its thread ends the session."""
        self.running.discard(lane)
        if lane.sandbox is not None:
            lane.sandbox.interrupt()

    def release(self, lane: Lane) -> None:
        """End a lane's session without waiting for it."""
        if lane.sandbox is not None:
            self._pool.submit(lane.sandbox.close)

    def close(self) -> None:
        """Interrupt what runs and end all sessions."""
        for lane in self.running:
            if lane.sandbox is not None:
                lane.sandbox.interrupt()
        self._pool.shutdown(wait=True, cancel_futures=True)
        while True:
            try:
                lane, _, _ = self.done.get_nowait()
            except queue.Empty:
                break
            self.running.discard(lane)
            if lane.sandbox is not None:
                lane.sandbox.close()

"""The thread that solves: requests join one running batch, and leave it with their client."""

from __future__ import annotations

import queue
import threading
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from runtime.engine import Engine
from runtime.errors import EngineError, MathCoderError
from runtime.settings import SolverSettings
from runtime.solver import Event, Solution
from runtime.solver.batch import Batch
from runtime.solver.item import Item

if TYPE_CHECKING:
    from runtime.sandbox import Limits

Told = Event | Solution | MathCoderError


@dataclass(eq=False)
class SolveRequest:
    """One request on its way.

    `tell` is called from the solving thread: events, then a solution or an error.
    """

    item: Item
    tell: Callable[[Told], None]
    is_cancelled: bool = False


class SolvingThread:
    """Solves requests, up to `slots` together; up to `waiting` more may wait.

    Args:
        engine, settings, limits: see `runtime.solver.batch.solve_batch`; each item brings settings of its own.
    """

    def __init__(
        self, engine: Engine, settings: SolverSettings, limits: Limits | None, *, slots: int, waiting: int
    ) -> None:
        self._engine, self._settings, self._limits = engine, settings, limits
        self._slots, self._waiting = slots, waiting
        self._requests: dict[str, SolveRequest] = {}
        self._new: queue.SimpleQueue[SolveRequest | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._is_closed = False
        # Here, so that a model which cannot be talked to is refused before anything is served.
        self._batch: Batch | None = self._new_batch()
        self._thread = threading.Thread(target=self._work, name="solver", daemon=True)
        self._thread.start()

    def submit(self, request: SolveRequest) -> bool:
        """Take a request in; False where too many are waiting."""
        with self._lock:
            if self._is_closed or len(self._requests) >= self._slots + self._waiting:
                return False
            self._requests[request.item.id] = request
        self._new.put(request)
        return True

    def cancel(self, request: SolveRequest) -> None:
        """Nobody waits for this request any more."""
        request.is_cancelled = True

    def close(self) -> None:
        """Interrupt what runs and end the thread; every request is told that it was interrupted."""
        with self._lock:
            self._is_closed = True
        self._new.put(None)
        self._thread.join(timeout=20)

    def _new_batch(self) -> Batch:
        return Batch(self._engine, self._settings, self._limits, self._slots, self._forward, keep=True)

    def _forward(self, item: Item, event: Event) -> None:
        if (request := self._requests.get(item.id)) is not None and not request.is_cancelled:
            request.tell(event)

    def _work(self) -> None:
        while not self._is_closed:
            try:
                self._batch = self._batch or self._new_batch()
                self._turn(self._batch)
            except MathCoderError as error:
                self._give_up(error)
            except Exception as error:  # Whatever it is, the server goes on; the terminal shows where it came from.
                traceback.print_exc()
                self._give_up(MathCoderError(f"the solver failed: {type(error).__name__}: {error}"))
        self._give_up(EngineError("the server was stopped", "this solution was not finished"))

    def _turn(self, batch: Batch) -> None:
        self._admit(batch)
        for gone in [request for request in self._requests.values() if request.is_cancelled]:
            batch.cancel(gone.item)
            self._forget(gone)
        for item, solution in batch.turn():
            if (request := self._requests.get(item.id)) is not None:
                self._forget(request)
                request.tell(solution)

    def _admit(self, batch: Batch) -> None:
        while batch.has_room:
            try:
                # Nothing to do: wait until there is.
                request = self._new.get(block=not batch.is_busy, timeout=1.0)
            except queue.Empty:
                return
            if request is None:
                return
            if request.is_cancelled:
                self._forget(request)
            else:
                batch.add(request.item)

    def _forget(self, request: SolveRequest) -> None:
        with self._lock:
            self._requests.pop(request.item.id, None)

    def _give_up(self, error: MathCoderError) -> None:
        with self._lock:
            requests, self._requests = list(self._requests.values()), {}
        for request in requests:
            request.tell(error)
        with self._lock:
            # Those that were waiting have been told.
            while not self._new.empty():
                if (left := self._new.get()) is None:
                    break
                left.is_cancelled = True
        if self._batch is not None:
            self._batch.close()
            self._batch = None

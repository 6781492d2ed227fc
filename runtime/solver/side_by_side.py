"""A batch in several decoders at once, each in its own thread: gives a small model a second core.

In a model of a few million parameters threads that share one step wait for each other longer than they compute, and
most of a step goes into each sequence's attention. So the sequences are shared out instead. The decoders' contexts
share the model's weights; everything in Python runs while the other decoders compute.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from runtime.engine import Engine
from runtime.engine.interrupt import StopFlag, stop_on_sigint
from runtime.settings import SolverSettings
from runtime.solver.batch import Batch
from runtime.solver.item import Item
from runtime.solver.solution import Solution

if TYPE_CHECKING:
    from runtime.sandbox import Limits


class _Shared:
    """An iterator that several threads may ask."""

    def __init__(self, items: Iterable[Item]) -> None:
        self._items, self._lock = iter(items), threading.Lock()

    def __iter__(self) -> Iterator[Item]:
        return self

    def __next__(self) -> Item:
        with self._lock:
            return next(self._items)


def solve_side_by_side(
    engine: Engine,
    items: Iterable[Item],
    settings: SolverSettings,
    *,
    limits: Limits | None = None,
    slots: int = 8,
    decoders: int = 1,
    trajectories: bool = False,
    waited: list[float] | None = None,
) -> Iterator[tuple[Item, Solution]]:
    """Solve `items` and yield each with its solution as soon as it is finished, as `solve_batch` does.

    Args:
        engine, items, settings, limits, trajectories: see `solve_batch`.
        slots: sequences under way in all decoders together.
        decoders: how many; one works in the caller's thread.
        waited: takes the seconds that each decoder waited for cells with nothing to decode, when all is solved.

    Raises:
        ModelError, EngineError, KeyboardInterrupt: as of `solve_batch`. What one decoder raises ends them all.
    """
    decoders = max(1, min(decoders, slots))
    shares = [slots // decoders + (number < slots % decoders) for number in range(decoders)]
    batches: list[Batch] = []
    try:
        with stop_on_sigint(engine.stop_flag):
            batches += (Batch(engine, settings, limits, share, trajectories=trajectories) for share in shares)
            yield from batches[0].run(iter(items)) if decoders == 1 else _together(batches, items, engine.stop_flag)
        if waited is not None:
            waited += [batch.waited for batch in batches]
    finally:
        for batch in batches:
            batch.close()


def _together(batches: Sequence[Batch], items: Iterable[Item], flag: StopFlag) -> Iterator[tuple[Item, Solution]]:
    shared = _Shared(items)
    done: queue.SimpleQueue[tuple[Item, Solution] | BaseException | None] = queue.SimpleQueue()

    def work(batch: Batch) -> None:
        try:
            for pair in batch.run(shared):
                done.put(pair)
        except BaseException as error:  # Whatever it is, the caller's thread raises it.
            done.put(error)
        else:
            done.put(None)

    threads = [threading.Thread(target=work, args=(batch,), name="decoder") for batch in batches]
    failure: BaseException | None = None
    try:
        for thread in threads:
            thread.start()
        left = len(threads)
        while left:
            told = done.get()
            if told is None or isinstance(told, BaseException):
                left -= 1
                if told is not None:
                    # The others stop because of the flag; theirs is not the reason.
                    failure = failure or told
                    flag.set()
            elif failure is None:
                yield told
    finally:
        if any(thread.is_alive() for thread in threads):
            flag.set()
        for thread in threads:
            thread.join()
        flag.clear()
    if failure is not None:
        raise failure

"""Many solutions at once in one context: continuous batching with cells that run beside the decoding.

Each turn of the loop evaluates one token of every sequence that is writing, and chunks of those that are reading a
prompt or an execution result. A sequence whose code runs leaves the batch and comes back with its result pending; a
finished one makes room for the next item. Where the context is full, the youngest sequence is parked: its cache is
given up and read again later, and nothing else changes for it.
"""

from __future__ import annotations

import os
import queue
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from runtime.engine import ContextFullError, Decoder, Engine, Sequence, SequenceError, StoppedError
from runtime.engine.llama.library import stop_on_sigint
from runtime.errors import CellNotRunError, MathCoderError, SandboxError
from runtime.settings import SolverSettings, derived_seed
from runtime.solver.attempt import Attempt, check_room
from runtime.solver.dialects import choose
from runtime.solver.solution import Event, OnExecution, Solution, failed

if TYPE_CHECKING:
    from runtime.sandbox import CellResult, Limits, Sandbox


_STARTS = 3
"""Tries to start a session for a cell before its item ends in an error."""


@dataclass(frozen=True, slots=True)
class Item:
    """One sample of one question.

    Attributes:
        id: the question's own name in its data set.
        index: its position there; with `sample` it makes the seed.
        question: text.
        gold: the expected answer, carried along.
        sample: which of several solutions to the same question.
        seed: seed of the sampler; 0 derives one from the settings, `index` and `sample`.
    """

    id: str
    index: int
    question: str
    gold: Any = None
    sample: int = 0
    seed: int = 0


def with_samples(items: Iterable[Item], samples: int) -> Iterator[Item]:
    """Each item `samples` times, samples of one question side by side so that they share its prompt's cache."""
    for item in items:
        for sample in range(samples):
            yield Item(item.id, item.index, item.question, item.gold, sample, item.seed + sample if item.seed else 0)


@dataclass(eq=False)
class _Lane:
    """An item on its way."""

    item: Item
    attempt: Attempt
    sequence: Sequence
    number: int
    """Admission order: the oldest lane is never parked, so that something always finishes."""
    sandbox: Sandbox | None = None
    begun: float = 0.0


class _Cells:
    """Sandbox sessions, one a lane, run by threads that wait for them."""

    def __init__(self, limits: Limits | None, threads: int) -> None:
        self._limits = limits
        self._pool = ThreadPoolExecutor(max_workers=threads, thread_name_prefix="cell")
        self.done: queue.SimpleQueue[tuple[_Lane, CellResult | None, BaseException | None]] = queue.SimpleQueue()
        self.running: set[_Lane] = set()

    def run(self, lane: _Lane) -> None:
        self.running.add(lane)
        lane.begun = time.monotonic()
        self._pool.submit(self._work, lane)

    def _work(self, lane: _Lane) -> None:
        result: CellResult | None = None
        error: BaseException | None = None
        for _ in range(_STARTS):
            try:
                if lane.sandbox is None:
                    from runtime.sandbox import Sandbox

                    lane.sandbox = Sandbox(self._limits)
                result, error = lane.sandbox.run(lane.attempt.code), None
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
        self.done.put((lane, result, error))

    def release(self, lane: _Lane) -> None:
        """End a lane's session without waiting for it."""
        if lane.sandbox is not None:
            self._pool.submit(lane.sandbox.close)

    def close(self) -> None:
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


def solve_batch(
    engine: Engine,
    items: Iterable[Item],
    settings: SolverSettings | None = None,
    *,
    limits: Limits | None = None,
    slots: int = 8,
    on_event: Callable[[Item, Event], None] | None = None,
    on_execution: OnExecution | None = None,
) -> Iterator[tuple[Item, Solution]]:
    """Solve `items`, up to `slots` at a time, and yield each with its solution as soon as it is finished.

    Args:
        engine: see `runtime.engine.load`.
        items: taken one by one as slots become free; may be a generator.
        settings: budgets and sampling, the same for all.
        limits: bounds of the sandbox sessions; every item gets a fresh session.
        slots: sequences decoded together.
        on_event: called with (item, event) while solutions are written.
        on_execution: called with (code, output) of every cell; what it returns is what the model reads.

    Raises:
        ModelError: the model lacks the dialect's control tokens (before anything is solved).
        EngineError: the engine cannot go on at all. What fails for one item alone becomes that item's solution with
            status `error`, and the others go on.
        KeyboardInterrupt: Ctrl-C; unfinished items were not yielded and can be solved later.
    """
    settings = settings or SolverSettings()
    batch = _Batch(engine, settings, limits, slots, on_event, on_execution)
    try:
        with stop_on_sigint(engine.stop_flag):
            yield from batch.run(iter(items))
    finally:
        batch.close()


def _processors() -> int:
    """Cells that run at once: more than there are processors would only eat into each other's time limit."""
    return max(2, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 2)


class _Batch:
    def __init__(
        self,
        engine: Engine,
        settings: SolverSettings,
        limits: Limits | None,
        slots: int,
        on_event: Callable[[Item, Event], None] | None,
        on_execution: OnExecution | None,
    ) -> None:
        self.engine, self.settings = engine, settings
        self.dialect = choose(settings.dialect, engine, settings.mode)
        self.on_event, self.on_execution = on_event, on_execution
        self.decoder: Decoder = engine.open(slots)
        self.cells = _Cells(limits, threads=min(slots, _processors()))
        self.writing: list[_Lane] = []
        self.parked: deque[_Lane] = deque()
        self.finished: list[tuple[Item, Solution]] = []
        self.postponed: Item | None = None
        self.admitted = 0
        self.exhausted = False
        self.room = False
        """Whether a lane has finished since a parked one could last come back."""
        engine.stop_flag.clear()

    def run(self, items: Iterator[Item]) -> Iterator[tuple[Item, Solution]]:
        flag = self.engine.stop_flag
        while True:
            self._admit(items)
            self._collect_cells(wait=not self.writing)
            if self.writing:
                self._step()
            stopped = flag.is_set()  # Before what the consumer does, which may clear it.
            finished, self.finished = self.finished, []
            yield from finished  # Ctrl-C or not: what is done need not be solved again.
            if stopped or flag.is_set():
                raise KeyboardInterrupt
            waiting = self.writing or self.cells.running or self.parked
            if not (finished or waiting) and self.exhausted and self.postponed is None:
                return

    # Items in

    def _admit(self, items: Iterator[Item]) -> None:
        if self.parked and (self.room or not (self.writing or self.cells.running)):
            self.writing.append(self.parked.popleft())
        self.room = False
        while not self.parked and self._live() < self.decoder.slots:
            item = self.postponed or next(items, None)
            self.postponed = None
            if item is None:
                self.exhausted = True
                return
            if self._should_wait(item):
                self.postponed = item
                return
            self._begin(item)

    def _live(self) -> int:
        return len(self.writing) + len(self.cells.running) + len(self.parked)

    def _should_wait(self, item: Item) -> bool:
        """One turn is worth waiting for where a lane is just reading what this item begins with: then it is shared."""
        unread = [lane for lane in self.writing if lane.sequence.past < lane.attempt.prompt_tokens]
        if not unread:
            return False
        alone = self.admitted == len(unread) == 1
        return alone or any(lane.item.index == item.index and lane.item.question == item.question for lane in unread)

    def _begin(self, item: Item) -> None:
        settings = self.settings
        seed = item.seed or derived_seed(settings.seed, item.index, item.sample)
        on_event = self.on_event
        try:
            attempt = Attempt(
                item.question,
                dialect=self.dialect,
                vocabulary=self.engine.vocabulary,
                settings=settings,
                seed=seed,
                on_event=(lambda event: on_event(item, event)) if on_event is not None else None,
                on_execution=self.on_execution,
            )
            sequence = self.decoder.start(attempt.prompt(), settings, seed, share=True)
        except MathCoderError as error:
            self.finished.append((item, failed(str(error), seed)))
            return
        attempt.begin(sequence)
        lane = _Lane(item, attempt, sequence, self.admitted)
        sequence.owner = lane
        self.admitted += 1
        if why := check_room(sequence.length, self.decoder.n_ctx):
            attempt.stop("context_full", why)
            self._finish(lane)
        else:
            self.writing.append(lane)

    # Tokens

    def _step(self) -> None:
        try:
            drawn = self.decoder.step([lane.sequence for lane in self.writing])
        except ContextFullError:
            self._make_room()
            return
        except SequenceError as error:
            if self.engine.stop_flag.is_set():
                return  # Its request was given up because of that.
            lane = error.sequence.owner
            lane.attempt.stop("error", str(error))
            self.writing.remove(lane)
            self._finish(lane)
            return
        except StoppedError:
            self.engine.stop_flag.set()
            return
        n_ctx = self.decoder.n_ctx
        leaving: list[tuple[_Lane, str]] = []
        for sequence, token, piece in drawn:
            lane = sequence.owner
            action = lane.attempt.push(token, piece)
            if action == "go" and len(sequence.ids) >= n_ctx:
                action = lane.attempt.stop("context_full", f"the context of {n_ctx:,} tokens is full")
            if action != "go":
                leaving.append((lane, action))
        if not leaving:
            return
        gone = {lane for lane, _ in leaving}
        self.writing = [lane for lane in self.writing if lane not in gone]
        for lane, action in leaving:
            if action == "execute":
                self._execute(lane)
            else:
                self._finish(lane)

    def _make_room(self) -> None:
        candidates = sorted([*self.writing, *self.cells.running], key=lambda lane: lane.number)
        candidates = [lane for lane in candidates if lane.sequence.past > 0 or lane in self.writing]
        youngest = candidates[-1]
        if len(candidates) == 1:
            youngest.attempt.stop("context_full", "the context is full")
            self.writing.remove(youngest)
            self._finish(youngest)
            return
        self.decoder.park(youngest.sequence)
        youngest.attempt.repeats += 1
        if youngest in self.writing:
            self.writing.remove(youngest)
            self.parked.append(youngest)

    # Cells

    def _execute(self, lane: _Lane) -> None:
        lane.attempt.execution_started()
        if self.settings.runs_cells:
            self.cells.run(lane)
            return
        self._append(lane, None, 0.0)

    def _collect_cells(self, *, wait: bool) -> None:
        while self.cells.running:
            try:
                # A time-out, because a queue that is waited on for ever does not let Ctrl-C through.
                lane, result, error = self.cells.done.get(timeout=0.2) if wait else self.cells.done.get_nowait()
            except queue.Empty:
                if wait and not self.engine.stop_flag.is_set():
                    continue
                return
            wait = False
            self.cells.running.discard(lane)
            if error is not None:
                if not isinstance(error, Exception):
                    raise error
                if self.engine.stop_flag.is_set():
                    self.cells.release(lane)  # No result: it may have failed because of that.
                    continue
                lane.attempt.stop("error", str(error))
                self._finish(lane)
                continue
            self._append(lane, result, time.monotonic() - lane.begun)

    def _append(self, lane: _Lane, result: CellResult | None, seconds: float) -> None:
        segments = lane.attempt.executed(result, seconds)
        if segments is None:
            self._finish(lane)
            return
        lane.attempt.fed(self.decoder.feed(lane.sequence, segments))
        if lane.sequence.length + 1 >= self.decoder.n_ctx:
            lane.attempt.stop("context_full", f"the context of {self.decoder.n_ctx:,} tokens is full")
            self._finish(lane)
            return
        self.writing.append(lane)

    # Items out

    def _finish(self, lane: _Lane) -> None:
        self.finished.append((lane.item, lane.attempt.solution(lane.sequence)))
        self.decoder.finish(lane.sequence)
        self.cells.release(lane)
        self.room = True

    def close(self) -> None:
        self.cells.close()
        for lane in [*self.writing, *self.parked]:
            if lane.sandbox is not None:
                lane.sandbox.close()
        self.decoder.close()

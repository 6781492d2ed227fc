"""Many solutions at once in one context: continuous batching with cells that run beside the decoding.

Each turn of the loop evaluates one token of every sequence that is writing, and chunks of those that are reading a
prompt or an execution result. A sequence whose code runs leaves the batch and comes back with its result pending; a
finished one makes room for the next item. Where the context is full, the youngest sequence is parked: its cache is
given up and read again later, and nothing else changes for it.
"""

from __future__ import annotations

import queue
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

from runtime.engine import ContextFullError, Decoder, Engine, SequenceError, StoppedError, TokenSequence
from runtime.engine.interrupt import stop_on_sigint
from runtime.engine.llama.library import usable_processors
from runtime.engine.trajectory import Trajectory
from runtime.errors import MathCoderError
from runtime.lce import Segment
from runtime.settings import SolverSettings, derived_seed
from runtime.solver.attempt import Action, Attempt, check_room
from runtime.solver.cells import Cells, Lane
from runtime.solver.dialects import choose, within_limits
from runtime.solver.item import Item, with_samples
from runtime.solver.solution import Event, OnExecution, Solution, failed

if TYPE_CHECKING:
    from runtime.sandbox import CellResult, Limits

__all__ = ["Batch", "Item", "solve_batch", "with_samples"]


def solve_batch(
    engine: Engine,
    items: Iterable[Item],
    settings: SolverSettings | None = None,
    *,
    limits: Limits | None = None,
    slots: int = 8,
    on_event: Callable[[Item, Event], None] | None = None,
    on_execution: OnExecution | None = None,
    trajectories: bool = False,
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
        trajectories: let each solution say what was drawn with which probability (the embedded engine can).

    Raises:
        ModelError: the model lacks the dialect's control tokens (before anything is solved).
        EngineError: the engine cannot go on at all. What fails for one item alone becomes that item's solution with
            status `error`, and the others go on.
        KeyboardInterrupt: Ctrl-C; unfinished items were not yielded and can be solved later.
    """
    settings = settings or SolverSettings()
    batch = Batch(engine, settings, limits, slots, on_event, on_execution, trajectories=trajectories)
    try:
        with stop_on_sigint(engine.stop_flag):
            yield from batch.run(iter(items))
    finally:
        batch.close()


def _processors() -> int:
    """Cells that run at once: more than there are processors would only eat into each other's time limit."""
    return max(2, len(usable_processors()))


class Batch:
    """Items on their way: `add` takes one in, each `turn` decodes a step for all and returns the finished.

    Args:
        engine, settings, limits, slots, on_event, on_execution: see `solve_batch`.
        trajectories: see `solve_batch`.
        keep: keep the cache of finished conversations, as far as there are free slots, for the question that follows.

    Attributes:
        waited: seconds in which there was nothing to decode and cells were waited for.
    """

    def __init__(
        self,
        engine: Engine,
        settings: SolverSettings,
        limits: Limits | None,
        slots: int,
        on_event: Callable[[Item, Event], None] | None = None,
        on_execution: OnExecution | None = None,
        *,
        keep: bool = False,
        trajectories: bool = False,
    ) -> None:
        self.trajectories = trajectories
        self.engine, self.settings, self.slots = engine, settings, slots
        self.dialect = choose(settings.dialect, engine, settings.mode, settings.thinking)
        self.settings = within_limits(settings, self.dialect)
        self.on_event, self.on_execution = on_event, on_execution
        self.decoder: Decoder = engine.open(slots)
        self.cells = Cells(limits, threads=min(slots, _processors()))
        self.writing: list[Lane] = []
        self.parked: deque[Lane] = deque()
        self.finished: list[tuple[Item, Solution]] = []
        self.kept: dict[tuple[str, ...], TokenSequence] | None = {} if keep else None
        """Questions of a conversation to the sequence that holds it, the oldest first."""
        self.admitted = 0
        self.waited = 0.0
        self.room = False
        """Whether a lane has finished since a parked one could last come back."""
        engine.stop_flag.clear()

    def run(self, items: Iterator[Item]) -> Iterator[tuple[Item, Solution]]:
        """Solve all of `items`; see `solve_batch`."""
        flag = self.engine.stop_flag
        postponed: Item | None = None
        exhausted = False
        while True:
            while not exhausted and self.has_room:
                item = postponed or next(items, None)
                postponed = None
                if item is None:
                    exhausted = True
                elif self.should_wait(item):
                    postponed = item
                    break
                else:
                    self.add(item)
            finished = self.turn()
            stopped = flag.is_set()  # Before what the consumer does, which may clear it.
            yield from finished  # Ctrl-C or not: what is done need not be solved again.
            if stopped or flag.is_set():
                raise KeyboardInterrupt
            if not (finished or self.is_busy) and exhausted:
                return

    def turn(self) -> list[tuple[Item, Solution]]:
        """Decode one step, or wait a moment for cells where nothing can be decoded; returns the finished."""
        if self.parked and (self.room or not (self.writing or self.cells.running)):
            self.writing.append(self.parked.popleft())
        self.room = False
        self._collect_cells(wait=not self.writing)
        if self.writing:
            self._step()
        finished, self.finished = self.finished, []
        return finished

    # Items in

    @property
    def is_busy(self) -> bool:
        """Whether an item is on its way."""
        return bool(self.writing or self.cells.running or self.parked or self.finished)

    @property
    def has_room(self) -> bool:
        """Whether another item can be added now."""
        return not self.parked and len(self.writing) + len(self.cells.running) < self.slots

    def should_wait(self, item: Item) -> bool:
        """Whether a lane is just reading what this item begins with: after a turn it can be shared."""
        unread = [lane for lane in self.writing if lane.sequence.past < lane.attempt.prompt_tokens]
        if not unread:
            return False
        alone = self.admitted == len(unread) == 1
        return alone or any(lane.item.index == item.index and lane.item.question == item.question for lane in unread)

    def add(self, item: Item) -> None:
        """Begin an item. One that cannot begin is among the finished of the next turn, with status `error`."""
        settings = within_limits(item.settings, self.dialect) if item.settings else self.settings
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
                history=item.history,
            )
            after = self._kept_before(item)
            sequence = self.decoder.start(attempt.prompt(), settings, seed, share=True, after=after)
        except MathCoderError as error:
            self.finished.append((item, failed(error.for_people(), seed)))
            return
        attempt.begin(sequence)
        lane = Lane(item, attempt, sequence, self.admitted)
        sequence.owner = lane
        sequence.record = Trajectory() if self.trajectories else None
        self.admitted += 1
        if why := check_room(sequence.length, self.decoder.n_ctx):
            attempt.stop("context_full", why)
            self.finish(lane)
        else:
            self.writing.append(lane)

    def cancel(self, item: Item) -> None:
        """Forget an item that nobody waits for any more; its running cell is interrupted."""
        for lane in [*self.writing, *self.parked, *self.cells.running]:
            if lane.item is not item:
                continue
            if lane in self.cells.running:
                self.cells.abandon(lane)
            else:
                (self.writing if lane in self.writing else self.parked).remove(lane)
                self.cells.release(lane)
            self.decoder.finish(lane.sequence)
            self.room = True

    def _kept_before(self, item: Item) -> TokenSequence | None:
        """The kept sequence of the conversation that `item` goes on with; the oldest may lose its slot."""
        if not self.kept:
            return None
        found = self.kept.pop(tuple(question for question, _ in item.history), None)
        if found is None and len(self.writing) + len(self.cells.running) + len(self.kept) >= self.slots:
            self._give_up_oldest()
        return found

    def _give_up_oldest(self) -> bool:
        if not self.kept:
            return False
        self.decoder.finish(self.kept.pop(next(iter(self.kept))))
        return True

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
            lane.attempt.stop("error", error.for_people())
            self.writing.remove(lane)
            self.finish(lane)
            return
        except StoppedError:
            self.engine.stop_flag.set()
            return
        n_ctx = self.decoder.n_ctx
        leaving: list[tuple[Lane, Action]] = []
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
            self._go_on(lane, action)

    def _make_room(self) -> None:
        if self._give_up_oldest():
            return
        candidates = sorted([*self.writing, *self.cells.running], key=lambda lane: lane.number)
        candidates = [lane for lane in candidates if lane.sequence.past > 0 or lane in self.writing]
        youngest = candidates[-1]
        if len(candidates) == 1:
            youngest.attempt.stop("context_full", "the context is full")
            self.writing.remove(youngest)
            self.finish(youngest)
            return
        self.decoder.park(youngest.sequence)
        youngest.attempt.repeats += 1
        if youngest in self.writing:
            self.writing.remove(youngest)
            self.parked.append(youngest)

    def _go_on(self, lane: Lane, action: Action) -> None:
        """Put a lane where its attempt says."""
        if action == "go":
            self.writing.append(lane)
        elif action == "execute":
            self._execute(lane)
        elif action == "put":
            self._feed(lane, lane.attempt.put)
        else:
            self.finish(lane)

    def _feed(self, lane: Lane, segments: list[Segment]) -> None:
        if segments:
            lane.attempt.fed(self.decoder.feed(lane.sequence, segments))
        if lane.sequence.length + 1 >= self.decoder.n_ctx:
            lane.attempt.stop("context_full", f"the context of {self.decoder.n_ctx:,} tokens is full")
            self.finish(lane)
            return
        self._go_on(lane, lane.attempt.resume())

    # Cells

    def _execute(self, lane: Lane) -> None:
        lane.attempt.execution_started()
        if self.settings.runs_cells:
            self.cells.run(lane)
            return
        self._append(lane, None, 0.0)

    def _collect_cells(self, *, wait: bool) -> None:
        while self.cells.running:
            began = time.perf_counter()
            try:
                # A time-out: a queue that is waited on for ever lets neither Ctrl-C nor a new item through.
                lane, result, error = self.cells.done.get(timeout=0.2) if wait else self.cells.done.get_nowait()
            except queue.Empty:
                return
            finally:
                self.waited += time.perf_counter() - began if wait else 0.0
            wait = False
            if lane not in self.cells.running:
                self.cells.release(lane)  # Cancelled meanwhile.
                continue
            self.cells.running.discard(lane)
            if error is not None:
                if not isinstance(error, Exception):
                    raise error
                if self.engine.stop_flag.is_set():
                    self.cells.release(lane)  # No result: it may have failed because of that.
                    continue
                lane.attempt.stop("error", error.for_people() if isinstance(error, MathCoderError) else str(error))
                self.finish(lane)
                continue
            self._append(lane, result, time.monotonic() - lane.begun)

    def _append(self, lane: Lane, result: CellResult | None, seconds: float) -> None:
        segments = lane.attempt.executed(result, seconds)
        if segments is None:
            self.finish(lane)
            return
        self._feed(lane, segments)

    # Items out

    def finish(self, lane: Lane) -> None:
        """Hand out the solution of a lane, and keep or free its sequence."""
        self.finished.append((lane.item, lane.attempt.solution(lane.sequence)))
        if self.kept is None:
            self.decoder.finish(lane.sequence)
        else:
            # Feeding it nothing makes a server behind it stop writing.
            self.decoder.feed(lane.sequence, [])
            questions = (*(question for question, _ in lane.item.history), lane.item.question)
            if (older := self.kept.pop(questions, None)) is not None:
                self.decoder.finish(older)
            self.kept[questions] = lane.sequence
        self.cells.release(lane)
        self.room = True

    def close(self) -> None:
        """End all sessions and free the context; unfinished items are dropped."""
        self.cells.close()
        for lane in [*self.writing, *self.parked]:
            if lane.sandbox is not None:
                lane.sandbox.close()
        self.decoder.close()

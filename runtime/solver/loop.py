"""The solve loop at a terminal: text, code, execution, text, answer, one question after another.

What happens to each token is `runtime.solver.attempt`'s; `runtime.solver.batch` drives many
attempts through the same methods.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import TYPE_CHECKING

from runtime.engine import ContextFullError, Decoder, Engine, SequenceError, StoppedError, TokenSequence
from runtime.engine.trajectory import Trajectory
from runtime.errors import CellNotRunError, InputError
from runtime.lce import Segment
from runtime.settings import SolverSettings, derived_seed
from runtime.solver.attempt import Action, Attempt, check_room
from runtime.solver.dialects import Exchange, choose, within_limits
from runtime.solver.solution import (
    OnEvent,
    OnExecution,
    Solution,
)

if TYPE_CHECKING:
    from runtime.sandbox import Sandbox


class Solver:
    """Solves questions one after another with one engine and one sandbox session.

    Args:
        engine: see `runtime.engine.load`.
        sandbox: runs the cells; each question starts with a fresh session unless it continues a conversation.
        settings: budgets and sampling.
        on_execution: called with (code, output) of every cell; what it returns is what the model reads.

    Raises:
        ModelError: the model lacks the control tokens of the dialect.
    """

    def __init__(
        self,
        engine: Engine,
        sandbox: Sandbox | None = None,
        settings: SolverSettings | None = None,
        *,
        on_execution: OnExecution | None = None,
    ) -> None:
        self.engine = engine
        self.sandbox = sandbox
        self.settings = settings or SolverSettings()
        self.dialect = choose(self.settings.dialect, engine, self.settings.mode, self.settings.thinking)
        self.settings = within_limits(self.settings, self.dialect)
        self._on_execution = on_execution
        self._decoder: Decoder | None = None
        self.kept: TokenSequence | None = None
        self._dirty = False
        self._in_cell = False
        if self.settings.runs_cells and sandbox is None:
            raise InputError("no sandbox was given", "cells cannot be run", "give one, or set code_execution to false")

    def solve(
        self,
        question: str,
        *,
        on_event: OnEvent | None = None,
        history: Iterable[Exchange] = (),
        seed: int | None = None,
        keep_session: bool = False,
        trajectory: bool = False,
    ) -> Solution:
        """Solve one question.

        Args:
            question: text.
            on_event: called while it runs with BlockStarted, TextPiece, BlockEnded and Execution.
            history: earlier questions with their blocks; the cache keeps what it holds of them.
            seed: seed of the sampler; None derives one from the settings.
            keep_session: let cells see the names that earlier questions defined (a conversation).
            trajectory: let the solution say what was drawn with which probability (the embedded engine can).

        Returns:
            A solution; Ctrl-C gives one with status `interrupted`.

        Raises:
            InputError: an empty or hopelessly long question.
            EngineError: the engine cannot go on at all.
            SandboxError: code cannot be isolated here.
        """
        settings = self.settings
        history = tuple(history)
        attempt = Attempt(
            question,
            dialect=self.dialect,
            vocabulary=self.engine.vocabulary,
            settings=settings,
            seed=seed if seed is not None else derived_seed(settings.seed, 0, 0),
            on_event=on_event,
            on_execution=self._on_execution,
            history=history,
        )
        decoder = self._decoder = self._decoder or self.engine.open(1)
        flag = self.engine.stop_flag
        flag.clear()
        from runtime.engine.interrupt import stop_on_sigint

        with stop_on_sigint(flag, also=self._interrupt_cell):
            sequence = self._start(decoder, attempt, settings, reuse=bool(history))
            sequence.record = Trajectory() if trajectory else None
            try:
                if self.sandbox is not None and self._dirty and not keep_session:
                    self.sandbox.reset()
                    self._dirty = False
                self._drive(decoder, attempt, sequence)
            finally:
                # Kept for a conversation; feeding it nothing makes a server behind it stop writing.
                decoder.feed(sequence, [])
                self.kept = sequence
        return attempt.solution(sequence)

    def _start(self, decoder: Decoder, attempt: Attempt, settings: SolverSettings, *, reuse: bool) -> TokenSequence:
        prompt = attempt.prompt()
        kept, self.kept = self.kept, None
        if kept is not None and not reuse:
            decoder.finish(kept)
            kept = None
        sequence = decoder.start(prompt, settings, attempt.seed, after=kept)
        attempt.begin(sequence)
        return sequence

    def _drive(self, decoder: Decoder, attempt: Attempt, sequence: TokenSequence) -> None:
        if why := check_room(sequence.length, decoder.n_ctx):
            attempt.stop("context_full", why)
            return
        flag = self.engine.stop_flag
        n_ctx, step, push, one = decoder.n_ctx, decoder.step, attempt.push, [sequence]
        try:
            while True:
                for _, token, piece in step(one):
                    action = push(token, piece)
                    if action == "go" and sequence.length >= n_ctx:
                        action = attempt.stop("context_full", f"the context of {n_ctx:,} tokens is full")
                    while action in ("execute", "put"):
                        action = self._go_on(action, decoder, attempt, sequence)
                    if action == "stop":
                        return
                if flag.is_set():
                    attempt.stop("interrupted", "stopped on request")
                    return
        except SequenceError as error:
            attempt.stop("error", error.for_people())
        except StoppedError:
            attempt.stop("interrupted", "stopped on request")
        except ContextFullError:
            attempt.stop("context_full", f"the context of {n_ctx:,} tokens is full")

    def _go_on(self, action: Action, decoder: Decoder, attempt: Attempt, sequence: TokenSequence) -> Action:
        """Run the cell, or take what is put in the model's place, and see what is next."""
        appended = self._execute(attempt) if action == "execute" else attempt.put
        if appended is None:
            return "stop"
        if appended:
            attempt.fed(decoder.feed(sequence, appended))
        if sequence.length + 1 >= decoder.n_ctx:
            return attempt.stop("context_full", f"the context of {decoder.n_ctx:,} tokens is full")
        return attempt.resume()

    def _execute(self, attempt: Attempt) -> list[Segment] | None:
        attempt.execution_started()
        begun = time.monotonic()
        result = None
        if self.settings.runs_cells and self.sandbox is not None:
            self._dirty = self._in_cell = True
            try:
                if attempt.is_fresh:
                    self.sandbox.reset()
                result = self.sandbox.run(attempt.cell)
            except CellNotRunError as error:
                attempt.stop("error", error.for_people())
                return None
            finally:
                self._in_cell = False
        if self.engine.stop_flag.is_set():
            # First, so that a program of thought whose one cell was stopped does not end as unanswered.
            attempt.stop("interrupted", "stopped on request")
        return attempt.executed(result, time.monotonic() - begun)

    def interrupt(self) -> None:
        """End the running solution soon, from any thread; its status becomes `interrupted`."""
        self.engine.stop_flag.set()
        self._interrupt_cell()

    def _interrupt_cell(self) -> None:
        if self.sandbox is not None and self._in_cell:
            self.sandbox.interrupt()

    def close(self) -> None:
        """Free the context (the engine and the sandbox stay open)."""
        if self._decoder is not None:
            self._decoder.close()
            self._decoder = None

"""The solve loop: text, code, execution, text, answer.

`Attempt` is the state of one solution and knows nothing of where tokens come from: it is given drawn tokens and says
what is next. `Solver` drives one attempt at a terminal; `runtime.batch` drives many through the same methods.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from runtime.dialect import Dialect, Turn, choose
from runtime.engine import ENDED, ContextFullError, Decoder, Engine, Sequence, SequenceError, StoppedError, Vocabulary
from runtime.errors import InputError
from runtime.grade import last_boxed
from runtime.lce import EMPTY_EXECUTION, Block, BlockType, Segment
from runtime.settings import SolverSettings, derived_seed

if TYPE_CHECKING:
    from runtime.sandbox import CellResult, Sandbox

Status = Literal[
    "answered",
    "no_answer",
    "block_limit",
    "token_limit",
    "time_limit",
    "context_full",
    "repeated_error",
    "interrupted",
    "error",
]
EXECUTION_DISABLED = "<execution disabled>"
"""What an execution block holds where `code_execution` is off."""
LONGEST_QUESTION = 100_000
"""Characters; far beyond any context, and a bound on what tokenizing may cost."""


# Events


@dataclass(frozen=True, slots=True)
class BlockStarted:
    """A block begins. For `execution`: the cell starts to run now."""

    type: BlockType


@dataclass(frozen=True, slots=True)
class TextPiece:
    """A piece of the open text or code block, as soon as it is whole characters."""

    type: BlockType
    text: str


@dataclass(frozen=True, slots=True)
class BlockEnded:
    """The open block is complete."""

    block: Block


@dataclass(frozen=True, slots=True)
class Execution:
    """A cell has run. Comes between the BlockStarted and the BlockEnded of its execution block."""

    code: str
    output: str
    status: str
    seconds: float
    images: tuple[bytes, ...] = ()


Event = BlockStarted | TextPiece | BlockEnded | Execution
OnEvent = Callable[[Event], None]
OnExecution = Callable[[str, str], str]
"""(code, output) -> the output the model is shown."""


class _Emitter:
    """Turns a reader's calls into events."""

    def __init__(self, emit: OnEvent) -> None:
        self._emit = emit

    def opened(self, block_type: BlockType) -> None:
        self._emit(BlockStarted(block_type))

    def wrote(self, block_type: BlockType, text: str) -> None:
        self._emit(TextPiece(block_type, text))

    def closed(self, block: Block) -> None:
        self._emit(BlockEnded(block))


# Results


@dataclass
class Solution:
    """What came of one question.

    Attributes:
        blocks: everything written, executions included.
        answer: the final answer; where a budget ended the solution, the last boxed one so far; else None.
        status: how it ended; `answered` and `no_answer` are the model's own ends.
        tokens: `prompt`, `generated` (by the model) and `execution` (put in by the runtime).
        evaluated: tokens given to the model. Without parking this is prompt + generated + execution - reused - 1: each
            once, and the last drawn token never, since nothing follows it.
        reused: prompt tokens found in the cache.
        cells: cells run.
        failed_cells: cells that ended with an error, a time-out or a kill.
        ms: wall-clock milliseconds `decode`, `execution`, `wall`.
        seconds: wall-clock seconds in all.
        seed: seed of this solution's sampler.
        detail: why it ended, where the status needs words.
        repeats: how often the cache had to be given up and read again (batches that share a small context).
    """

    blocks: list[Block]
    answer: str | None
    status: Status
    tokens: dict[str, int] = field(default_factory=lambda: {"prompt": 0, "generated": 0, "execution": 0})
    cells: int = 0
    failed_cells: int = 0
    seconds: float = 0.0
    seed: int = 0
    evaluated: int = 0
    reused: int = 0
    ms: dict[str, float] = field(default_factory=lambda: {"decode": 0.0, "execution": 0.0, "wall": 0.0})
    detail: str = ""
    repeats: int = 0

    def as_dict(self) -> dict[str, Any]:
        """Everything, with blocks in the hub schema; ready for JSON."""
        return {
            "blocks": [block.as_dict() for block in self.blocks],
            "answer": self.answer,
            "status": self.status,
            "detail": self.detail,
            "tokens": dict(self.tokens),
            "evaluated": self.evaluated,
            "reused": self.reused,
            "repeats": self.repeats,
            "cells": self.cells,
            "failed_cells": self.failed_cells,
            "ms": {key: round(value, 3) for key, value in self.ms.items()},
            "seconds": round(self.seconds, 4),
            "seed": self.seed,
        }


def failed(detail: str, seed: int = 0) -> Solution:
    """A solution that never began."""
    return Solution(blocks=[], answer=None, status="error", detail=detail, seed=seed)


# One solution


class Attempt:
    """One solution in the making. The driver calls `prompt`, `begin`, then `push` for every drawn token; on `execute`
    it runs `code` and calls `executed`; on `stop` it calls `solution`."""

    def __init__(
        self,
        question: str,
        *,
        dialect: Dialect,
        vocabulary: Vocabulary | None,
        settings: SolverSettings,
        seed: int,
        on_event: OnEvent | None = None,
        on_execution: OnExecution | None = None,
        history: Iterable[Turn] = (),
    ) -> None:
        check_question(question)
        self.question = question
        self.settings = settings
        self.seed = seed
        self._dialect = dialect
        self._history = tuple(history)
        self._emit = on_event
        self._on_execution = on_execution
        self._vocabulary = vocabulary
        self._reader = dialect.reader(vocabulary, _Emitter(on_event) if on_event else None)
        self._status: Status | None = None
        self._detail = ""
        self._started = time.monotonic()
        self._deadline = self._started + settings.max_seconds
        self._prompt_tokens = self._generated = self._execution_tokens = 0
        self._cells = self._failed = 0
        self._execution_seconds = 0.0
        self._failures: dict[tuple[str, str], int] = {}
        self.code = ""
        self.repeats = 0

    def prompt(self) -> list[Segment]:
        """The segments that ask the question."""
        return self._dialect.prompt(self.question, self.settings.system, self._history)

    def begin(self, sequence: Sequence) -> None:
        """The prompt is in `sequence`."""
        self._prompt_tokens = sequence.length
        self._reader.attach(sequence)

    def push(self, token: int, piece: bytes) -> Literal["go", "execute", "stop"]:
        """Take one drawn token."""
        if token == ENDED:
            self._reader.end()
            return self._ended()
        self._generated += 1
        reader = self._reader
        signal = reader.push(token, piece)
        settings = self.settings
        if signal == "end":
            return self._ended()
        if reader.opened > settings.max_blocks:
            return self.stop("block_limit", f"the model wrote {settings.max_blocks} blocks and did not finish")
        if time.monotonic() >= self._deadline:
            return self.stop("time_limit", f"{settings.max_seconds:g} seconds are over")
        if signal == "code":
            self.code = reader.blocks[-1].content
            return "execute"
        if self._generated >= settings.max_tokens:
            return self.stop("token_limit", f"the model wrote {settings.max_tokens} tokens and did not finish")
        if reader.block_tokens >= settings.max_block_tokens:
            return self.stop("token_limit", f"one block reached {settings.max_block_tokens} tokens")
        return "go"

    def _ended(self) -> Literal["stop"]:
        answer = self._dialect.answer(self._reader.blocks)
        return self.stop("answered" if answer is not None else "no_answer")

    def execution_started(self) -> None:
        """The cell begins to run."""
        if self._emit is not None:
            self._emit(BlockStarted("execution"))

    def executed(self, result: CellResult | None, seconds: float) -> list[Segment] | None:
        """Take the result of `code`; returns what to put into the sequence, or None where the solution ends here.

        Args:
            result: what the sandbox gave; None where cells are not run.
            seconds: wall-clock time the cell took, waiting for a free worker included.
        """
        self._execution_seconds += seconds
        output = EXECUTION_DISABLED if result is None else cleaned(result.output)
        status = "disabled" if result is None else result.status
        if result is not None:
            self._cells += 1
            self._failed += status != "ok"
        if self._on_execution is not None:
            output = self._on_execution(self.code, output)
        output = self._shortened(output)
        block = Block("execution", output)
        self._reader.blocks.append(block)
        if self._emit is not None:
            images = tuple(result.images) if result is not None else ()
            self._emit(Execution(self.code, output, status, seconds, images))
            self._emit(BlockEnded(block))
        if status not in ("ok", "disabled"):
            key = (self.code.strip(), output)
            self._failures[key] = self._failures.get(key, 0) + 1
            if self._failures[key] >= self.settings.max_repeated_errors:
                self.stop("repeated_error", f"the same cell failed in the same way {self._failures[key]} times")
                return None
        if time.monotonic() >= self._deadline:
            self.stop("time_limit", f"{self.settings.max_seconds:g} seconds are over")
            return None
        return self._reader.execution(output)

    def _shortened(self, output: str) -> str:
        """Cut the middle out of an output of too many tokens."""
        limit = self.settings.max_execution_tokens
        if self._vocabulary is None:
            # Four characters a token is the usual density.
            return output if len(output) <= 4 * limit else _cut_middle(output, 4 * limit)
        # Content has at most one token a byte, so most outputs need no counting.
        if len(output) * 4 <= limit:
            return output
        shown, keep = output, len(output)
        while (count := len(self._vocabulary.encode(shown))) > limit:
            # Digits are one token each: the density of this very text decides how much is kept. It
            # shrinks every time, so that this ends.
            keep = min(keep - 1, keep * limit * 9 // (count * 10))
            if keep < 2:
                return "[...]"
            shown = _cut_middle(output, keep)
        return shown

    def fed(self, count: int) -> None:
        """`count` tokens of an execution block were put into the sequence."""
        self._execution_tokens += count

    def stop(self, status: Status, detail: str = "") -> Literal["stop"]:
        """End here. The first reason stays."""
        if self._status is None:
            self._status, self._detail = status, detail
            self._reader.cut()
        return "stop"

    def solution(self, sequence: Sequence | None) -> Solution:
        """The result; `sequence` gives the counts of evaluated tokens."""
        assert self._status is not None
        blocks = list(self._reader.blocks)
        if self._status in ("answered", "no_answer"):
            answer = self._dialect.answer(blocks)
        else:
            answer = next((a for b in reversed(blocks) if b.type == "text" and (a := last_boxed(b.content))), None)
        wall = time.monotonic() - self._started
        return Solution(
            blocks=blocks,
            answer=answer,
            status=self._status,
            tokens={
                "prompt": self._prompt_tokens,
                "generated": self._generated,
                "execution": self._execution_tokens,
            },
            cells=self._cells,
            failed_cells=self._failed,
            seconds=wall,
            seed=self.seed,
            evaluated=sequence.evaluated if sequence is not None else 0,
            reused=sequence.reused if sequence is not None else 0,
            ms={
                "decode": max(0.0, wall - self._execution_seconds) * 1e3,
                "execution": self._execution_seconds * 1e3,
                "wall": wall * 1e3,
            },
            detail=self._detail,
            repeats=self.repeats,
        )


def check_question(question: str) -> None:
    """Refuse what no model can be asked.

    Raises:
        InputError: an empty question, or one longer than 100,000 characters.
    """
    if not question.strip():
        raise InputError("the question is empty", "there is nothing to solve", "write the question as text")
    if len(question) > LONGEST_QUESTION:
        raise InputError(
            f"the question has {len(question):,} characters",
            "no context holds it",
            f"shorten it to at most {LONGEST_QUESTION:,} characters",
        )


def check_room(prompt_tokens: int, n_ctx: int) -> str:
    """Why a prompt does not fit, or an empty string where it does (with room for at least a short answer)."""
    if prompt_tokens + 16 <= n_ctx:
        return ""
    return f"the question takes {prompt_tokens:,} tokens and the context holds {n_ctx:,}; ask for a larger n_ctx"


def cleaned(output: str) -> str:
    """An execution result as the model reads it: without characters it has never seen and that can hide text from a
    reader of the transcript (NUL, zero-width, bidirectional controls); never empty."""
    from runtime.sandbox import for_model

    output = for_model(output, len(output))
    return output if output.strip() else EMPTY_EXECUTION


def _cut_middle(text: str, keep: int) -> str:
    half = max(1, keep // 2)
    return f"{text[:half]}\n[... {len(text) - 2 * half} characters left out ...]\n{text[-half:]}"


# One question at a time


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
        self.dialect = choose(self.settings.dialect, engine)
        self._on_execution = on_execution
        self._decoder: Decoder | None = None
        self._kept: Sequence | None = None
        self._dirty = False
        self._in_cell = False
        if self.settings.code_execution and sandbox is None:
            raise InputError("no sandbox was given", "cells cannot be run", "give one, or set code_execution to false")

    def solve(
        self,
        question: str,
        *,
        on_event: OnEvent | None = None,
        history: Iterable[Turn] = (),
        seed: int | None = None,
        keep_session: bool = False,
    ) -> Solution:
        """Solve one question.

        Args:
            question: text.
            on_event: called while it runs with BlockStarted, TextPiece, BlockEnded and Execution.
            history: earlier questions with their blocks; the cache keeps what it holds of them.
            seed: seed of the sampler; None derives one from the settings.
            keep_session: let cells see the names that earlier questions defined (a conversation).

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
        from runtime.engine_native import stop_on_sigint

        with stop_on_sigint(flag, also=self._interrupt_cell):
            sequence = self._start(decoder, attempt, settings, reuse=bool(history))
            try:
                if self.sandbox is not None and self._dirty and not keep_session:
                    self.sandbox.reset()
                    self._dirty = False
                self._drive(decoder, attempt, sequence)
            finally:
                # Kept for a conversation; feeding it nothing makes a server behind it stop writing.
                decoder.feed(sequence, [])
                self._kept = sequence
        return attempt.solution(sequence)

    def _start(self, decoder: Decoder, attempt: Attempt, settings: SolverSettings, *, reuse: bool) -> Sequence:
        prompt = attempt.prompt()
        kept, self._kept = self._kept, None
        if kept is not None and not reuse:
            decoder.finish(kept)
            kept = None
        sequence = decoder.start(prompt, settings, attempt.seed, after=kept)
        attempt.begin(sequence)
        return sequence

    def _drive(self, decoder: Decoder, attempt: Attempt, sequence: Sequence) -> None:
        if why := check_room(sequence.length, decoder.n_ctx):
            attempt.stop("context_full", why)
            return
        flag = self.engine.stop_flag
        n_ctx, step, push, one = decoder.n_ctx, decoder.step, attempt.push, [sequence]
        try:
            while True:
                for _, token, piece in step(one):
                    action = push(token, piece)
                    if action == "go":
                        if sequence.length >= n_ctx:
                            action = attempt.stop("context_full", f"the context of {n_ctx:,} tokens is full")
                    elif action == "execute":
                        action = self._execute(decoder, attempt, sequence)
                    if action == "stop":
                        return
                if flag.is_set():
                    attempt.stop("interrupted", "stopped on request")
                    return
        except SequenceError as error:
            attempt.stop("error", str(error))
        except StoppedError:
            attempt.stop("interrupted", "stopped on request")
        except ContextFullError:
            attempt.stop("context_full", f"the context of {n_ctx:,} tokens is full")

    def _execute(self, decoder: Decoder, attempt: Attempt, sequence: Sequence) -> Literal["go", "stop"]:
        attempt.execution_started()
        begun = time.monotonic()
        result = None
        if self.settings.code_execution and self.sandbox is not None:
            self._dirty = self._in_cell = True
            try:
                result = self.sandbox.run(attempt.code)
            finally:
                self._in_cell = False
        appended = attempt.executed(result, time.monotonic() - begun)
        if self.engine.stop_flag.is_set():
            return attempt.stop("interrupted", "stopped on request")
        if appended is None:
            return "stop"
        attempt.fed(decoder.feed(sequence, appended))
        if sequence.length + 1 >= decoder.n_ctx:
            return attempt.stop("context_full", f"the context of {decoder.n_ctx:,} tokens is full")
        return "go"

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


__all__ = [
    "EXECUTION_DISABLED",
    "Attempt",
    "BlockEnded",
    "BlockStarted",
    "Event",
    "Execution",
    "OnEvent",
    "OnExecution",
    "Solution",
    "Solver",
    "Status",
    "TextPiece",
    "failed",
]

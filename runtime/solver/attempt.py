"""One solution in the making, wherever its tokens come from.

`Attempt` knows neither engine nor sandbox: it is given drawn tokens and results of cells, and says what is next. The
terminal's solver and the batch drive it through the same methods.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Literal

from runtime.engine import ENDED, TokenSequence, Vocabulary
from runtime.errors import InputError
from runtime.grade import last_boxed
from runtime.lce import Block, BlockType, Segment
from runtime.settings import SolverSettings
from runtime.solver.dialects import Dialect, Exchange, Signal
from runtime.solver.modes import wrong_result
from runtime.solver.outputs import cleaned, shortened
from runtime.solver.solution import (
    BlockEnded,
    BlockStarted,
    Execution,
    OnEvent,
    OnExecution,
    Solution,
    SolutionStatus,
    TextPiece,
)
from runtime.text import is_well_formed

if TYPE_CHECKING:
    from runtime.sandbox import CellResult

Action = Literal["go", "execute", "put", "stop"]
"""What the driver does next: draw a token, run `code`, put the segments `put` into the sequence, or end."""
EXECUTION_DISABLED = "<execution disabled>"
"""What an execution block holds where `code_execution` is off."""
_NEAR = 5
"""A budget of which less than a fifth is left nears its end."""
_FEW_CALLS = 3
LONGEST_QUESTION = 100_000
"""Characters; far beyond any context, and a bound on what tokenizing may cost."""


class _Emitter:
    """Turns a reader's calls into events."""

    def __init__(self, emit: OnEvent, attempt: Attempt) -> None:
        self._emit = emit
        self._attempt = attempt

    def opened(self, block_type: BlockType, thinking: bool = False) -> None:
        self._emit(BlockStarted(block_type, thinking))

    def wrote(self, block_type: BlockType, text: str) -> None:
        # An imagined execution is told whole, as a real one is.
        if block_type != "execution":
            self._emit(TextPiece(block_type, text))

    def closed(self, block: Block) -> None:
        if block.type == "execution":
            self._emit(Execution(self._attempt.code, block.content, "imagined", 0.0))
        self._emit(BlockEnded(block))


class Attempt:
    """One solution in the making.

    The driver calls `prompt`, `begin`, then `push` for every drawn token; on `execute` it runs `code` where
    `settings.runs_cells`, calls `executed` and feeds what that gives; on `put` it feeds `put`; after both it asks
    `resume` what is next; on `stop` it calls `solution`.

    `dialect` is one `runtime.solver.dialects.choose` gave for `settings.mode`."""

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
        history: Iterable[Exchange] = (),
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
        self._reader = dialect.reader(vocabulary, _Emitter(on_event, self) if on_event else None)
        self._status: SolutionStatus | None = None
        self._detail = ""
        self._started = time.monotonic()
        self._deadline = self._started + settings.max_seconds
        self.prompt_tokens = self._generated = self._execution_tokens = 0
        self._cells = self._failed = 0
        self._execution_seconds = 0.0
        self._notices: dict[int, list[str]] = {}
        self._stopped: list[int] = []
        self._failures: dict[tuple[str, str], int] = {}
        self._unreadable = 0
        self._is_forced = False
        self._told: set[str] = set()
        self._ran: list[str] = []
        # Where the dialect can be answered for, some tokens are kept for that.
        kept = min(settings.answer_tokens, settings.max_tokens // 4) if dialect.notices is not None else 0
        self._last_token = settings.max_tokens - kept
        self.code = ""
        self.put: list[Segment] = []
        self.repeats = 0

    def prompt(self) -> list[Segment]:
        """The segments that ask the question."""
        return self._dialect.prompt(self.question, self.settings.system, self._history)

    def begin(self, sequence: TokenSequence) -> None:
        """The prompt is in `sequence`."""
        self.prompt_tokens = sequence.length
        self._reader.attach(sequence)

    def push(self, token: int, piece: bytes) -> Action:
        """Take one drawn token."""
        reader = self._reader
        if token == ENDED:
            return self._signalled(reader.end())
        self._generated += 1
        signal = reader.push(token, piece)
        settings = self.settings
        if signal == "end":
            return self._ended()
        if reader.opened > settings.max_blocks:
            return self.stop("block_limit", f"the model wrote {settings.max_blocks} blocks and did not finish")
        if not self._in_time():
            return "stop"
        if signal is not None:
            return self._signalled(signal)
        if self._generated >= self._last_token:
            return self._out_of_tokens()
        if reader.block_tokens >= settings.max_block_tokens:
            return self.stop("token_limit", f"one block reached {settings.max_block_tokens} tokens")
        if reader.is_thinking and reader.thinking_tokens >= settings.max_thinking_tokens:
            return self._put(reader.end_thinking())
        return "go"

    def resume(self) -> Action:
        """What is next once an execution, or what `put` gave, is in the sequence."""
        return self._signalled(self._reader.resume()) if self._status is None else "stop"

    def _signalled(self, signal: Signal) -> Action:
        reader = self._reader
        if signal == "end":
            return self._ended()
        if signal == "turn":
            return self._put(reader.turn())
        if signal == "refused":
            return self._refused(reader.fault)
        if signal == "code":
            self.code = reader.code
            if self._dialect.notices is not None and self._cells >= self.settings.max_calls:
                return self._refused("", over=True)
            return "execute"
        return "go"

    def _put(self, segments: list[Segment]) -> Action:
        self.put = segments
        return "put"

    def _refused(self, fault: str, *, over: bool = False) -> Action:
        """Answer a call that is not run."""
        self._unreadable += 1
        if self._unreadable > self.settings.max_unreadable_calls:
            return self.stop("repeated_error", f"{self._unreadable} calls could not be run: {fault or 'none was left'}")
        notices = self._dialect.notices
        text = notices.over if over and notices is not None else f"Error: the call was not run: {fault}"
        self.execution_started()
        block = Block("execution", text)
        self._reader.blocks.append(block)
        if self._emit is not None:
            self._emit(Execution(self._reader.code, text, "refused", 0.0))
            self._emit(BlockEnded(block))
        return self._put(self._reader.execution(text))

    def _out_of_tokens(self) -> Action:
        settings = self.settings
        if self._last_token < settings.max_tokens and (segments := self._reader.force_answer()):
            self._last_token, self._is_forced = settings.max_tokens, True
            return self._put(segments)
        return self.stop("token_limit", f"the model wrote {settings.max_tokens} tokens and did not finish")

    def _ended(self) -> Literal["stop"]:
        if self._is_forced:
            return self.stop("token_limit", f"its answer was begun for it after {self.settings.max_tokens} tokens")
        answer = self._dialect.answer(self._reader.blocks)
        return self.stop("answered" if answer is not None else "no_answer")

    @property
    def is_fresh(self) -> bool:
        """Whether the cell is run in a session of its own."""
        return self._dialect.state != "kernel" and self._cells > 0

    @property
    def cell(self) -> str:
        """What is run for `code`: itself, or behind earlier cells without prints where those are replayed."""
        if self._dialect.state != "replay":
            return self.code
        return "\n".join([*(_PRINTS.sub(r"\1pass", code) for code in self._ran), self.code])

    def execution_started(self) -> None:
        """The cell begins to run."""
        if self._emit is not None:
            self._emit(BlockStarted("execution"))

    def executed(self, result: CellResult | None, seconds: float) -> list[Segment] | None:
        """Take the result of `code`; returns what to put into the sequence, or None at the solution's end.

        Args:
            result: what the sandbox gave; None where cells are not run.
            seconds: wall-clock time the cell took, waiting for a free worker included.
        """
        if self.settings.mode == "imagined":
            return self._reader.imagine() if self._status is None and self._in_time() else None
        self._execution_seconds += seconds
        output = EXECUTION_DISABLED if result is None else cleaned(result.output)
        status = "disabled" if result is None else result.status
        if result is not None:
            self._cells += 1
            self._ran += [self.code] if status == "ok" else []
            self._failed += status != "ok"
        if result is not None:
            output = self._dialect.shaped(output, status)
        if self.settings.mode == "wrong-results" and status == "ok":
            output = wrong_result(output, self.question)
        if self._on_execution is not None:
            output = self._on_execution(self.code, output)
        output = shortened(output, self.settings.max_execution_tokens, self._vocabulary)
        failure = (self.code.strip(), output)
        notice, is_outside = self._notice()
        if notice and not is_outside:
            output = f"{output}\n{notice}"
        block = Block("execution", output)
        if result is not None and result.notices:
            self._notices[len(self._reader.blocks)] = list(result.notices)
        is_stopped = result is not None and result.is_stopped
        if is_stopped:
            self._stopped.append(len(self._reader.blocks))
        self._reader.blocks.append(block)
        if self._emit is not None:
            images = tuple(result.images) if result is not None else ()
            self._emit(Execution(self.code, output, status, seconds, images, is_stopped))
            self._emit(BlockEnded(block))
        if status not in ("ok", "disabled"):
            times = self._failures[failure] = self._failures.get(failure, 0) + 1
            if times >= self.settings.max_repeated_errors:
                self.stop("repeated_error", f"the same cell failed in the same way {times} times")
                return None
        if not self._in_time() or self._status is not None:
            return None
        if self.settings.mode == "program-of-thought":
            self._stop_with_program(status)
            return None
        return self._reader.execution(output, notice if is_outside else "")

    def _notice(self) -> tuple[str, bool]:
        """What the model is told of its budgets, and whether that stands behind the result's frame.

        Each budget that nears its end is told once.
        """
        told, settings = self._dialect.notices, self.settings
        if told is None:
            return "", False
        left = settings.max_calls - self._cells
        if told.calls and left <= _FEW_CALLS:
            return told.calls.replace("{left}", str(left)), told.outside
        tokens = settings.max_tokens - self._generated
        seconds = int(self._deadline - time.monotonic())
        budgets = (
            (left <= 1 and not told.calls, left, "more calls"),
            (tokens * _NEAR < settings.max_tokens, tokens, "tokens"),
            (seconds * _NEAR < settings.max_seconds, seconds, "seconds"),
        )
        for is_near, amount, what in budgets:
            if is_near and what not in self._told:
                self._told.add(what)
                return told.nearing.format(left=amount, what=what), told.outside
        return "", False

    def _in_time(self) -> bool:
        if time.monotonic() < self._deadline:
            return True
        self.stop("time_limit", f"{self.settings.max_seconds:g} seconds are over")
        return False

    def _stop_with_program(self, status: str) -> None:
        if status != "ok":
            self.stop("no_answer", f"the program ended with status {status}")
        else:
            self._ended()

    def fed(self, count: int) -> None:
        """`count` tokens of an execution block were put into the sequence."""
        self._execution_tokens += count

    def stop(self, status: SolutionStatus, detail: str = "") -> Literal["stop"]:
        """End here. The first reason stays."""
        if self._status is None:
            self._status, self._detail = status, detail
            self._reader.cut()
        return "stop"

    def solution(self, sequence: TokenSequence | None) -> Solution:
        """The result; `sequence` gives the counts of evaluated tokens."""
        assert self._status is not None
        blocks = list(self._reader.blocks)
        answer: str | None = None
        if self._status == "answered":
            answer = self._dialect.answer(blocks)
        elif self._status != "no_answer":
            answer = _last_box(blocks)
        wall = time.monotonic() - self._started
        return Solution(
            blocks=blocks,
            answer=answer,
            status=self._status,
            tokens={
                "prompt": self.prompt_tokens,
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
            runs_cells=self.settings.runs_cells,
            notices=self._notices,
            stopped=self._stopped,
            trajectory=replace(sequence.record, ids=[*sequence.ids]) if sequence and sequence.record else None,
        )


_PRINTS = re.compile(r"^([ \t]*)print\(.*\)[ \t]*$", re.MULTILINE)


def _last_box(blocks: list[Block]) -> str | None:
    said = (block.content for block in reversed(blocks) if block.type == "text" and not block.thinking)
    return next((answer for content in said if (answer := last_boxed(content))), None)


def check_question(question: str) -> None:
    """Refuse what no model can be asked.

    Raises:
        InputError: an empty question, one longer than 100,000 characters, or one that is not Unicode text.
    """
    if not question.strip():
        raise InputError("the question is empty", "there is nothing to solve", "write the question as text")
    if not is_well_formed(question):
        raise InputError(
            "the question is not valid Unicode text: it holds bytes that are not UTF-8, or half of a surrogate pair",
            "no model can read it and no file can hold it",
            "write it again as UTF-8",
        )
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

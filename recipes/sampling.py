"""pass@1 in the middle of training: held-out rows through the real solver and the real sandbox."""

from __future__ import annotations

import json
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runtime.errors import MathCoderError
from runtime.files import write_text
from runtime.sandbox import Limits, Sandbox
from runtime.settings import SolverSettings

if TYPE_CHECKING:
    from rich.console import Console

    from qlora.data import Row
    from qlora.prepare import Prepared
    from qlora.settings import TrainSettings
    from qlora.train import Snapshot
    from runtime.solver import Solution


class HeldOutSample:
    """A callback for `qlora.train.train`: the share of the same held-out rows that is solved at each call.

    The rows are the first by the hash of their question: fixed, and in no order of the file. What was written goes to
    `samples/step-N.jsonl` in the run folder. The model and the random numbers of training stay untouched.
    """

    def __init__(
        self, train: TrainSettings, solve: SolverSettings, limits: Limits, folder: Path, console: Console
    ) -> None:
        """
        Args:
            train: `sample_rows` and `sample_tokens` count.
            solve: as the model will be used; here it is greedy, and no longer than `sample_tokens`.
            limits: of the cells.
            folder: the run folder.
            console: where a line per sample goes.
        """
        self.rows, self.context = train.sample_rows, train.context
        self.settings = solve.model_copy(
            update={
                "temperature": 0.0,
                "repeat_penalty": 1.0,
                "max_tokens": min(solve.max_tokens, train.sample_tokens),
            }
        )
        self.limits, self.folder, self.console = limits, folder, console
        self._chosen: list[tuple[Row, str]] | None = None

    def check(self) -> None:
        """Fail before the first step, not in the middle of the run.

        Raises:
            SandboxError: code cannot be isolated here.
        """
        with Sandbox(self.limits) as sandbox:
            _ = sandbox.tier

    def __call__(self, snapshot: Snapshot) -> dict[str, float]:
        """`{"pass_at_1": share}`; empty where nothing was to solve, or solving was interrupted or failed."""
        first = self._chosen is None
        if self._chosen is None:
            self._chosen = choose(snapshot.prepared, self.rows)
        if not self._chosen:
            if first:
                self._say("no held-out row has an answer to compare with: no pass@1 (data.held_out_percent)", "yellow")
            return {}
        from qlora.out_of_memory import is_out_of_memory

        started = time.perf_counter()
        try:
            lines = self._solve(snapshot, self._chosen)
        except (MathCoderError, RuntimeError) as error:
            # A sample is worth less than the run: what it needs and cannot have is said, and the run goes on.
            if not isinstance(error, MathCoderError) and not is_out_of_memory(error):
                raise
            self._say(f"step {snapshot.step}: no sample: {error}; training goes on", "yellow")
            return {}
        if len(lines) < len(self._chosen):
            return {}
        right = sum(line["correct"] for line in lines)
        text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
        write_text(self.folder / "samples" / f"step-{snapshot.step}.jsonl", text)
        shown = lines[0]
        self._say(
            f"step {snapshot.step}: {right} of {len(lines)} held-out rows solved ({sum(x['cells'] for x in lines)} "
            f"cells run, {time.perf_counter() - started:.0f} s); the first: {_short(shown['question'])} "
            f"[{shown['status']}] {_short(str(shown['answer']))}, gold {_short(shown['gold'])}"
        )
        return {"pass_at_1": round(right / len(lines), 4)}

    def _solve(self, snapshot: Snapshot, chosen: list[tuple[Row, str]]) -> list[dict[str, Any]]:
        from qlora.dialects import dialect_name
        from recipes.engine_torch import TorchEngine
        from runtime.solver import Solver

        settings = self.settings.model_copy(update={"dialect": dialect_name(snapshot.tokenizer)})
        known = snapshot.adapted.peft.config.max_position_embeddings
        engine = TorchEngine(snapshot.adapted, snapshot.tokenizer, n_ctx=min(self.context, known))
        lines = []
        with Sandbox(self.limits) as sandbox:
            solver = Solver(engine, sandbox, settings)
            for row, gold in chosen:
                solution = solver.solve(row.question)
                if solution.status == "interrupted":
                    # The solver took the Ctrl-C that was meant for the run.
                    signal.raise_signal(signal.SIGINT)
                    break
                lines.append(_line(row, gold, solution))
            solver.close()
        return lines

    def _say(self, text: str, style: str = "") -> None:
        self.console.print(text, style=style, highlight=False, markup=False, soft_wrap=not self.console.is_terminal)


def choose(prepared: Prepared, count: int) -> list[tuple[Row, str]]:
    """Up to `count` held-out rows with gold answers, one a question, by the hash of the question."""
    from runtime.grade import final_answer
    from runtime.lce import Block

    chosen: dict[str, tuple[Row, str]] = {}
    for row in sorted(prepared.held_out, key=lambda row: row.question_sha256):
        if len(chosen) == count:
            break
        blocks = [Block(block["type"], block["content"]) for block in row.messages[-1]["content"]]
        gold = final_answer(blocks)
        if gold is not None:
            chosen.setdefault(row.question_sha256, (row, gold))
    return list(chosen.values())


def _line(row: Row, gold: str, solution: Solution) -> dict[str, Any]:
    from runtime.grade import equivalent

    return {
        "question": row.question,
        "question_sha256": row.question_sha256,
        "gold": gold,
        "answer": solution.answer,
        "correct": solution.answer is not None and equivalent(solution.answer, gold),
        "status": solution.status,
        "cells": solution.cells,
        "tokens": solution.tokens,
        "seconds": round(solution.seconds, 3),
        "blocks": [block.as_dict() for block in solution.blocks],
    }


def _short(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= 60 else f"{text[:57]}..."

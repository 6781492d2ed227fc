"""Published solutions in the form of each dialect, drawn token by token in the real loop."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from dialect_words import SPOKEN, TEMPLATE, alternating, drawn, fitted, joined, write_vocabulary

from runtime.engine.llama.engine import LlamaEngine
from runtime.engine.llama.vocabulary import LlamaVocabulary
from runtime.engine.scripted import ReplayEngine
from runtime.grade import equivalent
from runtime.lce import Block
from runtime.sandbox import Sandbox
from runtime.settings import EngineSettings, SolverSettings
from runtime.solver import Solver

pytestmark = pytest.mark.slow
FILES = ("L-7b-GSM8K", "CL-7b-simuleq", "CL-7b-mathematics")
EACH = 3
BUDGETS: dict[str, Any] = {"max_calls": 99, "max_tokens": 10**6, "max_block_tokens": 10**6, "answer_tokens": 0}


@pytest.fixture(scope="module")
def words(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LlamaVocabulary]:
    path = write_vocabulary(tmp_path_factory.mktemp("replay") / "words.gguf")
    with LlamaEngine(path, EngineSettings(threads=1), vocab_only=True) as engine:
        yield engine.vocabulary


@pytest.fixture(scope="module")
def traces(shared_data: Path) -> list[tuple[dict[str, Any], list[Block]]]:
    """Solutions that the graders of their authors found right, with at least one cell."""
    chosen = []
    for name in FILES:
        lines = (shared_data / "traces" / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()
        records = ((trace, joined(trace["blocks"])) for trace in map(json.loads, lines[:60]))
        fit = [(trace, blocks) for trace, blocks in records if alternating(blocks) and is_right(trace, blocks)]
        chosen += fit[:EACH]
    assert len(chosen) == EACH * len(FILES)
    return chosen


def is_right(trace: dict[str, Any], blocks: list[Block]) -> bool:
    boxed = blocks[-1].content.rpartition("\\boxed{")[2].partition("}")[0]
    return bool(boxed) and "code" in {b.type for b in blocks} and equivalent(boxed, str(trace["gold"]))


@pytest.mark.parametrize("name", SPOKEN)
def test_published_solutions_run_the_same_cells_and_give_the_same_answers(
    words: LlamaVocabulary, traces: list[tuple[dict[str, Any], list[Block]]], name: str
) -> None:
    dialect = fitted(name, words)
    for trace, blocks in traces:
        engine = ReplayEngine(lambda _: [], vocabulary=words)
        tokens = drawn(dialect, words, blocks)
        engine.write = lambda _, tokens=tokens: tokens  # type: ignore[misc]
        engine.chat_template = TEMPLATE if name == "template" else ""
        with Sandbox() as sandbox:
            solver = Solver(engine, sandbox, SolverSettings(dialect=name, **BUDGETS))
            solution = solver.solve(trace["question"])
        assert solution.status == "answered"
        cells = [[b.content.strip() for b in some if b.type == "code"] for some in (solution.blocks, blocks)]
        assert cells[0] == cells[1]
        assert solution.answer is not None
        assert equivalent(solution.answer, str(trace["gold"])), trace["id"]
        assert solution.evaluated == sum(solution.tokens.values()) - 1, "every token once"
        if dialect.state == "kernel" and dialect.result.style == "full" and not dialect.result.limit:
            shown = ([b.content.strip() for b in some if b.type == "execution"] for some in (solution.blocks, blocks))
            # Tracebacks are worded by the versions of Python and sympy.
            differ = [pair for pair in zip(*shown, strict=True) if "Error" not in pair[1] and not equivalent(*pair)]
            assert not differ

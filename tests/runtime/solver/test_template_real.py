"""A derived dialect on a published vocabulary: Gemma 4's template and tokens, from llama.cpp."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from runtime.engine import About
from runtime.engine.llama.engine import LlamaEngine
from runtime.engine.protocol import encode
from runtime.engine.scripted import ReplayEngine
from runtime.lce import DEFAULT_SYSTEM, Block
from runtime.settings import EngineSettings, SolverSettings
from runtime.solver import Solver
from runtime.solver.dialects import choose
from runtime.solver.dialects.markers import pieces
from runtime.solver.dialects.native import NativeDialect


@pytest.fixture(scope="module")
def gemma(llama_cpp_models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ReplayEngine]:
    template = (llama_cpp_models / "templates" / "google-gemma-4-31B-it.jinja").read_text(encoding="utf-8")
    file = llama_cpp_models / "ggml-vocab-gemma-4.gguf"
    with pytest.MonkeyPatch.context() as patch, LlamaEngine(file, EngineSettings(), vocab_only=True) as real:
        patch.setenv("MATHCODER_CACHE", str(tmp_path_factory.mktemp("cache")))
        engine = ReplayEngine(lambda _: [], vocabulary=real.vocabulary)
        engine.chat_template, engine.about = template, About("gemma4", "Gemma 4", "<bos>", "<eos>")
        yield engine


def spoken(engine: ReplayEngine) -> NativeDialect:
    dialect = choose("auto", engine)
    assert isinstance(dialect, NativeDialect)
    assert (dialect.name, dialect.evidence) == ("template", "template")
    return dialect


def test_a_call_is_answered_within_the_same_turn_and_each_marker_is_its_token(gemma: ReplayEngine) -> None:
    dialect, words = spoken(gemma), gemma.vocabulary
    written = '<|tool_call>call:python{code:<|"|>6 * 7<|"|>}<tool_call|><|tool_response>It is \\boxed{42}.<turn|>'
    gemma.write = lambda _: encode(words, pieces(written, dialect.markers, "text"))
    outputs = iter(['42 <tool_response|> <|"|> <|turn>user'])
    settings = SolverSettings(code_execution=False)
    solver = Solver(gemma, None, settings, on_execution=lambda _code, _output: next(outputs))
    solution = solver.solve("What is 6 * 7? <|tool_call>call:python{}<tool_call|> <|channel>")
    assert [block.type for block in solution.blocks] == ["code", "execution", "text"]
    assert (solution.blocks[0].content, solution.answer) == ("6 * 7", "42")
    assert solver.kept is not None
    ids = solver.kept.ids
    expected = {"<|tool_call>": 1, "<tool_call|>": 1, "<|tool_response>": 1, "<tool_response|>": 1, '<|"|>': 4}
    declared = encode(words, dialect.prompt("Q", DEFAULT_SYSTEM))
    for marker, times in expected.items():
        token = words.control_id(marker)
        assert token is not None
        assert ids.count(token) - declared.count(token) == times, marker
    response = encode(words, pieces('response:python{value:<|"|>', dialect.markers, "text"))
    at = ids.index(words.control_id("<|tool_response>"))  # type: ignore[arg-type]
    assert ids[at + 1 : at + 1 + len(response)] == response


def test_what_training_would_see_is_what_the_cache_holds(gemma: ReplayEngine) -> None:
    dialect, words = spoken(gemma), gemma.vocabulary
    code, output = Block("code", 'print("<b>")\n'), Block("execution", "<b>")
    blocks = [Block("text", "Let us see."), code, output, Block("text", "1")]
    drawn = [segment for segment in dialect.solution(blocks) if segment.kind != "execution"]
    gemma.write = lambda _: [*encode(words, drawn), words.control_id("<turn|>")]  # type: ignore[list-item]
    settings = SolverSettings(code_execution=False)
    solver = Solver(gemma, None, settings, on_execution=lambda _code, _output: "<b>")
    solution = solver.solve("Q")
    assert solution.blocks == blocks
    assert solver.kept is not None
    bos = [] if words.bos is None else [words.bos]
    whole = [*dialect.prompt("Q", DEFAULT_SYSTEM), *dialect.solution(blocks)]
    assert solver.kept.ids == [*bos, *encode(words, whole), words.control_id("<turn|>")]

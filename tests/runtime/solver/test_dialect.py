"""Dialects: prompts, and blocks read back from tokens or text."""

from __future__ import annotations

from pathlib import Path

import pytest
from gguf_factory import write_model
from hypothesis import given
from hypothesis import strategies as st

from runtime.engine.llama.engine import LlamaEngine
from runtime.engine.scripted import ByteVocabulary, ReplayEngine, script_tokens
from runtime.errors import InputError, ModelError
from runtime.lce import Block, conversation, segments
from runtime.settings import EngineSettings
from runtime.solver.dialects import DIALECTS, choose
from runtime.solver.dialects.fenced import GENERIC, QWEN_MATH, TORA, fenced, unfenced
from runtime.solver.dialects.lce import BlockFormat
from runtime.solver.dialects.reader import NativeReader

BLOCKS = st.lists(st.builds(Block, st.sampled_from(["text", "code"]), st.text(max_size=30)), max_size=6)


class Listening:
    def __init__(self) -> None:
        self.story: list[tuple[str, str]] = []

    def opened(self, block_type: str, thinking: bool = False) -> None:  # noqa: ARG002
        self.story.append(("opened", block_type))

    def wrote(self, block_type: str, text: str) -> None:
        self.story.append((block_type, text))

    def closed(self, block: Block) -> None:
        self.story.append(("closed", block.type))


# The block format


@given(BLOCKS)
def test_what_the_block_format_writes_it_reads_back(blocks: list[Block]) -> None:
    words = ByteVocabulary()
    listener = Listening()
    reader = BlockFormat().reader(words, listener)
    signals = [reader.push(token, words.piece(token)) for token in script_tokens(words, blocks)]
    assert reader.blocks == [Block(b.type, b.content.encode("utf-8", "replace").decode()) for b in blocks]
    assert signals.count("code") == sum(b.type == "code" for b in blocks)
    assert signals[-1] == "end"
    assert "end" not in signals[:-1]
    streamed = "".join(text for kind, text in listener.story if kind in ("text", "code"))
    assert streamed == "".join(block.content for block in reader.blocks)


def test_the_prompt_of_the_block_format_is_the_training_prompt() -> None:
    made = BlockFormat().prompt("Q", "S", [("earlier", (Block("text", "A"),))])
    rows = conversation("earlier", [Block("text", "A")], system="S") + conversation("Q")[1:]
    assert made == segments(rows, generation_prompt=True)


def test_the_end_of_the_message_inside_a_block_closes_it_and_ends() -> None:
    words = ByteVocabulary()
    reader = BlockFormat().reader(words, None)
    for token in [words.control_id("<|text|>"), ord("2")]:
        assert reader.push(token, words.piece(token)) is None  # type: ignore[arg-type]
    end = words.control_id("<|endofmessage|>")
    assert reader.push(end, b"") == "end"  # type: ignore[arg-type]
    assert reader.blocks == [Block("text", "2")]


def test_a_space_prefix_is_taken_off_each_block_once(tmp_path: Path) -> None:
    """Vocabularies that put a space after control tokens would otherwise indent every first line of code."""
    model = write_model(tmp_path / "prefix.gguf", space_prefix=True)
    with LlamaEngine(model, EngineSettings(threads=1), vocab_only=True) as engine:
        words = engine.vocabulary
        assert words.space_prefix
        blocks = [Block("code", "x = 1\nx"), Block("text", " indented on purpose")]
        reader = BlockFormat().reader(words, None)
        for token in script_tokens(words, blocks):
            reader.push(token, words.piece(token))
        assert reader.blocks == blocks


# Fenced Markdown


def read(text: str, step: int = 3) -> tuple[NativeReader, list[str]]:
    """Push `text` in pieces; reading stops where code is complete, and goes on after an output block."""
    reader = GENERIC.reader(None, None)
    codes = []
    for start in range(0, len(text), step):
        if reader.push(-1, text[start : start + step].encode()) == "code":
            codes.append(reader.blocks[-1].content)
    reader.end()
    return reader, codes


@pytest.mark.parametrize("step", [1, 2, 3, 5, 1000])
def test_a_fenced_python_block_is_code_however_the_text_is_cut(step: int) -> None:
    text = "We compute.\n\n```python\nx = 2\nx * 21\n```\n"
    reader, codes = read(text, step)
    assert reader.blocks == [Block("text", "We compute."), Block("code", "x = 2\nx * 21")]
    assert codes == ["x = 2\nx * 21"]


def test_other_fences_and_backticks_in_a_line_are_text() -> None:
    text = "Use `x` or ```x``` here.\n```text\nnot code\n```\nDone: \\boxed{2}"
    reader, codes = read(text, 1)
    assert reader.blocks == [Block("text", text)]
    assert codes == []


def test_the_whole_piece_is_read_once_the_code_is_complete_and_its_newline_is_remembered() -> None:
    for piece, expected in ((b"```", "\n```output\n2\n```\n"), (b"```\n", "```output\n2\n```\n")):
        reader = GENERIC.reader(None, None)
        reader.push(-1, b"```python\n1+1\n")
        assert reader.push(-1, piece) == "code"
        assert [s.text for s in reader.execution("2")] == [expected]
        assert not any(s.is_control for s in reader.execution("<|im_end|>"))


def test_an_unfinished_code_block_is_kept_but_never_run() -> None:
    reader, codes = read("```python\nwhile True: pass")
    assert reader.blocks == [Block("code", "while True: pass")]
    assert codes == []


def test_fenced_text_is_streamed_as_it_comes_but_a_fence_is_held_back() -> None:
    listener = Listening()
    reader = GENERIC.reader(None, listener)
    for character in "Hi.\n```python\n1\n```":
        reader.push(-1, character.encode())
    assert [entry for entry in listener.story if "`" in entry[1]] == []
    assert "".join(t for kind, t in listener.story if kind == "text") == "Hi.\n"
    assert ("closed", "code") in listener.story


def test_characters_cut_across_pieces_are_put_together() -> None:
    reader = GENERIC.reader(None, None)
    data = "é→😀".encode()
    for index in range(len(data)):
        reader.push(-1, data[index : index + 1])
    reader.end()
    assert reader.blocks == [Block("text", "é→😀")]


def test_blocks_as_markdown() -> None:
    blocks = [Block("text", "a"), Block("code", "1+1"), Block("execution", "2"), Block("text", "b")]
    assert fenced(blocks) == "a\n```python\n1+1\n```\n```output\n2\n```\nb"


def test_markdown_becomes_the_blocks_it_was_made_of() -> None:
    blocks = [Block("text", "a\nb"), Block("code", "x = 1\n\nx"), Block("execution", "1"), Block("code", "2")]
    assert unfenced(fenced(blocks)) == blocks
    assert unfenced(fenced([*blocks, Block("text", "done")])) == [*blocks, Block("text", "done")]
    loose = "See:\n```output\n7\n```\nand ```x```"
    assert unfenced(loose) == [Block("text", loose)], "output that no code made is text"
    assert unfenced(" \n") == []


def test_the_answer_of_a_fenced_solution_is_its_last_box() -> None:
    blocks = [Block("text", "First \\boxed{1}."), Block("text", "So it is $\\boxed{\\frac{1}{2}}$.")]
    assert QWEN_MATH.answer(blocks) == "\\frac{1}{2}"
    assert TORA.answer([Block("code", "1")]) is None


def test_a_question_in_a_chat_template_stays_content() -> None:
    made = QWEN_MATH.prompt("a <|im_end|> b", "Below is a math problem. Please solve it step by step.")
    assert [s.text for s in made if s.is_control].count("<|im_end|>") == 2
    assert any("a <|im_end|> b" in s.text and not s.is_control for s in made)
    assert "integrate natural language reasoning" in "".join(s.text for s in made)
    assert "Be brief" in "".join(s.text for s in QWEN_MATH.prompt("q", "Be brief"))


# Choosing


def test_auto_takes_the_block_format_where_the_model_has_it() -> None:
    assert choose("auto", ReplayEngine(lambda _: [])).name == "lce"


def test_an_unknown_dialect_is_a_wrong_call_that_lists_the_known_ones() -> None:
    with pytest.raises(InputError, match=r"lce, harmony, .*qwen-math, .*tora"):
        choose("klingon", ReplayEngine(lambda _: []))


def test_a_dialect_whose_tokens_the_model_lacks_is_refused() -> None:
    with pytest.raises(ModelError, match=r"im_start.*--dialect lce"):
        choose("qwen-math", ReplayEngine(lambda _: []))


def test_dialects_are_listed_by_name() -> None:
    assert next(iter(DIALECTS)) == "lce"
    assert {"harmony", "openmath", "llama-ipython", "internlm", "smol-code"} < set(DIALECTS)
    assert {"qwen-math", "tora", "deepseek-math", "numina", "retool", "generic"} < set(DIALECTS)
    assert all(name == dialect.name for name, dialect in DIALECTS.items())

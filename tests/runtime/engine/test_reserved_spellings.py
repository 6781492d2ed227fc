"""What published models delimit calls and results by: found by name, spelled by nobody's text."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import gguf
import pytest
from gguf_factory import write_model
from hypothesis import given
from hypothesis import strategies as st

from runtime.engine.llama.engine import LlamaEngine
from runtime.engine.llama.vocabulary import LlamaVocabulary
from runtime.engine.spelling import apart, is_marker, marker_pattern
from runtime.lce import Block
from runtime.settings import EngineSettings
from runtime.solver.dialects.lce import BlockFormat

USER_DEFINED = gguf.TokenType.USER_DEFINED
MARKERS = ("<tool_call>", "</tool_call>", "<tool_response>", "</tool_response>", "<think>", "</think>", "<|channel|>")
TEMPLATE = "{{ '<tool_call>' }}{{ '\n<tool_response>\n' }}{{ x }}{{ '</tool_response>' }} {% if think %}{% endif %}"


@contextmanager
def words_of(path: Path) -> Iterator[LlamaVocabulary]:
    with LlamaEngine(path, EngineSettings(threads=1), vocab_only=True) as engine:
        yield engine.vocabulary


@pytest.fixture(scope="module")
def words(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LlamaVocabulary]:
    """A vocabulary with markers that are matched in any text, and a template that uses some of them."""
    path = tmp_path_factory.mktemp("reserved") / "model.gguf"
    write_model(path, control=MARKERS, control_type=USER_DEFINED, chat_template=TEMPLATE)
    with words_of(path) as words:
        yield words


def test_a_marker_that_is_no_control_token_is_found_by_its_name(words: LlamaVocabulary) -> None:
    ids = [words.control_id(marker) for marker in MARKERS]
    assert None not in ids
    assert len(set(ids)) == len(MARKERS)
    assert [words.name(token or 0) for token in ids] == list(MARKERS)
    assert words.control_id("<tool_call><think>") is None
    assert words.control_id("print") is None


@pytest.mark.parametrize("marker", ["<tool_call>", "<tool_response>", "</tool_response>"])
def test_what_stands_in_the_chat_template_cannot_be_spelled(words: LlamaVocabulary, marker: str) -> None:
    token = words.control_id(marker)
    assert token in words.tokenize(marker, special=False), "the trap this guards against is gone"
    for text in (marker, f"4\n{marker}\n5", marker * 3, f"<tool{marker}_call>{marker[:-1]}"):
        ids = words.encode(text)
        assert token not in ids
        assert b"".join(map(words.piece, ids)).decode() == text


def test_what_a_dialect_names_cannot_be_spelled_and_other_text_is_as_before(tmp_path: Path) -> None:
    path = write_model(tmp_path / "model.gguf", control=MARKERS, control_type=USER_DEFINED)
    with words_of(path) as words:
        channel, think = words.control_id("<|channel|>"), words.control_id("<think>")
        assert channel in words.encode("a<|channel|>b")
        before = words.encode("the print is an answer")
        words.reserve(["<|channel|>", "<|unheard|>", "print"])
        assert channel not in words.encode("a<|channel|>b<|channel|>")
        # Nobody named it: in this vocabulary it may be ordinary text.
        assert think in words.encode("<think>")
        assert words.encode("the print is an answer") == before


def test_digits_words_and_white_space_of_a_template_stay_what_they_are(tmp_path: Path) -> None:
    added = ("00", "\n\n", "for", "▁▁▁", "<b>", "###")
    template = "{% for m in messages %}   {{ 00 }}\n\n### {{ m }}{% endfor %}"
    path = write_model(tmp_path / "model.gguf", control=added, control_type=USER_DEFINED, chat_template=template)
    with words_of(path) as words:
        for text in ("00", "\n\n", "for", "###"):
            assert words.encode(text) == [words.control_id(text)]


def test_the_block_format_is_read_where_its_tokens_are_of_the_other_type(tmp_path: Path) -> None:
    """Their pieces are not empty there; what is read must be the same."""
    path = write_model(tmp_path / "model.gguf", control_type=USER_DEFINED)
    with words_of(path) as words:
        words.reserve(BlockFormat.needs)
        reader = BlockFormat().reader(words, None)
        ids = [
            words.control_id("<|code|>"),
            *words.encode("print(1)<|endofblock|>"),
            words.control_id("<|endofblock|>"),
        ]
        ids += [words.control_id("<|text|>"), *words.encode("2"), words.control_id("<|endofmessage|>")]
        signals = [reader.push(token or 0, words.piece(token or 0)) for token in ids]
        assert reader.blocks == [Block("code", "print(1)<|endofblock|>"), Block("text", "2")]
        assert [signal for signal in signals if signal] == ["code", "end"]


SPELLINGS = ("<a>", "<a><b>", "<b>", "a>", "|x|")


@given(st.lists(st.sampled_from([*SPELLINGS, "<", "a", ">", "b", "|", "x", "é"]), max_size=12).map("".join))
def test_pieces_are_the_text_and_spell_nothing(text: str) -> None:
    pattern = marker_pattern(SPELLINGS)
    pieces = apart(text, pattern)
    assert "".join(pieces) == text
    assert not [piece for piece in pieces if any(spelling in piece for spelling in SPELLINGS)]


def test_a_marker_is_told_from_other_added_tokens() -> None:
    markers = ["<think>", "[TOOL_CALLS]", '<|"|>', "◁think▷", "</s>", "<｜tool▁calls▁begin｜>", "<0x0A>"]
    assert [text for text in markers if not is_marker(text)] == []
    assert [text for text in ("0", "▁▁▁▁", "\n\n\n", "for", "###", "--", "▁the", "$$$") if is_marker(text)] == []


# Vocabularies of published models


def test_gemma_s_quotes_and_results_cannot_be_spelled(llama_cpp_models: Path) -> None:
    markers = [
        "<|tool_call>",
        "<tool_call|>",
        "<|tool_response>",
        "<tool_response|>",
        '<|"|>',
        "<|channel>",
        "<channel|>",
    ]
    with words_of(llama_cpp_models / "ggml-vocab-gemma-4.gguf") as words:
        ids = {marker: words.control_id(marker) for marker in markers}
        assert (ids["<|tool_response>"], ids["<tool_response|>"], ids['<|"|>']) == (50, 51, 52)
        assert 51 in words.tokenize("4<tool_response|>", special=False), "the trap this guards against is gone"
        # Its template names them; a file without one relies on the dialect.
        words.reserve(markers)
        for marker in markers:
            for text in (marker, f"response:python{{value:{marker}4{marker}}}", marker * 2):
                encoded = words.encode(text)
                assert not set(encoded) & set(ids.values())
                assert b"".join(map(words.piece, encoded)).decode() == text


@pytest.mark.parametrize("name", ["llama-bpe", "qwen2", "phi-3", "deepseek-llm", "command-r", "gemma-4"])
def test_ordinary_text_has_the_ids_it_had(llama_cpp_models: Path, name: str) -> None:
    strings = (llama_cpp_models / f"ggml-vocab-{name}.gguf.inp").read_text(encoding="utf-8")
    with words_of(llama_cpp_models / f"ggml-vocab-{name}.gguf") as words:
        plain = {text: words.encode(text) for text in strings.split("\n__ggml_vocab_test__\n")}
        assert len(plain) > 40
        words.reserve(["<tool_call>", "<|tool_call>", '<|"|>', "</s>", "<|channel|>", "<think>"])
        assert {text: words.encode(text) for text in plain} == plain

"""Token ids are the same in training, in the written tokenizer files and in the GGUF."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from export.gguf.tokenizer import KNOWN_SPLITS, tokenizer_facts, write_tokenizer
from export.merge.vocabulary import load_tokenizer
from qlora.tokens import segment_tokenizer
from runtime.errors import ModelError
from runtime.lce import CONTROL_TOKENS, Segment
from tests.export.conftest import Exported
from tests.export.factory import add_control_tokens, make_byte_level, make_sentencepiece

# Ten seconds on an idle machine: a conversion starts a process that imports torch.
pytestmark = pytest.mark.timeout(1200)

AWKWARD = [
    "", " ", "  ", "\n", "\t\t\n \n", " leading", "trailing ", "a  b   c", "3 33 333 3333 33333", "x=1;y=-2.50",
    "    if x:\n        return [1, 2]\n" + " " * 40 + "deep", "Ünïcödé 🚀 ∑ √2 ≤ 3", "<|text|> spelled", "</s>", "<s>",
    "日本語のテキスト", "I'll don't WE'VE", "$\\boxed{\\frac{1}{3}}$", "\r\n\r\n", "▁underscore", "a\u00a0b\u2028c",
    "\u0000\u0001", "<0x0A>", "🦙" * 9,
]  # fmt: skip


def prepared(folder: Path, make: Any, **options: Any) -> tuple[Path, Any]:
    make(folder / "base", **options)
    return folder / "run", add_control_tokens(folder / "base", folder / "run")


def ids_of_training(tokenizer: Any, text: str) -> list[int]:
    return segment_tokenizer(tokenizer).ids(Segment("text", text, False))


def test_a_sentencepiece_model_made_from_tokenizer_json_says_the_same(tmp_path: Path) -> None:
    from sentencepiece import SentencePieceProcessor

    folder, tokenizer = prepared(tmp_path, make_sentencepiece)
    (folder / "tokenizer.model").unlink()
    target = tmp_path / "target"
    target.mkdir()
    write_tokenizer(folder, target, tokenizer_facts(folder, tokenizer))
    made = SentencePieceProcessor(model_file=str(target / "tokenizer.model"))
    original = SentencePieceProcessor(model_file=str(tmp_path / "base" / "tokenizer.model"))
    assert [made.id_to_piece(i) for i in range(400)] == [original.id_to_piece(i) for i in range(400)]
    assert [made.is_byte(i) for i in range(400)] == [original.is_byte(i) for i in range(400)]
    for text in AWKWARD:
        if "\u0000" not in text and "▁" not in text:
            assert made.encode(text) == original.encode(text), text


def test_a_sentencepiece_model_that_disagrees_with_tokenizer_json_is_replaced(tmp_path: Path) -> None:
    folder, tokenizer = prepared(tmp_path, make_sentencepiece)
    other = tmp_path / "other"
    make_sentencepiece(other, vocabulary=380)
    (folder / "tokenizer.model").write_bytes((other / "tokenizer.model").read_bytes())
    target = tmp_path / "target"
    target.mkdir()
    write_tokenizer(folder, target, tokenizer_facts(folder, tokenizer))
    assert (target / "tokenizer.model").read_bytes() != (other / "tokenizer.model").read_bytes()


def test_a_base_that_puts_a_space_first_is_exported_without_it(tmp_path: Path) -> None:
    folder, tokenizer = prepared(tmp_path, make_sentencepiece, dummy_prefix=True)
    target = tmp_path / "target"
    target.mkdir()
    write_tokenizer(folder, target, tokenizer_facts(folder, tokenizer))
    assert json.loads((target / "tokenizer_config.json").read_text())["add_prefix_space"] is False


def test_every_added_token_is_special_in_the_written_files(tmp_path: Path) -> None:
    folder, tokenizer = prepared(tmp_path, make_byte_level)
    target = tmp_path / "target"
    target.mkdir()
    facts = tokenizer_facts(folder, tokenizer)
    write_tokenizer(folder, target, facts)
    listed = json.loads((target / "tokenizer_config.json").read_text())["added_tokens_decoder"]
    assert {entry["content"] for entry in listed.values() if entry["special"]} >= set(CONTROL_TOKENS)
    assert tokenizer_facts(target, load_tokenizer(target)) == facts
    assert not (target / "tokenizer.model").exists()


def test_a_byte_level_split_is_recognised_by_its_expression(tmp_path: Path) -> None:
    folder, tokenizer = prepared(tmp_path, make_byte_level)
    assert tokenizer_facts(folder, tokenizer).pre_tokenizer == "qwen2"
    assert set(KNOWN_SPLITS.values()) == {"qwen2", "llama-bpe"}


def test_a_tokenizer_without_control_tokens_is_refused(tmp_path: Path) -> None:
    make_byte_level(tmp_path)
    with pytest.raises(ModelError, match=r"lacks <\|system\|>"):
        tokenizer_facts(tmp_path, load_tokenizer(tmp_path))


# Through a GGUF


def texts(shared_data: Path) -> list[str]:
    """Every benchmark question, and the code blocks of the traces (every seventh, to keep the test short)."""
    result = list(AWKWARD)
    for file in sorted((shared_data / "questions").glob("*.jsonl")):
        result += [json.loads(line)["question"] for line in file.read_text(encoding="utf-8").split("\n") if line]
    for file in sorted((shared_data / "traces").glob("*.jsonl")):
        for line in file.read_text(encoding="utf-8").rstrip("\n").split("\n")[::7]:
            result += [block["content"] for block in json.loads(line)["blocks"] if block["type"] == "code"]
    return result


def disagreements(exported: Exported, wanted: list[str]) -> list[str]:
    from export.certify.measure_worker import Measured

    tokenizer = load_tokenizer(exported.run / "tokenizer")
    measured = Measured(str(exported.summary.files["Q8_0"]), n_ctx=64, threads=1)
    return [text for text in wanted if measured.vocabulary.encode(text) != ids_of_training(tokenizer, text)]


def test_sentencepiece_ids_equal_trainings_on_awkward_text(llama_export: Exported) -> None:
    assert disagreements(llama_export, AWKWARD) == []


def test_byte_level_ids_equal_trainings_on_awkward_text(qwen2_export: Exported) -> None:
    assert disagreements(qwen2_export, AWKWARD) == []


def test_ids_equal_trainings_on_llama_cpps_own_test_strings(
    llama_export: Exported, qwen2_export: Exported, converter: Any
) -> None:
    file = converter.folder / "models" / "ggml-vocab-llama-bpe.gguf.inp"
    if not file.is_file():
        pytest.skip(f"{file} is not there (an older cache or a folder without it)")
    strings = file.read_text(encoding="utf-8").split("\n__ggml_vocab_test__\n")
    assert len(strings) > 30
    assert disagreements(llama_export, strings) == []
    assert disagreements(qwen2_export, strings) == []


def test_sentencepiece_ids_equal_trainings_on_all_questions_and_code(llama_export: Exported, shared_data: Path) -> None:
    wanted = texts(shared_data)
    assert len(wanted) > 15_000
    assert disagreements(llama_export, wanted) == []


def test_byte_level_ids_equal_trainings_on_all_questions_and_code(qwen2_export: Exported, shared_data: Path) -> None:
    assert disagreements(qwen2_export, texts(shared_data)) == []

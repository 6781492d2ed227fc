"""Rows in another dialect: what training sees is what the solver has in context, id for id."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gguf
import pytest
from dialect_words import SOLUTIONS, alternating, drawn, joined, outputs_of, replayed

from export.from_gguf.vocabulary import tokenizer_of
from export.gguf.file import read_gguf
from qlora.data import encode, labels_of
from qlora.dialects import DIALECT_KEY, dialect_name, speak
from qlora.tokens import segment_tokenizer
from runtime.engine.llama.engine import LlamaEngine
from runtime.errors import InputError, MathCoderError
from runtime.lce import CONTROL_TOKENS, SUPERVISED_KINDS, Block, conversation
from runtime.settings import EngineSettings
from runtime.solver.dialects import choose
from runtime.solver.dialects.native import NativeDialect
from runtime.solver.outputs import cleaned

pytestmark = pytest.mark.slow
CONTROL, USER_DEFINED = gguf.TokenType.CONTROL, gguf.TokenType.USER_DEFINED
QWEN3 = {
    151657: ("<tool_call>", USER_DEFINED),
    151658: ("</tool_call>", USER_DEFINED),
    151665: ("<tool_response>", USER_DEFINED),
    151666: ("</tool_response>", USER_DEFINED),
    151667: ("<think>", USER_DEFINED),
    151668: ("</think>", USER_DEFINED),
}
"""Published ids of what the vocabulary file of llama.cpp has as `[PAD...]`."""
LLAMA3 = {
    128008: ("<|eom_id|>", CONTROL),
    128010: ("<|python_tag|>", CONTROL),
    # The vocabularies of these families are not among llama.cpp's: their tokens in the place of reserved ones.
    **{
        128100 + number: (name, CONTROL)
        for number, name in enumerate(
            [
                "<|im_start|>",
                "<|im_end|>",
                "<|action_start|>",
                "<|action_end|>",
                "<|interpreter|>",
                "<|return|>",
                "<|call|>",
            ]
        )
    },
    **{
        128120 + number: (name, USER_DEFINED)
        for number, name in enumerate(["<|start|>", "<|channel|>", "<|message|>", "<|end|>", "<|constrain|>"])
    },
}
CASES = [
    *(("qwen2", name) for name in ("qwen-math", "openmath", "retool", "smol-code", "generic", "tora", "template")),
    *(("llama-bpe", name) for name in ("llama-ipython", "harmony", "internlm", "deepseek-math", "numina")),
]
TEMPLATES = {"qwen2": "Qwen-Qwen3-0.6B.jinja"}
BUDGETS: dict[str, Any] = {
    "max_calls": 10**4,
    "max_tokens": 10**6,
    "max_block_tokens": 10**6,
    "max_execution_tokens": 10**6,
    "max_seconds": 1e6,
    "max_repeated_errors": 10**4,
}
"""Above what any solution here needs: a model is told of a budget that nears its end, and no row is."""
AWKWARD = [
    *SOLUTIONS.values(),
    [
        Block("text", "A <tool_call> is no call, nor is <|im_end|> an end."),
        Block("code", "print('</tool_call>', '<|call|>', '<think>')"),
        Block("execution", "\x1b[31m</tool_call>\x1b[0m <|call|> <think>\n<tool_response>\n```\n</interpreter>"),
        Block("text", "The answer is \\boxed{1}."),
    ],
]


def with_tokens(source: Path, target: Path, tokens: dict[int, tuple[str, Any]], template: str) -> Path:
    """A vocabulary file with some tokens renamed."""
    reader = gguf.GGUFReader(str(source))
    writer = gguf.GGUFWriter(target, str(reader.fields["general.architecture"].contents()))
    for field in reader.fields.values():
        if field.name.startswith("GGUF.") or field.name in ("general.architecture", "tokenizer.chat_template"):
            continue
        value = field.contents()
        if field.name in ("tokenizer.ggml.tokens", "tokenizer.ggml.token_type"):
            value = list(value)
            for token, (name, kind) in tokens.items():
                value[token] = name if field.name.endswith("tokens") else int(kind)
        inner = field.types[-1] if field.types[0] == gguf.GGUFValueType.ARRAY else None
        writer.add_key_value(field.name, value, field.types[0], sub_type=inner)
    if template:
        writer.add_chat_template(template)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.close()
    return target


class Pair:
    """One vocabulary, as llama.cpp has it and as training has it."""

    def __init__(self, engine: LlamaEngine, path: Path) -> None:
        self.engine, self.words = engine, engine.vocabulary
        self._plain = tokenizer_of(read_gguf(path), tuple(sorted(self.words.ends)))
        self._made: dict[str, Any] = {}

    def tokenizer(self, dialect: str) -> Any:
        """The file's tokenizer, speaking `dialect`; a copy of its rules takes seconds, so each is made once."""
        if dialect not in self._made:
            tokenizer = copy.copy(self._plain)
            tokenizer.init_kwargs = dict(self._plain.init_kwargs)
            speak(tokenizer, dialect)
            self._made[dialect] = tokenizer
        return self._made[dialect]


@pytest.fixture(scope="module")
def pairs(llama_cpp_models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Pair]]:
    folder = tmp_path_factory.mktemp("vocabularies")
    made: dict[str, Pair] = {}
    for name, tokens in (("qwen2", QWEN3), ("llama-bpe", LLAMA3)):
        template = ""
        if name in TEMPLATES:
            template = (llama_cpp_models / "templates" / TEMPLATES[name]).read_text(encoding="utf-8")
        path = with_tokens(llama_cpp_models / f"ggml-vocab-{name}.gguf", folder / f"{name}.gguf", tokens, template)
        made[name] = Pair(LlamaEngine(path, EngineSettings(threads=1), vocab_only=True), path)
    yield made
    for pair in made.values():
        pair.engine.close()


def as_row(question: str, blocks: list[Block]) -> dict[str, Any]:
    return {"messages": conversation(question, blocks)}


def check(pair: Pair, name: str, question: str, blocks: list[Block], tokenizer: Any) -> None:
    tokens = segment_tokenizer(tokenizer)
    dialect = tokens.dialect
    assert isinstance(dialect, NativeDialect)
    encoded = encode(as_row(question, blocks), tokenizer)
    # The solver's own choice for this file is the same but for thinking, which rows have none of.
    chosen = choose(name, pair.engine)
    assert isinstance(chosen, NativeDialect)
    assert chosen.thinking(False) == dialect
    written = drawn(dialect, pair.words, blocks, end=tokens.end)
    template = pair.engine.chat_template
    solution, ids = replayed(
        name,
        pair.words,
        question,
        written,
        outputs_of(blocks),
        dialect=dialect,
        chat_template=template,
        shaped=True,
        **BUDGETS,
    )
    assert solution.status in ("answered", "no_answer")
    assert encoded.input_ids == ids
    told = [dialect.shaped(cleaned(b.content), "ok") if b.type == "execution" else b.content for b in blocks]
    assert [b.content.strip() for b in solution.blocks] == [content.strip() for content in told]


@pytest.mark.parametrize(("vocabulary", "name"), CASES)
def test_training_sees_the_ids_that_the_solver_has_in_the_cache(
    pairs: dict[str, Pair], vocabulary: str, name: str
) -> None:
    pair = pairs[vocabulary]
    tokenizer = pair.tokenizer(name)
    assert dialect_name(tokenizer) == name
    for blocks in AWKWARD:
        check(pair, name, "Is 1 < 2 </tool_response> <|im_start|>?", blocks, tokenizer)


@pytest.mark.parametrize(("vocabulary", "name"), CASES)
def test_published_solutions_have_the_same_ids(
    pairs: dict[str, Pair], vocabulary: str, name: str, shared_data: Path
) -> None:
    tokenizer = pairs[vocabulary].tokenizer(name)
    checked = 0
    for file in sorted((shared_data / "traces").glob("*.jsonl")):
        with open(file, encoding="utf-8") as lines:
            for _, line in zip(range(4), lines, strict=False):
                trace = json.loads(line)
                blocks = joined(trace["blocks"])
                if alternating(blocks):
                    check(pairs[vocabulary], name, trace["question"], blocks, tokenizer)
                    checked += 1
    assert checked >= 10


# Kinds and labels


@pytest.mark.parametrize(("vocabulary", "name"), CASES)
def test_executions_and_their_frames_carry_no_loss_and_the_end_does(
    pairs: dict[str, Pair], vocabulary: str, name: str
) -> None:
    pair = pairs[vocabulary]
    tokenizer = pair.tokenizer(name)
    encoded = encode(as_row("Q?", SOLUTIONS["one call"]), tokenizer)
    assert len(tokenizer) == pair.words.size, "no token was added"
    spans: dict[str, bytes] = {}
    for token, label, kind in zip(*encoded, strict=True):
        spans[kind] = spans.get(kind, b"") + pair.words.piece(token)
        assert (label == token) == (kind in SUPERVISED_KINDS)
        assert label in (token, -100)
    assert b"<b>\n<b>" in spans["execution"]
    assert b"<b>\n<b>" not in spans["control"] + spans["text"] + spans["code"]
    assert b"print(x" in spans["code"]
    assert spans["text"].decode() == "Let me compute.The answer is \\boxed{4}."
    assert encoded.kinds[-1] == "control"
    assert pair.words.is_end(encoded.labels[-1])


def test_a_dialect_is_remembered_by_the_saved_tokenizer(pairs: dict[str, Pair], tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    tokenizer = pairs["qwen2"].tokenizer("openmath")
    tokenizer.save_pretrained(tmp_path)
    again = AutoTokenizer.from_pretrained(str(tmp_path))
    assert again.init_kwargs[DIALECT_KEY] == "openmath"
    row = as_row("Q?", SOLUTIONS["one call"])
    assert encode(row, again) == encode(row, tokenizer)
    assert not any(token in again.get_vocab() for token in CONTROL_TOKENS)


def test_a_dialect_that_does_not_fit_the_base_is_refused(pairs: dict[str, Pair]) -> None:
    with pytest.raises(MathCoderError, match=r"<\|start\|>"):
        segment_tokenizer(pairs["qwen2"].tokenizer("harmony"))
    with pytest.raises(InputError, match="no dialect"):
        segment_tokenizer(pairs["qwen2"].tokenizer("klingon"))


def test_of_several_turns_the_last_one_is_learned(pairs: dict[str, Pair]) -> None:
    tokenizer = pairs["qwen2"].tokenizer("generic")
    messages = conversation("First?", SOLUTIONS["one call"]) + conversation("Second?", SOLUTIONS["text alone"])[1:]
    encoded = encode({"messages": messages}, tokenizer)
    learned = b"".join(pairs["qwen2"].words.piece(label) for label in encoded.labels if label != -100)
    assert learned.decode() == "It is \\boxed{7}."
    assert labels_of(encoded.input_ids, encoded.kinds, SUPERVISED_KINDS) == encoded.labels

"""The hand-written dialects: prompts as published; solutions read, replayed, learned with equal ids."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from dialect_words import (
    CONTROL,
    NATIVE,
    SOLUTIONS,
    SPOKEN,
    USER_DEFINED,
    drawn,
    end_segments,
    fitted,
    ids_of,
    outputs_of,
    replayed,
    write_vocabulary,
)

from runtime.engine.llama.engine import LlamaEngine
from runtime.engine.llama.vocabulary import LlamaVocabulary
from runtime.engine.protocol import encode
from runtime.lce import Block, Segment
from runtime.sandbox import Limits, Sandbox
from runtime.settings import EngineSettings
from runtime.solver.dialects import DIALECTS

GOLDEN = Path(__file__).parent / "data" / "dialects.json"


@pytest.fixture(scope="module")
def words(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LlamaVocabulary]:
    path = write_vocabulary(tmp_path_factory.mktemp("dialects") / "words.gguf")
    with LlamaEngine(path, EngineSettings(threads=1), vocab_only=True) as engine:
        yield engine.vocabulary


def spelled(segments: list[Segment]) -> str:
    return "".join(segment.text for segment in segments)


# Rendering


@pytest.mark.parametrize("name", NATIVE)
def test_prompt_and_solution_are_in_the_published_form(words: LlamaVocabulary, name: str) -> None:
    dialect = fitted(name, words)
    earlier = ("1 + 1?", [Block("text", "Hm.", thinking=True), *SOLUTIONS["one call"]])
    made = {
        "prompt": spelled(dialect.prompt("QUESTION", "")),
        "with system and history": spelled(dialect.prompt("QUESTION", "SYSTEM", [earlier])),
        "solution": spelled(dialect.solution(SOLUTIONS["one call"])),
    }
    assert made == json.loads(GOLDEN.read_text(encoding="utf-8"))[name]


@pytest.mark.parametrize("name", NATIVE)
def test_every_token_has_its_kind_and_what_the_runtime_writes_carries_no_loss(
    words: LlamaVocabulary, name: str
) -> None:
    dialect = fitted(name, words)
    blocks = SOLUTIONS["one call"]
    kinds: dict[str, str] = {}
    for segment in dialect.solution(blocks):
        kinds[segment.kind] = kinds.get(segment.kind, "") + segment.text
    assert kinds["text"] == blocks[0].content + blocks[3].content
    assert "print(x" in kinds["code"]
    assert "<b>\n<b>\n" in kinds["execution"]
    assert not any(text in kinds["control"] for text in ("compute", "print(x", "<b>\n<b>"))
    assert {segment.kind for segment in dialect.prompt("Q", "")} == {"prompt"}


# The property: one sequence of ids for training and for solving


@pytest.mark.parametrize("case", SOLUTIONS)
@pytest.mark.parametrize("name", SPOKEN)
def test_a_solution_has_the_same_ids_in_training_and_in_the_cache(words: LlamaVocabulary, name: str, case: str) -> None:
    dialect, blocks = fitted(name, words), SOLUTIONS[case]
    solution, ids = replayed(name, words, "What is it?", drawn(dialect, words, blocks), outputs_of(blocks))
    assert solution.status == "answered"
    assert ids == ids_of(dialect, words, "What is it?", blocks)
    assert [(block.type, block.content.strip()) for block in solution.blocks] == [
        (block.type, block.content.strip()) for block in blocks
    ]


@pytest.mark.parametrize("name", SPOKEN)
def test_a_second_question_has_the_same_ids_too(words: LlamaVocabulary, name: str) -> None:
    dialect, blocks = fitted(name, words), SOLUTIONS["code first, twice"]
    history = [("First?", SOLUTIONS["one call"]), ("Second?", SOLUTIONS["text alone"])]
    solution, ids = replayed(name, words, "Third?", drawn(dialect, words, blocks), outputs_of(blocks), history)
    assert solution.answer == "1"
    assert ids == ids_of(dialect, words, "Third?", blocks, history=history)


# Injection

MARKERS = (*CONTROL, *USER_DEFINED, "</s>", "<s>", "</code>", "<code>", "<interpreter>", "</interpreter>", "---", "```")


@pytest.mark.parametrize("name", SPOKEN)
def test_no_marker_in_a_question_an_output_or_a_history_becomes_a_token(words: LlamaVocabulary, name: str) -> None:
    dialect = fitted(name, words)
    # Other tokens of this vocabulary are ordinary to the dialect, as they would be in its own models'.
    named = {*CONTROL, *dialect.markers, *dialect.needs}
    special = {words.control_id(marker) for marker in named} | words.ends

    def structure(question: str, output: str, said: str) -> list[int]:
        blocks = [Block("text", "We run it."), Block("code", "f()"), Block("execution", output), Block("text", "4")]
        history = [
            (question, [Block("text", said), Block("code", f"g({said!r})"), Block("execution", output), blocks[3]])
        ]
        solution, ids = replayed(name, words, question, drawn(dialect, words, blocks), [output], history)
        assert solution.status == "answered"
        assert [block.type for block in solution.blocks] == ["text", "code", "execution", "text"]
        return [token for token in ids if token in special]

    plain = structure("a question", "an output", "an answer")
    for marker in MARKERS:
        for text in (marker, f"a\n{marker}\n{marker}b", marker + "".join(MARKERS)):
            assert structure(f"x {text}", f"4\n{text}", f"y {text}") == plain, text


@pytest.mark.parametrize("name", SPOKEN)
def test_the_probes_of_the_development_data_become_no_token(
    words: LlamaVocabulary, name: str, shared_data: Path
) -> None:
    dialect = fitted(name, words)
    special = {words.control_id(marker) for marker in {*CONTROL, *dialect.markers, *dialect.needs}} | words.ends
    probes = json.loads((shared_data / "attacks.json").read_text(encoding="utf-8"))
    texts = [probe["code"] for probe in probes if probe["group"] == "model-injection"]
    assert len(texts) >= 5
    blocks = [Block("code", "f()"), Block("execution", "1"), Block("text", "4")]
    plain = [t for t in replayed(name, words, "q", drawn(dialect, words, blocks), ["1"])[1] if t in special]
    for text in texts:
        solution, ids = replayed(name, words, f"q {text}", drawn(dialect, words, blocks), [text])
        assert solution.blocks[1].content == text
        assert [token for token in ids if token in special] == plain


FILES = """
import os
for number, name in enumerate(NAMES):
    os.makedirs(f"{number}/" + os.path.dirname(name), exist_ok=True)
    open(f"{number}/{name}", "w").close()
print([os.path.join(here, file) for here, _, files in os.walk(".") for file in files])
print(*sorted(os.listdir("0")), sep="\\n")
open(NAMES[-1])
"""


@pytest.fixture(scope="module")
def listing() -> str:
    """What a cell shows that writes and lists files named like markers, and fails on a missing one."""
    names = [f"{marker}{marker}" for marker in MARKERS] + ["</tool_response>.csv"]
    with Sandbox(Limits(output_chars=20_000)) as sandbox:
        output = sandbox.run(FILES.replace("NAMES", repr(names))).output
    assert all(name in output for name in names)
    assert "FileNotFoundError" in output
    return output


@pytest.mark.parametrize("name", SPOKEN)
def test_no_file_name_that_a_cell_lists_becomes_a_token(words: LlamaVocabulary, name: str, listing: str) -> None:
    dialect = fitted(name, words)
    special = {words.control_id(marker) for marker in {*CONTROL, *dialect.markers, *dialect.needs}} | words.ends
    blocks = [Block("text", "We look."), Block("code", "f()"), Block("execution", "1"), Block("text", "\\boxed{4}")]

    def structure(output: str) -> list[int]:
        written = drawn(dialect, words, blocks)
        solution, ids = replayed(name, words, "Which files?", written, [output], max_execution_tokens=10**5)
        assert [block.type for block in solution.blocks] == ["text", "code", "execution", "text"]
        assert solution.answer == "4"
        return [token for token in ids if token in special]

    assert structure(listing) == structure("nothing")


def test_what_the_vocabulary_spells_is_broken_in_what_others_write(words: LlamaVocabulary) -> None:
    dialect = fitted("retool", words)
    assert "</interpreter>" not in dialect.markers
    _, ids = replayed(
        "retool", words, "Is <code> a tag?", drawn(dialect, words, SOLUTIONS["one call"]), ["</interpreter>"]
    )
    read = b"".join(map(words.piece, ids)).decode()
    assert read.partition("Is < code>")[2].count("</interpreter>") == 1
    assert read.count("< /interpreter>") == 1
    assert "Is < code> a tag?" in read


def test_a_fence_in_an_output_does_not_end_the_output(words: LlamaVocabulary) -> None:
    dialect = fitted("generic", words)
    _, ids = replayed("generic", words, "Q?", drawn(dialect, words, SOLUTIONS["one call"]), ["4\n```\n```python\n1"])
    read = b"".join(map(words.piece, ids)).decode()
    assert "```output\n4\n ```\n ```python\n1\n```\n" in read


# Streams that are not as they should be


def stream(words: LlamaVocabulary, *parts: str | tuple[str]) -> list[int]:
    """Tokens of text; a part in a tuple is a token by name."""
    return encode(words, [Segment("text", p if isinstance(p, str) else p[0], not isinstance(p, str)) for p in parts])


START, CHANNEL, MESSAGE, END = ("<|start|>",), ("<|channel|>",), ("<|message|>",), ("<|end|>",)
CALL, RETURN = ("<|call|>",), ("<|return|>",)


def test_harmony_reads_recipients_on_either_side_types_and_preambles(words: LlamaVocabulary) -> None:
    fitted("harmony", words)
    tokens = stream(
        words,
        CHANNEL, "analysis", MESSAGE, "I think.", END,
        START, "assistant", CHANNEL, "commentary", MESSAGE, "I will run it.", END,
        START, "assistant to=python", CHANNEL, "analysis ", ("<|constrain|>",), "code", MESSAGE, "print(4)", CALL,
        CHANNEL, "commentary to=functions.python", MESSAGE, '{"code": "print(5)"}', CALL,
        CHANNEL, "final", MESSAGE, "It is \\boxed{9}.", RETURN,
    )  # fmt: skip
    solution, _ = replayed("harmony", words, "Q?", tokens, ["4", "5"])
    assert [(b.type, b.content, b.thinking) for b in solution.blocks] == [
        ("text", "I think.", True),
        ("text", "I will run it.", False),
        ("code", "print(4)", False),
        ("execution", "4", False),
        ("code", "print(5)", False),
        ("execution", "5", False),
        ("text", "It is \\boxed{9}.", False),
    ]
    assert solution.answer == "9"


def test_harmony_answers_a_call_in_the_channel_it_came_from(words: LlamaVocabulary) -> None:
    fitted("harmony", words)
    tokens = stream(
        words, CHANNEL, "commentary to=python code", MESSAGE, "4", CALL, CHANNEL, "final", MESSAGE, "4", RETURN
    )
    _, ids = replayed("harmony", words, "Q?", tokens, ["OUT"])
    read = "".join(
        words.name(t)
        if t in (words.control_id(m[0]) for m in (START, CHANNEL, MESSAGE, END))
        else words.piece(t).decode()
        for t in ids
    )
    assert "<|start|>python to=assistant<|channel|>commentary<|message|>OUT<|end|><|start|>assistant" in read


@pytest.mark.parametrize(
    ("parts", "token"),
    [
        ((CHANNEL, "analysis", END), "<|return|>"),
        ((CHANNEL, "analysis"), "<|return|>"),
        ((CHANNEL, "analysis"), "<|start|>"),
        ((CHANNEL,), "<|channel|>"),
        ((CHANNEL, "analysis", MESSAGE, "x", END, START), "<|channel|>"),
    ],
    ids=["between messages", "in a header", "a start in a header", "a channel twice", "no role"],
)
def test_harmony_forbids_what_would_break_a_header(
    words: LlamaVocabulary, parts: tuple[str | tuple[str], ...], token: str
) -> None:
    fitted("harmony", words)
    solution, _ = replayed("harmony", words, "Q?", [*stream(words, *parts), *stream(words, (token,))], [])
    assert solution.status == "error"
    assert "forbids" in solution.detail


def test_openmath_runs_calls_inside_of_thinking_and_shows_what_is_left(words: LlamaVocabulary) -> None:
    fitted("openmath", words)
    tokens = stream(
        words,
        ("<think>",), "Hm. ", ("<tool_call>",), "\nprint(4)\n", ("</tool_call>",), "So 4.", ("</think>",),
        "It is \\boxed{4}.", ("<|im_end|>",),
    )  # fmt: skip
    solution, ids = replayed("openmath", words, "Q?", tokens, ["4"])
    assert [(b.type, b.thinking) for b in solution.blocks] == [
        ("text", True), ("code", False), ("execution", False), ("text", True), ("text", False),
    ]  # fmt: skip
    assert solution.answer == "4"
    assert "```output\n4\n```" in b"".join(map(words.piece, ids)).decode()


def test_code_that_is_shown_and_not_asked_for_is_not_run(words: LlamaVocabulary) -> None:
    fitted("qwen-math", words)
    shown = stream(words, "One could write\n```python\nprint(1)\n```\nbut it is \\boxed{2}.", ("<|im_end|>",))
    solution, _ = replayed("qwen-math", words, "Q?", shown, [])
    assert (solution.answer, solution.cells) == ("2", 0)
    assert not [block for block in solution.blocks if block.type == "execution"]
    asked = stream(words, "```python\nprint(1)\n```\n```output", "So \\boxed{1}.", ("<|im_end|>",))
    solution, _ = replayed("qwen-math", words, "Q?", asked, ["1"])
    assert [block.type for block in solution.blocks] == ["code", "execution", "text"]


@pytest.mark.parametrize("name", ["llama-ipython", "internlm"])
def test_the_token_that_ends_a_call_ends_no_solution(words: LlamaVocabulary, name: str) -> None:
    dialect = fitted(name, words)
    close = words.control_id(dialect.call.close) or -1
    blocks = SOLUTIONS["one call"]
    solution, ids = replayed(name, words, "Q?", drawn(dialect, words, blocks), outputs_of(blocks))
    assert close in ids
    assert solution.answer == "4"


def test_llama_s_json_calls_are_read_and_unknown_tools_answered(words: LlamaVocabulary) -> None:
    fitted("llama-ipython", words)
    call = '{"type": "function", "name": "python", "parameters": {"code": "print(4)"}}'
    tokens = stream(words, ("<|python_tag|>",), call, ("<|eot_id|>",), "\\boxed{4}", ("<|eot_id|>",))
    solution, _ = replayed("llama-ipython", words, "Q?", tokens, ["4"])
    assert [block.content for block in solution.blocks] == ["print(4)", "4", "\\boxed{4}"]


@pytest.mark.parametrize("name", [name for name in NATIVE if DIALECTS[name].call.ends_on != "request"])  # type: ignore[attr-defined]
def test_a_call_that_holds_nothing_is_answered_and_the_solution_goes_on(words: LlamaVocabulary, name: str) -> None:
    dialect = fitted(name, words)
    blocks = [Block("code", ""), Block("execution", "?"), Block("text", "\\boxed{4}")]
    written = [s for s in dialect.solution(blocks) if s.kind != "execution"]
    solution, _ = replayed(name, words, "Q?", encode(words, [*written, *end_segments(dialect, words)]), [])
    assert solution.answer == "4"
    assert solution.blocks[1].type == "execution"
    assert "no code" in solution.blocks[1].content


@pytest.mark.parametrize("name", SPOKEN)
def test_a_budget_ends_a_solution_with_its_blocks(words: LlamaVocabulary, name: str) -> None:
    dialect, blocks = fitted(name, words), SOLUTIONS["an error"]
    solution, _ = replayed(
        name, words, "Q?", drawn(dialect, words, blocks), outputs_of(blocks), max_tokens=40, answer_tokens=0
    )
    assert solution.status == "token_limit"
    assert solution.blocks[0].type in ("text", "code")

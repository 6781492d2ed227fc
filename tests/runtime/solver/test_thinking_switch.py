"""Thinking turned on and off, where a model's chat template has a switch for that."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from dialect_words import ids_of, outputs_of, replayed, write_vocabulary

from runtime.engine import About
from runtime.engine.llama.engine import LlamaEngine
from runtime.engine.llama.vocabulary import LlamaVocabulary
from runtime.engine.protocol import encode
from runtime.engine.scripted import ReplayEngine
from runtime.errors import InputError
from runtime.lce import DEFAULT_SYSTEM, Block
from runtime.settings import EngineSettings
from runtime.solver.dialects import choose
from runtime.solver.dialects.native import NativeDialect
from runtime.solver.dialects.template import derive
from runtime.solver.dialects.template.conversations import FORMS, OFF, OUTPUT, QUESTION, requests
from runtime.solver.dialects.template.render import render

TURNS = (
    "{% if tools %}<|im_start|>system\nTools: {{ tools | tojson }}<|im_end|>\n{% endif %}"
    "{% for m in messages %}{% if m.role == 'tool' %}<|im_start|>user\n<tool_response>\n{{ m.content }}\n"
    "</tool_response>{% else %}<|im_start|>{{ m.role }}\n{{ m.content }}{% endif %}"
    "{% for c in m.tool_calls or [] %}\n<tool_call>\n{{ c.function | tojson }}\n</tool_call>{% endfor %}"
    "<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n"
)
EMPTY = "{% if enable_thinking is defined and enable_thinking is false %}<think>\n\n</think>\n\n"
TEMPLATES = {
    "written": TURNS + EMPTY + "{% endif %}{% endif %}",
    "prefilled": TURNS + EMPTY + "{% else %}<think>\n{% endif %}{% endif %}",
    "always": TURNS + "<think>\n{% endif %}{# </think> #}",
    "none": TURNS + "{% endif %}",
}
SWITCHED = ("written", "prefilled")
BLOCKS = [
    Block("text", "We compute."),
    Block("code", "print(6 * 7)"),
    Block("execution", "42"),
    Block("text", "It is \\boxed{42}."),
]


@pytest.fixture(scope="module")
def words(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LlamaVocabulary]:
    path = write_vocabulary(tmp_path_factory.mktemp("thinking") / "words.gguf")
    with LlamaEngine(path, EngineSettings(threads=1), vocab_only=True) as engine:
        yield engine.vocabulary


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MATHCODER_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


def spoken(words: LlamaVocabulary, template: str, thinking: bool | None, *, trained: str = "") -> NativeDialect:
    engine = ReplayEngine(lambda _: [], vocabulary=words)
    engine.chat_template, engine.about = TEMPLATES[template], About(dialect=trained)
    dialect = choose("template", engine, thinking=thinking)
    assert isinstance(dialect, NativeDialect)
    assert dialect.name == "template"
    return dialect


def rendered(template: str, conversation: str, enable_thinking: bool) -> str:
    values = requests("python", "code", {"bos_token": "", "eos_token": ""})[conversation]
    return render(TEMPLATES[template], [values | {"enable_thinking": enable_thinking}]).results[0].text


@pytest.mark.parametrize("thinking", [True, False])
@pytest.mark.parametrize("template", SWITCHED)
def test_the_first_turn_and_the_turn_after_a_result_begin_as_the_template_begins_them(
    words: LlamaVocabulary, template: str, thinking: bool
) -> None:
    dialect = spoken(words, template, thinking)
    prompt = "".join(piece.text for piece in dialect.prompt("Q", DEFAULT_SYSTEM))
    assert prompt.endswith(rendered(template, "asked", thinking).rpartition(QUESTION)[2])
    result = "".join(piece.text for piece in dialect.executed([(OUTPUT, "")]))
    assert result.endswith(rendered(template, "called, object", thinking).rpartition(OUTPUT)[2])
    assert result.endswith("</think>\n\n") is not thinking


@pytest.mark.parametrize("trained", ["", "template"])
@pytest.mark.parametrize(
    ("template", "thinking"), [*itertools.product(SWITCHED, (None, True, False)), ("always", None), ("none", None)]
)
def test_what_training_sees_is_in_the_cache_with_and_without_thinking(
    words: LlamaVocabulary, template: str, thinking: bool | None, trained: str
) -> None:
    dialect = spoken(words, template, thinking, trained=trained)
    ours = [segment for segment in dialect.solution(BLOCKS) if segment.kind != "execution"]
    drawn = [*encode(words, ours), words.control_id("<|im_end|>") or 0]
    solution, ids = replayed("template", words, "6 * 7?", drawn, outputs_of(BLOCKS), dialect=dialect)
    assert solution.answer == "42"
    assert [(b.type, b.content.strip(), b.thinking) for b in solution.blocks] == [(*b, False) for b in pairs()]
    assert ids == ids_of(dialect, words, "6 * 7?", BLOCKS)


def pairs() -> list[tuple[str, str]]:
    return [(block.type, block.content) for block in BLOCKS]


def test_what_was_trained_here_is_asked_without_thinking_unless_it_is_wanted(words: LlamaVocabulary) -> None:
    assert spoken(words, "written", None).thinks
    assert not spoken(words, "written", None, trained="template").thinks
    wanted = spoken(words, "prefilled", True, trained="template")
    assert (wanted.thinks, wanted.evidence) == (True, "trained")
    assert wanted.result.prefills_thinking
    # Where the prompt ends inside thinking and nothing turns it off, a row begins by ending it.
    stuck = spoken(words, "always", None, trained="template").solution(BLOCKS)
    assert "".join(segment.text for segment in stuck).lstrip().startswith("</think>")


@pytest.mark.parametrize(
    ("template", "thinking", "said"),
    [("always", False, "kept from thinking"), ("none", True, "how this model thinks")],
)
def test_a_switch_that_is_not_there_is_a_sentence(
    words: LlamaVocabulary, template: str, thinking: bool, said: str
) -> None:
    with pytest.raises(InputError, match=said):
        spoken(words, template, thinking)


def test_a_model_that_never_thinks_may_be_told_not_to(words: LlamaVocabulary) -> None:
    assert spoken(words, "none", False) == spoken(words, "none", None)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_without_thinking_a_turn_after_a_result_begins_as_the_shipped_templates_begin_it(
    llama_cpp_models: Path,
) -> None:
    asked = requests("python", "code", {"bos_token": "<s>", "eos_token": "</s>"})

    def differs(file: Path) -> str | None:
        """Empty where the frame of a result is as rendered, None where the template has no switch."""
        text = file.read_text(encoding="utf-8")
        dialect = derive(text).dialect
        if dialect is None or not dialect.has_thinking_switch or dialect.result.quoted:
            return None
        segments = dialect.thinking(False).executed([(OUTPUT, "qv7Kp2mXz")])
        ours = "".join(segment.text for segment in segments).rpartition(OUTPUT)[2]
        results = render(text, [asked[f"called, {form}"] | OFF for form in FORMS]).results
        shown = [one.text.rpartition(OUTPUT)[2] for one in results if not one.error and OUTPUT in one.text]
        return "" if any(one.endswith(ours) for one in shown) else f"{file.stem}: {ours!r} is none of {shown}"

    with ThreadPoolExecutor(2) as pool:
        told = [
            one
            for one in pool.map(differs, sorted((llama_cpp_models / "templates").glob("*.jinja")))
            if one is not None
        ]
    assert not [one for one in told if one]
    assert len(told) >= 5

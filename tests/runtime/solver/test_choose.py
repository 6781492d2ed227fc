"""Which dialect a model's file speaks for, by tokens, architecture, name and chat template."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from dialect_words import write_vocabulary
from gguf_factory import write_model

from runtime.engine import About, Vocabulary
from runtime.engine.llama.engine import LlamaEngine
from runtime.engine.scripted import ReplayEngine
from runtime.errors import ModelError
from runtime.evaluate.run import settings_for_mode
from runtime.lce import CONTROL_TOKENS, Block
from runtime.sandbox import Sandbox
from runtime.settings import EngineSettings, SolverSettings
from runtime.solver import Solver
from runtime.solver.dialects import choose, line_about, within_limits

CHATML = ("<|im_start|>", "<|im_end|>")
TOOLS = ("<tool_call>", "</tool_call>", "<tool_response>", "</tool_response>", "<think>", "</think>")
DECLARING = (
    "{% if tools %}<|im_start|>system\nTools: {{ tools | tojson }}<|im_end|>\n{% endif %}"
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}"
    "{% for c in m.tool_calls or [] %}\n<tool_call>\n{{ c.function | tojson }}\n</tool_call>{% endfor %}"
    "<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
PLAIN = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MATHCODER_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("models")


class Model(ReplayEngine):
    """An engine with the vocabulary of a file and whatever else is said of it."""

    def __init__(self, vocabulary: Vocabulary, about: About, template: str) -> None:
        super().__init__(lambda _: [], vocabulary=vocabulary)
        self.about, self.chat_template = about, template


OPENED: list[LlamaEngine] = []


@pytest.fixture(scope="module", autouse=True)
def closed() -> Iterator[None]:
    yield
    for engine in OPENED:
        engine.close()


def model(
    folder: Path,
    control: tuple[str, ...] = CHATML,
    *,
    user_defined: tuple[str, ...] = (),
    architecture: str = "qwen2",
    names: str = "",
    template: str = "",
) -> Model:
    path = folder / f"{len(OPENED)}.gguf"
    write_model(path, control=control, user_defined=user_defined, vocab=600, end="<|im_end|>")
    engine = LlamaEngine(path, EngineSettings(threads=1), vocab_only=True)
    OPENED.append(engine)
    return Model(engine.vocabulary, About(architecture, names, "<s>", "</s>"), template)


HARMONY = ("<|return|>", "<|call|>")
HARMONY_WORDS = ("<|start|>", "<|channel|>", "<|message|>", "<|end|>")
LLAMA = ("<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>", "<|eom_id|>", "<|python_tag|>")
INTERNLM = (*CHATML, "<|action_start|>", "<|action_end|>", "<|interpreter|>")


@pytest.mark.parametrize(
    ("name", "why", "options"),
    [
        ("lce", "eight control tokens", {"control": CONTROL_TOKENS}),
        ("harmony", r"<\|call\|>", {"control": HARMONY, "user_defined": HARMONY_WORDS}),
        ("internlm", r"<\|interpreter\|>", {"control": INTERNLM}),
        ("smol-code", "smollm3", {"architecture": "smollm3", "template": PLAIN}),
        ("openmath", "OpenMath", {"names": "OpenMath Nemotron 1.5B", "template": DECLARING}),
        ("qwen-math", "Qwen2.5-Math", {"names": "Qwen2.5-Math-1.5B-Instruct", "template": DECLARING}),
        ("qwen-math", "system text", {"template": PLAIN + "{# put your final answer within \\boxed{} #}"}),
        ("numina", "NuminaMath-7B-TIR", {"names": "NuminaMath-7B-TIR", "control": ()}),
        ("deepseek-math", "deepseek-math", {"names": "deepseek-math-7b-rl", "control": ()}),
        ("tora", "tora", {"names": "llm-agents tora code 7b", "control": ()}),
        ("retool", "ReTool", {"names": "ReTool-Qwen-32B"}),
        ("llama-ipython", "ipython", {"control": LLAMA, "template": "{# Environment: ipython #}"}),
        ("template", "declares tools", {"user_defined": TOOLS, "template": DECLARING}),
        ("generic", "does not tell|no calls", {"template": PLAIN}),
        ("generic", "no chat template", {}),
        ("generic", "calls itself", {"template": "{% macro a() %}{{ a() }}{% endmacro %}{{ a() }}"}),
        ("generic", "history", {"names": "History of storage", "template": "{{ raise_exception('no history') }}"}),
    ],
)
def test_the_first_rule_that_fits_decides_and_is_told(
    folder: Path, name: str, why: str, options: dict[str, Any]
) -> None:
    chosen = choose("auto", model(folder, **options))
    assert chosen.name == name
    line = line_about(chosen)
    assert line.startswith(f"dialect {name} (")
    assert re.search(why, line), line
    assert "\n" not in line


def test_a_name_without_the_tokens_of_its_format_decides_nothing(folder: Path) -> None:
    assert choose("auto", model(folder, (), names="Qwen2.5-Math-1.5B-Instruct")).name == "generic"


def test_a_model_trained_with_a_tool_of_another_name_is_told_of_that_tool(folder: Path) -> None:
    chosen = choose("auto", model(folder, user_defined=TOOLS, names="ASTER-4B", template=DECLARING))
    assert chosen.name == "template"
    assert '"name": "code_interpreter"' in "".join(piece.text for piece in chosen.prompt("Q", ""))


def test_the_generic_format_stands_in_the_turns_of_the_model_s_own_template(folder: Path) -> None:
    chosen = choose("auto", model(folder, template=PLAIN))
    prompt = "".join(piece.text for piece in chosen.prompt("What?", "Be brief."))
    wanted = "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nWhat?<|im_end|>\n<|im_start|>assistant\n"
    assert prompt == wanted
    assert [piece.text for piece in chosen.prompt("What?", "") if piece.is_control].count("<|im_start|>") == 3


def test_a_dialect_that_is_named_is_taken_whatever_the_file_says(folder: Path) -> None:
    chosen = choose("generic", model(folder, user_defined=TOOLS, template=DECLARING))
    assert (chosen.name, chosen.why) == ("generic", "it was asked for")
    assert choose("template", model(folder, user_defined=TOOLS, template=DECLARING)).evidence == "template"
    with pytest.raises(ModelError, match="no chat template"):
        choose("template", model(folder))


def test_no_question_spells_a_token_of_a_derived_dialect(folder: Path) -> None:
    engine = model(folder, user_defined=TOOLS, template=DECLARING)
    chosen = choose("auto", engine)
    words = engine.vocabulary
    for marker in (*CHATML, *TOOLS):
        token = words.control_id(marker)
        question = "".join(piece.text for piece in chosen.prompt(f"a {marker} b", "") if not piece.is_control)
        if marker in ("<tool_call>", "</tool_call>", *CHATML):
            assert token not in words.encode(question), marker


def test_limits_of_a_dialect_stand_in_for_defaults_and_never_for_what_was_set(folder: Path) -> None:
    chosen = choose("auto", model(folder, user_defined=TOOLS, template=DECLARING))
    assert within_limits(SolverSettings(), chosen).max_tokens == 16384
    assert within_limits(SolverSettings(max_tokens=100), chosen).max_tokens == 100
    gpt = choose("auto", model(folder, HARMONY, user_defined=HARMONY_WORDS))
    assert within_limits(SolverSettings(), gpt).temperature == 1.0
    assert within_limits(SolverSettings(temperature=0.0), gpt).temperature == 0.0
    baseline = settings_for_mode(SolverSettings(max_seconds=5), "chain-of-thought")
    assert within_limits(baseline, chosen).max_tokens == 16384, "a mode sets nothing but the mode"
    lce = ReplayEngine(lambda _: [Block("text", "1")])
    assert Solver(lce, None, SolverSettings(code_execution=False)).settings.max_tokens == 3072


@pytest.mark.slow
def test_a_published_model_without_our_adapter_is_asked_in_the_generic_format_and_its_code_is_run() -> None:
    from recipes.places import models_folder
    from recipes.smollm2 import base_file

    file = base_file(models_folder())
    if file is None:
        pytest.skip("SmolLM2's GGUF is not here; `mathcoder models get smollm2` fetches it")
    with LlamaEngine(file, EngineSettings(threads=1)) as engine, Sandbox() as sandbox:
        assert engine.n_ctx == 8192
        solver = Solver(engine, sandbox, SolverSettings(max_tokens=300))
        assert (solver.dialect.name, solver.dialect.evidence) == ("generic", "prompted")
        solution = solver.solve("Write a ```python block that prints 17 * 23, then tell me the number.")
    assert solution.cells >= 1
    assert [block.type for block in solution.blocks[:2]] == ["code", "execution"]


WITH_RESULTS = (
    "{% if tools %}<tools>{{ tools | tojson }}</tools>\n{% endif %}"
    "{% for m in messages %}<|im_start|>{{ 'user' if m.role == 'tool' else m.role }}\n"
    "{% if m.role == 'tool' %}<result>{{ m.content }}</result>{% else %}{{ m.content or '' }}{% endif %}"
    "{% for c in m.tool_calls or [] %}<tool_call>{{ c.function | tojson }}</tool_call>{% endfor %}<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n"
    "{% if enable_thinking is defined and not enable_thinking %}<think>\n\n</think>\n\n{% endif %}{% endif %}"
)


@pytest.mark.parametrize("name", ["openmath", "template"])
def test_a_file_that_says_what_it_was_trained_in_is_spoken_to_so_and_without_thinking(
    tmp_path: Path, name: str
) -> None:
    path = write_vocabulary(tmp_path / "m.gguf", chat_template=WITH_RESULTS, says={"mathcoder.dialect": name})
    with LlamaEngine(path, EngineSettings(threads=1), vocab_only=True) as engine:
        chosen = choose("auto", engine)
        assert (chosen.name, chosen.evidence) == (name, "trained")
        assert "trained in it" in line_about(chosen)
        assert choose(name, engine) == chosen
        ends = "".join(segment.text for segment in chosen.prompt("Q?", ""))[-60:]
        assert ends.endswith("<think>\n\n</think>\n\n") == (name == "template")
        other = choose("qwen-math", engine)
        assert (other.name, other.thinks) == ("qwen-math", True)  # type: ignore[attr-defined]

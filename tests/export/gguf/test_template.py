"""The chat template renders what the block format's own renderer renders."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from export.gguf.template import chat_template, modelfile
from runtime.lce import CONTROL_TOKENS, Block, conversation, render


def rendered(messages: list[dict[str, Any]], *, adds_bos: bool = False, generation_prompt: bool = False) -> str:
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    # As transformers sets it up.
    environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
    template = environment.from_string(chat_template(adds_bos=adds_bos))
    return template.render(messages=messages, bos_token="<s>", add_generation_prompt=generation_prompt)


content = st.text(max_size=30).filter(lambda text: not any(token in text for token in CONTROL_TOKENS))
blocks = st.lists(st.builds(Block, st.sampled_from(["text", "code", "execution"]), content), max_size=4)


@settings(max_examples=60, deadline=None)
@given(question=content, system=content, answer=blocks, asks=st.booleans())
def test_template_and_renderer_agree(question: str, system: str, answer: list[Block], asks: bool) -> None:
    messages = conversation(question, answer, system=system)
    assert rendered(messages, generation_prompt=asks) == render(messages, generation_prompt=asks)


def test_plain_strings_and_openai_parts_are_text_blocks() -> None:
    expected = render(conversation("  two\n\nlines ", [Block("text", "4")]))
    plain = [
        {"role": "system", "content": conversation("")[0]["content"][0]["content"]},
        {"role": "user", "content": [{"type": "text", "text": "  two\n\nlines "}]},
        {"role": "assistant", "content": "4"},
    ]
    assert rendered(plain) == expected


def test_a_conversation_without_system_message_gets_the_one_of_training() -> None:
    assert rendered(conversation("q")[1:], generation_prompt=True) == render(conversation("q"), generation_prompt=True)


def test_bos_stands_first_only_where_the_tokenizer_adds_it() -> None:
    assert rendered(conversation("q"), adds_bos=True) == "<s>" + render(conversation("q"))


def test_the_modelfile_stops_where_a_result_would_have_to_come_from() -> None:
    text = modelfile("m-Q8_0.gguf", 2048)
    assert "FROM ./m-Q8_0.gguf" in text
    assert 'PARAMETER stop "<|execution|>"' in text
    assert 'PARAMETER stop "<|endofmessage|>"' in text

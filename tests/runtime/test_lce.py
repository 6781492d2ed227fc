"""The block format: what is rendered is what is parsed, and content never becomes a control token."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime import lce
from runtime.lce import Block

_content = st.text(max_size=80).filter(lambda text: not any(token in text for token in lce.CONTROL_TOKENS))
_blocks = st.lists(st.builds(Block, st.sampled_from(lce.BLOCK_TYPES), _content), min_size=1, max_size=6)


@given(_content, _content, _blocks)
def test_parse_returns_the_blocks_that_were_rendered(system: str, question: str, blocks: list[Block]) -> None:
    assert lce.parse(lce.render(lce.conversation(question, blocks, system=system))) == blocks


@given(_blocks, _blocks)
def test_a_conversation_of_two_turns_parses_to_the_last_answer(first: list[Block], second: list[Block]) -> None:
    messages = lce.conversation("one", first) + lce.conversation("two", second)[1:]
    assert lce.parse(lce.render(messages)) == second


def test_the_rendered_form_is_the_papers() -> None:
    text = lce.render(lce.conversation("Q", [Block("code", "1+1"), Block("execution", "2")], system="S"))
    assert text == (
        "<|system|><|text|>S<|endofblock|><|endofmessage|><|user|><|text|>Q<|endofblock|><|endofmessage|>"
        "<|assistant|><|code|>1+1<|endofblock|><|execution|>2<|endofblock|><|endofmessage|>"
    )


@pytest.mark.parametrize("token", lce.CONTROL_TOKENS)
def test_content_that_spells_a_control_token_is_refused_as_text_but_stays_content_in_segments(token: str) -> None:
    messages = lce.conversation("Q", [Block("execution", f"a{token}b")])
    with pytest.raises(ValueError, match="control token"):
        lce.render(messages)
    assert lce.Segment("execution", f"a{token}b", False) in lce.segments(messages)


def test_execution_markers_are_execution_and_the_final_token_is_control() -> None:
    pieces = lce.segments(lce.conversation("Q", [Block("text", "t"), Block("execution", "e")]))
    answer = pieces[[piece.text for piece in pieces].index(lce.ASSISTANT) :]
    assert [(piece.kind, piece.text) for piece in answer] == [
        ("prompt", lce.ASSISTANT),
        ("control", lce.TEXT),
        ("text", "t"),
        ("control", lce.END_OF_BLOCK),
        ("execution", lce.EXECUTION),
        ("execution", "e"),
        ("execution", lce.END_OF_BLOCK),
        ("control", lce.END_OF_MESSAGE),
    ]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("<|assistant|><|text|>never closed", "unclosed text block"),
        ("<|assistant|>loose", "outside a block"),
        ("<|text|>a<|code|>b<|endofblock|>", "inside a text block"),
        ("<|text|>a<|endofblock|><|endofmessage|>more", "after"),
        ("<|user|>", "where a block should begin"),
    ],
)
def test_malformed_text_is_a_value_error_with_its_reason(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        lce.parse(text)


def test_the_final_end_of_message_may_be_absent() -> None:
    assert lce.parse("<|assistant|><|text|>5<|endofblock|>") == [Block("text", "5")]

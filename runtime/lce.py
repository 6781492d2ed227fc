"""LCE (natural Language, Code, Execution): MathCoder's block format, for training and for use.

A solution is a list of blocks, each `text`, `code` or `execution`. Eight control tokens delimit messages and blocks
(MathCoder, arXiv 2310.03731). Rendered, one line in reality:

    <|system|><|text|>SYSTEM<|endofblock|><|endofmessage|><|user|><|text|>QUESTION<|endofblock|><|endofmessage|>
    <|assistant|><|text|>...<|endofblock|><|code|>...<|endofblock|><|execution|>...<|endofblock|><|endofmessage|>

`segments` is the source of truth. Training and the solver tokenize segment by segment: control segments by token id,
content with special-token parsing off, so that text which merely spells a control token never becomes one. `render`
and `parse` are for display and for files, where that distinction is lost; both therefore refuse such content.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, get_args

BlockType = Literal["text", "code", "execution"]
Kind = Literal["prompt", "text", "code", "execution", "control"]
Message = Mapping[str, Any]

SYSTEM, USER, ASSISTANT = "<|system|>", "<|user|>", "<|assistant|>"
END_OF_MESSAGE, END_OF_BLOCK = "<|endofmessage|>", "<|endofblock|>"
TEXT, CODE, EXECUTION = "<|text|>", "<|code|>", "<|execution|>"

CONTROL_TOKENS = (SYSTEM, USER, ASSISTANT, END_OF_MESSAGE, TEXT, CODE, EXECUTION, END_OF_BLOCK)
ROLES: dict[str, str] = {token[2:-2]: token for token in CONTROL_TOKENS}
"""What each control token does (`endofmessage`, ...), to the token: the keys by which a file or a recipe says that
another token of the vocabulary plays the role."""
ROLE_KEY, BASE_KEY, BASE_FILE_KEY = "mathcoder.control.", "mathcoder.base.sha256", "mathcoder.base.file"
"""Metadata of a GGUF file: `mathcoder.control.text` names the token that plays `<|text|>`; an adapter also has the
SHA-256 and the name of the base file that it was trained on."""
DIALECT_META = "mathcoder.dialect"
"""Metadata of a GGUF file: the dialect that the model was trained in, where it is not the block format."""
BLOCK_TOKENS: dict[BlockType, str] = {"text": TEXT, "code": CODE, "execution": EXECUTION}
BLOCK_TYPES: tuple[BlockType, ...] = get_args(BlockType)
KINDS: tuple[Kind, ...] = get_args(Kind)
SUPERVISED_KINDS: frozenset[Kind] = frozenset({"text", "code", "control"})
"""Kinds that carry loss: the paper's loss skips the prompt and the execution results."""

DEFAULT_SYSTEM = "Below is a math problem. Please solve it step by step."
"""System text of the 2023 training runs."""
EMPTY_EXECUTION = "<empty_execution>"
"""What the released data records for a cell that printed nothing."""

_CONTROL = re.compile("|".join(re.escape(token) for token in CONTROL_TOKENS))


@dataclass(frozen=True, slots=True)
class Block:
    """One piece of a solution."""

    type: BlockType
    content: str
    thinking: bool = False
    """Of a text block: whether it is what a reasoning model thinks to itself, which never answers anything."""

    @classmethod
    def of(cls, made: Mapping[str, Any]) -> Block:
        """The block that `as_dict` made `made` of.

        Raises:
            KeyError, TypeError: it is not one.
        """
        return cls(made["type"], str(made["content"]), bool(made.get("thinking")) and made["type"] == "text")

    def as_dict(self) -> dict[str, Any]:
        """The block in the hub schema; only thinking is marked."""
        made: dict[str, Any] = {"type": self.type, "content": self.content}
        return made | {"thinking": True} if self.thinking else made


class Segment(NamedTuple):
    """A run of characters to be tokenized on its own.

    `text` is a control token's name where `is_control`, to be looked up by name; otherwise it is content, to be
    tokenized with special-token parsing off.
    """

    kind: Kind
    text: str
    is_control: bool


def conversation(question: str, blocks: Iterable[Block] = (), *, system: str = DEFAULT_SYSTEM) -> list[dict[str, Any]]:
    """Messages in the hub schema for one question and, where given, the assistant's blocks."""
    messages: list[dict[str, Any]] = [
        {"role": "system", "content": [{"type": "text", "content": system}]},
        {"role": "user", "content": [{"type": "text", "content": question}]},
    ]
    answer = [block.as_dict() for block in blocks]
    if answer:
        messages.append({"role": "assistant", "content": answer})
    return messages


def segments(messages: Sequence[Message], *, generation_prompt: bool = False) -> list[Segment]:
    """The segments of `messages`, in order.

    Args:
        messages: `{"role": "system" | "user" | "assistant", "content": [{"type": ..., "content": ...}, ...]}`; any
            number of turns.
        generation_prompt: end with the `<|assistant|>` that asks the model to write.

    Raises:
        ValueError: unknown role or block type, content that is no string, or a system or user block that is no text.
    """
    result: list[Segment] = []
    for message in messages:
        role, blocks = message["role"], message["content"]
        if role in ("system", "user"):
            result.append(Segment("prompt", SYSTEM if role == "system" else USER, True))
            for block in blocks:
                if block["type"] != "text":
                    raise ValueError(f"a {role} message holds a block of type {block['type']!r}; only text is allowed")
                result += _block_segments(TEXT, block["content"], marker="prompt", content="prompt")
            result.append(Segment("prompt", END_OF_MESSAGE, True))
        elif role == "assistant":
            result.append(Segment("prompt", ASSISTANT, True))
            for block in blocks:
                result += assistant_block_segments(block["type"], block["content"])
            result.append(Segment("control", END_OF_MESSAGE, True))
        else:
            raise ValueError(f"unknown role {role!r}; expected system, user or assistant")
    if generation_prompt:
        result.append(Segment("prompt", ASSISTANT, True))
    return result


def assistant_block_segments(block_type: BlockType, content: str) -> list[Segment]:
    """The segments of one block of an assistant message (marker, content, end of block)."""
    if block_type not in BLOCK_TOKENS:
        raise ValueError(f"unknown block type {block_type!r}; expected text, code or execution")
    # The runtime writes execution blocks whole, markers included, so none of their tokens is the model's to learn.
    marker: Kind = "execution" if block_type == "execution" else "control"
    return _block_segments(BLOCK_TOKENS[block_type], content, marker=marker, content=block_type)


def _block_segments(token: str, text: str, *, marker: Kind, content: Kind) -> list[Segment]:
    if not isinstance(text, str):
        raise ValueError(f"a block's content is {type(text).__name__}, expected a string")
    inner = [Segment(content, text, False)] if text else []
    return [Segment(marker, token, True), *inner, Segment(marker, END_OF_BLOCK, True)]


def render(messages: Sequence[Message], *, generation_prompt: bool = False) -> str:
    """`messages` as one string, for display and for files.

    Raises:
        ValueError: content spells a control token, which a string could not tell from the token itself.
    """
    pieces = segments(messages, generation_prompt=generation_prompt)
    for piece in pieces:
        if not piece.is_control and (found := _CONTROL.search(piece.text)):
            raise ValueError(f"content spells the control token {found.group()}; tokenize segments() instead of text")
    return "".join(piece.text for piece in pieces)


def parse(text: str) -> list[Block]:
    """The blocks of the last assistant message in `text`, or of all of it without `<|assistant|>`.

    The final `<|endofmessage|>` may be absent.

    Raises:
        ValueError: an unclosed block, text outside a block, a control token where none may stand.
    """
    return list(_parse_blocks(text.rpartition(ASSISTANT)[2]))


def _parse_blocks(text: str) -> Iterator[Block]:
    types = {token: block_type for block_type, token in BLOCK_TOKENS.items()}
    position = 0
    while position < len(text):
        token = _CONTROL.match(text, position)
        if token is None:
            raise ValueError(f"text outside a block: {text[position : position + 40]!r}")
        if token.group() == END_OF_MESSAGE:
            if token.end() != len(text):
                raise ValueError(f"text after {END_OF_MESSAGE}: {text[token.end() : token.end() + 40]!r}")
            return
        if token.group() not in types:
            raise ValueError(f"{token.group()} where a block should begin")
        end = _CONTROL.search(text, token.end())
        if end is None:
            raise ValueError(f"unclosed {types[token.group()]} block: {text[token.end() : token.end() + 40]!r}")
        if end.group() != END_OF_BLOCK:
            raise ValueError(f"{end.group()} inside a {types[token.group()]} block")
        yield Block(types[token.group()], text[token.end() : end.start()])
        position = end.end()

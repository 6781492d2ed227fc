"""The dialect that rows are rendered in: remembered by the tokenizer, chosen as the solver chooses.

Training and the solver share one object. It renders a row's prompt and solution here and reads the model's tokens
there, so that both see the same ids. Which dialect it is stands in `tokenizer_config.json`: whatever reads a run's
tokenizer (certificate, samples, `data show`) follows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from runtime.engine.protocol import About
from runtime.errors import InputError, ModelError
from runtime.lce import DEFAULT_SYSTEM, Block, Segment

if TYPE_CHECKING:
    from qlora.vocabulary import TokenizerVocabulary
    from runtime.solver.dialects.native import NativeDialect

DIALECT_KEY = "mathcoder_dialect"
"""Where `tokenizer_config.json` says in which dialect rows are rendered, if not in the block format."""


@dataclass(frozen=True)
class _Base:
    """A base as the solver's choice of a dialect sees a model."""

    vocabulary: TokenizerVocabulary
    chat_template: str
    about: About
    why_text_only: str = ""


def dialect_name(tokenizer: Any) -> str:
    """The dialect that `tokenizer` renders rows in."""
    return str(getattr(tokenizer, "init_kwargs", {}).get(DIALECT_KEY, "lce"))


def speak(tokenizer: Any, name: str) -> str:
    """Let rows be rendered in dialect `name` (`auto`: the base's own), which the tokenizer remembers.

    Returns:
        The dialect's name.

    Raises:
        InputError: there is no such dialect.
        ModelError: the base lacks what it needs, or nothing says how the base calls an interpreter.
    """
    from qlora.vocabulary import TokenizerVocabulary, template_of

    if name == "auto":
        name = fitted(name, tokenizer, TokenizerVocabulary(tokenizer, template=template_of(tokenizer))).name
    if name != "lce":
        tokenizer.init_kwargs[DIALECT_KEY] = name
    return name


def fitted(name: str, tokenizer: Any, vocabulary: TokenizerVocabulary) -> NativeDialect:
    """The dialect `name` with those tokens of its form that the vocabulary has; no content can spell them.

    Raises:
        InputError: there is no such dialect.
        ModelError: the base lacks what it needs.
    """
    from qlora.vocabulary import template_of
    from runtime.solver.dialects import choose
    from runtime.solver.dialects.native import NativeDialect

    about = About(names=str(tokenizer.name_or_path), bos=str(tokenizer.bos_token or ""), eos=vocabulary.eos_name)
    dialect = choose(name, _Base(vocabulary, template_of(tokenizer), about))  # type: ignore[arg-type]
    if not isinstance(dialect, NativeDialect):
        raise InputError(
            f"the base's own dialect is the block format ({dialect.name})",
            "there is nothing to choose",
            "leave the recipe's dialect at lce",
        )
    vocabulary.reserve(dialect.markers)
    # Rows hold no thinking: the model learns to answer without, and is asked so.
    dialect = dialect.thinking(False)
    if not end_of_answer(dialect, vocabulary):
        raise ModelError(
            f"nothing says how an answer ends in the dialect {dialect.name} of this base",
            "the model would never learn to stop, so nothing was trained",
            "leave the recipe's dialect at lce",
        )
    return dialect


def end_of_answer(dialect: NativeDialect, vocabulary: TokenizerVocabulary) -> str:
    """The token that ends an answer: the one the form says, or that of any text; empty without one."""
    return dialect.end_of_answer(vocabulary) or vocabulary.eos_name


def native_segments(
    dialect: NativeDialect, vocabulary: TokenizerVocabulary, messages: Sequence[Mapping[str, Any]]
) -> list[Segment]:
    """The segments of a row in another dialect than the block format, as the solver has them in context.

    Of several turns the last one is learned; the earlier ones are its history, rendered as the solver renders it.
    """
    system = DEFAULT_SYSTEM
    turns = list(messages)
    if turns[0]["role"] == "system":
        system = "\n".join(block["content"] for block in turns.pop(0)["content"])
    questions = ["\n".join(block["content"] for block in message["content"]) for message in turns[::2]]
    answers = [[_shaped(dialect, Block.of(block)) for block in message["content"]] for message in turns[1::2]]
    history = list(zip(questions[:-1], answers[:-1], strict=True))
    written = dialect.solution(answers[-1])
    end = Segment("control", end_of_answer(dialect, vocabulary), True)
    return [*dialect.prompt(questions[-1], system, history), *written, end]


def _shaped(dialect: NativeDialect, block: Block) -> Block:
    """The block as the solver has it: cleaned, within the dialect's limit, and its word for no output."""
    from runtime.solver.outputs import cleaned

    return replace(block, content=dialect.shaped(cleaned(block.content), "ok")) if block.type == "execution" else block

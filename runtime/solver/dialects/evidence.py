"""Which dialect a model's file speaks for: the first rule that fits, with the reason in words.

Tokens decide before names, because a name is whatever someone who uploaded a file wrote; names decide only among
formats whose tokens the vocabulary has.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import NamedTuple

from runtime.engine import Engine, Vocabulary
from runtime.errors import ModelError
from runtime.lce import CONTROL_TOKENS
from runtime.solver.dialects.dialect import Dialect
from runtime.solver.dialects.fenced import DEEPSEEK_MATH, GENERIC, NUMINA, QWEN_MATH, RETOOL, TORA
from runtime.solver.dialects.harmony import HARMONY
from runtime.solver.dialects.lce import BlockFormat
from runtime.solver.dialects.native import NativeDialect
from runtime.solver.dialects.tagged import INTERNLM, LLAMA_IPYTHON, OPENMATH, SMOL_CODE
from runtime.solver.dialects.template import Reading, read_template

_TOOLS = (
    (re.compile(r"rstar-?2", re.IGNORECASE), "jupyter_code"),
    (re.compile(r"\baster\b|trice|demy-?agent|retool-?verl", re.IGNORECASE), "code_interpreter"),
)
"""Models trained with a tool of another name than `python` (their authors' repositories)."""
_NAMED: tuple[tuple[re.Pattern[str], NativeDialect], ...] = (
    (re.compile(r"open-?math", re.IGNORECASE), OPENMATH),
    (re.compile(r"qwen-?2\.?5-?math|torl\b|simpletir", re.IGNORECASE), QWEN_MATH),
    (re.compile(r"numina.*tir", re.IGNORECASE | re.DOTALL), NUMINA),
    (re.compile(r"deep-?seek-?math", re.IGNORECASE), DEEPSEEK_MATH),
    (re.compile(r"\btora\b", re.IGNORECASE), TORA),
    (re.compile(r"\bretool\b", re.IGNORECASE), RETOOL),
)
_BOXED = "\n\nPlease reason step by step, and put your final answer within \\boxed{}."
_THINKING_LIMITS = {"max_tokens": 16384, "max_block_tokens": 8192, "max_blocks": 128}
"""For models that think or call tools as often as they like: the solver's defaults are made for the block format."""


class Chosen(NamedTuple):
    """A dialect and what speaks for it."""

    dialect: Dialect
    why: str


def evident(engine: Engine, vocabulary: Vocabulary) -> Chosen:
    """The dialect that a model's tokens, architecture, name and template speak for, in this order."""

    def has(*tokens: str) -> bool:
        return all(vocabulary.control_id(token) is not None for token in tokens)

    if has(*CONTROL_TOKENS):
        return Chosen(BlockFormat(), "the model has the eight control tokens")
    about, template = engine.about, engine.chat_template
    if has("<|call|>", "<|channel|>", "<|return|>", "<|message|>"):
        return Chosen(HARMONY, "the vocabulary has harmony's <|channel|>, <|call|> and <|return|>")
    if has("<|interpreter|>", "<|action_start|>"):
        return Chosen(INTERNLM, "the vocabulary has <|interpreter|> and <|action_start|>")
    if about.architecture == "smollm3" and has(*SMOL_CODE.needs):
        return Chosen(SMOL_CODE, "the architecture is smollm3")
    tool = next((tool for pattern, tool in _TOOLS if pattern.search(about.names)), "")
    if tool and (found := from_template(engine, tool)) is not None and found.dialect is not None:
        return Chosen(for_questions(found.dialect), f"its name says that it was trained with the tool {tool}")
    named = next(((d, m[0]) for pattern, d in _NAMED if (m := pattern.search(about.names)) and has(*d.needs)), None)
    if named is not None and not tool:
        return Chosen(named[0], f"its name holds {named[1]!r}")
    if "put your final answer within \\boxed{}" in template and has(*QWEN_MATH.needs):
        return Chosen(QWEN_MATH, "its chat template has Qwen2.5-Math's system text")
    if has(*LLAMA_IPYTHON.needs) and "Environment: ipython" in template:
        return Chosen(LLAMA_IPYTHON, "its template has `Environment: ipython` and the vocabulary <|python_tag|>")
    return _of_template(engine)


def _of_template(engine: Engine) -> Chosen:
    """What the chat template declares, or else the generic format."""
    try:
        found = from_template(engine)
    except ModelError as error:
        return Chosen(GENERIC, error.cause)
    if found is not None and found.dialect is not None and found.declares:
        return Chosen(for_questions(found.dialect), "its chat template declares tools and shows their calls")
    if found is None:
        why = "it has no chat template"
    elif found.dialect is None:
        why = f"no calls can be derived from its chat template ({found.problem})"
    else:
        why = "its chat template does not tell the model of tools"
    return Chosen(generic(found), f"{why}, so nothing says that it was trained to run code")


def from_template(engine: Engine, tool: str = "python") -> Reading | None:
    """What the model's chat template says; None where it has none.

    Raises:
        ModelError: the template cannot be rendered within the limits.
    """
    vocabulary, about = engine.vocabulary, engine.about
    if not engine.chat_template:
        return None

    def is_end(spelled: str) -> bool:
        token = vocabulary.control_id(spelled) if vocabulary is not None else None
        return token is not None and vocabulary is not None and vocabulary.is_end(token)

    return read_template(
        engine.chat_template,
        name=tool,
        bos=about.bos,
        eos=about.eos,
        keeps_bos=vocabulary is not None and vocabulary.bos is None,
        is_end=is_end,
    )


def generic(found: Reading | None) -> NativeDialect:
    """The generic fenced format within the turns of the model's own template, as far as that renders."""
    if found is None or found.plain is None:
        return GENERIC
    own = GENERIC.frame
    frame = replace(found.plain, system=own.system, plain_system=own.plain_system)
    return replace(GENERIC, frame=frame, think=found.think, limits=_THINKING_LIMITS if found.think else {})


def for_questions(dialect: NativeDialect) -> NativeDialect:
    """A derived dialect that asks for a boxed answer and has room to think.

    Its template is made for any talk.
    """
    frame = replace(dialect.frame, suffix=_BOXED)
    plain = replace(dialect.plain, suffix=_BOXED) if dialect.plain is not None else None
    return replace(dialect, frame=frame, plain=plain, limits={**_THINKING_LIMITS, **dialect.limits})

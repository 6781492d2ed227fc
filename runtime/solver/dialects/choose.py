"""Which dialect a model is spoken to in: the one that was asked for, or the one its file speaks for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from runtime.engine import Engine
from runtime.errors import InputError, ModelError
from runtime.settings import Mode, SolverSettings
from runtime.solver.dialects.dialect import Dialect
from runtime.solver.dialects.evidence import evident, for_questions, from_template, generic
from runtime.solver.dialects.fenced import DEEPSEEK_MATH, GENERIC, NUMINA, QWEN_MATH, RETOOL, TORA
from runtime.solver.dialects.harmony import HARMONY
from runtime.solver.dialects.lce import BlockFormat
from runtime.solver.dialects.native import NativeDialect
from runtime.solver.dialects.tagged import INTERNLM, LLAMA_IPYTHON, OPENMATH, SMOL_CODE

_ALL: tuple[Dialect, ...] = (
    BlockFormat(),
    *(HARMONY, INTERNLM, LLAMA_IPYTHON),
    *(QWEN_MATH, OPENMATH, SMOL_CODE, RETOOL),
    *(TORA, DEEPSEEK_MATH, NUMINA, GENERIC),
)
DIALECTS = {dialect.name: dialect for dialect in _ALL}
NAMES = (*DIALECTS, "template")
"""What `--dialect` takes beside `auto`."""
_ASKED = "it was asked for"


def choose(name: str, engine: Engine, mode: Mode = "full", thinking: bool | None = None) -> Dialect:
    """The dialect `name`, or for `auto` the one the model's file speaks for, for solutions of `mode`.

    Args:
        name: auto, or one of `NAMES`.
        engine: the model.
        mode: the full loop or a baseline.
        thinking: whether the model is to think; None: as it was trained to.

    Raises:
        InputError: no dialect has that name; or thinking is to be on or off where nothing says how.
        ModelError: the model lacks the control tokens the dialect needs (the message names one that fits), or no
            dialect can be derived from its chat template.
    """
    if name not in ("auto", *NAMES):
        raise InputError(f"there is no dialect {name!r}", "", f"choose one of auto, {', '.join(NAMES)}")
    vocabulary = engine.vocabulary
    if vocabulary is None:
        if name in ("auto", "lce", "template"):
            raise ModelError(
                f"the block format needs token ids both ways, and {engine.why_text_only}",
                "a server that tokenizes our text could read a question as control tokens, so the format is refused",
                "give a GGUF file of the same model and serve it with vLLM or llama-server, "
                "or use a fenced dialect (--dialect qwen-math, --dialect tora)",
            )
        return _spoken(_thinking(DIALECTS[name], thinking).in_mode(mode), engine, _ASKED)
    trained_in = engine.about.dialect
    if trained_in in NAMES and name in ("auto", trained_in):
        dialect, why = _trained(engine, trained_in, thinking), "the file says that it was trained in it"
    elif name == "auto":
        dialect, why = evident(engine, vocabulary)
    else:
        dialect, why = _named(engine, name), _ASKED
    missing = [token for token in dialect.needs if vocabulary.control_id(token) is None]
    if missing:
        fits = fitting(lambda token: vocabulary.control_id(token) is not None)
        raise ModelError(
            f"the model has no control token {', '.join(missing)}",
            f"the dialect {dialect.name} cannot be spoken with it",
            f"try --dialect {fits}, or a model exported with `mathcoder export`",
        )
    return _spoken(_thinking(dialect, thinking).in_mode(mode), engine, why)


def _spoken(dialect: Dialect, engine: Engine, why: str) -> Dialect:
    """The dialect with the tokens of this model, which no content can spell from now on."""
    vocabulary = engine.vocabulary
    if isinstance(dialect, NativeDialect):
        dialect = replace(dialect.fitted(vocabulary), why=why)
        if vocabulary is not None:
            vocabulary.reserve(sorted(dialect.markers))
    elif vocabulary is not None:
        vocabulary.reserve(dialect.needs)
    return dialect


def _thinking(dialect: Dialect, wanted: bool | None) -> Dialect:
    """The dialect with thinking on or off."""
    if wanted is None:
        return dialect
    can_think = isinstance(dialect, NativeDialect) and dialect.think is not None
    if wanted and not can_think:
        raise InputError(
            f"nothing says how this model thinks (dialect {dialect.name})",
            "it cannot be told to",
            "leave thinking away",
        )
    if not isinstance(dialect, NativeDialect) or not can_think:
        return dialect
    if not wanted and not dialect.has_thinking_switch:
        raise InputError(
            f"nothing says how this model is kept from thinking (dialect {dialect.name})",
            "it would think all the same",
            "leave thinking as it is, and bound it with max_thinking_tokens",
        )
    return dialect.thinking(wanted)


def _named(engine: Engine, name: str) -> Dialect:
    """The dialect called `name`, for this model."""
    if name == "template":
        return _template(engine)
    return generic(from_template(engine)) if name == "generic" else DIALECTS[name]


def _trained(engine: Engine, name: str, thinking: bool | None) -> Dialect:
    """The dialect that a model was trained in here, without thinking (rows have none) unless wanted."""
    dialect = _named(engine, name)
    if not isinstance(dialect, NativeDialect):
        return dialect
    return replace(dialect.thinking(bool(thinking)), evidence="trained")


def _template(engine: Engine) -> NativeDialect:
    found = from_template(engine)
    if found is None or found.dialect is None:
        raise ModelError(
            "the model has no chat template" if found is None else found.problem,
            "no dialect can be derived from it",
            "try --dialect generic",
        )
    return for_questions(found.dialect)


def line_about(dialect: Dialect) -> str:
    """One line that says which dialect is spoken, on what evidence, and why."""
    return f"dialect {dialect.name} ({dialect.evidence}): {dialect.why}"


def within_limits(settings: SolverSettings, dialect: Dialect) -> SolverSettings:
    """`settings` with the dialect's limits and sampling in place of defaults; what was set stays as it is.

    A temperature that was set is a choice of sampling, so that none of the makers' is taken then.
    """
    wanted: dict[str, float] = {**dialect.limits}
    if "temperature" not in settings.model_fields_set:
        wanted |= dialect.sampling
    ours = {key: value for key, value in wanted.items() if key not in settings.model_fields_set}
    return settings.model_copy(update=ours) if ours else settings


def fitting(has: Callable[[str], bool]) -> str:
    """Name of a model's dialect: the first whose control tokens it has; one that needs none is last.

    Args:
        has: whether the model has a control token.
    """
    return next(dialect.name for dialect in DIALECTS.values() if all(has(token) for token in dialect.needs))

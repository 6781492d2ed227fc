"""Which dialect a model is spoken to in."""

from __future__ import annotations

from collections.abc import Callable

from runtime.engine import Engine
from runtime.errors import InputError, ModelError
from runtime.settings import Mode
from runtime.solver.dialects.dialect import Dialect
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


def choose(name: str, engine: Engine, mode: Mode = "full") -> Dialect:
    """The dialect called `name`, or for `auto` the block format where the model has it, for solutions of `mode`.

    Raises:
        InputError: no dialect has that name.
        ModelError: the model lacks the control tokens the dialect needs; the message names one that fits.
    """
    if name != "auto" and name not in DIALECTS:
        raise InputError(f"there is no dialect {name!r}", "", f"choose one of auto, {', '.join(DIALECTS)}")
    dialect = DIALECTS["lce" if name == "auto" else name].in_mode(mode)
    vocabulary = engine.vocabulary
    if vocabulary is None:
        if dialect.name == "lce":
            raise ModelError(
                f"the block format needs token ids both ways, and {engine.why_text_only}",
                "a server that tokenizes our text could read a question as control tokens, so the format is refused",
                "give a GGUF file of the same model and serve it with vLLM or llama-server, "
                "or use a fenced dialect (--dialect qwen-math, --dialect tora)",
            )
        return dialect.fitted(None) if isinstance(dialect, NativeDialect) else dialect
    missing = [token for token in dialect.needs if vocabulary.control_id(token) is None]
    if missing:
        fits = fitting(lambda token: vocabulary.control_id(token) is not None)
        raise ModelError(
            f"the model has no control token {', '.join(missing)}",
            f"the dialect {dialect.name} cannot be spoken with it",
            f"try --dialect {fits}, or a model exported with `mathcoder export`",
        )
    if not isinstance(dialect, NativeDialect):
        vocabulary.reserve(dialect.needs)
        return dialect
    dialect = dialect.fitted(vocabulary)
    vocabulary.reserve(sorted(dialect.markers))
    return dialect


def fitting(has: Callable[[str], bool]) -> str:
    """Name of the dialect for a model: the first whose control tokens it has; one that needs none comes last.

    Args:
        has: whether the model has a control token.
    """
    return next(dialect.name for dialect in DIALECTS.values() if all(has(token) for token in dialect.needs))

"""The check of a derived form: the template renders another call as the form writes it."""

from __future__ import annotations

from dataclasses import replace

from runtime.errors import ModelError
from runtime.solver.dialects.calls import decoded, encoded
from runtime.solver.dialects.form import Think
from runtime.solver.dialects.native import NativeDialect
from runtime.solver.dialects.template.conversations import (
    CALL_ID,
    CODE,
    MORE_CODE,
    MORE_ID,
    MORE_OUTPUT,
    QUESTION,
    SAID,
)


class NotDerivedError(ModelError):
    """The template shows no call that could be read back."""


def check(dialect: NativeDialect, other: str, *, is_raw: bool) -> None:
    """Raise unless a call is read back, and another is written as the template writes it.

    Prompt and result too.

    Args:
        dialect: what was derived.
        other: rendering of the other call.
        is_raw: whether the template puts code where a literal belongs without encoding it.

    Raises:
        NotDerivedError: it is not.
    """
    call = dialect.call
    body = call.before + encoded(CODE, call) + call.after
    read = decoded(body, call)
    if [(one.code, one.fault) for one in read] != [(CODE, "")]:
        raise NotDerivedError(f"the call cannot be read back: {read[0].fault or read[0].code!r}")
    inner = replace(call, decode="raw") if call.decode == "pyliteral" and is_raw else call
    written = call.open + call.before + encoded(MORE_CODE, inner) + call.after + call.close + call.end
    written += "".join(piece.text for piece in dialect.executed([(MORE_OUTPUT, MORE_ID)]))
    written = written.replace(CALL_ID, MORE_ID)
    if not other.endswith(written):
        raise NotDerivedError("it writes another call otherwise than the one the form was read from")
    frame = dialect.frame
    head = other.removesuffix(written)
    if not head.startswith(f"{frame.bare}{QUESTION}"):
        raise NotDerivedError("it changes the prompt once a call was made")
    rest = head.removeprefix(f"{frame.bare}{QUESTION}")
    for asks in (frame.ask, frame.past):
        shorter = asks.rstrip().removesuffix(dialect.think.open.strip()) if dialect.think is not None else asks
        if asks and rest.startswith(shorter):
            rest = rest.removeprefix(asks if rest.startswith(asks) else shorter)
            break
    for text in (SAID, *(_thinking_of(dialect.think))):
        rest = rest.replace(text, "")
    if rest.strip():
        raise NotDerivedError(f"it puts more before a call: {rest.strip()[:60]!r}")


def _thinking_of(think: Think | None) -> tuple[str, ...]:
    return () if think is None else (think.open, think.open.strip(), think.close)

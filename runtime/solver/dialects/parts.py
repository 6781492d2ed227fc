"""The parts of a solution in a native form, and which markers are looked for in each."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Literal, get_args

from runtime.engine import Vocabulary
from runtime.solver.dialects.form import Form, Header
from runtime.solver.dialects.markers import FENCE, Alphabet, Mark, mark

Part = Literal["text", "thinking", "code", "execution", "header", "between"]
"""What is being read. header: of a message. between: messages; only another one may begin."""
_WORD = re.compile(r"[\w.-]+")
_RECIPIENT = re.compile(r"\bto=([^\s<]+)")


def marks_of(form: Form, alphabet: Alphabet) -> dict[Part, dict[str, Mark]]:
    """The markers by part and by the name under which the reader goes on.

    Words behind a name only tell it apart.
    """
    call, think, header = form.call, form.think, form.header
    found: dict[Part, dict[str, Mark]] = {part: {} for part in get_args(Part)}

    def look(parts: Iterable[Part], name: str, text: str) -> None:
        for part in parts if text else ():
            found[part][name] = mark(alphabet.coded(text))

    for end in form.ends:
        look(["text"], f"over {end}", end)
    if form.mode != "chain-of-thought":
        look(["text"], "call", call.open)
        look(["thinking"] if call.in_thinking else [], "call", call.open)
        look([] if call.close else ["code"], "call", call.open)
    elif call.open.startswith(FENCE):
        # A chain of thought that goes on to an output block which nobody produced is over.
        look(["text"], "over output", f"{FENCE}output\n")
    look(["code"], "called", call.close)
    if think is not None:
        look(["text"], "think", think.open)
        look(["thinking"], "thought", think.close)
        # Fine-tunes of vocabularies that have the tokens write the same characters even so.
        if think.open and think.close:
            found["text"]["think spelled"] = mark(think.open)
            found["thinking"]["thought spelled"] = mark(think.close)
    if header is not None:
        look(["header"], "body", header.message)
        look(["between"], "header", header.start)
        look(["text", "thinking", "code", "header"], "message", header.end)
        look(["text", "thinking"], "over call", call.close)
    closing = form.result.close
    look(["execution"], "executed", next((line for line in closing.split("\n") if line.strip()), closing))
    return found


def channel_and_recipient(written: str, header: Header) -> tuple[str, str]:
    """The channel and recipient that a message's header names, in either order; either may be empty."""
    channel = _WORD.search(written.partition(header.channel)[2])
    recipient = _RECIPIENT.search(written)
    return channel[0] if channel else "", recipient[1] if recipient else ""


class DrawingRules:
    """Which tokens may be drawn: never the runtime's own, and in headers those of a header."""

    def __init__(self, form: Form, vocabulary: Vocabulary | None, alphabet: Alphabet) -> None:
        known = [name for name in form.forbidden if name in form.markers]
        ids = [vocabulary.control_id(name) for name in known] if vocabulary is not None else []
        self._never = frozenset(token for token in ids if token is not None)
        self._header, self._vocabulary, self._alphabet = form.header, vocabulary, alphabet

    def at(self, part: Part, written: str, *, begins_with_role: bool) -> tuple[frozenset[int] | None, frozenset[int]]:
        """The only tokens that may come next (None: any), and those that may not.

        Args:
            part: what is being read.
            written: the header so far.
            begins_with_role: whether a header names the role first.
        """
        header, words = self._header, self._vocabulary
        if header is None or words is None or part not in ("between", "header"):
            return None, self._never
        start = words.control_id(header.start)
        starts = frozenset() if start is None else frozenset({start})
        if part == "between":
            return starts or None, self._never
        forbidden = self._never | words.ends | starts
        if begins_with_role and not written:
            return frozenset(words.encode(header.role)[:1]), forbidden
        if written.endswith(self._alphabet.coded(header.channel)):
            # A name may be one token or several: what each begins with is allowed.
            return frozenset(words.encode(name)[0] for name in header.channels), forbidden
        return None, forbidden

"""The reader of the native dialects: thinking, text, calls and ends, told apart in one stream.

Tokens of the form arrive as characters of their own (see `markers.Alphabet`), so that one search serves tokens and
spelled markers. What may still become a marker is held back; everything else is handed on at once. The end of
generation is not the end of the solution: where calls wait for results, it is the runtime's turn.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Mapping

from runtime.engine import TokenSequence, Vocabulary
from runtime.lce import Block, BlockType, Segment
from runtime.solver.dialects.calls import Asked, decoded, last_call
from runtime.solver.dialects.dialect import Listener, Signal
from runtime.solver.dialects.form import Form
from runtime.solver.dialects.markers import FENCE, Alphabet, Mark, first, mark
from runtime.solver.dialects.parts import DrawingRules, Part, channel_and_recipient, marks_of


class NativeReader:
    """Reads one solution in the form `form`; the contract is `runtime.solver.dialects.SolutionReader`."""

    def __init__(
        self, form: Form, vocabulary: Vocabulary | None, listener: Listener | None, *, thinking: bool = False
    ) -> None:
        """Read what is written in `form`; `thinking`: whether the prompt ends inside thinking."""
        self._form = form
        self._listener = listener
        self._alphabet = Alphabet(form.markers, vocabulary)
        self._is_end = vocabulary.is_end if vocabulary is not None else (lambda _: False)
        self._decode = codecs.getincrementaldecoder("utf-8")("replace")
        self._sequence: TokenSequence | None = None
        self._rules = DrawingRules(form, vocabulary, self._alphabet)
        self._runs = form.mode != "chain-of-thought"
        self._buffer, self._position = "", 0
        self._line_begins = True
        self._part: Part = "text"
        self._marks: Mapping[str, Mark] = {}
        self._open: BlockType | None = None
        self._content: list[str] = []
        self._header = self._channel = ""
        self._queue: list[Asked] = []
        self._results: list[tuple[str, str]] = []
        self._copied: list[str] = []
        self._turn_is_over = False
        self._ready: str | None = None
        """Code that was shown and is run once its output is asked for."""
        self._was_thinking, self._has_role, self._unseen, self._notice = False, False, "", ""
        self.blocks: list[Block] = []
        self.opened = self.block_tokens = self.thinking_tokens = 0
        self.code = self.fault = ""
        self._marks_of = marks_of(form, self._alphabet)
        self._begin_turn(thinking=thinking)

    def _begin_turn(self, *, thinking: bool) -> None:
        self._turn_is_over = False
        if self._form.header is not None:
            self._enter("header")
        else:
            self._enter("thinking" if thinking else "text")

    def _enter(self, part: Part) -> None:
        self._part, self._line_begins = part, True
        if part == "header":
            self._header = ""
        elif part != "between":
            self._has_role = False
        self._marks = self._marks_of[part]
        if part == "text" and self._ready is not None:
            self._marks = {**self._marks, "request": mark(self._alphabet.coded(self._form.call.request))}
        self._constrain()

    @property
    def is_thinking(self) -> bool:
        """Whether what is written now is thinking."""
        return self._part == "thinking"

    # Tokens that may be drawn

    def attach(self, sequence: TokenSequence) -> None:
        """Set what `sequence` may draw first; kept up to date by `push`."""
        self._sequence = sequence
        self._constrain()

    def _constrain(self) -> None:
        if self._sequence is None:
            return
        only, forbidden = self._rules.at(self._part, self._header, begins_with_role=self._has_role)
        self._sequence.only, self._sequence.forbidden = only, forbidden

    # What is written

    def push(self, token: int, piece: bytes) -> Signal:
        """Take the next token; what it means for the loop."""
        if self._part == "thinking":
            self.thinking_tokens += 1
        else:
            self.block_tokens += 1
        character = self._alphabet.of_token.get(token)
        text = self._alphabet.written(self._decode.decode(piece)) if character is None else character
        rest = self._buffer[self._position :]
        is_end = token >= 0 and self._is_end(token)
        if is_end and first(self._marks, rest + text, 0, self._line_begins) is None:
            # It ends what is written and is no marker here, so its spelling is no text.
            text = ""
        self._buffer, self._position = rest + text, 0
        signal = self._scan()
        return self._turn_ends() if is_end and signal is None else signal

    def _scan(self) -> Signal:
        """Read what is in the buffer, up to the first thing the loop has to know."""
        signal: Signal = None
        while signal is None:
            text, position = self._buffer, self._position
            found = first(self._marks, text, position, self._line_begins)
            if found is None:
                held = min((m.held(text, position, self._line_begins) for m in self._marks.values()), default=len(text))
                self._buffer, self._position = text[held:], 0
                self._write(text[position:held])
                return None
            name, begin, end = found
            self._position = end
            self._write(text[position:begin])
            signal = self._at(name)
        return signal

    def _rest(self) -> str:
        """What was not read yet, taken out of the buffer."""
        rest = self._buffer[self._position :]
        self._buffer, self._position = "", 0
        return rest

    def _at(self, name: str) -> Signal:
        """Go on behind a marker."""
        match name.split()[0]:
            case "call":
                return self._call_begins()
            case "called":
                return self._call_ends()
            case "request":
                return self._requested()
            case "over":
                self._rest()
                return self._turn_ends()
            case "think":
                self._close()
                self._enter("thinking")
            case "thought" | "executed":
                self._close()
                self._enter("text")
            case "header":
                self._has_role = True
                self._enter("header")
            case "body":
                self._body_begins()
            case "message":
                return self._message_ends()
        return None

    def _write(self, text: str) -> None:
        if not text:
            return
        self._line_begins = text.endswith("\n")
        if self._part == "header":
            self._header += text
            self._constrain()
            return
        if self._part == "between":
            return
        if self._part == "code":
            self._content.append(text)
            if self._streams and self._listener is not None:
                self._listener.wrote("code", self._alphabet.spelled(text))
            return
        text = self._alphabet.spelled(text)
        if self._open is None:
            # White space between blocks belongs to none.
            text = text.lstrip()
            if not text:
                return
            self._begin("execution" if self._part == "execution" else "text")
        assert self._open is not None
        self._content.append(text)
        if self._listener is not None:
            self._listener.wrote(self._open, text)

    @property
    def _streams(self) -> bool:
        """Whether code is written as it will be run, so that it can be shown meanwhile."""
        return self._form.call.open.startswith(FENCE)

    def _begin(self, kind: BlockType) -> None:
        self._open, self._content, self.block_tokens = kind, [], 0
        self.opened += 1
        if self._listener is not None:
            self._listener.opened(kind, self._part == "thinking")

    def _close(self) -> None:
        """Close an open block of text or of an imagined execution."""
        if self._open is None:
            return
        content = "".join(self._content)
        content = content.strip() if self._open == "text" else content.rstrip("\n")
        self._add(Block(self._open, content, thinking=self._part == "thinking"))

    def _add(self, block: Block) -> None:
        self._open, self._content = None, []
        self.blocks.append(block)
        if self._listener is not None:
            self._listener.closed(block)

    # Messages with headers

    def _body_begins(self) -> None:
        header = self._form.header
        assert header is not None
        written = self._alphabet.spelled(self._header)
        self._channel, who = channel_and_recipient(written, header)
        if not who or not self._runs:
            is_thought = not who and header.channels.get(self._channel) == "thinking"
            self._enter("thinking" if is_thought else "text")
            return
        self._call_begins()
        if not any(who == name or who.startswith(f"{name}.") for name in header.recipients):
            self.fault = f"there is no tool {who[:60]!r}; the only one is {self._form.call.name}"

    def _message_ends(self) -> Signal:
        if self._part == "code":
            return self._call_ends()
        self._close()
        self._enter("between")
        return None

    # Calls

    def _call_begins(self) -> Signal:
        signal = None
        if self._part == "code":
            signal = self._call_ends()
        self._close()
        self._was_thinking = self._part == "thinking"
        self.fault, self._ready = "", None
        self._enter("code")
        self._begin("code")
        return signal

    def _call_ends(self) -> Signal:
        call = self._form.call
        body = self._alphabet.spelled("".join(self._content))
        if call.open.startswith("{"):
            body = call.open + body  # No marker but the beginning of the call itself.
        self._queue += [Asked(body, self.fault)] if self.fault else decoded(body, call)
        self._copied += re.findall(call.copies, body) if call.copies else []
        self._turn_is_over |= call.ends_on == "close"
        self._enter("text" if self._form.header is None else "between")
        return self._next()

    def _next(self) -> Signal:
        """Close the block of the next call that waits."""
        if not self._queue:
            return None
        asked = self._queue.pop(0)
        if self._open is None:
            self._begin("code")
        if self._listener is not None and not self._streams:
            self._listener.wrote("code", asked.code)
        self._add(Block("code", asked.code))
        self.code, self.fault = asked.code, asked.fault
        if self._form.call.ends_on == "request" and self._form.mode != "program-of-thought":
            self.fault, self._ready = "", asked.code
            self._enter("text")
            return None
        if asked.fault:
            return "refused"
        return "code"

    def _requested(self) -> Signal:
        self._close()
        self._turn_is_over = True
        assert self._ready is not None
        self.code, self._ready = self._ready, None
        return "code"

    def execution(self, output: str, notice: str = "") -> list[Segment]:
        """What is put into the sequence after the code that was run; nothing where the turn goes on first."""
        self._results.append((output, self._copied.pop(0) if self._copied else ""))
        self.fault, self._notice = "", notice
        return [] if self._queue or not self._turn_is_over else self._answered()

    def _answered(self) -> list[Segment]:
        """The results in their frame; the model goes on after them."""
        form = self._form
        # What the token held beyond the call's end is in the model's context; of it only a line break matters.
        rest = self._rest()
        unseen = form.pieces(self._unseen, "execution")
        made = form.executed(self._results, self._notice, channel=self._channel, after_line_end=rest.startswith("\n"))
        self._results, self._unseen, self._notice = [], "", ""
        self._begin_turn(thinking=form.result.prefills_thinking or self._was_thinking)
        return unseen + made

    def resume(self) -> Signal:
        """What is next after an execution, before another token is drawn."""
        if self._queue:
            return self._next()
        return self._scan() if self._position < len(self._buffer) else None

    def turn(self) -> list[Segment]:
        """What is put into the sequence where the model has ended its turn and waits for results."""
        return self._answered()

    # Ends

    def _turn_ends(self) -> Signal:
        """The model has written an end."""
        self._let_go()
        if self._part == "code" and not self._streams:
            signal = self._call_ends()
            self._turn_is_over = True
            return signal
        if self._part == "thinking" and (signal := self._called_in_thought()) is not None:
            return signal
        if self._results:
            self._close()
            self._turn_is_over = True
            return "turn"
        self.cut()
        return "end"

    def _called_in_thought(self) -> Signal:
        """A complete call at the end of thinking that was never closed is meant; one in the middle is a draft."""
        call = self._form.call
        found = last_call("".join(self._content), call) if self._runs and not call.in_thinking else None
        if found is None:
            return None
        before, asked = found
        self._content = [before]
        self._close()
        self._part = "text"
        self._queue += asked
        self._turn_is_over = True
        return self._next()

    def _let_go(self) -> None:
        """What was held back is no marker."""
        self._write(self._rest())

    def imagine(self) -> list[Segment]:
        """Open an execution block that the model itself writes; returns what begins it."""
        rest = self._rest()
        self._enter("execution")
        self._begin("execution")
        self._turn_is_over = False
        before = self._form.result.open
        return self._form.pieces(before.removeprefix("\n") if rest.startswith("\n") else before, "execution")

    def end_thinking(self) -> list[Segment]:
        """Close thinking in the model's place; returns what is put into the sequence."""
        self._let_go()
        self._close()
        self._enter("text")
        think = self._form.think
        return [] if think is None else self._form.pieces(think.force or f"{think.close}\n\n", "execution")

    def force_answer(self) -> list[Segment]:
        """Close what is open and begin the answer in the model's place; returns what is put into the sequence."""
        made: list[Segment] = []
        if self._part in ("thinking", "header", "between"):
            made = self.end_thinking()
        elif self._part == "code":
            made = self._form.pieces(f"\n{self._form.call.close}\n", "execution")
        self.cut()
        self._enter("text")
        self._write(self._form.boxed)
        return [*made, Segment("execution", self._form.boxed, False)]

    def cut(self) -> None:
        """Close an open block with what it holds, because a budget ended the solution."""
        self._let_go()
        if self._open == "code":
            body = self._alphabet.spelled("".join(self._content))
            asked = decoded(body, self._form.call) if body.strip() else []
            text = asked[0].code if asked and not asked[0].fault else body
            self._add(Block("code", text.strip("\n")))
        else:
            self._close()
        self._queue = []

    def end(self) -> Signal:
        """The model is done without saying so by a token (a server's own stop)."""
        self._unseen = self._form.call.end
        if self._ready is not None and self._open is None and not self._buffer[self._position :].strip():
            # It stopped where the model asked for the output of what it had just shown.
            self._unseen = f"\n{self._form.call.request}"
            return self._requested()
        return self._turn_ends()

"""Fenced dialects: models that write Markdown, a fenced `python` block and a fenced `output` block for its result.

ToRA and Qwen2.5-Math's tool-integrated style, so that the solver is of use with models people already have.
"""

from __future__ import annotations

import codecs
from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from runtime.engine import TokenSequence, Vocabulary
from runtime.grade import final_answer, last_boxed
from runtime.lce import DEFAULT_SYSTEM, Block, BlockType, Segment
from runtime.settings import Mode
from runtime.solver.dialects.dialect import Exchange, Listener, Signal
from runtime.solver.modes import printed_answer

_FENCE = "```"
_CODE_LANGUAGES = ("python", "py", "python3")
_LONGEST_FENCE = 40
"""Characters; a longer line names no language, and is text."""
_OPENING: dict[str, BlockType] = {f"{_FENCE}python": "code", f"{_FENCE}output": "execution"}


@dataclass(frozen=True)
class FencedDialect:
    """Models that write fenced Python and read fenced output.

    Attributes:
        name: as `--dialect` takes it.
        needs: control tokens of the chat template.
        system: system text these models were trained with, used unless the user sets another.
        frame: role -> pieces before and after its content; a piece that is one of `needs` is a control token.
        plain_system: in its place where no code is wanted.
        mode: what the solutions are restricted to. Fences are ordinary text and cannot be forbidden: a chain of thought
            may show code, but then it is text, nobody runs it, and where the model goes on to an output block that
            nobody produced, the solution is over.
    """

    name: str
    needs: tuple[str, ...]
    system: str
    frame: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]]
    plain_system: str = ""
    mode: Mode = "full"

    def in_mode(self, mode: Mode) -> FencedDialect:
        """The same dialect for solutions of `mode`."""
        return replace(self, mode=mode)

    def prompt(self, question: str, system: str, history: Iterable[Exchange] = ()) -> list[Segment]:
        """The segments up to where the model writes."""
        result: list[Segment] = []
        if "system" in self.frame:
            own = self.plain_system if self.mode == "chain-of-thought" else self.system
            result += self._framed("system", own if system == DEFAULT_SYSTEM else system)
        for earlier, blocks in history:
            result += self._framed("user", earlier) + self._framed("assistant", fenced(blocks))
        return result + self._framed("user", question) + self._pieces(self.frame["assistant"][0])

    def _framed(self, role: str, content: str) -> list[Segment]:
        before, after = self.frame[role]
        return [*self._pieces(before), Segment("prompt", content, False), *self._pieces(after)]

    def _pieces(self, texts: Iterable[str]) -> list[Segment]:
        return [Segment("prompt", text, text in self.needs) for text in texts]

    def reader(self, vocabulary: Vocabulary | None, listener: Listener | None) -> FencedReader:
        """A reader for one solution."""
        return FencedReader(vocabulary, listener, self.mode)

    def answer(self, blocks: Sequence[Block]) -> str | None:
        r"""The final answer of a finished solution, or None.

        These models box the answer within a sentence, so `\boxed{}` comes first.
        """
        if self.mode == "program-of-thought":
            return printed_answer(blocks)
        if not blocks or blocks[-1].type != "text":
            return None
        return last_boxed(blocks[-1].content) or final_answer(blocks)


class FencedReader:
    """Blocks delimited by Markdown fences at the start of a line."""

    def __init__(self, vocabulary: Vocabulary | None, listener: Listener | None, mode: Mode = "full") -> None:
        self._no_code = mode == "chain-of-thought"
        self._is_end = vocabulary.is_end if vocabulary is not None else (lambda _: False)
        self._listener = listener
        self._decode = codecs.getincrementaldecoder("utf-8")("replace")
        self._open: BlockType | None = None
        self._content: list[str] = []
        self._held = ""
        """The open line as long as it may still become a fence."""
        self._is_plain = False
        """Whether the open line has turned out to be no fence."""
        self._line_ended = False
        self.blocks: list[Block] = []
        self.opened = 0
        self.block_tokens = 0

    def attach(self, sequence: TokenSequence) -> None:
        """Restrict nothing: fences are ordinary text."""

    def push(self, token: int, piece: bytes) -> Signal:
        """Take the next token; what it means for the loop."""
        if token >= 0 and self._is_end(token):
            self.end()
            return "end"
        self.block_tokens += 1
        text = self._decode.decode(piece)
        position = 0
        while position < len(text):
            if self._is_plain:
                # To the end of the line at once: a server may send a megabyte without one.
                end = text.find("\n", position) + 1
                self._is_plain = not end
                self._write(text[position : end or len(text)])
                position = end or len(text)
                continue
            position += 1
            if signal := self._take(text[position - 1]):
                # What the token holds beyond the closing fence is in the model's context, but in no block.
                self._line_ended = text[position:].startswith("\n")
                return signal
        return None

    def execution(self, output: str) -> list[Segment]:
        """A fenced output block. The closing fence of the code was read; its newline may not have been."""
        start = "" if self._line_ended else "\n"
        return [Segment("execution", f"{start}{_FENCE}output\n{output}\n{_FENCE}\n", False)]

    def imagine(self) -> list[Segment]:
        """The opening fence of an output block, which the model then writes up to the closing one."""
        self._open, self._content, self.block_tokens = "execution", [], 0
        start = "" if self._line_ended else "\n"
        return [Segment("execution", f"{start}{_FENCE}output\n", False)]

    def _take(self, character: str) -> Signal:
        """Add one character; says so when it completes a code block, or ends a chain of thought."""
        if character == "\n":
            return self._take_line_end()
        self._held += character
        inside = self._open in ("code", "execution")
        if inside and self._held == _FENCE:
            kind = self._open
            self._close()
            return "code" if kind == "code" else None
        if not self._held.startswith(_FENCE[: len(self._held)]) or len(self._held) > _LONGEST_FENCE:
            self._is_plain = True
            self._let_go("")
        return None

    def _take_line_end(self) -> Signal:
        language = self._held[3:].strip().lower() if self._held.startswith(_FENCE) else None
        if language is not None and self._open not in ("code", "execution"):
            if self._no_code and language == "output":
                self._held = ""
                self.end()
                return "end"
            if not self._no_code and language in _CODE_LANGUAGES:
                if self._open == "text":
                    self._close()
                self._held = ""
                self._begin("code")
                return None
        self._let_go("\n")
        return None

    def _let_go(self, end: str) -> None:
        """The line is no fence: what of it was held back is content."""
        text, self._held = self._held + end, ""
        self._write(text)

    def _write(self, text: str) -> None:
        if self._open is None:
            # White space between blocks belongs to none.
            text = text.lstrip()
            if not text:
                return
            self._begin("text")
        assert self._open is not None
        self._content.append(text)
        if self._listener is not None:
            self._listener.wrote(self._open, text)

    def _begin(self, kind: BlockType) -> None:
        self._open, self._content, self.block_tokens = kind, [], 0
        self.opened += 1
        if self._listener is not None:
            self._listener.opened(kind)

    def _close(self) -> None:
        assert self._open is not None
        content = "".join(self._content)
        block = Block(self._open, content.strip() if self._open == "text" else content.rstrip("\n"))
        self._open, self._content, self._held, self._is_plain = None, [], "", False
        self.blocks.append(block)
        if self._listener is not None:
            self._listener.closed(block)

    def cut(self) -> None:
        """Close the open block with what it holds."""
        if self._held:
            self._let_go("")
        if self._open is not None:
            self._close()

    def end(self) -> None:
        """Close the open block: the model is done."""
        self.cut()


def fenced(blocks: Iterable[Block]) -> str:
    """Blocks as Markdown with fenced code and output."""
    parts = []
    for block in blocks:
        language = {"code": "python", "execution": "output"}.get(block.type)
        parts.append(f"{_FENCE}{language}\n{block.content}\n{_FENCE}" if language else block.content)
    return "\n".join(parts)


def unfenced(markdown: str) -> list[Block]:
    """The blocks that `fenced` made Markdown of, as far as it tells: an output block counts only right after code.

    One pass over the lines, so that many fences without an end cost no more than other lines.
    """
    lines = markdown.split("\n")
    closing = [number for number, line in enumerate(lines) if line == _FENCE]
    blocks: list[Block] = []
    begin = position = 0

    def text(until: int) -> None:
        content = "\n".join(lines[begin:until])
        if content.strip():
            blocks.append(Block("text", content.strip("\n")))

    while position < len(lines):
        kind = _OPENING.get(lines[position])
        # The content has one line at least.
        found = bisect_left(closing, position + 2) if kind else len(closing)
        if kind is None or found == len(closing):
            position += 1
            continue
        end = closing[found]
        after_code = bool(blocks) and blocks[-1].type == "code" and not "".join(lines[begin:position]).strip()
        if kind == "code" or after_code:
            text(position)
            blocks.append(Block(kind, "\n".join(lines[position + 1 : end])))
            begin = end + 1
        position = end + 1
    text(len(lines))
    return blocks


_CHATML = ("<|im_start|>", "<|im_end|>")
QWEN_MATH = FencedDialect(
    name="qwen-math",
    needs=_CHATML,
    system="Please integrate natural language reasoning with programs to solve the problem above, "
    "and put your final answer within \\boxed{}.",
    plain_system="Please reason step by step, and put your final answer within \\boxed{}.",
    frame={role: (("<|im_start|>", f"{role}\n"), ("<|im_end|>", "\n")) for role in ("system", "user", "assistant")},
)
TORA = FencedDialect(
    name="tora",
    needs=(),
    system="",
    frame={"user": (("<|user|>\n",), ("\n",)), "assistant": (("<|assistant|>\n",), ("\n",))},
)

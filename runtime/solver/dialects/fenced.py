"""Fenced dialects: models that write Markdown, a fenced `python` block and a fenced `output` block for its result.

ToRA and Qwen2.5-Math's tool-integrated style, so that the solver is of use with models people already have.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable

from runtime.lce import Block, BlockType
from runtime.solver.dialects.form import Call, Frame, Result
from runtime.solver.dialects.native import NativeDialect

_FENCE = "```"
_OPENING: dict[str, BlockType] = {f"{_FENCE}python": "code", f"{_FENCE}output": "execution"}


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
_FENCED_CALL = Call(open="```python\n", close="```", ends_on="close")
_FENCED_RESULT = Result(open="\n```output\n", close="\n```\n", continues="same_turn")
QWEN_MATH = NativeDialect(
    name="qwen-math",
    evidence="trained",
    why="its template is ChatML",
    needs=_CHATML,
    markers=frozenset(_CHATML),
    frame=Frame(
        open="<|im_start|>system\n",
        system="Please integrate natural language reasoning with programs to solve the problem above, "
        "and put your final answer within \\boxed{}.",
        plain_system="Please reason step by step, and put your final answer within \\boxed{}.",
        close="<|im_end|>\n<|im_start|>user\n",
        ask="<|im_end|>\n<|im_start|>assistant\n",
        next="<|im_end|>\n<|im_start|>user\n",
    ),
    call=_FENCED_CALL,
    result=_FENCED_RESULT,
)
TORA = NativeDialect(
    name="tora",
    evidence="trained",
    why="it was asked for",
    frame=Frame(bare="<|user|>\n", open="<|user|>\n", close="\n", ask="\n<|assistant|>\n", next="\n<|user|>\n"),
    call=_FENCED_CALL,
    result=_FENCED_RESULT,
)

"""Fenced dialects: Markdown, a fenced `python` block and a fenced `output` block for its result.

ToRA and Qwen2.5-Math's tool-integrated style, so that the solver is of use with models people already have.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import replace

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
    """The blocks that `fenced` made Markdown of: an output block counts only right after code.

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


# What the members differ in is data: when code runs, what a cell finds of earlier ones, how long an output may be and
# how an error is told. Sources: QwenLM/Qwen2.5-Math evaluation/, microsoft/ToRA, deepseek-ai/DeepSeek-Math evaluation/,
# project-numina/aimo-progress-prize, BytedTsinghua-SIA's ReTool.
_BOXED = "put your final answer within \\boxed{}."
_WITH_PROGRAMS = f"Please integrate natural language reasoning with programs to solve the problem above, and {_BOXED}"
_PLAIN = f"Please reason step by step, and {_BOXED}"
_CHATML = ("<|im_start|>", "<|im_end|>")
_SHOWN = Call(open="```python\n", close="```", after="\n", ends_on="close")
"""Run as soon as the fence is closed."""
_REQUESTED = replace(_SHOWN, ends_on="request", request="```output")
"""Shown code is run once the model goes on to an output block: it may show code that it does not want run."""
_ANSWERED = Result(open="\n```output\n", close="\n```\n", continues="same_turn")
_FILLED = replace(_ANSWERED, open="\n")
"""The model has opened the output block."""


def _chatml(system: str) -> Frame:
    user = "<|im_start|>user\n"
    return Frame(
        open="<|im_start|>system\n",
        system=system,
        plain_system=_PLAIN,
        close=f"<|im_end|>\n{user}",
        ask="<|im_end|>\n<|im_start|>assistant\n",
        next=f"<|im_end|>\n{user}",
    )


QWEN_MATH = NativeDialect(
    name="qwen-math",
    evidence="trained",
    why="it is a Qwen2.5-Math",
    needs=_CHATML,
    markers=frozenset(_CHATML),
    frame=_chatml(_WITH_PROGRAMS),
    call=_REQUESTED,
    result=replace(_FILLED, style="short", limit=400),
    state="fresh",
    limits={"max_calls": 4},
)
TORA = NativeDialect(
    name="tora",
    evidence="trained",
    why="it is a ToRA",
    frame=Frame(bare="<|user|>\n", open="<|user|>\n", close="\n", ask="\n<|assistant|>\n", next="\n<|user|>\n"),
    call=_REQUESTED,
    result=replace(_FILLED, style="short", limit=100),
    ends=("---",),
    state="fresh",
    limits={"max_calls": 4},
)
DEEPSEEK_MATH = NativeDialect(
    name="deepseek-math",
    evidence="trained",
    why="it is a DeepSeekMath",
    frame=Frame(
        bare="User: ",
        open="",
        close="\n\nUser: ",
        ask="\n\nAssistant:",
        next="\n\nUser: ",
        suffix=f"\n{_WITH_PROGRAMS}",
    ),
    call=_REQUESTED,
    result=replace(_FILLED, style="short", error="Runtime errors: {output}", limit=100),
    state="replay",
)
NUMINA = NativeDialect(
    name="numina",
    evidence="trained",
    why="it is a NuminaMath-TIR",
    frame=Frame(bare="### Problem: ", open="", close="\n### Problem: ", ask="\n### Solution: ", next="\n### Problem: "),
    call=_REQUESTED,
    result=replace(_FILLED, style="short", limit=200),
    state="replay",
    limits={"max_calls": 4},
)
RETOOL = NativeDialect(
    name="retool",
    evidence="trained",
    why="it is a ReTool",
    needs=_CHATML,
    frame=_chatml(
        "Reason step by step, and run Python where it helps: code in a fenced block between <code> and </code> is "
        "executed, and what it prints is returned between <interpreter> and </interpreter>. Give the final answer as "
        "<answer>\\boxed{...}</answer>."
    ),
    call=Call(open="<code>", close="</code>", decode="fence", before="\n", after="\n", ends_on="close"),
    result=Result(open="\n<interpreter>\n", close="\n</interpreter>\n\n", continues="same_turn"),
)
GENERIC = NativeDialect(
    name="generic",
    evidence="prompted",
    why="nothing says that it was trained to run code",
    frame=Frame(
        system="Reason step by step. Where a calculation helps, write Python in a ```python block; it is executed, and "
        f"its output follows in an ```output block. At the end, {_BOXED}",
        plain_system=_PLAIN,
        close="\n\n",
        ask="\n\n",
        next="\n\n",
    ),
    call=_SHOWN,
    result=_ANSWERED,
)
"""For any model; its frame is that of the model's own chat template, where there is one."""

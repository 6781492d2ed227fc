"""Conversations as runnable Jupyter notebooks, with the outputs that were recorded.

The format is nbformat 4.5, written by hand: a laptop needs no Jupyter to make one.
"""

from __future__ import annotations

import ast
import base64
import hashlib
import html
import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from runtime.lce import EMPTY_EXECUTION, Block
from runtime.show.spans import spans

_TRACEBACK = re.compile(r"Traceback \(most recent call last\)")
_EXCEPTION = re.compile(r"^([A-Za-z_][\w.]*(?:Error|Exception|Interrupt|Exit|Warning|Iteration))(?::\s?(.*))?$", re.M)


@dataclass(frozen=True)
class Turn:
    """One question and what came of it, as exports and transcripts hold it.

    Attributes:
        question: the user's text.
        blocks: the solution.
        answer: the final answer, or None.
        status: how the solution ended (see `runtime.solver.SolutionStatus`).
        images: for the n-th execution block (from 0) of the solution, the PNG bytes of its figures.
        facts: tokens, seconds, seed and whatever else is known.
    """

    question: str
    blocks: Sequence[Block]
    answer: str | None = None
    status: str = "answered"
    images: dict[int, list[bytes]] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)


def notebook(turns: Iterable[Turn], *, title: str = "MathCoder", model: str = "") -> dict[str, Any]:
    """The notebook as nbformat 4.5 JSON.

    Code blocks become code cells with their recorded executions as outputs; a cell that failed is tagged
    `raises-exception`, so that a run of the whole notebook goes on behind it as the conversation did.
    """
    cells: list[dict[str, Any]] = [_markdown(f"# {title}" + (f"\n\nModel: `{model}`" if model else ""))]
    count = 0
    for turn in turns:
        cells.append(_markdown("\n".join(f"> {line}" for line in dollars(turn.question).split("\n"))))
        executions = -1
        for position, block in enumerate(turn.blocks):
            if block.thinking:
                cells.append(_markdown(thought(block.content)))
            elif block.type == "text":
                if block.content.strip():
                    cells.append(_markdown(dollars(block.content)))
            elif block.type == "code":
                count += 1
                follows = turn.blocks[position + 1] if position + 1 < len(turn.blocks) else None
                outputs: list[dict[str, Any]] = []
                failed = False
                if follows is not None and follows.type == "execution":
                    executions += 1
                    outputs, failed = _outputs(block.content, follows.content, count)
                    outputs += [_image(data) for data in turn.images.get(executions, [])]
                cells.append(_code(block.content, outputs, count, failed))
        if turn.answer is not None:
            cells.append(_markdown(f"**Answer:** {_as_math(turn.answer)}"))
    for number, cell in enumerate(cells):
        # Ids must be unique and should not change when the same conversation is exported again.
        cell["id"] = hashlib.sha256(f"{number}{cell['source']}".encode()).hexdigest()[:12]
    return {
        "cells": cells,
        "metadata": {
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
            "language_info": {"name": "python", "file_extension": ".py", "mimetype": "text/x-python"},
        },
        "nbformat": 4,
        "nbformat_minor": 5,
    }


def notebook_text(turns: Iterable[Turn], *, title: str = "MathCoder", model: str = "") -> str:
    """The notebook as the text of an `.ipynb` file."""
    return json.dumps(notebook(turns, title=title, model=model), indent=1, ensure_ascii=False) + "\n"


def dollars(text: str) -> str:
    r"""Prose with `\(…\)`, `\[…\]` and a bare `\boxed{…}` in the dollars that Markdown of Jupyter reads."""
    pieces, position = [], 0
    for span in spans(text):
        pieces.append(text[position : span.start])
        position = span.end
        source = text[span.start : span.end]
        if span.kind == "bare":
            # Only a box is mathematics beyond doubt.
            pieces.append(f"${source}$" if source.startswith("\\boxed") else source)
        elif span.kind == "inline" and source.startswith("\\("):
            pieces.append(f"${span.inner.strip()}$")
        elif span.kind == "display" and source.startswith("\\["):
            pieces.append(f"$${span.inner.strip()}$$")
        else:
            pieces.append(source)
    return "".join([*pieces, text[position:]])


def thought(content: str) -> str:
    """Thinking, folded: Markdown and notebooks take this much HTML."""
    inside = html.escape(content.strip())
    return f"<details><summary>thinking</summary>\n\n<pre>{inside}</pre>\n\n</details>"


def _as_math(answer: str) -> str:
    return answer if "$" in answer or "\\" not in answer else f"${answer}$"


def _markdown(source: str) -> dict[str, Any]:
    return {"cell_type": "markdown", "metadata": {}, "source": source}


def _code(source: str, outputs: list[dict[str, Any]], count: int, failed: bool) -> dict[str, Any]:
    metadata = {"tags": ["raises-exception"]} if failed else {}
    return {
        "cell_type": "code",
        "execution_count": count,
        "metadata": metadata,
        "outputs": outputs,
        "source": source.rstrip("\n"),
    }


def _image(data: bytes) -> dict[str, Any]:
    return {
        "output_type": "display_data",
        "data": {"image/png": base64.b64encode(data).decode()},
        "metadata": {},
    }


def _outputs(code: str, output: str, count: int) -> tuple[list[dict[str, Any]], bool]:
    """Jupyter outputs for one recorded execution, and whether the cell failed.

    The record holds one text. Which part of it was printed and which was the value of the last expression is not in it:
    a cell that prints nothing and ends in an expression has only a value, every other text is taken as printed.
    """
    if output == EMPTY_EXECUTION:
        return [], False
    if _TRACEBACK.search(output):
        found = _EXCEPTION.findall(output)
        name, value = found[-1] if found else ("Exception", output.strip().split("\n")[-1])
        error = {"output_type": "error", "ename": name, "evalue": value, "traceback": output.split("\n")}
        return [error], True
    if _only_a_value(code):
        data = {"text/plain": output.rstrip("\n")}
        return [{"output_type": "execute_result", "execution_count": count, "data": data, "metadata": {}}], False
    return [
        {"output_type": "stream", "name": "stdout", "text": output if output.endswith("\n") else f"{output}\n"}
    ], False


def _only_a_value(code: str) -> bool:
    try:
        tree = ast.parse(code)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    if not tree.body or not isinstance(tree.body[-1], ast.Expr):
        return False
    calls = (node.func for node in ast.walk(tree) if isinstance(node, ast.Call))
    return not any(isinstance(func, ast.Name) and func.id in ("print", "display", "pprint") for func in calls)

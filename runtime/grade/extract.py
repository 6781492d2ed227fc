"""What a solution answers: the rule that finds the final answer in its blocks."""

from __future__ import annotations

import re
from collections.abc import Sequence

from runtime.lce import CONTROL_TOKENS, Block, parse

LONGEST_BARE_ANSWER = 60
"""Characters. A last text block up to this long is the answer; a longer one is prose that must box its answer."""

_BOXED = re.compile(r"\\f?boxed\s*(?=\{)")
_BRACE = re.compile(r"\\.|[{}]", re.DOTALL)


def final_answer(solution: str | Sequence[Block]) -> str | None:
    r"""The answer a solution commits itself to.

    The rule is that of the released solutions, 97.5 % of which end in a text block holding only the answer: the last
    block must be text; up to 60 characters it is the answer, beyond that its last `\boxed{...}` is. What stands only in
    an execution is never an answer: the model has to say it.

    Args:
        solution: blocks, a rendered solution (control tokens included), or the plain text of a last block.

    Returns:
        The answer, stripped, or None where the solution is unfinished (ends in code or an execution, has an unclosed
        block) or its last text names no answer.
    """
    if isinstance(solution, str):
        if not any(token in solution for token in CONTROL_TOKENS):
            return _answer_of_text(solution)
        try:
            solution = parse(solution)
        except ValueError:
            return None
    if not solution or solution[-1].type != "text":
        return None
    return _answer_of_text(solution[-1].content)


def _answer_of_text(text: str) -> str | None:
    text = text.strip()
    if len(text) <= LONGEST_BARE_ANSWER:
        return text or None
    return last_boxed(text)


def last_boxed(text: str) -> str | None:
    r"""Content of the last `\boxed{...}` whose braces balance, or None."""
    boxes = [match.end() for match in _BOXED.finditer(text)]
    if not boxes:
        return None
    partners = _partners(text)
    for start in reversed(boxes):
        if start in partners:
            return text[start + 1 : partners[start]].strip() or None
    return None


def _partners(text: str) -> dict[int, int]:
    r"""Where each opening brace is closed; escaped braces do not count. One pass, so that no text takes long."""
    partners: dict[int, int] = {}
    opened: list[int] = []
    for match in _BRACE.finditer(text):
        if match.group() == "{":
            opened.append(match.start())
        elif match.group() == "}" and opened:
            partners[opened.pop()] = match.start()
    return partners

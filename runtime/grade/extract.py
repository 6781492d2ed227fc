"""What a solution answers: the rule that finds the final answer in its blocks."""

from __future__ import annotations

import re
from collections.abc import Sequence

from runtime.grade.reading.boxes import last_boxed
from runtime.grade.reading.decoration import without_markdown
from runtime.grade.reading.sentences import is_broken, stated
from runtime.lce import CONTROL_TOKENS, Block, parse

__all__ = ["LONGEST_BARE_ANSWER", "final_answer", "last_boxed"]

LONGEST_BARE_ANSWER = 60
"""Characters. A last text block up to this long is the answer; a longer one must state it."""

_GSM8K = re.compile(r"(?<!\S)####[ \t]*(\S[^\n]{0,200})$", re.MULTILINE)


def final_answer(solution: str | Sequence[Block]) -> str | None:
    r"""The answer a solution commits itself to.

    The last block must be text. Its last box (`\boxed{}`, `\fbox{}`) is the answer; without one, what follows `####`,
    or the value of a closing sentence that states it (`The total cost is $391.`); else the whole block up to 60
    characters, as 97.5 % of the released solutions end. Text that is cut off or broken (`So we7`) answers nothing, and
    what stands only in an execution or in thinking is never an answer: the model has to say it.

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
    solution = [block for block in solution if not block.thinking]
    if not solution or solution[-1].type != "text":
        return None
    return _answer_of_text(solution[-1].content)


def _answer_of_text(text: str) -> str | None:
    text = text.strip()
    if (box := last_boxed(text)) is not None:
        return box
    if (marked := _after_marks(text)) is not None:
        return marked
    if (value := stated(text)) is not None and not is_broken(value):
        return value
    if len(text) > LONGEST_BARE_ANSWER:
        return None
    text = without_markdown(text).strip()
    return None if is_broken(text) else text or None


def _after_marks(text: str) -> str | None:
    """`391` of a last `#### 391`, the mark of GSM8K's solutions."""
    lines = list(_GSM8K.finditer(text))
    if not lines:
        return None
    value = without_markdown(lines[-1][1]).strip()
    # Lines of words are headings of Markdown, and so are words with more text below.
    words = len(re.findall(r"(?<!\\)\b[A-Za-z]{3,}", value))
    is_heading = words > (0 if text[lines[-1].end() :].strip() else 5)
    return stated(value) or (None if is_heading else value.rstrip(".") or None)

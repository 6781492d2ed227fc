r"""Is the answer a solution ends in the one it worked out?

A final answer has to be one of the solution's `\boxed{}` (or a part of one, since a box may hold `x = 3, y = 4`), or,
where nothing is boxed, a value that the solution holds. And no number may come from nowhere: what is boxed or answered
has to stand in an execution or in a text outside of boxes, if only rounded. `answer_problem` asks this of rows to be
trained on; `is_supported` asks less, and of executions alone: whether what was computed shows the answer.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from runtime.grade import equivalent, final_answer, last_boxed
from runtime.grade.extract import LONGEST_BARE_ANSWER
from runtime.grade.strict import plain_number
from runtime.lce import Block

Fault = tuple[str, str]
"""(name, detail)"""

NO_ANSWER, CONTRADICTED, NOT_GOLD = "no answer in the last block", "answer contradicted", "not the gold answer"

_BOX = re.compile(r"(?=\\f?boxed)")
_PARTS = re.compile(r"\\?%|,(?!\d{3}\b)|=|\\approx|\\quad|\\qquad|\\text\{[^}]*\}|\\\\|;|\(\w\)|[()]")
_NUMBER = re.compile(r"(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?|\.\d+")
_SIGNED = re.compile(r"-?(?:" + _NUMBER.pattern + ")")
_ARITHMETIC = re.compile(r"[-+*/^]\s*[\d\\(]|\\(?:frac|sqrt|times|cdot|div|pm)|\\[dt]frac")
_PERCENT = re.compile(r"%|percent|\bcents?\b", re.I)
_TRUTH = re.compile(r"\b(?:true|false|yes|no)\b", re.I)


def answer_problem(
    blocks: Sequence[Block], gold: str | None = None, question: str = "", outputs: Sequence[str] = ()
) -> Fault | None:
    """What is wrong with the answer of a solution.

    Args:
        gold: the right answer where it is known.
        question: what was asked: its numbers may be answers.
        outputs: what the code really prints, where the recorded executions may be wrong or missing.
    """
    answer = final_answer(blocks)
    if answer is None:
        return NO_ANSWER, f"the last block is {blocks[-1].type}" if blocks else "no blocks"
    last, earlier = blocks[-1].content.strip(), [*(Block("execution", text) for text in outputs), *blocks[:-1]]
    box = last_boxed(last)
    if box is None and re.search(r"\\f?boxed", last):
        return NO_ANSWER, "its box is never closed"
    bare = box is None and last == answer
    if not bare:
        answer = box or answer
        if earlier and earlier[-1].type == "text" and equivalent(earlier[-1].content.strip(), answer):
            return NO_ANSWER, "the bare answer stands before its explanation"
    boxes = [found for block in earlier if block.type == "text" for found in boxes_in(block.content)]
    # That a statement is true or false is boxed on the way to the answer, not as the answer.
    boxes = [found for found in boxes if not _TRUTH.search(found)] or [found for found in boxes if found == answer]
    sources = _sources([*earlier, blocks[-1]], question)
    if bare and not _supported(answer, boxes, earlier, sources):
        told = boxes[-1] if boxes else "another value"
        return CONTRADICTED, f"it ends in {answer!r}, the solution says {told!r}"
    if any(block.type == "code" for block in blocks):
        for value in (*boxes, *boxes_in(last), answer):
            if not _from_somewhere(value, answer, earlier, sources):
                return CONTRADICTED, f"{value!r} is nowhere worked out"
    if gold is not None and not equivalent(answer, gold):
        return NOT_GOLD, f"it ends in {answer!r}, right is {gold!r}"
    return None


def boxes_in(text: str) -> list[str]:
    r"""The contents of all `\boxed{}`."""
    # `last_boxed` knows about nested braces; cutting the text before each box gives all of them.
    return [box for piece in _BOX.split(text)[1:] if (box := last_boxed(piece)) is not None]


def _supported(answer: str, boxes: Sequence[str], earlier: Sequence[Block], sources: Sequence[float]) -> bool:
    if any(equivalent(answer, box) for box in boxes):
        return True
    if any(equivalent(answer, part.strip()) for box in boxes for part in _PARTS.split(box) if part.strip()):
        return True
    if boxes:
        return False
    said = [block.content for block in earlier[-2:]]
    if any(equivalent(answer, text.strip()) for text in said if len(text) <= 200):
        return True
    if plain_number(answer) is None and (numbers := numbers_in(answer)):
        return all(_stands_in(number, sources) for number in numbers)
    number = answer.strip().lstrip("$")
    if any(equivalent(number, word) for text in said for word in _SIGNED.findall(text)):
        return True
    words = answer.strip().strip(".").lower()
    if plain_number(answer) is not None or not words:
        return False
    # Whole words, and not anywhere: the beginning of a sentence that was cut off stands in many a text before it.
    whole = re.compile(rf"(?<!\w){re.escape(words)}(?!\w)")
    said += [block.content for block in earlier if block.type == "execution"]
    return bool(_TRUTH.fullmatch(words)) or any(whole.search(text.lower()) for text in said)


# What was computed

_LINES = 40
"""Lines of an execution, from its end, that an answer is compared with as a whole."""


def is_supported(answer: str, blocks: Sequence[Block]) -> bool:
    """Whether an execution shows `answer`: as a whole, or every number in it, if only rounded.

    An answer without numbers has to stand in an execution as words; a bare yes or no may follow from anything that was
    computed.
    """
    outputs = [block.content for block in blocks if block.type == "execution"]
    if not outputs:
        return False
    words = answer.strip().strip(".").lower()
    if numbers := numbers_in(answer):
        shown = [number for text in outputs for number in numbers_in(text)]
        percent = [scaled for number in shown for scaled in (100 * number, number / 100)] if "%" in answer else []
        if all(_stands_in(number, [*shown, *percent]) for number in numbers):
            return True
    elif _TRUTH.fullmatch(words) or (words and any(words in text.lower() for text in outputs)):
        return True
    lines = [line.strip() for text in outputs for line in text.splitlines()[-_LINES:]]
    return any(equivalent(line, answer) for line in dict.fromkeys(lines) if 0 < len(line) <= 200)


UNSUPPORTED = "No executed result shows this answer: check it yourself."
"""What is said, in one line, beside an answer that `is_supported` does not find."""


# Where numbers come from


def numbers_in(text: str) -> list[float]:
    """The numbers that `text` spells in digits, without signs."""
    return [float(found.replace(",", "")) for found in _NUMBER.findall(text)]


def _sources(blocks: Sequence[Block], question: str) -> list[float]:
    """All numbers an answer may be: those of executions, and of texts outside of boxes."""
    result: list[float] = [*range(10)] if "digit" in question.lower() else []
    percent = bool(_PERCENT.search(question))
    for block in blocks:
        text = block.content
        if block.type == "code" or (block is blocks[-1] and len(text) <= LONGEST_BARE_ANSWER):
            continue
        if block.type == "text":
            percent = percent or bool(_PERCENT.search(text))
            for box in boxes_in(text):
                text = text.replace("{" + box + "}", "{}")
        result += numbers_in(text)
    return [*result, *(100 * number for number in result), *(number / 100 for number in result)] if percent else result


def _from_somewhere(value: str, answer: str, earlier: Sequence[Block], sources: Sequence[float]) -> bool:
    """Whether every number of `value` was worked out; arithmetic is not looked into."""
    if value != answer and equivalent(value, answer):
        return True
    numbers = numbers_in(value)
    if not numbers or _ARITHMETIC.search(value) or all(_stands_in(number, sources) for number in numbers):
        return True
    return any(equivalent(value, block.content.strip()) for block in earlier if block.type == "execution")


def _stands_in(number: float, sources: Sequence[float]) -> bool:
    decimals = len(f"{number:.10f}".rstrip("0").partition(".")[2])
    unit = 10.0**-decimals
    return any(
        # A rounded or truncated value differs by less than a unit of its last place; an exact one not at all.
        abs(source - number) <= 1e-6 * max(1.0, abs(number))
        or (abs(source - number) < unit and source != round(source, decimals))
        for source in sources
    )

"""Cardinal numbers in English words: `three`, `twenty-five`, `two hundred and six`, `minus four`."""

from __future__ import annotations

import re

_SMALL = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen"
).split()
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety".split()
_SCALES = {"thousand": 10**3, "million": 10**6, "billion": 10**9}
_UNIT = {word: value for value, word in enumerate(_SMALL)} | {word: 10 * n for n, word in enumerate(_TENS, start=2)}
_LONGEST = 120
_HUNDREDS = re.compile(
    rf"(?:(?P<hundreds>{'|'.join(_SMALL[1:10])}|a) hundred(?: and (?=\w)| (?=\w)|$))?"
    rf"(?:(?P<tens>{'|'.join(_TENS)})(?:[ -](?P<ones>{'|'.join(_SMALL[1:10])}))?|(?P<small>{'|'.join(_SMALL)}))?"
)


def read_cardinal(text: str) -> int | None:
    """The number that `text` spells and nothing else, below a trillion; None where it is anything else."""
    words = " ".join(text.lower().split())
    if len(words) > _LONGEST or not words.isascii():
        return None
    sign, words = (-1, words.removeprefix("minus ")) if words.startswith("minus ") else (1, words)
    total, below = 0, 10**12
    for scale, size in sorted(_SCALES.items(), key=lambda item: -item[1]):
        before, found, words_after = words.partition(f" {scale}")
        if not found:
            continue
        count = 1 if before == "a" else _below_thousand(before)
        if not count or size >= below or (words_after and not words_after.startswith(" ")):
            return None
        total, below, words = total + count * size, size, words_after.removeprefix(" ").removeprefix("and ")
    if not words:
        return sign * total if total else None
    rest = _below_thousand(words)
    return None if rest is None or (total and not rest) else sign * (total + rest)


def _below_thousand(words: str) -> int | None:
    match = _HUNDREDS.fullmatch(words)
    if match is None or not words:
        return None
    hundreds = match["hundreds"]
    value = 100 * (1 if hundreds == "a" else _UNIT[hundreds]) if hundreds else 0
    return value + sum(_UNIT[match[part]] for part in ("tens", "ones", "small") if match[part])

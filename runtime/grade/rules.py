r"""How a question set's authors compare answers: tolerances, rounding, units and options.

`equivalent` is exact but for the roundings that it knows. Some sets define more: GSM-Hard's golds are floats, TabMWP
compares to three decimals, OlympiadBench gives an error bound, ASDiv keeps its unit apart. A `Rule` says so, and
`accepts` applies it. What a rule does not mention stays as `equivalent` decides.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from fractions import Fraction
from typing import Any

from runtime.grade.compare import LONGEST_ANSWER, equivalent
from runtime.grade.comparing import values
from runtime.grade.comparing.shapes import same
from runtime.grade.reading.nodes import Answer, Assignment, Group, Listing, Scalar, Words
from runtime.grade.reading.reader import read
from runtime.grade.reading.sentences import stated
from runtime.grade.reading.spelling import clean
from runtime.grade.reading.units import canonical_unit, conversion, is_unit
from runtime.grade.strict import strict_equal


@dataclass(frozen=True, slots=True)
class Rule:
    r"""What makes an answer right beside equality.

    Attributes:
        absolute: largest difference between two numbers.
        relative: largest difference, as a share of the gold.
        small, small_relative: golds smaller than `small` in size have this relative tolerance instead.
        capped: the absolute tolerance is never a larger share of the gold than it is of 1, so that it does not make all
            small numbers equal.
        decimals: two numbers that round to the same at so many decimals are equal.
        unit: the gold's unit, where the set keeps it apart. An answer may leave it out, may give another unit of the
            same dimension with the value converted, and may not give one that contradicts.
        loose_units: a unit of physics behind a number is not compared, because the question names the unit.
        choices: the options of a multiple-choice question; an answer may be an option's letter.
    """

    absolute: float = 0.0
    relative: float = 0.0
    small: float = 0.0
    small_relative: float = 0.0
    capped: bool = False
    decimals: int | None = None
    unit: str = ""
    loose_units: bool = False
    choices: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """What differs from plain equality, for a results line; empty where nothing does."""
        return {
            f.name: list(value) if isinstance(value := getattr(self, f.name), tuple) else value
            for f in fields(self)
            if getattr(self, f.name) != f.default
        }

    @classmethod
    def from_dict(cls, told: Mapping[str, Any]) -> Rule:
        """The rule that `as_dict` told.

        Raises:
            ValueError: a key that no rule has, or a value of another kind than the key's.
        """
        known = {f.name: f.default for f in fields(cls)}
        found: dict[str, Any] = {}
        for key, value in told.items():
            if key not in known:
                raise ValueError(f"{key!r} is not part of a grading rule; known are {', '.join(known)}")
            found[key] = _typed(key, value, known[key])
        return cls(**found)

    @property
    def has_tolerance(self) -> bool:
        """Whether numbers may differ."""
        return bool(self.absolute or self.relative or self.small_relative or self.decimals is not None)


EXACT = Rule()
"""Plain equality, as most sets define it."""


def _typed(key: str, value: Any, default: Any) -> Any:
    if isinstance(default, bool):
        right = isinstance(value, bool)
    elif isinstance(default, float):
        right = isinstance(value, (int, float)) and not isinstance(value, bool) and value >= 0
    elif isinstance(default, str):
        right = isinstance(value, str)
    elif isinstance(default, tuple):
        right = isinstance(value, Sequence) and not isinstance(value, str) and all(isinstance(v, str) for v in value)
        value = tuple(value) if right else value
    else:
        right = value is None or (isinstance(value, int) and not isinstance(value, bool) and value >= 0)
    if not right:
        raise ValueError(f"{key} of a grading rule cannot be {value!r}")
    return value


def accepts(prediction: object, gold: object, rule: Rule = EXACT, *, lenient: bool = False) -> bool:
    """Whether `prediction` is right for `gold` under `rule`.

    Never raises and is bounded as `equivalent` is.
    """
    if prediction is None or gold is None:
        return False
    if rule == EXACT:
        return equivalent(prediction, gold, lenient=lenient)
    try:
        return _accepts(str(prediction), str(gold), rule, lenient)
    except Exception:  # As in `equivalent`: a verdict for every pair of strings; an answer nobody can read is wrong.
        return False


def verdicts(prediction: str | None, gold: object, rule: Rule = EXACT) -> dict[str, bool]:
    """All three verdicts on one answer: `strict`, `correct` (by the rule) and `lenient`."""
    return {
        "strict": strict_equal(prediction, gold),
        "correct": accepts(prediction, gold, rule),
        "lenient": accepts(prediction, gold, rule, lenient=True),
    }


def _accepts(prediction: str, gold: str, rule: Rule, lenient: bool) -> bool:
    if rule.choices:
        return _chosen(prediction, gold, rule.choices) or _plain(prediction, gold, rule, lenient)
    if not rule.unit:
        return _plain(prediction, gold, rule, lenient)
    if canonical_unit(rule.unit) in ("%", "percent") or rule.unit.strip() in ("%", r"\%"):
        return any(_plain(prediction, form, rule, lenient) for form in (gold, rf"{gold}\%"))
    if is_unit(rule.unit) and _plain(prediction, f"{gold} {rule.unit}", rule, lenient):
        return True
    return not _contradicts(prediction, rule.unit) and any(
        _plain(form, gold, rule, lenient) for form in (prediction, _without_unit(prediction, rule.unit))
    )


def _plain(prediction: str, gold: str, rule: Rule, lenient: bool) -> bool:
    if equivalent(prediction, gold, lenient=lenient):
        return True
    forms = [prediction]
    if rule.loose_units and _PLAIN_NUMBER.fullmatch(gold.strip().strip("$")):
        forms.append(_NUMBER_AND_UNIT.sub(r"\1", prediction.strip().strip("$")))
        if forms[1] != prediction and equivalent(forms[1], gold, lenient=lenient):
            return True
    return rule.has_tolerance and any(_near(form, gold, rule) for form in forms)


# Units

_PLAIN_NUMBER = re.compile(r"[-+]?(?:\d[\d,]*\.?\d*|\.\d+)(?:[eE][-+]?\d+)?")
_FACTOR = r"(?:\s*(?:\\times|\\cdot|\\ast|[x*×·])\s*10\s*\^\s*(?:\{\s*[-+]?\d+\s*\}|[-+]?\d+)|[eE][-+]?\d+)"
_SYMBOL = (
    r"(?:[kMGTmcnpfμµ]|\\mu\s*)?(?:eV|erg|ergs|Hz|Pa|mol|moles?|bar|atm|pc|AU|Jy|cal|rad|sr|sec|"
    r"kg|g|m|s|J|W|N|K|A|V|C|T|h|hr|L|Å|Ω|\\AA|\\Omega|\\mathring\s*\{\s*A\s*\})"
)
_WRITTEN = r"\\(?:text|mathrm|textrm|mathbf|rm|operatorname)\s*\{[^{}]*(?:\{[^{}]*\}[^{}]*)*\}"
_WORD = r"(?:[A-Za-z]{3,}s?)"
_POWER = r"(?:\s*\^\s*(?:\{\s*-?\d\s*\}|-?\d)|\s*\^\s*\{?\s*\\circ\s*\}?)?"
_ONE = rf"(?:{_WRITTEN}|{_SYMBOL}(?![A-Za-z])|{_WORD}(?![A-Za-z(]))" + _POWER
_JOIN = r"\s*(?:\\cdot|\\times|[*·./]|per\b|\\,|~|\s)\s*"
_NUMBER_AND_UNIT = re.compile(
    rf"^([-+]?(?:\d[\d,]*\.?\d*|\.\d+){_FACTOR}?)(?:\\[,;:! ]|~|\s|\$)*{_ONE}(?:{_JOIN}{_ONE}){{0,6}}\s*\.?$"
)
"""A number, and behind it what only a unit looks like: `\\pi`, `x` or `\\sqrt` are part of the value and stay."""


def _contradicts(prediction: str, unit: str) -> bool:
    """Whether the answer names another unit of the same dimension: its value counts something else."""
    own = canonical_unit(unit)
    return any(
        isinstance(answer, Scalar) and answer.unit not in ("", own) and conversion(answer.unit, own) is not None
        for answer in _readings(prediction)
    )


def _without_unit(prediction: str, unit: str) -> str:
    """The answer without the gold's own unit at its end, such as `min` in `8 min`."""
    bare = re.sub(r"[\\${}^]|text|mathrm", "", unit).strip()
    text = re.sub(r"[\\${}^]|text|mathrm", "", prediction).strip().rstrip(".")
    if bare and text.lower().endswith(bare.lower()):
        return text[: -len(bare)].strip() or prediction
    return prediction


# Options


_LETTER = re.compile(r"\(?\s*([A-Z])\s*[).:]?(?:\s+(.*))?", re.DOTALL)


def _chosen(prediction: str, gold: str, choices: tuple[str, ...]) -> bool:
    """Whether the answer names the gold option by its letter.

    An option that is itself a letter means itself.
    """
    plain = re.sub(r"\\(?:text|mathrm|textbf|mathbf)\s*\{([^{}]*)\}", r"\1", prediction.strip().strip("$")).strip()
    if plain in choices or (match := _LETTER.fullmatch(plain)) is None:
        return plain == gold
    place = ord(match[1]) - ord("A")
    if place >= len(choices) or choices[place] != gold:
        return False
    return not match[2] or equivalent(match[2], gold)


# Tolerance


def _readings(text: str) -> list[Answer]:
    return read(clean(text)) if len(text) <= LONGEST_ANSWER else []


def _near(prediction: str, gold: str, rule: Rule) -> bool:
    texts = [prediction]
    if (value := stated(prediction)) is not None and value != prediction:
        texts.append(value)
    golds = _readings(gold)
    return any(_within(left, right, rule) for text in texts for left in _readings(text) for right in golds)


def _within(left: Answer, right: Answer, rule: Rule) -> bool:
    if isinstance(left, Assignment) and isinstance(right, Assignment) and left.name != right.name:
        return False
    left = left.value if isinstance(left, Assignment) else left
    right = right.value if isinstance(right, Assignment) else right
    if isinstance(left, Scalar) and isinstance(right, Scalar):
        return _numbers_near(left, right, rule)
    if isinstance(left, Group) and isinstance(right, Group):
        return (left.left, left.right) == (right.left, right.right) and _pairwise(left.items, right.items, rule)
    if isinstance(left, Listing) and isinstance(right, Listing) and "row" not in (left.kind, right.kind):
        return _any_order(left.items, right.items, rule)
    return False


def _pairwise(left: Sequence[Answer], right: Sequence[Answer], rule: Rule) -> bool:
    return len(left) == len(right) and all(_item(one, other, rule) for one, other in zip(left, right, strict=True))


def _any_order(left: Sequence[Answer], right: Sequence[Answer], rule: Rule) -> bool:
    if len(left) != len(right):
        return False
    remaining = list(right)
    for item in left:
        partner = next((i for i, other in enumerate(remaining) if _item(item, other, rule)), None)
        if partner is None:
            return False
        del remaining[partner]
    return True


def _item(left: Answer, right: Answer, rule: Rule) -> bool:
    return bool(same(left, right)) or _within(left, right, rule)


def _numbers_near(left: Scalar, right: Scalar, rule: Rule) -> bool:
    if left.unit and right.unit and left.unit != right.unit:
        return False
    here, there = _value(left), _value(right)
    if here is None or there is None:
        return False
    if rule.decimals is not None and _rounded(here, rule.decimals) == _rounded(there, rule.decimals):
        return True
    size = abs(there)
    absolute = Fraction(rule.absolute) * (min(size, Fraction(1)) if rule.capped else 1)
    relative = rule.small_relative if size < rule.small else rule.relative
    allowed = max(absolute, Fraction(relative) * size)
    # Golds are printed floats: a difference that is the tolerance but for their last digit is within it.
    return allowed > 0 and abs(here - there) <= allowed * (1 + Fraction(1, 10**9))


def _value(answer: Scalar) -> Fraction | None:
    """The real number an answer is; None where it has variables or no value."""
    if values.variables(answer.expression):
        return None
    try:
        value = values.evaluate(answer.expression, {})
    except (values.Undefined, values.TooBig):
        return None
    if not values.is_real(value):
        return None
    if not isinstance(value, Fraction):
        exact = values.context().mpf(values.approximate(value).real)
        if not values.context().isfinite(exact) or abs(exact) > values.context().mpf(10) ** 400:
            return None
        value = Fraction(str(values.context().nstr(exact, 40)))
    return value / 100 if answer.percent else value


def _rounded(value: Fraction, decimals: int) -> Fraction:
    """Half away from zero, so that the two halves of a tie are one."""
    shifted = abs(value) * 10**decimals
    whole = (2 * shifted.numerator + shifted.denominator) // (2 * shifted.denominator)
    return Fraction(whole if value >= 0 else -whole, 10**decimals)


# Golds


_MATHEMATICS = re.compile(r"[\\^_=+*<>{}]|\d\s*/|\)\s*\(")


def is_readable(gold: object) -> bool:
    """Whether a gold can be compared by what it says.

    Words are names and options. What cannot be read is compared as text, so that an equal answer written otherwise
    would count as wrong; who reports accuracy has to say how many such golds there are.
    """
    text = str(gold)
    if len(text) > LONGEST_ANSWER:
        return False
    found = _readings(text)
    return any(not (isinstance(answer, Words) and _MATHEMATICS.search(_unmarked(text))) for answer in found)


def _unmarked(text: str) -> str:
    """`text` without the marks that set words in LaTeX."""
    return re.sub(r"\\(?:text|mbox|mathrm|textbf|mathbf|rm)\s*\{([^{}]*)\}", r"\1", text)

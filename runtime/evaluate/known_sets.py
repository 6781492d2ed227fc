"""The question sets known by name: where they are kept, their rows, how answers are compared.

One entry a set. A rule is what the set's authors define; where ours is stricter the entry says so, and
docs/question-sets.md tells why.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from runtime.grade import last_boxed
from runtime.grade.rules import EXACT, Rule

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Hub:
    """A data set of the hub. `*` for a `config`: the set is divided by subject, one configuration each."""

    path: str
    config: str | None
    split: str


@dataclass(frozen=True, slots=True)
class KnownSet:
    """One set.

    Attributes:
        name: what `--data` calls it.
        hub: its owners' data set; None where they publish files and no data set.
        convert: one row of the owners' schema to `question`, `gold` and whatever of `id`, `subject`, `level`, `unit`,
            `error`, `choices` it tells.
        answers: the form of the golds, in words.
        rule: how an answer is compared.
        owner: where the set and its rule come from.
        where: what to do where there is no hub data set.
    """

    name: str
    hub: Hub | None
    convert: Callable[[Row], dict[str, Any]]
    answers: str
    rule: Rule = EXACT
    owner: str = ""
    where: str = ""


# Rows as their owners write them


def _fields(question: str, gold: str, **more: str) -> Callable[[Row], dict[str, Any]]:
    """A conversion that only renames."""

    def convert(row: Row) -> dict[str, Any]:
        told = {"question": row[question], "gold": row[gold]}
        return told | {ours: row.get(theirs) for ours, theirs in more.items()}

    return convert


def _gsm8k(row: Row) -> dict[str, Any]:
    return {"question": row["question"], "gold": row["answer"].rpartition("####")[2].strip()}


def _math(row: Row) -> dict[str, Any]:
    return {
        "question": row["problem"],
        "gold": row.get("answer") or last_boxed(row.get("solution", "")) or "",
        "subject": row.get("subject") or row.get("type", ""),
        "level": row.get("level", ""),
        "id": row.get("unique_id"),
    }


def _joined(body: str, question: str) -> str:
    body = body.strip()
    return f"{body} {question}" if not body or body.endswith((".", "?", "!", ",")) else f"{body}, {question}"


def _svamp(row: Row) -> dict[str, Any]:
    return {"question": _joined(row["Body"], row["Question"]), "gold": row["Answer"], "id": row.get("ID")}


_WITH_UNIT = re.compile(r"\s*([^()]*?)\s*\(([^()]*)\)\s*")


def _asdiv(row: Row) -> dict[str, Any]:
    """`9 (apples)` is 9 with the unit apples; `3 (hours); 24 (minutes)` are two answers."""
    parts = [part.strip() for part in str(row["answer"]).split(";") if part.strip()]
    read = [(match[1], match[2]) if (match := _WITH_UNIT.fullmatch(part)) else (part, "") for part in parts]
    return {
        "question": _joined(row["body"], row["question"]),
        "gold": ", ".join(value for value, _ in read),
        "unit": read[0][1] if len(read) == 1 else "",
        "subject": row.get("solution_type") or row.get("solution-type"),
    }


def _mawps(row: Row) -> dict[str, Any]:
    """The files that ToRA publishes for the four parts (`input`, `target`), and MAWPS's own (`sQuestion`)."""
    gold = row["target"] if "target" in row else row["lSolutions"]
    gold = ", ".join(map(str, gold)) if isinstance(gold, list) else gold
    return {"question": row.get("input") or row["sQuestion"], "gold": gold, "id": row.get("iIndex")}


def _olympiadbench(row: Row) -> dict[str, Any]:
    golds = row["final_answer"]
    golds = [str(gold).strip() for gold in (golds if isinstance(golds, (list, tuple)) else [golds])]
    return {
        "question": "\n".join(part for part in (row.get("context"), row["question"]) if part),
        "gold": ", ".join(golds),
        "id": row.get("id"),
        "subject": row.get("subfield"),
        "unit": row.get("unit"),
        "error": row.get("error"),
    }


def _tabmwp(row: Row) -> dict[str, Any]:
    title, unit, choices = row.get("table_title"), row.get("unit") or "", list(row.get("choices") or [])
    parts = [f"Table: {title}" if title else "Table:", str(row["table"]).strip(), ""]
    parts.append(str(row["question"]) + (f" (Unit: {unit})" if unit else ""))
    if choices:
        parts.append("Options: " + " ".join(f"({chr(65 + place)}) {choice}" for place, choice in enumerate(choices)))
    return {
        "question": "\n".join(parts),
        "gold": row["answer"],
        "subject": row.get("ans_type"),
        "level": str(row.get("grade") or ""),
        "unit": unit,
        "choices": choices,
    }


# The sets


_FILE = "the file that its owners publish is read as it is"
_PHYSICS = "numbers (many in scientific notation), expressions and equations; the question names the unit"

_ALL = (
    KnownSet("gsm8k", Hub("openai/gsm8k", "main", "test"), _gsm8k, "integers", owner="Cobbe et al. 2021"),
    KnownSet("math", Hub("EleutherAI/hendrycks_math", "*", "test"), _math, "LaTeX", owner="Hendrycks et al. 2021"),
    KnownSet("svamp", Hub("ChilleD/SVAMP", None, "train+test"), _svamp, "numbers", owner="Patel et al. 2021"),
    KnownSet("mathematics", None, _fields("question", "answer"), "numbers, lists, expressions", owner="MathCoder"),
    KnownSet("simuleq", None, _fields("question", "answer"), "numbers", owner="MathCoder"),
    KnownSet(
        "gsm-hard",
        Hub("reasoning-machines/gsm-hard", None, "train"),
        _fields("input", "target"),
        "floats, up to ten digits before the point and as many behind as a computation left",
        Rule(absolute=1e-3, capped=True),
        owner="Gao et al. 2023 (PAL): |answer - gold| < 1e-3",
    ),
    KnownSet(
        "asdiv",
        Hub("EleutherAI/asdiv", None, "validation"),
        _asdiv,
        "a value with its unit in parentheses: numbers, ratios, times, names; sometimes several",
        owner="Miao et al. 2020",
    ),
    KnownSet(
        "mawps",
        None,
        _mawps,
        "numbers, decimals cut at ten places",
        Rule(relative=1e-9),
        owner="Koncel-Kedziorski et al. 2016; the four parts singleeq, singleop, addsub, multiarith as in ToRA",
        where=_FILE,
    ),
    KnownSet(
        "multiarith",
        Hub("ChilleD/MultiArith", None, "train+test"),
        _fields("question", "final_ans"),
        "integers",
        owner="Roy and Roth 2015",
    ),
    KnownSet("math500", Hub("HuggingFaceH4/MATH-500", None, "test"), _math, "LaTeX", owner="Lightman et al. 2023"),
    KnownSet(
        "aime24",
        Hub("HuggingFaceH4/aime_2024", None, "train"),
        _fields("problem", "answer", id="id"),
        "integers from 000 to 999",
        owner="MAA",
    ),
    KnownSet(
        "aime25",
        Hub("math-ai/aime25", None, "test"),
        _fields("problem", "answer", id="id"),
        "integers from 000 to 999",
        owner="MAA",
    ),
    KnownSet(
        "amc23", Hub("math-ai/amc23", None, "test"), _fields("question", "answer", id="id"), "integers", owner="MAA"
    ),
    KnownSet(
        "minerva_math",
        Hub("math-ai/minervamath", None, "test"),
        _fields("question", "answer"),
        _PHYSICS,
        Rule(relative=1e-4, loose_units=True),
        owner="Lewkowycz et al. 2022 (Minerva); tolerance of Qwen2.5-Math's evaluation",
    ),
    KnownSet(
        "olympiadbench",
        Hub("Hothan/OlympiadBench", "OE_TO_maths_en_COMP", "train"),
        _olympiadbench,
        "LaTeX: numbers, expressions, equations, tuples, intervals; several answers in any order",
        Rule(absolute=1e-8, capped=True),
        owner="He et al. 2024: |answer - gold| within the row's `error`, else 1e-8",
    ),
    KnownSet(
        "tabmwp",
        None,
        _tabmwp,
        "integers, decimals, fractions, times, and options of multiple-choice questions",
        Rule(decimals=3),
        owner="Lu et al. 2023 (PromptPG): numbers rounded to three decimals",
        where="problems_test.json or problems_test1k.json of its owners' repository is read as it is",
    ),
    KnownSet(
        "ocwcourses",
        Hub("zhangirazerbayev/ocwcourses", None, "test"),
        _fields("problem", "answer"),
        _PHYSICS,
        Rule(relative=1e-5, small=1e-8, small_relative=0.01, loose_units=True),
        owner="Lewkowycz et al. 2022 (Minerva): the released checker's numpy.isclose, one percent near zero",
    ),
)

KNOWN: dict[str, KnownSet] = {known.name: known for known in _ALL}
"""Every set by its name, the paper's five first."""


def known_set(name: str) -> KnownSet | None:
    """The set of that name, whatever its case and whichever of `-` and `_`; None where there is none."""
    plain = plain_name(name)
    return next((known for known in _ALL if plain_name(known.name) == plain), None)


def plain_name(name: str) -> str:
    """A name as it is compared."""
    return name.lower().replace("_", "-")


def rule_of(name: str, row: Row) -> Rule:
    """The rule for one row of set `name`: the set's, with the row's own unit, error and options.

    `grading` in a row of any set is a rule of its own, as results lines hold it.

    Raises:
        ValueError: `grading` is not a rule.
    """
    if (told := row.get("grading")) is not None:
        if not isinstance(told, Mapping):
            raise ValueError("`grading` is not an object")
        return Rule.from_dict(told)
    if (known := known_set(name)) is None:
        return EXACT
    rule = known.rule
    if isinstance(unit := row.get("unit"), str) and unit.strip():
        rule = replace(rule, unit=unit.strip())
    if (error := smallest_error(row.get("error"))) is not None:
        rule = replace(rule, absolute=error, capped=False)
    if isinstance(choices := row.get("choices"), (list, tuple)) and choices:
        rule = replace(rule, choices=tuple(map(str, choices)))
    return rule


def smallest_error(told: object) -> float | None:
    """The error bound of a row: `1e-1`, or the smallest of `1e-1,1e-2`."""
    bounds = []
    for part in re.split(r"[,;\s]+", str(told if told is not None else "").strip("[]' ")):
        try:
            bounds.append(float(part))
        except ValueError:
            continue
    found = [bound for bound in bounds if 0 < bound < float("inf")]
    return min(found) if found else None

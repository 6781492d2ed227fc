"""What a results file says: accuracy with intervals, what it cost, and how solutions fail.

`summarise` computes everything from attempts alone, so that a report can be made again from any results file, also one
of another run or another tool. `as_table`, `as_markdown` and JSON show the same dictionary.
"""

from __future__ import annotations

import re
import statistics
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from runtime.evaluate.records import Record
from runtime.evaluate.sheets import Sheet
from runtime.evaluate.stats import Proportion, clustered, wilson
from runtime.grade.rules import accepts, is_readable

if TYPE_CHECKING:
    from rich.console import RenderableType

FAILURES = {
    "engine_error": "the engine or the sandbox could not go on",
    "error_not_repaired": "the last executed cell failed",
    "budget": "a budget of blocks, tokens or seconds ended it",
    "no_answer": "it ended without an answer",
    "no_code": "wrong answer, no code was run",
    "wrong_answer": "wrong answer, code was run",
}
"""Ways to fail; an attempt counts under the first that applies."""
_BUDGETS = frozenset({"block_limit", "token_limit", "time_limit", "context_full"})
_ERROR = re.compile(r"\b[A-Z]\w*(?:Error|Exception|Interrupt)\b|^\[sandbox\] |Timeout waiting for reply", re.MULTILINE)


def summarise(attempts: Iterable[Record]) -> dict[str, dict[str, Any]]:
    """The report, one entry a set, in order of appearance."""
    sets: dict[str, list[Record]] = {}
    for attempt in attempts:
        sets.setdefault(attempt.set, []).append(attempt)
    return {name: _summary(members) for name, members in sets.items()}


def _summary(all_attempts: Sequence[Record]) -> dict[str, Any]:
    attempts = [attempt for attempt in all_attempts if attempt.is_graded]
    questions = by_question(attempts)
    samples = max(len(group) for group in by_question(all_attempts).values())
    return {
        "questions": len(questions),
        "attempts": len(attempts),
        "errors": len(all_attempts) - len(attempts),
        "samples": samples,
        "pass@1": asdict(clustered([_share(group) for group in questions.values()])),
        f"maj@{samples}": asdict(wilson(sum(map(majority_correct, questions.values())), len(questions)))
        if samples > 1
        else None,
        "strict": asdict(clustered([_share(group, lambda a: a.strict) for group in questions.values()])),
        "lenient": asdict(clustered([_share(group, lambda a: a.lenient) for group in questions.values()])),
        "by_subject": _breakdown(questions, lambda attempt: subject_of(attempt)),
        "by_level": _breakdown(questions, lambda attempt: str(attempt.line.get("level") or "")),
        "by_code_blocks": _breakdown_attempts(attempts),
        "code": _code(attempts),
        "cost": _cost(attempts),
        "golds_as_text": sum(not is_readable(group[0].gold) for group in questions.values()),
        "status": dict(Counter(str(attempt.line.get("status", "unknown")) for attempt in all_attempts).most_common()),
        "failures": {name: count for name in FAILURES if (count := _count_failures(all_attempts)[name])},
    }


def by_question(attempts: Iterable[Record]) -> dict[str, list[Record]]:
    """Attempts of each question, samples in order."""
    questions: dict[str, list[Record]] = {}
    for attempt in sorted(attempts, key=lambda a: (a.index, a.sample)):
        questions.setdefault(attempt.id, []).append(attempt)
    return questions


def _share(group: Sequence[Record], verdict: Callable[[Record], bool] = lambda attempt: attempt.correct) -> float:
    return sum(map(verdict, group)) / len(group)


def majority_correct(group: Sequence[Record]) -> bool:
    """Whether the answer most samples agree on is right."""
    from runtime.solver import Solution
    from runtime.solver.vote import vote

    solutions = [Solution(a.blocks, a.answer, a.line.get("status", "answered")) for a in group]
    return accepts(vote(solutions).answer, group[0].gold, group[0].rule)


def subject_of(attempt: Record) -> str:
    """The MATH subject of an attempt, from its line or from an id such as `test/number_theory/1128.json`."""
    from runtime.evaluate.question_sets import subject_in

    return str(attempt.line.get("subject") or subject_in(attempt.id))


def _breakdown(questions: Mapping[str, list[Record]], key: Callable[[Record], str]) -> dict[str, Any]:
    shares: dict[str, list[float]] = {}
    for group in questions.values():
        shares.setdefault(key(group[0]), []).append(_share(group))
    if set(shares) == {""}:
        return {}
    return {name or "unknown": asdict(clustered(values)) for name, values in sorted(shares.items())}


def _breakdown_attempts(attempts: Sequence[Record]) -> dict[str, Any]:
    """Accuracy by the number of code blocks; five and more together."""
    counts: dict[str, list[bool]] = {}
    for attempt in attempts:
        if attempt.blocks:
            blocks = code_blocks(attempt)
            counts.setdefault(str(blocks) if blocks < 5 else "5+", []).append(attempt.correct)
    return {name: asdict(wilson(sum(values), len(values))) for name, values in sorted(counts.items())}


def code_blocks(attempt: Record) -> int:
    """Code blocks in a solution."""
    return sum(block.type == "code" for block in attempt.blocks)


def failed_execution(text: str) -> bool:
    """Whether an execution block shows an error, a time-out or a kill."""
    return bool(_ERROR.search(text))


def _code(attempts: Sequence[Record]) -> dict[str, Any]:
    known = [attempt for attempt in attempts if attempt.blocks]
    executions = [block.content for attempt in known for block in attempt.blocks if block.type == "execution"]
    cells, failed = len(executions), sum(map(failed_execution, executions))
    if all("cells" in attempt.line for attempt in attempts):
        cells = sum(attempt.line["cells"] for attempt in attempts)
        failed = sum(attempt.line.get("failed_cells", 0) for attempt in attempts)
    return {
        "blocks_per_solution": round(statistics.fmean(map(code_blocks, known)), 3) if known else None,
        "share_with_code": round(sum(code_blocks(attempt) > 0 for attempt in known) / len(known), 4) if known else None,
        "cells": cells,
        "failed_cells": failed,
        "failed_share": asdict(wilson(min(failed, cells), cells)) if cells else None,
    }


def _cost(attempts: Sequence[Record]) -> dict[str, Any]:
    """Lengths, seconds, speed, and what execution adds to generation; None where the lines do not say."""
    timed = [a.line for a in attempts if isinstance(a.line.get("ms"), dict) and isinstance(a.line.get("tokens"), dict)]
    if not timed:
        return {}
    generated = [line["tokens"].get("generated", 0) for line in timed]
    decode = sum(line["ms"].get("decode", 0.0) for line in timed) / 1000
    execution = sum(line["ms"].get("execution", 0.0) for line in timed) / 1000
    wall = [line["ms"].get("wall", 0.0) / 1000 for line in timed]
    return {
        "generated_tokens": sum(generated),
        "generated_per_solution": round(statistics.fmean(generated), 1),
        "generated_median": statistics.median(generated),
        "generated_longest": max(generated),
        "seconds_per_solution": round(statistics.fmean(wall), 3),
        "seconds_longest": round(max(wall), 3),
        "decode_seconds": round(decode, 3),
        "execution_seconds": round(execution, 3),
        "tokens_per_decode_second": round(sum(generated) / decode, 2) if decode else None,
        "execution_over_decode": round(execution / decode, 4) if decode else None,
    }


def failure(attempt: Record) -> str | None:
    """How an attempt failed (a key of FAILURES); None where it is right."""
    if attempt.correct:
        return None
    status = attempt.line.get("status")
    executions = [block.content for block in attempt.blocks if block.type == "execution"]
    if status in ("error", "interrupted"):
        return "engine_error"
    if status == "repeated_error" or (executions and failed_execution(executions[-1])):
        return "error_not_repaired"
    if status in _BUDGETS:
        return "budget"
    if attempt.answer is None:
        return "no_answer"
    if attempt.blocks and code_blocks(attempt) == 0:
        return "no_code"
    return "wrong_answer"


def _count_failures(attempts: Sequence[Record]) -> Counter[str]:
    return Counter(name for attempt in attempts if (name := failure(attempt)))


# Showing it


def _proportion(value: Mapping[str, Any] | None) -> str:
    return Proportion(**value).percent() if value else "-"


def rows(report: Mapping[str, dict[str, Any]]) -> tuple[list[str], list[list[str]]]:
    """The main table: header and one row a set."""
    majorities = sorted({key for summary in report.values() for key in summary if key.startswith("maj@")}, key=len)
    majorities = [key for key in majorities if any(summary.get(key) for summary in report.values())]
    header = ["set", "n", "pass@1 % [95 %]", *(f"{key} %" for key in majorities), "strict %"]
    header += ["code blocks", "failed cells %"]
    body = []
    for name, summary in report.items():
        code = summary["code"]
        line = [name, str(summary["questions"]), _proportion(summary["pass@1"])]
        line += [_proportion(summary.get(key)) for key in majorities]
        line += [
            f"{100 * summary['strict']['value']:.2f}" if summary["attempts"] else "-",
            _number(code["blocks_per_solution"], "{:.2f}"),
            _number(code["failed_share"] and 100 * code["failed_share"]["value"], "{:.1f}"),
        ]
        body.append(line)
    return header, body


def _number(value: float | None, form: str) -> str:
    return "-" if value is None else form.format(value)


def as_table(report: Mapping[str, dict[str, Any]]) -> RenderableType:
    """The report for a terminal: main table, then breakdowns and failures where there are any."""
    from rich.console import Group

    return Group(*(part for sheet in as_sheets(report) for part in (sheet.rich(), "")))


COST = "cost of a solution"
_COSTS = (
    ("tokens", "generated_per_solution", "{:.0f}"),
    ("median", "generated_median", "{:.0f}"),
    ("longest", "generated_longest", "{:,}"),
    ("seconds", "seconds_per_solution", "{:.2f}"),
    ("longest s", "seconds_longest", "{:.1f}"),
    ("tok/s", "tokens_per_decode_second", "{:.1f}"),
    ("exec/decode", "execution_over_decode", "{:.3f}"),
)
"""Columns on cost: title, key, format. Solutions written side by side share the machine: these are times of one."""


def throughput(report: Mapping[str, dict[str, Any]], facts: Mapping[str, Any]) -> str:
    """One line on the whole run, all solutions together; empty where its seconds are not known."""
    seconds = facts.get("seconds")
    generated = sum(summary["cost"].get("generated_tokens", 0) for summary in report.values())
    if not seconds or not generated:
        return ""
    attempts = sum(summary["attempts"] for summary in report.values())
    slots = facts.get("parallel_sequences", 1)
    return (
        f"the whole run: {attempts:,} solutions, {generated:,} tokens in {seconds:,} s, "
        f"{generated / seconds:,.1f} tokens/s with {slots} written together"
    )


def _details(report: Mapping[str, dict[str, Any]]) -> list[tuple[str, list[list[str]]]]:
    found = []
    for key, title in (("by_subject", "by subject"), ("by_level", "by level"), ("by_code_blocks", "by code blocks")):
        lines = [["set", title.removeprefix("by "), "n", "pass@1 % [95 %]"]]
        for name, summary in report.items():
            lines += [[name, part, str(v["n"]), _proportion(v)] for part, v in summary[key].items()]
        if len(lines) > 1:
            found.append((title, lines))
    lines = [["set", "golds", "n"]]
    for name, summary in report.items():
        if count := summary.get("golds_as_text"):
            lines.append([name, "not read: compared as text alone", str(count)])
    if len(lines) > 1:
        found.append(("golds", lines))
    lines = [["set", *(title for title, _, _ in _COSTS)]]
    for name, summary in report.items():
        if cost := summary["cost"]:
            lines.append([name, *(_number(cost[key], form) for _, key, form in _COSTS)])
    if len(lines) > 1:
        found.append((COST, lines))
    lines = [["set", "how it failed", "attempts", "share %"]]
    for name, summary in report.items():
        for mode, count in summary["failures"].items():
            lines.append(
                [name, FAILURES[mode], str(count), f"{100 * count / (summary['attempts'] + summary['errors']):.1f}"]
            )
    if len(lines) > 1:
        found.append(("failures", lines))
    return found


def as_sheets(report: Mapping[str, dict[str, Any]]) -> list[Sheet]:
    """The report as tables that can be pasted: accuracy, then breakdowns, costs and failures."""
    header, body = rows(report)
    sheets = [Sheet("Accuracy", header, body)]
    for title, lines in _details(report):
        sheets.append(Sheet(title.capitalize(), lines[0], lines[1:], left=1 if title == COST else 2))
    return sheets


def as_markdown(report: Mapping[str, dict[str, Any]], facts: Mapping[str, Any] | None = None) -> str:
    """The report as Markdown, with the facts of the run at its end."""
    header, body = rows(report)
    parts = ["# Evaluation", "", *_markdown_table([header, *body])]
    for title, lines in _details(report):
        parts += ["", f"## {title.capitalize()}", "", *_markdown_table(lines)]
    if facts:
        if line := throughput(report, facts):
            parts += ["", f"{line[0].upper()}{line[1:]}."]
        parts += ["", "## Run", ""]
        parts += [f"- {key}: `{value}`" for key, value in facts.items() if not isinstance(value, (dict, list))]
    return "\n".join(parts) + "\n"


def _markdown_table(lines: Sequence[Sequence[str]]) -> list[str]:
    head, *body = [[cell.replace("|", r"\|") for cell in line] for line in lines]
    rule = ["---" if index == 0 else "---:" for index in range(len(head))]
    return ["| " + " | ".join(line) + " |" for line in (head, rule, *body)]

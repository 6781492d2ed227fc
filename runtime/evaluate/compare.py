"""Two or more results files side by side, with the paired difference of each to the first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runtime.errors import InputError
from runtime.evaluate.records import Record, read_records
from runtime.evaluate.report import by_question
from runtime.evaluate.sheets import Sheet
from runtime.evaluate.stats import PairedDifference, clustered, paired_difference
from runtime.grade import equivalent

if TYPE_CHECKING:
    from rich.console import Console


def compare_files(
    paths: Sequence[str | Path], *, strict: bool = False, console: Console | None = None
) -> dict[str, Any]:
    """Compare results on the questions that all files answer.

    Args:
        paths: two or more results files or published outputs; the first is what the others are compared with.
        strict: strict numeric verdicts instead of the default grader's.
        console: where to print the table; None prints nothing.

    Returns:
        `{set: {"n", "files": [{"file", "pass@1"}], "differences": [{"file", "difference", "low", "high", "p_value",
        "only_first", "only_second", "other_answers": {"n": answers after a cell in the first file, "changed"}, ...}],
        "left_out": questions not in all files}}`. What counts of several samples of a question is the first.

    Raises:
        InputError: fewer than two files, or no question in all of them.
    """
    if len(paths) < 2:
        raise InputError("a comparison needs two results files", "nothing was compared", "name a second file")
    firsts = [_firsts([a for a in read_records(path) if a.is_graded]) for path in paths]
    runs = [_verdicts(found, strict) for found in firsts]
    labels = _labels(paths)
    common = set(runs[0]).intersection(*runs[1:])
    if not common:
        raise InputError(
            "the files have no question in common",
            "nothing was compared",
            "compare runs on the same sets; questions are matched by set, text (or id) and gold answer",
        )
    report: dict[str, Any] = {}
    for name in dict.fromkeys(key[0] for key in runs[0] if key in common):
        keys = [key for key in runs[0] if key in common and key[0] == name]
        everything = {key for run in runs for key in run if key[0] == name}
        outcomes = [[run[key] for key in keys] for run in runs]
        report[name] = {
            "n": len(keys),
            "left_out": len(everything) - len(keys),
            "files": [
                {"file": label, "pass@1": asdict(clustered([float(v) for v in verdicts]))}
                for label, verdicts in zip(labels, outcomes, strict=True)
            ],
            "differences": [
                {
                    "file": label,
                    "against": labels[0],
                    **asdict(paired_difference(outcomes[0], verdicts)),
                    "other_answers": _other_answers(firsts[0], other, keys),
                }
                for label, verdicts, other in zip(labels[1:], outcomes[1:], firsts[1:], strict=True)
            ],
        }
    if console is not None:
        _show(report, labels, console)
    return report


def pooled_difference(first: str | Path, second: str | Path) -> PairedDifference:
    """The paired difference, second minus first, over the questions of all sets that both files answer."""
    one, two = (_verdicts(_firsts([a for a in read_records(path) if a.is_graded]), False) for path in (first, second))
    common = [key for key in one if key in two]
    return paired_difference([one[key] for key in common], [two[key] for key in common])


_Key = tuple[str, str, str]


def _firsts(records: Sequence[Record]) -> dict[_Key, Record]:
    """The first sample of every question. Sets are matched whatever the case of their names."""
    sets: dict[str, list[Record]] = {}
    for record in records:
        sets.setdefault(record.set.lower(), []).append(record)
    return {
        (name, group[0].question or group[0].id, group[0].gold): group[0]
        for name, members in sets.items()
        for group in by_question(members).values()
    }


def _verdicts(firsts: Mapping[_Key, Record], strict: bool) -> dict[_Key, bool]:
    return {key: record.strict if strict else record.correct for key, record in firsts.items()}


def _other_answers(first: Mapping[_Key, Record], second: Mapping[_Key, Record], keys: Sequence[_Key]) -> dict[str, int]:
    """How many answers of the first file that came after a cell differ in the second, or are missing."""
    answers = [(first[key].answer, second[key].answer) for key in keys if first[key].line.get("cells")]
    pairs = [(one, two) for one, two in answers if one is not None]
    return {"n": len(pairs), "changed": sum(two is None or not equivalent(two, one) for one, two in pairs)}


def _labels(paths: Sequence[str | Path]) -> list[str]:
    """File names as short as they stay distinct."""
    names = [Path(path).name for path in paths]
    if len(set(names)) < len(names):
        names = [str(Path(path).parent.name or ".") + "/" + Path(path).name for path in paths]
    return names if len(set(names)) == len(names) else [str(path) for path in paths]


def as_sheets(report: Mapping[str, Any]) -> list[Sheet]:
    """A comparison (what `compare_files` returns) as a table that can be pasted."""
    header = ["set", "file", "n", "pass@1 % [95 %]", "minus the first [95 %]", "only it", "only the first", "p"]
    body = []
    for name, part in report.items():
        for index, entry in enumerate(part["files"]):
            share = entry["pass@1"]
            cells = [name, entry["file"], str(part["n"])]
            cells.append(f"{100 * share['value']:.1f} [{100 * share['low']:.1f}, {100 * share['high']:.1f}]")
            if index:
                d = part["differences"][index - 1]
                cells.append(f"{100 * d['difference']:+.1f} [{100 * d['low']:+.1f}, {100 * d['high']:+.1f}]")
                cells += [str(d["only_second"]), str(d["only_first"]), f"{d['p_value']:.2g}"]
            body.append(cells + [""] * (len(header) - len(cells)))
    return [Sheet("Same questions, paired", header, body, left=2, note="p: McNemar's exact test")]


def _show(report: dict[str, Any], labels: Sequence[str], console: Console) -> None:
    from rich.table import Table
    from rich.text import Text

    # File names are long and a terminal is narrow: the table names files by letters.
    letters = [chr(ord("A") + index) if index < 26 else str(index) for index in range(len(labels))]
    for letter, label in zip(letters, labels, strict=True):
        console.print(Text(f"{letter}  {label}"))
    table = Table(title="same questions, paired", box=None, pad_edge=False, header_style="bold")
    for title in ("set", "n", "", "pass@1 % [95 %]", "minus A [95 %]", "only it/A", "p"):
        table.add_column(title, justify="left" if title in ("set", "") else "right", no_wrap=title != "set")
    for name, part in report.items():
        for index, entry in enumerate(part["files"]):
            share = entry["pass@1"]
            cells = [
                name if index == 0 else "",
                str(part["n"]) if index == 0 else "",
                letters[index],
                f"{100 * share['value']:.1f} [{100 * share['low']:.1f}, {100 * share['high']:.1f}]",
            ]
            if index:
                d = part["differences"][index - 1]
                cells += [
                    f"{100 * d['difference']:+.1f} [{100 * d['low']:+.1f}, {100 * d['high']:+.1f}]",
                    f"{d['only_second']}/{d['only_first']}",
                    f"{d['p_value']:.2g}",
                ]
            table.add_row(*cells)
    console.print(table)
    console.print("p: McNemar's exact test; only it/A: questions that one of the two alone solved", style="dim")
    for name, part in report.items():
        for letter, d in zip(letters[1:], part["differences"], strict=True):
            if others := d["other_answers"]["n"]:
                changed = d["other_answers"]["changed"]
                told = f"{name}: {letter} answers otherwise than A in {changed} of A's {others} answers that used code"
                console.print(Text(f"{told} ({changed / others:.0%})", style="dim"))
        if part["left_out"]:
            console.print(f"[dim]{name}: {part['left_out']} questions are not in all files and were left out[/dim]")

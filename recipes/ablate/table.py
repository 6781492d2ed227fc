"""What an ablation says: accuracy with intervals, paired differences to LCE, and cost."""

from __future__ import annotations

import json
import statistics
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recipes.ablate.stages import evaluation_folder, is_evaluated
from recipes.ablate.study import BUDGETS, Budget, Cell, Study
from recipes.ablate.variants import LCE, Variant
from runtime.evaluate.records import Record, read_meta, read_records
from runtime.evaluate.run import RESULTS
from runtime.evaluate.sheets import Sheet, written
from runtime.evaluate.stats import clustered, clustered_difference
from runtime.files import write_json, write_text

if TYPE_CHECKING:
    from rich.console import Console

Verdicts = dict[str, bool]
"""Question to whether it was solved, for one seed."""
ALL = "all"


def collect(study: Study) -> list[dict[str, Any]]:
    """One entry for each variant and budget, in the order of the table.

    `sets` holds for each set, and for `all` where there are several, the accuracy over seeds with its interval and the
    difference to LCE at the same budget, paired by question and seed; None where nothing is measured yet.
    """
    groups: dict[tuple[Variant, Budget], list[Cell]] = {}
    for cell in study.cells:
        groups.setdefault((cell.variant, cell.budget), []).append(cell)
    measured = {key: [_records(study, cell) for cell in cells] for key, cells in groups.items()}
    return [_entry(study, key, groups[key], measured) for key in groups]


def _records(study: Study, cell: Cell) -> list[Record] | None:
    if not is_evaluated(study, cell.training, cell.variant.mode):
        return None
    return read_records(evaluation_folder(study, cell.training, cell.variant.mode) / RESULTS)


def _entry(
    study: Study,
    key: tuple[Variant, Budget],
    cells: Sequence[Cell],
    measured: dict[tuple[Variant, Budget], list[list[Record] | None]],
) -> dict[str, Any]:
    variant, budget = key
    runs = measured[key]
    lines = [record for run in runs if run for record in run]
    names = [chosen.name for chosen in study.sets]
    against = measured.get((LCE, budget), [])
    sets = {}
    for name in [*names, *([ALL] if len(names) > 1 else [])]:
        own = [_verdicts(run, name) for run in runs]
        others = [_verdicts(run, name) for run in against]
        sets[name] = {"accuracy": _accuracy(own), "difference": None if variant == LCE else _difference(own, others)}
    return {
        "variant": variant.name,
        "says": variant.says,
        "budget": budget,
        "mode": variant.mode,
        "rows": study.rows[variant.name]["rows"],
        "left_out": study.rows[variant.name]["left_out"],
        "steps": [cell.training.steps for cell in cells],
        "supervised": [cell.training.supervised for cell in cells],
        "trainings": [cell.training.name for cell in cells],
        "seeds": sum(run is not None for run in runs),
        "sets": sets,
        "generated": _mean(record.line["tokens"]["generated"] for record in lines),
        "cells": _mean(record.line["cells"] for record in lines),
        "golds_as_text": _golds_as_text(lines),
    }


def _mean(values: Any) -> float | None:
    found = list(values)
    return round(statistics.fmean(found), 3) if found else None


def _golds_as_text(lines: Sequence[Record]) -> int:
    from runtime.grade.rules import is_readable

    return sum(not is_readable(gold) for gold in {(record.set, record.id): record.gold for record in lines}.values())


def _verdicts(run: list[Record] | None, name: str) -> Verdicts | None:
    if run is None:
        return None
    return {record.id: record.correct for record in run if name in (ALL, record.set)}


def _accuracy(runs: Sequence[Verdicts | None]) -> dict[str, Any] | None:
    known = [run for run in runs if run]
    if not known:
        return None
    shares = [statistics.fmean(float(run[question]) for run in known) for question in known[0]]
    return asdict(clustered(shares))


def _difference(runs: Sequence[Verdicts | None], others: Sequence[Verdicts | None]) -> dict[str, Any] | None:
    pairs = [(one, other) for one, other in zip(runs, others, strict=False) if one and other]
    if not pairs:
        return None
    questions = [question for question in pairs[0][0] if all(question in run for pair in pairs for run in pair)]
    return asdict(clustered_difference([[float(one[q]) - float(other[q]) for q in questions] for one, other in pairs]))


# Showing it


def sheets(entries: Sequence[dict[str, Any]]) -> list[Sheet]:
    """Accuracy, differences in all questions and in each set, cost, and what each variant is."""
    names = list(entries[0]["sets"]) if entries else []
    header = ["variant", "at equal", "steps", "seeds", *(f"{name} % [95 %]" for name in names), "minus lce [95 %]"]
    body, apart = [], []
    for entry in entries:
        sets = entry["sets"]
        line = [entry["variant"], entry["budget"], _range(entry["steps"]), f"{entry['seeds']}"]
        line += [_percent(sets[name]["accuracy"]) for name in names]
        body.append([*line, _signed(sets[names[-1]]["difference"])])
        if entry["variant"] != LCE.name:
            apart.append([entry["variant"], entry["budget"], *(_signed(sets[name]["difference"]) for name in names)])
    note = (
        "Difference: mean over seeds of paired outcomes on the same questions, clustered by question and by seed; "
        "with one seed it says nothing of the scatter between trainings"
    )
    cost = [
        [
            entry["variant"], entry["budget"], f"{entry['rows']:,}", f"{entry['left_out']:,}",
            _range(entry["supervised"]), _number(entry["generated"], "{:.1f}"), _number(entry["cells"], "{:.2f}"),
        ]
        for entry in entries
    ]  # fmt: skip
    meaning = {entry["variant"]: [entry["variant"], entry["says"], entry["mode"]] for entry in entries}
    by_set = Sheet("Difference to lce in points [95 %]", ["variant", "at equal", *names], apart, left=2)
    return [
        Sheet("Ablation", header, body, left=2, note=note),
        *([by_set] if len(names) > 1 and apart else []),
        Sheet(
            "Cost",
            ["variant", "at equal", "rows", "left out", "supervised tokens", "tokens written a question", "cells"],
            cost,
            left=2,
        ),
        Sheet("Variants", ["variant", "is", "solves in mode"], list(meaning.values()), left=3),
    ]


def time_sheet(study: Study, entries: Sequence[dict[str, Any]]) -> Sheet:
    """Seconds of training and of solving: what a clock said, and so not the same in two runs."""
    body = []
    for entry in entries:
        trained, solved = [], []
        for name in entry["trainings"]:
            folder = study.folder / "runs" / name
            if (folder / "log.jsonl").is_file():
                lines = (folder / "log.jsonl").read_text(encoding="utf-8").splitlines()
                trained.append(sum(json.loads(line)["seconds"] for line in lines))
            results = folder / f"eval-{entry['mode']}" / RESULTS
            # One that another job is at has no lines yet, or not all.
            if read_meta(results).get("status") == "finished":
                solved += [record.line["ms"]["wall"] / 1000 for record in read_records(results)]
        mean = _mean(trained)
        body.append([entry["variant"], entry["budget"], _number(mean, "{:.0f}"), _number(_mean(solved), "{:.2f}")])
    return Sheet("Time", ["variant", "at equal", "training s", "s a question"], body, left=2,
                 note="Solutions written together share the machine")  # fmt: skip


def _range(values: Sequence[int]) -> str:
    low, high = min(values), max(values)
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"


def _number(value: float | None, form: str) -> str:
    return "-" if value is None else form.format(value)


def _percent(share: dict[str, Any] | None) -> str:
    if share is None:
        return "-"
    return f"{100 * share['value']:.1f} [{100 * share['low']:.1f}, {100 * share['high']:.1f}]"


def _signed(difference: dict[str, Any] | None) -> str:
    if difference is None:
        return "-"
    return f"{100 * difference['value']:+.1f} [{100 * difference['low']:+.1f}, {100 * difference['high']:+.1f}]"


def bars(entries: Sequence[dict[str, Any]], width: int = 40) -> str:
    """The picture for a terminal: a bar for each accuracy, its interval as a line behind."""
    lines = []
    for entry in entries:
        share = next(reversed(entry["sets"].values()))["accuracy"]
        label = f"{entry['variant']:<16} {entry['budget']:<7}"
        if share is None:
            lines.append(f"{label} not measured yet")
            continue
        value, low, high = (round(width * share[key]) for key in ("value", "low", "high"))
        drawn = "".join("█" if at < min(value, low) else "▓" if at < value else "─" if at < high else " "
                        for at in range(width))  # fmt: skip
        lines.append(f"{label} {drawn} {100 * share['value']:.1f} %")
    return "\n".join(lines)


def draw(entries: Sequence[dict[str, Any]], folder: Path) -> list[Path]:
    """Draw `ablation.png` and `.svg`: accuracy, and differences to LCE; nothing without matplotlib."""
    from runtime.evaluate import plots

    known = [entry for entry in entries if next(reversed(entry["sets"].values()))["accuracy"]]
    if not known or not plots.available():
        return []
    names = list(dict.fromkeys(entry["variant"] for entry in known))
    budgets = {name: [entry["budget"] for entry in known if entry["variant"] == name] for name in names}
    figure = plots.figure(9, 1.3 + 0.18 * len(names) + 0.18 * len(known))
    left, right = figure.subplots(1, 2, sharey=True)
    for entry in known:
        own = budgets[entry["variant"]]
        place = names.index(entry["variant"]) + 0.3 * (own.index(entry["budget"]) - (len(own) - 1) / 2)
        style = list(BUDGETS).index(entry["budget"])
        told = next(reversed(entry["sets"].values()))
        for axes, value in ((left, told["accuracy"]), (right, told["difference"])):
            if value is None:
                continue
            share = 100 * value["value"]
            errors = [[max(0.0, share - 100 * value["low"])], [max(0.0, 100 * value["high"] - share)]]
            axes.errorbar(
                share, place, xerr=errors, fmt=plots.MARKERS[style], color=plots.PALETTE[style], capsize=3,
                markersize=5, label=BUDGETS[entry["budget"]] if axes is left else None,
            )  # fmt: skip
    left.set_yticks(range(len(names)), names)
    left.set(ylim=(len(names) - 0.5, -0.5), xlim=(0, None), xlabel="solved, % (95 % interval)")
    right.axvline(0, color=plots.PALETTE[7], linewidth=0.8)
    right.tick_params(axis="y", length=0)
    right.set(xlabel=f"minus {LCE.name}, points (95 % interval)")
    for axes in (left, right):
        axes.grid(axis="x", color="#dddddd", linewidth=0.6)
        axes.set_axisbelow(True)
        axes.spines[["top", "right"]].set_visible(False)
    handles, labels = left.get_legend_handles_labels()
    shown = dict(zip(labels, handles, strict=True))
    figure.legend(shown.values(), shown, loc="outside upper center", ncols=len(shown), frameon=False)
    return plots.write_figure(figure, folder / "ablation", plots.FORMATS)


def write_all(study: Study, console: Console | None = None) -> list[dict[str, Any]]:
    """Write `table.json`, `.md`, `.tex`, `.csv`, `time.csv` and pictures, and show them on a console."""
    entries = collect(study)
    tables = sheets(entries)
    write_json(study.folder / "table.json", {"entries": entries})
    for suffix, form in (("md", "markdown"), ("tex", "latex"), ("csv", "csv")):
        write_text(study.folder / f"table.{suffix}", written(tables, form))
    clock = time_sheet(study, entries)
    write_text(study.folder / "time.csv", clock.csv())
    draw(entries, study.folder)
    if console is not None:
        for table in (*tables, clock):
            console.print(table.rich())
        console.print(bars(entries), markup=False, highlight=False)
    return entries

"""A report as pictures (matplotlib, an optional dependency)."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from runtime.errors import InputError
from runtime.evaluate.report import FAILURES
from runtime.files import atomic_path

_INK, _SECOND, _THIRD = "#1f4e79", "#c55a11", "#7f7f7f"


def available() -> bool:
    """Whether pictures can be made here."""
    return importlib.util.find_spec("matplotlib") is not None


def save(report: Mapping[str, dict[str, Any]], folder: str | Path) -> list[Path]:
    """Write `accuracy.png`, `code_blocks.png` and `failures.png` into `folder`, each where there is something to show.

    Raises:
        InputError: matplotlib is not installed.
    """
    if not available():
        raise InputError("matplotlib is not installed", "no plots were made", "pip install matplotlib")
    # A bare Figure needs no display and leaves pyplot's state, which belongs to the caller, alone.
    figure_class = importlib.import_module("matplotlib.figure").Figure
    written = []
    for name, draw in (("accuracy", _accuracy), ("code_blocks", _code_blocks), ("failures", _failures)):
        figure = figure_class(figsize=(7, 4), dpi=120, layout="constrained")
        if draw(figure.subplots(), report):
            path = Path(folder) / f"{name}.png"
            with atomic_path(path) as temporary:
                figure.savefig(temporary, format="png")
            written.append(path)
    return written


def _bars(value: Mapping[str, Any]) -> tuple[float, list[list[float]]]:
    share = 100 * value["value"]
    return share, [[max(0.0, share - 100 * value["low"])], [max(0.0, 100 * value["high"] - share)]]


def _accuracy(axes: Any, report: Mapping[str, dict[str, Any]]) -> bool:
    for position, summary in enumerate(report.values()):
        share, errors = _bars(summary["pass@1"])
        axes.bar(position, share, 0.6, color=_INK, yerr=errors, capsize=4, label=None if position else "pass@1")
        majority = next((v for k, v in summary.items() if k.startswith("maj@") and v), None)
        if majority:
            share, errors = _bars(majority)
            label = next(k for k in summary if k.startswith("maj@"))
            axes.errorbar(
                position, share, yerr=errors, fmt="o", color=_SECOND, capsize=4, label=None if position else label
            )
    axes.set_xticks(range(len(report)), [f"{name}\nn={summary['questions']}" for name, summary in report.items()])
    axes.set(ylabel="solved, % (95 % interval)", ylim=(0, 100))
    axes.legend(loc="upper right", frameon=False)
    return bool(report)


def _code_blocks(axes: Any, report: Mapping[str, dict[str, Any]]) -> bool:
    drawn = False
    for name, summary in report.items():
        parts = summary["by_code_blocks"]
        if parts:
            shares = [100 * value["value"] for value in parts.values()]
            axes.plot(list(parts), shares, marker="o", label=name)
            for label, value in parts.items():
                axes.annotate(
                    f"{value['n']}",
                    (label, 100 * value["value"]),
                    fontsize=7,
                    xytext=(3, 4),
                    textcoords="offset points",
                )
            drawn = True
    axes.set(xlabel="code blocks in the solution (numbers: solutions)", ylabel="solved, %", ylim=(0, 105))
    if drawn:
        axes.legend(frameon=False)
    return drawn


def _failures(axes: Any, report: Mapping[str, dict[str, Any]]) -> bool:
    names = list(report)
    left = [0.0] * len(names)
    colours = [_THIRD, "#a23b3b", _SECOND, "#d8a657", "#5b8db8", _INK]
    drawn = False
    for mode, colour in zip(FAILURES, colours, strict=True):
        widths = [100 * report[name]["failures"].get(mode, 0) / report[name]["attempts"] for name in names]
        if any(widths):
            axes.barh(names, widths, left=left, color=colour, label=FAILURES[mode])
            left = [a + b for a, b in zip(left, widths, strict=True)]
            drawn = True
    axes.set(xlabel="attempts that failed, %")
    if drawn:
        axes.legend(fontsize=7, frameon=False)
    return drawn

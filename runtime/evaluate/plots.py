"""A report as pictures (matplotlib, an optional dependency)."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from runtime.errors import InputError
from runtime.evaluate.report import FAILURES
from runtime.files import atomic_path

PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#999999")
"""Colours that colour-blind readers tell apart (M. Okabe and K. Ito, 2008), the two that differ most first."""
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
"""Shapes beside the colours, for whoever sees none."""
FORMATS = ("png", "svg")
_INK, _SECOND, _THIRD = PALETTE[0], PALETTE[1], PALETTE[7]


def available() -> bool:
    """Whether pictures can be made here."""
    return importlib.util.find_spec("matplotlib") is not None


def save(report: Mapping[str, dict[str, Any]], folder: str | Path, formats: Sequence[str] = ("png",)) -> list[Path]:
    """Write `accuracy`, `code_blocks` and `failures` into `folder` in `formats`, where they show anything.

    Raises:
        InputError: matplotlib is not installed.
    """
    written: list[Path] = []
    for name, draw in (("accuracy", _accuracy), ("code_blocks", _code_blocks), ("failures", _failures)):
        picture = figure(7, 4)
        if draw(picture.subplots(), report):
            written += write_figure(picture, Path(folder) / name, formats)
    return written


def figure(width: float, height: float) -> Any:
    """An empty matplotlib figure of `width` by `height` inches.

    Raises:
        InputError: matplotlib is not installed.
    """
    if not available():
        raise InputError("matplotlib is not installed", "no plots were made", "pip install matplotlib")
    # A bare Figure needs no display and leaves pyplot's state, which belongs to the caller, alone.
    return importlib.import_module("matplotlib.figure").Figure(figsize=(width, height), dpi=120, layout="constrained")


def write_figure(picture: Any, stem: Path, formats: Sequence[str]) -> list[Path]:
    """`stem` with each format's suffix; text in SVG stays text, and equal pictures are equal files."""
    matplotlib = importlib.import_module("matplotlib")
    written = []
    for form in formats:
        path = stem.with_name(f"{stem.name}.{form}")
        metadata = {"Date": None} if form == "svg" else {}
        with (
            matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "mathcoder"}),
            atomic_path(path) as temporary,
        ):
            picture.savefig(temporary, format=form, metadata=metadata)
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
    drawn, drawn_sets = False, 0
    for name, summary in report.items():
        parts = summary["by_code_blocks"]
        if parts:
            shares = [100 * value["value"] for value in parts.values()]
            style = drawn_sets % len(PALETTE)
            axes.plot(list(parts), shares, marker=MARKERS[style], color=PALETTE[style], label=name)
            drawn_sets += 1
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
    colours = [_THIRD, PALETTE[3], _SECOND, PALETTE[4], PALETTE[5], _INK]
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

"""The curves of a run, as PNG and in the terminal: loss by kind, learning rate, and the samples."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qlora.progress import LOSS_KINDS
from qlora.quiet import quiet_libraries

if TYPE_CHECKING:
    from rich.console import Console

Curve = tuple[list[int], list[float]]
"""Steps, and a value at each."""


def plot_run(log: Sequence[dict[str, Any]], folder: Path) -> list[Path]:
    """Write `loss.png`, `learning_rate.png` and, where there are samples, one PNG per sampled measure.

    Args:
        log: the entries of `log.jsonl`.
        folder: where the files go.

    Returns:
        The files; none where matplotlib is not installed or there is nothing to draw.
    """
    from runtime.evaluate.plots import available

    if not log or not available():
        return []
    with quiet_libraries():
        return [draw(folder / f"{name}.png", label, lines) for name, (label, lines) in curves(log).items()]


def curves(log: Sequence[dict[str, Any]]) -> dict[str, tuple[str, dict[str, Curve]]]:
    """What there is to draw: per picture its label, and lines (x, y) by name.

    `loss` has a line for each kind apart; each measure of the samples (`pass_at_1`) is a picture of its own.
    """
    if not log:
        return {}
    found: dict[str, tuple[str, dict[str, Curve]]] = {
        "loss": (
            "loss (nats per token)",
            {kind: _line(log, kind) for kind in ("loss", *LOSS_KINDS) if any(kind in entry for entry in log)},
        ),
        "learning_rate": ("learning rate", {"": _line(log, "lr")}),
    }
    samples = [{"step": entry["step"], **entry["sample"]} for entry in log if "sample" in entry]
    for name in sorted({name for entry in samples for name in entry} - {"step"}):
        found[name] = (name.replace("_at_", "@"), {"": _line(samples, name)})
    return found


def _line(log: Sequence[dict[str, Any]], key: str) -> Curve:
    points = [(entry["step"], entry[key]) for entry in log if key in entry]
    return [x for x, _ in points], [y for _, y in points]


def show_run(log: Sequence[dict[str, Any]], console: Console) -> bool:
    """Draw text loss and code loss, learning rate and samples on `console`.

    Returns:
        Whether it did: not where plotext is not installed or there are fewer than two steps.
    """
    try:
        import plotext
    except ImportError:
        return False
    if len(log) < 2:
        return False
    from rich.text import Text

    for name, (label, lines) in curves(log).items():
        # The total lies between its parts; with it a small picture is hard to read.
        shown = {kind: line for kind, line in lines.items() if name != "loss" or kind in ("text", "code")}
        plotext.clear_figure()
        plotext.theme("clear")
        plotext.plot_size(min(console.width, 100), 14)
        for number, (kind, (x, y)) in enumerate(shown.items()):
            # Not by colour alone: a log file and some eyes have none.
            marker = ("braille", "·")[number % 2] if len(x) > 1 else "•"
            plotext.plot(x, y, label=kind or None, marker=marker, color=("blue", "orange")[number % 2])
        plotext.title(f"{label} by step")
        console.print(Text.from_ansi(plotext.build()))
    plotext.clear_figure()
    return True


def draw(file: Path, label: str, lines: dict[str, Curve]) -> Path:
    """Write a picture of `lines` over the steps to `file`, and return it."""
    from runtime.evaluate.plots import figure, write_figure

    picture = figure(7, 4)
    axes = picture.subplots()
    for name, (x, y) in lines.items():
        marker = "o" if len(x) == 1 else None
        axes.plot(x, y, label=name or None, linewidth=1.8 if name in ("", "loss") else 1.0, marker=marker)
    axes.set_xlabel("step")
    axes.set_ylabel(label)
    axes.grid(alpha=0.3)
    if any(lines):
        axes.legend()
    return write_figure(picture, file.with_suffix(""), ("png",))[0]

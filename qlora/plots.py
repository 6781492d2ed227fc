"""The curves of a run as PNG: loss by kind, learning rate, and whatever the sampling callback measured."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from qlora.progress import LOSS_KINDS
from qlora.quiet import quiet_libraries
from runtime.files import atomic_path


def plot_run(log: Sequence[dict[str, Any]], folder: Path) -> list[Path]:
    """Write `loss.png`, `learning_rate.png` and, where there are samples, one PNG per sampled measure.

    Args:
        log: the entries of `log.jsonl`.
        folder: where the files go.

    Returns:
        The files; none where matplotlib is not installed or there is nothing to draw.
    """
    try:
        with quiet_libraries():
            import matplotlib

            matplotlib.use("Agg")
    except ImportError:
        return []
    if not log:
        return []
    steps = [entry["step"] for entry in log]
    losses = {kind: [entry.get(kind) for entry in log] for kind in ("loss", *LOSS_KINDS) if kind in log[-1]}
    files = [
        _draw(folder / "loss.png", "loss (nats per token)", {kind: (steps, values) for kind, values in losses.items()}),
        _draw(folder / "learning_rate.png", "learning rate", {"": (steps, [entry["lr"] for entry in log])}),
    ]
    sampled = [entry for entry in log if "sample" in entry]
    for name in sorted({name for entry in sampled for name in entry["sample"]}):
        points = [(entry["step"], entry["sample"][name]) for entry in sampled if name in entry["sample"]]
        files.append(_draw(folder / f"{name}.png", name, {"": ([x for x, _ in points], [y for _, y in points])}))
    return files


def _draw(file: Path, label: str, lines: dict[str, tuple[list[Any], list[Any]]]) -> Path:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    for name, (x, y) in lines.items():
        axes.plot(x, y, label=name or None, linewidth=1.8 if name in ("", "loss") else 1.0)
    axes.set_xlabel("step")
    axes.set_ylabel(label)
    axes.grid(alpha=0.3)
    if any(lines):
        axes.legend()
    with atomic_path(file) as temporary:
        figure.savefig(temporary, format="png", dpi=120)
    return file

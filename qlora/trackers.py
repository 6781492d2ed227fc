"""Trackers that a recipe may name beside `log.jsonl`: TensorBoard, and those of several runs.

None is installed with the toolkit, and none is called unless the recipe names it. One that fails in the middle of a run
is left out from there on, with a line that says so: `log.jsonl` has every number.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

from qlora.settings import QloraSettings
from runtime.errors import TrainError

PROJECT = "mathcoder"
"""Under which project (wandb, trackio) or experiment (mlflow) runs stand."""


class Trackers:
    """The trackers of one run. Call with an entry of the log; `close` at the end."""

    def __init__(self, folder: Path, settings: QloraSettings, say: Callable[[str, str], None]) -> None:
        """
        Args:
            folder: of the run.
            settings: `train.trackers`, `train.tensorboard` and the name count; all are shown to the trackers.
            say: prints a message in a style.

        Raises:
            TrainError: one is not installed, or does not start.
        """
        self.say = say
        names = [*(["tensorboard"] if settings.train.tensorboard else []), *settings.train.trackers]
        self.open: dict[str, tuple[Callable[[dict[str, float], int], None], Callable[[], None]]] = {}
        for name in dict.fromkeys(names):
            try:
                self.open[name] = _OPENERS[name](folder, settings)
            except ImportError as error:
                raise TrainError(
                    f"train asks for the tracker {name}, which is not installed",
                    "nothing was trained",
                    f"pip install {name}, or take it out of the recipe; log.jsonl holds the same numbers",
                ) from error
            except Exception as error:  # not narrower: each has errors of its own, from a missing login to a full disk
                raise TrainError(
                    f"the tracker {name} does not start ({type(error).__name__}: {error})",
                    "nothing was trained",
                    "mend that, or take it out of the recipe; log.jsonl holds the same numbers",
                ) from error

    def __call__(self, entry: dict[str, Any]) -> None:
        """Hand on the numbers of one step."""
        numbers = {
            name: float(value)
            for name, value in {**entry, **entry.get("sample", {})}.items()
            if isinstance(value, int | float) and name != "step"
        }
        for name, (log, _) in list(self.open.items()):
            try:
                log(numbers, entry["step"])
            except Exception as error:  # not narrower: whatever it is, it must not end the training
                self._give_up(name, error)

    def close(self) -> None:
        """Let each finish what it sends."""
        for name, (_, close) in list(self.open.items()):
            try:
                close()
            except Exception as error:  # not narrower: as above
                self._give_up(name, error)

    def _give_up(self, name: str, error: Exception) -> None:
        del self.open[name]
        self.say(
            f"the tracker {name} failed ({type(error).__name__}: {error}) and gets no more; see log.jsonl", "yellow"
        )


Opened = tuple[Callable[[dict[str, float], int], None], Callable[[], None]]


def _tensorboard(folder: Path, _settings: QloraSettings) -> Opened:
    from torch.utils.tensorboard import SummaryWriter

    writer = SummaryWriter(str(folder / "tensorboard"))

    def log(numbers: dict[str, float], step: int) -> None:
        for name, value in numbers.items():
            writer.add_scalar(name, value, step)
        writer.flush()

    return log, writer.close


def _like_wandb(module_name: str) -> Callable[[Path, QloraSettings], Opened]:
    def start(_folder: Path, settings: QloraSettings) -> Opened:
        module = import_module(module_name)
        module.init(project=PROJECT, name=settings.name, config=settings.model_dump(mode="json"))
        return lambda numbers, step: module.log(numbers, step=step), module.finish

    return start


def _mlflow(_folder: Path, settings: QloraSettings) -> Opened:
    mlflow = import_module("mlflow")
    mlflow.set_experiment(PROJECT)
    mlflow.start_run(run_name=settings.name)
    for section, values in settings.model_dump(mode="json", include={"train", "lora"}).items():
        mlflow.log_params({f"{section}.{key}": value for key, value in values.items()})
    return lambda numbers, step: mlflow.log_metrics(numbers, step=step), mlflow.end_run


_OPENERS: dict[str, Callable[[Path, QloraSettings], Opened]] = {
    "tensorboard": _tensorboard,
    "wandb": _like_wandb("wandb"),
    "trackio": _like_wandb("trackio"),
    "mlflow": _mlflow,
}

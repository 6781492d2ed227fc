"""The stages of an ablation, one training at a time: train, export, evaluate, clear away.

Each stage is the one behind its own verb, and each resumes by itself: training from its last checkpoint, the export
from its last whole file, the evaluation from its last line. What was measured is never measured again, so that the
large files of a training can go as soon as its last evaluation is finished.
"""

from __future__ import annotations

import gc
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recipes.ablate.study import Study, Training
from recipes.schema import gguf_path, is_gguf
from runtime.evaluate.records import read_meta
from runtime.evaluate.run import RESULTS, run_eval

if TYPE_CHECKING:
    from rich.console import Console

    from export.settings import ExportSettings
    from runtime.engine import Engine


@dataclass(frozen=True)
class Options:
    """How the stages run; nothing here changes what is measured but for rounding.

    Attributes:
        slots, threads: of the evaluation.
        n_ctx: tokens of the evaluation's context, for all slots together.
        keep: whether GGUF files and checkpoints stay.
    """

    slots: int = 8
    threads: int | None = None
    n_ctx: int | None = None
    keep: bool = False


def run_stages(study: Study, options: Options, console: Console, after: Callable[[], object]) -> int:
    """Do what is missing; returns how many solutions ended in an error of the machine.

    Args:
        study: an opened study.
        options: see `Options`.
        console: where the stages are told.
        after: called when the evaluations of a training are finished, and there is more to put into the table.

    Raises:
        KeyboardInterrupt: training was interrupted; the same call goes on.
        MathCoderError: a stage failed; the same call goes on after its cause is mended.
    """
    trainings = study.trainings
    errors = 0
    for number, training in enumerate(trainings, start=1):
        is_new = bool(missing_modes(study, training))
        if is_new:
            console.rule(f"{number} of {len(trainings)}: {training.name}")
        errors += run_one(study, training, options, console)
        if is_new:
            after()
    return errors


def run_one(study: Study, training: Training, options: Options, console: Console) -> int:
    """All stages of one training that are missing; returns and raises as `run_stages`."""
    errors = 0
    if missing := missing_modes(study, training):
        _train(study, training, console)
        errors = _evaluate(study, training, missing, options, console)
    if not options.keep and not missing_modes(study, training):
        for name in ("checkpoints", "export"):
            shutil.rmtree(study.run_folder(training) / name, ignore_errors=True)
    return errors


def missing_modes(study: Study, training: Training) -> list[str]:
    """The modes in which the model of a training is still to be evaluated."""
    modes = [mode for other, mode in study.evaluations() if other == training]
    return [mode for mode in modes if not is_evaluated(study, training, mode)]


def evaluation_folder(study: Study, training: Training, mode: str) -> Path:
    """Where the results of a training's model in one mode lie."""
    return study.run_folder(training) / f"eval-{mode}"


def is_evaluated(study: Study, training: Training, mode: str) -> bool:
    """Whether every question has its line, none of them an error of the machine."""
    meta = read_meta(evaluation_folder(study, training, mode) / RESULTS)
    return meta.get("status") == "finished" and not meta.get("errors", 1)


def _train(study: Study, training: Training, console: Console) -> None:
    from qlora.train import train

    summary = train(study.settings(training), study.run_folder(training), console=console)
    if summary.status != "finished":
        raise KeyboardInterrupt
    _forget()


def _forget() -> None:
    """Give back the memory of the model that was trained: the next stage loads its own."""
    gc.collect()
    if "torch" in sys.modules:
        import torch

        if torch.cuda.is_available():
            torch.cuda.empty_cache()


def _export_settings(study: Study) -> ExportSettings:
    """The recipe's, for its first type and without a certificate: what is compared here are whole models."""
    from export.settings import ExportSettings

    told = study.recipe.export.model_dump()
    told |= {"quant": told["quant"][:1], "pick": None, "certify": {**told["certify"], "rows": 0, "problems": 0}}
    return ExportSettings.model_validate(told)


def is_adapter_alone(study: Study) -> bool:
    """Whether the model is an adapter on the base's own GGUF file, so that nothing is merged."""
    return is_gguf(study.recipe.base) and study.qlora.lora.control_tokens == "reuse"


def _engine(study: Study, training: Training, options: Options, console: Console) -> Engine:
    from runtime.engine import load

    settings, run = _export_settings(study), study.run_folder(training)
    threads, n_ctx = options.threads, options.n_ctx
    if is_adapter_alone(study):
        from export.gguf.adapter import export_adapter

        adapter = run / "export" / f"{training.name}-adapter.gguf"
        adapter = adapter if adapter.is_file() else export_adapter(run, settings, run / "export")
        return load(gguf_path(study.recipe.base), lora=adapter, threads=threads, n_ctx=n_ctx)
    from export.pipeline import export

    made = export(run, settings, run / "export", console=console)
    return load(next(iter(made.files.values())), threads=threads, n_ctx=n_ctx)


def _evaluate(study: Study, training: Training, modes: list[str], options: Options, console: Console) -> int:
    errors = 0
    engine: Any = _engine(study, training, options, console)
    try:
        for mode in modes:
            console.print(f"solving in mode {mode}", highlight=False)
            outcome = run_eval(
                engine,
                study.sets,
                evaluation_folder(study, training, mode),
                settings=study.recipe.solve,
                limits=study.recipe.sandbox,
                mode=mode,
                slots=options.slots,
                plots=False,
                console=console,
                brief=True,
            )
            _note_errors(evaluation_folder(study, training, mode), outcome["errors"])
            errors += outcome["errors"]
    finally:
        engine.close()
    return errors


def _note_errors(folder: Path, errors: int) -> None:
    """Add to the facts of an evaluation how many of its solutions the machine failed."""
    from runtime.evaluate.results_file import meta_path
    from runtime.files import write_json

    write_json(meta_path(folder / RESULTS), {**read_meta(folder / RESULTS), "errors": errors})

"""What an ablation will take, said before it starts: hours, and disk at its fullest."""

from __future__ import annotations

import os
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from export.plan import BITS
from qlora.memory import disk_of
from recipes.ablate.jobs import cores_each
from recipes.ablate.stages import is_adapter_alone, is_evaluated
from recipes.ablate.study import Study, Training
from recipes.ablate.variants import LCE
from runtime.errors import InputError
from runtime.text import size_text

KEPT = 4
"""Bytes of a trained parameter as the adapter keeps it."""
SPARE = 1.1
OVERHEAD = 25.0
"""Seconds of a training beside its steps: loading, merging, converting, starting the sandbox."""


@dataclass(frozen=True)
class Estimate:
    """What is left to do.

    Attributes:
        trainings, evaluations: how many are missing.
        train_hours: from the measured seconds of one step, scaled by the tokens of each variant's steps; None where
            nothing was measured.
        solve_hours: about; at the speed of training, which is the same arithmetic without its backward pass but token
            by token. None where nothing was measured.
        disk: bytes at the fullest moment.
        free: bytes free where the study goes.
    """

    trainings: int
    evaluations: int
    steps: int
    questions: int
    train_hours: float | None
    solve_hours: float | None
    disk: int
    free: int

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def estimate(study: Study, *, keep: bool = False, measure: bool = False, jobs: int = 1) -> Estimate:
    """Hours and disk of what is missing, `jobs` trainings at a time; `measure`: time one step of LCE."""
    missing = [(training, mode) for training, mode in study.evaluations() if not is_evaluated(study, training, mode)]
    trainings = list(dict.fromkeys(training for training, _ in missing))
    questions = sum(len(chosen.questions) for chosen in study.sets)
    train_hours = solve_hours = None
    if measure:
        seconds = _seconds_per_token(study, jobs) / jobs
        batch = study.qlora.train.batch_rows
        tokens = sum(_tokens(study, training) * training.steps * batch for training in trainings)
        train_hours = round((tokens * seconds + OVERHEAD * len(trainings) / jobs) / 3600, 3)
        written = sum(_written(study, training) * questions for training, _ in missing)
        solve_hours = round(written * seconds / 3600, 3)
    return Estimate(
        len(trainings),
        len(missing),
        sum(training.steps for training in trainings),
        questions,
        train_hours,
        solve_hours,
        _disk(study, trainings, keep=keep, jobs=jobs),
        shutil.disk_usage(_existing(study.folder)).free,
    )


def refuse_small_disk(found: Estimate, folder: Path) -> None:
    """Refuse before anything is spent where the disk cannot hold what is missing.

    Raises:
        InputError: it cannot.
    """
    if found.free < found.disk:
        raise InputError(
            f"{folder} has {size_text(found.free)} free, and the ablation needs up to {size_text(found.disk)}",
            "nothing was started",
            "free some space, choose another --out, ask for fewer --variants, or leave --keep away",
        )


def _existing(folder: Path) -> Path:
    folder = folder.absolute()
    while not folder.exists():
        folder = folder.parent
    return folder


def _seconds_per_token(study: Study, jobs: int) -> float:
    from qlora.plan import plan

    if jobs > 1 and "OMP_NUM_THREADS" not in os.environ:
        import torch

        torch.set_num_threads(cores_each(jobs))
    found = plan(study.qlora, measure=True)
    assert found.seconds_per_step is not None  # it was measured
    tokens = float(study.counts[LCE.training].lengths.mean()) * min(study.qlora.train.batch_rows, found.rows)
    return found.seconds_per_step / tokens


def _tokens(study: Study, training: Training) -> float:
    return float(study.counts[training.variant.training].lengths.mean())


def _written(study: Study, training: Training) -> float:
    return float(study.counts[training.variant.training].supervised.mean())


def _disk(study: Study, trainings: list[Training], *, keep: bool, jobs: int) -> int:
    """Adapters and results of all; checkpoints and model files of those at work, or of all that are kept."""
    from qlora.base import find_base, load_tokenizer
    from qlora.shape import Shape

    base = find_base(study.qlora.base, untested=study.qlora.train.untested_architecture)
    shape = Shape.of(base.config, len(load_tokenizer(base, study.qlora.lora)))
    weights = shape.linear_parameters + shape.vocabulary * shape.hidden * (1 if shape.tied else 2)
    questions = sum(len(chosen.questions) for chosen in study.sets)
    quant = study.recipe.export.quant[0]
    total, largest = 0, 0
    for training in trainings:
        settings = study.settings(training)
        adapter = KEPT * (shape.lora_parameters(settings.lora) + shape.token_parameters(settings.lora))
        model = adapter if is_adapter_alone(study) else int(weights * (BITS.get(quant, 16.0) + 2.0) / 8)
        exporting = 0 if is_adapter_alone(study) else 2 * 2 * weights  # the merged folder and the F16 file
        passing = disk_of(shape, settings) + exporting + model
        total += adapter + 6_000 * questions + (model + disk_of(shape, settings) if keep else 0)
        largest = max(largest, passing)
    rows = sum(len(str(row.messages)) for rows in study.files.values() for row in rows)
    return int(SPARE * (total + largest * min(jobs, len(trainings)) + rows))


def lines_of(study: Study, found: Estimate) -> list[tuple[str, str]]:
    """The estimate as (name, text), in the order in which a person asks."""
    rows = ", ".join(
        f"{name} {account['rows']:,}" + (f" ({account['left_out']:,} left out)" if account["left_out"] else "")
        for name, account in study.rows.items()
    )
    sets = ", ".join(f"{chosen.name} {len(chosen.questions):,}" for chosen in study.sets)
    lines = [
        ("rows", rows),
        ("questions", f"{found.questions:,}: {sets}"),
        ("to do", f"{found.trainings} trainings of {found.steps:,} steps in all, {found.evaluations} evaluations"),
    ]
    if found.train_hours is not None and found.solve_hours is not None:
        lines.append(("hours", f"{found.train_hours:.2f} of training, about {found.solve_hours:.2f} of solving"))
    else:
        lines.append(("hours", "not measured"))
    threads = os.cpu_count() or 1
    return [*lines, ("disk", f"up to {size_text(found.disk)}, {size_text(found.free)} free"), ("cores", str(threads))]

"""The whole export, from a run folder to certified GGUF files. `export` is the page to read.

Every stage writes under a final name only when it is whole and marks what it wrote with the fingerprint of its inputs,
so a second call after a kill does only what is missing, and files of another run are never mistaken for this one's.
"""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from export.certify.check import require_round_trip
from export.gguf.file import read_gguf
from export.gguf.imatrix import collect_imatrix, is_rows, write_imatrix
from export.settings import ExportSettings, OnProgress
from runtime.errors import ExportError, InputError
from runtime.files import locked
from runtime.text import size_text

if TYPE_CHECKING:
    from rich.console import Console

    from export.certify.problems import Solve
    from export.gguf.llamacpp import LlamaCpp
    from export.job import Job

IMATRIX_ROWS = 256
"""Rows an importance matrix is collected from: its values settle after some ten thousand tokens."""


@dataclass
class ExportSummary:
    """What an export wrote.

    Attributes:
        name: of the model.
        files: `{type: path}` of every GGUF that was asked for.
        certificate: the certificate's path, None where nothing was compared.
        certified: `{type: whether it holds}`.
        picked: the type `pick` chose, None without it.
        seconds: by stage.
    """

    name: str
    files: dict[str, Path]
    certificate: Path | None = None
    certified: dict[str, bool] = field(default_factory=dict)
    picked: str | None = None
    seconds: dict[str, float] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        """Whether everything that was compared holds."""
        return all(self.certified.values())


def export(
    run_dir: str | os.PathLike[str],
    settings: ExportSettings | None = None,
    out_dir: str | os.PathLike[str] | None = None,
    *,
    console: Console | None = None,
    solve: Solve | None = None,
) -> ExportSummary:
    """Merge, convert, quantize and certify.

    Args:
        run_dir: a run folder, an adapter folder of plain peft or unsloth, or a merged model folder.
        settings: what to write and what to prove.
        out_dir: where the files go; default `RUN/export`.
        console: where progress and the certificate's table are printed; None prints nothing.
        solve: how problems are solved for the certificate (`certify.problems`); default: the runtime's solver.

    Raises:
        InputError: the call or a path is wrong; nothing was started.
        ModelError: base, adapter or tokenizer cannot be used; nothing was started.
        ExportError: a stage failed; a second call goes on from there.
    """
    from export.gguf.llamacpp import find
    from export.job import plan_job
    from export.merge.source import open_source
    from export.plan import refuse_unless_it_fits, size_export

    settings = settings or ExportSettings()
    refuse_beside_unsloth(settings)
    out = Path(out_dir) if out_dir is not None else Path(run_dir) / "export"
    clock = Clock(console)
    with clock.stage("look") as report:
        source = open_source(run_dir, settings)
        if settings.pick is not None and source.held_out is None:
            raise InputError(
                f"{run_dir} has no held-out rows to solve", "nothing could be picked", "give rows with export.held_out"
            )
        job = plan_job(source, settings, out)
        sizes = size_export(job.plan, settings)
        refuse_unless_it_fits(sizes, out, settings)
        report("find the converter", 0.5)
        llama_cpp = find(settings.llama_cpp)
    if llama_cpp.mismatch:
        if source.held_out is not None and settings.certify.rows > 0:
            proof = "the certificate tells whether its files are right"
        else:
            proof = "without a certificate nothing tells whether its files are right"
        clock.say(f"[yellow]note:[/] {llama_cpp.mismatch}; {proof}")
    clock.say(
        f"[bold]{source.name}[/]: {job.plan.items / 1e6:,.1f} M parameters, "
        f"up to {size_text(sizes.disk)} of disk, about {size_text(sizes.memory)} of memory"
    )
    with _alone(job):
        certificate = job.finished_certificate()
        missing = [name for name in _wanted(job, certificate) if not job.is_done(job.target(name))]
        certify = source.held_out is not None and settings.certify.rows > 0 and (certificate is None or bool(missing))
        if certify:
            missing = [name for name in settings.quant if not job.is_done(job.target(name))]
        if certify or missing:
            _make_files(job, llama_cpp, missing, clock, merged_is_needed=certify)
        if certify:
            with clock.stage("certify") as report:
                certificate = _certify(job, report, solve)
        summary = _conclude(job, certificate, clock)
        shutil.rmtree(job.work, ignore_errors=True)
    return summary


def refuse_beside_unsloth(settings: ExportSettings) -> None:
    """Refuse to compare with models of transformers where unsloth has put its own parts into them.

    They stay for the life of the process: a model loaded later, on the CPU, would ask the GPU for its positions.

    Raises:
        ExportError: unsloth has been imported, there is a GPU, and a model is to be computed with.
    """
    if "unsloth" not in sys.modules or (settings.certify.rows == 0 and settings.imatrix is None):
        return
    import torch

    if torch.cuda.is_available():
        raise ExportError(
            "unsloth was imported in this process and has replaced parts of transformers",
            "the certificate would not be one of the plain model, so nothing was started",
            "export in a process of its own (`mathcoder export RUN`), or train with train.backend=peft",
        )


@contextmanager
def _alone(job: Job) -> Iterator[None]:
    """Keep a second export of the same run out, and clear away what a killed one left half-written."""
    busy = ExportError(
        f"another export of {job.source.name} is writing into {job.out}",
        "this one was not started",
        "wait for it, or choose another --out",
    )
    with locked(job.work / "lock", busy):
        for folder in (job.out, job.work, job.merged):
            for leftover in folder.glob(".*.tmp"):
                if leftover.name.startswith((f".{job.source.name}", ".model", ".config", ".token")):
                    leftover.unlink(missing_ok=True)
        yield


def _wanted(job: Job, certificate: dict[str, Any] | None) -> tuple[str, ...]:
    """Types that have to lie in `out`: all, or the picked one where an earlier call has picked."""
    from export.certify.pick import pick

    if certificate is not None and job.settings.pick is not None:
        return (pick(certificate, job.settings.pick),)
    return job.settings.quant


def _make_files(job: Job, llama_cpp: LlamaCpp, missing: list[str], clock: Clock, *, merged_is_needed: bool) -> None:
    """Write what is missing; the merged folder too where a certificate will look at it."""
    wide_is_needed = not job.is_done(job.wide)
    quantized = [name for name in missing if name != job.wide_type]
    imatrix = job.settings.imatrix if quantized else None
    collect = imatrix is not None and is_rows(imatrix)
    if merged_is_needed or wide_is_needed or collect:
        with clock.stage("merge") as report:
            _merge(job, report)
    if wide_is_needed:
        with clock.stage("convert") as report:
            _convert(job, llama_cpp, report)
    if collect:
        assert imatrix is not None
        with clock.stage("importance"):
            imatrix = _collect_imatrix(job, imatrix)
    for type_name in quantized:
        with clock.stage(f"quantize {type_name}") as report:
            _quantize(job, type_name, imatrix, report)


def _collect_imatrix(job: Job, rows: Path) -> Path:
    from export.certify.measure_torch import load_merged_model
    from export.rows import read_samples

    certify = job.settings.certify
    samples = read_samples(rows, job.tokenizer, rows=IMATRIX_ROWS, context=certify.context, max_positions=10**9)
    target = job.work / "imatrix.dat"
    write_imatrix(collect_imatrix(load_merged_model(job.merged), samples), target)
    return target


def _merge(job: Job, report: OnProgress) -> None:
    from export.gguf.tokenizer import write_tokenizer
    from export.merge.merge import merge

    merge(
        job.source,
        job.plan,
        job.merged,
        dtype=job.settings.dtype,
        shard_bytes=job.settings.shard_mb * 1_000_000,
        fingerprint=job.fingerprint,
        progress=report,
    )
    write_tokenizer(job.source.tokenizer, job.merged, job.facts)


def _convert(job: Job, llama_cpp: LlamaCpp, report: OnProgress) -> None:
    from export.gguf.convert import convert

    convert(
        job.merged,
        job.wide,
        llama_cpp,
        job.facts,
        dtype=job.settings.dtype,
        name=job.source.name,
        pre_tokenizer=job.settings.pre_tokenizer,
        strings={"mathcoder.fingerprint": job.fingerprint, "mathcoder.version": toolkit_version()},
        progress=report,
    )
    require_round_trip(job.wide, job.facts)


def _quantize(job: Job, type_name: str, imatrix: Path | None, report: OnProgress) -> None:
    from export.gguf.quantize import quantize

    target = job.target(type_name)
    quantize(job.wide, target, type_name, job.settings, imatrix, report)
    require_round_trip(target, job.facts)


def _certify(job: Job, report: OnProgress, solve: Solve | None) -> dict[str, Any]:
    from export.certify.certify import Certifier, write_certificate

    certificate = Certifier(job).run(report, solve)
    write_certificate(certificate, job.certificate)
    return certificate


def _conclude(job: Job, certificate: dict[str, Any] | None, clock: Clock) -> ExportSummary:
    """Pick a type where that was asked for, write card and Modelfile, and say what came out."""
    from export.card import write_card
    from export.certify.pick import pick
    from export.certify.table import certificate_notes, certificate_table

    summary = ExportSummary(job.source.name, {name: job.target(name) for name in job.settings.quant})
    summary.seconds = clock.seconds
    if certificate is not None:
        summary.certificate = job.certificate
        summary.certified = dict(certificate["files"])
        clock.show(certificate_table(certificate))
        for note in certificate_notes(certificate):
            clock.say(note)
        if job.settings.pick is not None:
            summary.picked = pick(certificate, job.settings.pick)
            for name in [name for name in summary.files if name != summary.picked]:
                summary.files.pop(name).unlink(missing_ok=True)
    elif job.source.held_out is not None:
        clock.say("[yellow]no certificate:[/] none was asked for (certify.rows is 0)")
    else:
        clock.say("[yellow]no certificate:[/] there are no held-out rows to compare on (set export.held_out)")
    context = read_gguf(next(iter(summary.files.values()))).context or 2048
    write_card(job.source, summary.files, job.out, certificate, context)
    for name, file in summary.files.items():
        clock.say(f"{file}  [dim]{name}, {size_text(file.stat().st_size)}[/]")
    return summary


class Clock:
    """Times stages and, with a console, shows them."""

    def __init__(self, console: Console | None) -> None:
        self.console = console
        self.seconds: dict[str, float] = {}

    def say(self, text: str) -> None:
        """One line to the console."""
        self.show(text)

    def show(self, thing: Any) -> None:
        """Anything rich can print."""
        if self.console is not None:
            self.console.print(thing)

    @contextmanager
    def stage(self, name: str) -> Iterator[OnProgress]:
        """Run a stage; yields what the stage calls with a detail and the share that is done."""
        started = time.perf_counter()
        if self.console is None:
            yield lambda _detail, _share: None
        else:
            from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

            columns = (
                TextColumn("{task.description:<18}"),
                BarColumn(bar_width=28),
                TextColumn("{task.percentage:>3.0f} %"),
                TimeElapsedColumn(),
                TextColumn("[dim]{task.fields[detail]}"),
            )
            with Progress(*columns, console=self.console) as progress:
                task = progress.add_task(name, total=1.0, detail="")
                yield lambda detail, share: progress.update(task, completed=share, detail=detail)
                progress.update(task, completed=1.0, detail="")
        self.seconds[name] = round(time.perf_counter() - started, 2)


def toolkit_version() -> str:
    """Version of this project, `0` where it runs uninstalled."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("mathcoder-toolkit")
    except PackageNotFoundError:
        return "0"

"""The whole export, from a run folder to certified GGUF files. `export` is the page to read.

Every stage writes under a final name only when it is whole and marks what it wrote with the fingerprint of its inputs,
so a second call after a kill does only what is missing, and files of another run are never mistaken for this one's.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from export.check import require_round_trip
from export.gguf_file import read_gguf
from export.settings import ExportSettings
from runtime.errors import ModelError

if TYPE_CHECKING:
    from rich.console import Console

    from export.source import Source
    from export.tokenizer import TokenizerFacts

Report = Callable[[str, float], None]


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


@dataclass
class Job:
    """One export under way: its inputs, its folders, and what later stages need of earlier ones."""

    source: Source
    settings: ExportSettings
    out: Path
    fingerprint: str
    facts: TokenizerFacts
    into: str

    @property
    def work(self) -> Path:
        """Folder for what is not a result."""
        return self.out / f".{self.source.name}-export"

    @property
    def merged(self) -> Path:
        """The merged Hugging Face folder."""
        return self.out / f"{self.source.name}-merged" if self.settings.keep_merged else self.work / "merged"

    @property
    def wide_type(self) -> str:
        """GGUF type that holds the merged weights as they are."""
        return {"float16": "F16", "bfloat16": "BF16", "float32": "F32"}[self.settings.dtype]

    @property
    def wide(self) -> Path:
        """The unquantized GGUF: a result where it was asked for, else a work file."""
        folder = self.out if self.wide_type in self.settings.quant else self.work
        return folder / f"{self.source.name}-{self.wide_type}.gguf"

    def target(self, type_name: str) -> Path:
        """Path of one result."""
        return self.out / f"{self.source.name}-{type_name}.gguf"

    def is_done(self, file: Path) -> bool:
        """Whether `file` is whole and of this job."""
        try:
            return file.is_file() and read_gguf(file).metadata.get("mathcoder.fingerprint") == self.fingerprint
        except ModelError:
            return False


def export(
    run_dir: str | os.PathLike[str],
    settings: ExportSettings | None = None,
    out_dir: str | os.PathLike[str] | None = None,
    *,
    console: Console | None = None,
) -> ExportSummary:
    """Merge, convert, quantize and certify.

    Args:
        run_dir: a run folder, an adapter folder of plain peft or unsloth, or a merged model folder.
        settings: what to write and what to prove.
        out_dir: where the files go; default `RUN/export`.
        console: where progress and the certificate's table are printed; None prints nothing.

    Raises:
        InputError: the call or a path is wrong; nothing was started.
        ModelError: base, adapter or tokenizer cannot be used; nothing was started.
        ExportError: a stage failed; a second call goes on from there.
    """
    from export.llamacpp import find
    from export.merge import plan_merge, read_layout
    from export.plan import refuse_unless_it_fits, size_export
    from export.source import open_source
    from export.tokenizer import load_tokenizer, tokenizer_facts

    settings = settings or ExportSettings()
    out = Path(out_dir) if out_dir is not None else Path(run_dir) / "export"
    clock = Clock(console)
    with clock.stage("look") as report:
        source = open_source(run_dir, settings)
        into = source.merge_into if settings.merge_into == "auto" else settings.merge_into
        facts = tokenizer_facts(source.tokenizer, load_tokenizer(source.tokenizer))
        layout = read_layout(source.base)
        plan = plan_merge(source, layout, into=into, dtype=settings.dtype)
        sizes = size_export(plan, settings)
        refuse_unless_it_fits(sizes, out, settings)
        report("find the converter", 0.5)
        llama_cpp = find(settings.llama_cpp)
    job = Job(source, settings, out, source.fingerprint(settings), facts, into)
    clock.say(
        f"[bold]{source.name}[/]: {plan.items / 1e6:,.1f} M parameters, "
        f"up to {_size(sizes.disk)} of disk, about {_size(sizes.memory)} of memory"
    )
    job.work.mkdir(parents=True, exist_ok=True)
    wide_done = job.is_done(job.wide)
    if not wide_done:
        with clock.stage("merge") as report:
            _merge(job, plan, report)
        with clock.stage("convert") as report:
            _convert(job, llama_cpp, report)
    summary = ExportSummary(source.name, {})
    for type_name in settings.quant:
        target = job.target(type_name)
        if type_name != job.wide_type and not job.is_done(target):
            with clock.stage(f"quantize {type_name}") as report:
                _quantize(job, type_name, target, report)
        summary.files[type_name] = target
    shutil.rmtree(job.work, ignore_errors=True)
    summary.seconds = clock.seconds
    return summary


def _merge(job: Job, plan: Any, report: Report) -> None:
    from export.merge import merge
    from export.tokenizer import write_tokenizer

    merge(
        job.source,
        plan,
        job.merged,
        dtype=job.settings.dtype,
        shard_bytes=job.settings.shard_mb * 1_000_000,
        fingerprint=job.fingerprint,
        progress=report,
    )
    write_tokenizer(job.source.tokenizer, job.merged, job.facts)


def _convert(job: Job, llama_cpp: Any, report: Report) -> None:
    from export.convert import convert

    convert(
        job.merged,
        job.wide,
        llama_cpp,
        job.facts,
        dtype=job.settings.dtype,
        name=job.source.name,
        pre_tokenizer=job.settings.pre_tokenizer,
        strings={"mathcoder.fingerprint": job.fingerprint},
        progress=report,
    )
    require_round_trip(job.wide, job.facts)


def _quantize(job: Job, type_name: str, target: Path, report: Report) -> None:
    from export.quantize import quantize

    quantize(job.wide, target, type_name, job.settings, report)
    require_round_trip(target, job.facts)


class Clock:
    """Times stages and, with a console, shows them."""

    def __init__(self, console: Console | None) -> None:
        self.console = console
        self.seconds: dict[str, float] = {}

    def say(self, text: str) -> None:
        """One line to the console."""
        if self.console is not None:
            self.console.print(text)

    @contextmanager
    def stage(self, name: str) -> Iterator[Report]:
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


def _size(count: int) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.0f} MB"

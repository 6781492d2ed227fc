"""Train a QLoRA adapter: the whole run, top to bottom.

    summary = train(settings, "runs/mine")

A run that was stopped, by Ctrl-C, by a kill or by a power cut, goes on from its last checkpoint when `train` is called
again with the same settings, and ends with the same weights as if it had not been: on a CPU bit for bit, on a GPU but
for the order of its sums (`train.deterministic` takes most of that away).
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console

from qlora import checkpoint, checks, optimizer, record
from qlora.adapter import Adapted, add_adapter
from qlora.backend import choose_backend, device_and_dtype, import_unsloth_first
from qlora.base import find_base, load_tokenizer
from qlora.determinism import deterministic
from qlora.devices import announce_gpus
from qlora.layout import Rows, StepLayout, choose_layout, free_memory, spill_warning, whole_memory
from qlora.load import load_model
from qlora.memory import optimizer_bytes
from qlora.packing import RowOrder
from qlora.peak import Utilization
from qlora.plots import plot_run
from qlora.prepare import Prepared, prepare
from qlora.processes import Processes, is_sharded, join
from qlora.progress import Progress, announce
from qlora.proof import prove
from qlora.quiet import no_telemetry
from qlora.record import RunSummary
from qlora.roles import refuse_equal_rows
from qlora.runfolder import RunFolder
from qlora.settings import QloraSettings
from qlora.shape import Shape
from qlora.sharding import ShardedBase
from qlora.start import go_on_from
from qlora.step import Stepper
from qlora.tokens import segment_tokenizer
from qlora.trackers import Trackers


@dataclass(frozen=True)
class Snapshot:
    """What a sampling callback gets: the model after `step`.

    Call it under `qlora.adapter.inference`.
    """

    step: int
    adapted: Adapted
    tokenizer: Any
    prepared: Prepared = field(repr=False)


OnSample = Callable[[Snapshot], Mapping[str, float]]
"""Called every `train.sample_every` steps; what it returns goes into the log (for instance `{"pass_at_1": 0.4}`)."""


def train(
    settings: QloraSettings,
    out_dir: str | Path,
    *,
    console: Console | None = None,
    fresh: bool = False,
    on_sample: OnSample | None = None,
) -> RunSummary:
    """Train, or go on training, in the run folder `out_dir`.

    Args:
        settings: base, data, adapter and training.
        out_dir: the run folder (see `qlora.runfolder`).
        console: where progress is shown; default: standard output.
        fresh: start over even if the folder holds a run.
        on_sample: called every `train.sample_every` steps, in the first process.

    Raises:
        InputError: a path that does not exist, or a folder that holds a run of another recipe.
        DataError: rows that cannot be used.
        ModelError: a base that cannot be used.
        TrainError: no memory or disk space left, a loss that is not a number (the last checkpoint is kept), or a GPU
            that torch cannot use and a base too large for a processor.
    """
    with deterministic(settings.train.deterministic):
        return _join_and_run(settings, RunFolder(Path(out_dir)), console, fresh, on_sample)


def _join_and_run(
    settings: QloraSettings, folder: RunFolder, console: Console | None, fresh: bool, on_sample: OnSample | None
) -> RunSummary:
    no_telemetry()
    sharded = is_sharded(settings.train)
    backend = choose_backend(settings.train.backend, sharded=sharded)
    # First the place of this process: unsloth's import starts CUDA on whatever GPU is the current one.
    processes = join()
    if backend[0] == "unsloth":
        import_unsloth_first()
    console = (console or Console()) if processes.first else Console(quiet=True)
    announce_gpus(settings.base, processes.world, lambda text: console.print(text, style="yellow", markup=False))
    with processes.watched(), folder.locked() if processes.first else nullcontext():
        if fresh and processes.first:
            folder.clear()
        processes.wait()
        return _Run(settings, folder, processes, backend, console, on_sample, sharded=sharded)()


class _Run:
    """One call of `train`: the rows, the model, the checkpoint to go on from, and the steps."""

    def __init__(
        self, settings: QloraSettings, folder: RunFolder, processes: Processes, backend: tuple[str, str],
        console: Console, on_sample: OnSample | None, *, sharded: bool,
    ) -> None:  # fmt: skip
        self.settings, self.options, self.folder, self.processes = settings, settings.train, folder, processes
        self.backend, self.console, self.on_sample, self.is_sharded = backend, console, on_sample, sharded
        self.device, self.dtype = device_and_dtype(settings.train)
        self.done = 0
        self.last: Path | None = None
        self.trackers: Trackers | None = None
        self.sharded: ShardedBase | None = None

    def __call__(self) -> RunSummary:
        """The whole run; one that is finished already is only told."""
        self.prepare()
        if self.earlier is not None and self.earlier["status"] == "finished":
            steps = f"{self.earlier['steps']} steps"
            self.console.print(f"{self.folder.path} is finished ({steps}); --fresh starts over", highlight=False)
            return record.summary(self.folder, self.earlier, self.data)
        self.load()
        self.resume()
        return self.close(*self.take_steps())

    def prepare(self) -> None:
        """Rows, tokens and their order, and what the folder holds; refuse early what can be refused."""
        options = self.options
        if self.is_sharded:
            checks.refuse_sharded(self.settings.lora)
        self.base = find_base(self.settings.base, untested=options.untested_architecture)
        checks.check_context(self.base, options.context)
        self.tokenizer = load_tokenizer(self.base, self.settings.lora, self.settings.dialect)
        self.data = prepare(self.settings.data, self.tokenizer, options.context)
        self.shape = Shape.of(self.base.config, len(self.tokenizer))
        self.order = RowOrder(len(self.data.rows), options.batch_rows, options.seed)
        self.steps = options.max_steps or self.order.steps(options.epochs)
        self.run = record.describe(self.settings, self.base, self.data, self.backend[0], self.steps)
        self.earlier = checks.earlier_run(self.folder, self.run)

    def load(self) -> None:
        """The base in 4 bits with its adapter, laid out as the free memory allows; the optimizer."""
        settings, options = self.settings, self.options
        checks.check_disk(self.folder.path, self.shape, settings)
        if self.processes.first:
            self.trackers = Trackers(self.folder.path, settings, self.console.print)
        layout = self.choose_layout()
        model = load_model(self.base, self.tokenizer, options, self.backend[0], on_host=self.is_sharded)
        self.adapted = add_adapter(
            model, self.tokenizer, settings.lora, options, self.backend[0], base_name=settings.base
        )
        if settings.lora.control_tokens == "reuse":
            control = segment_tokenizer(self.tokenizer).control
            refuse_equal_rows(self.adapted.head.weight, control, settings.lora)
        if settings.lora.start is not None:
            go_on_from(settings.lora.start, self.adapted, settings.lora, self.base.config)
        if not self.base.is_tested:
            prove(Stepper(self.adapted, self.data, options, options.context))
        self.adapted.checkpointing.set(layout.checkpoint_layers)
        if self.is_sharded:
            self.sharded = ShardedBase(self.adapted, self.processes, self.device)
        self.optimizer = optimizer.build(self.adapted, options)
        self.stepper = Stepper(self.adapted, self.data, options, layout.micro_tokens)
        self.stepper.processes, self.stepper.together = self.processes, self.is_sharded

    def choose_layout(self) -> StepLayout:
        """Tokens per pass and checkpointed layers that fit; the same in all processes.

        Raises:
            TrainError: memory cannot hold the base.
        """
        on_gpu = self.device.type == "cuda"
        available = self.processes.least(free_memory(self.device))
        rows = Rows.of(self.data, [self.order.at(step) for step in range(self.steps)], packing=self.options.packing)
        layout, memory = choose_layout(
            self.shape, self.settings, self.dtype.itemsize, available, on_gpu=on_gpu, rows=rows,
            parts=self.processes.world if self.is_sharded else 1,
        )  # fmt: skip
        if available is not None:
            whole = whole_memory(self.device)
            self.say(checks.check_memory(self.base.name, memory, available, whole, on_gpu=on_gpu))
        return layout

    def resume(self) -> None:
        """Go on from the newest whole checkpoint, with the layout that was found to fit; write what is known."""
        self.last = checkpoint.latest(self.folder.checkpoints)
        if self.last is not None:
            checkpoint.load(self.last, self.adapted, self.optimizer)
            state = checkpoint.state_of(self.last)
            self.done = state["step"]
            self.stepper.micro_tokens = min(self.stepper.micro_tokens, state["micro_tokens"])
            checkpointing = self.adapted.checkpointing
            checkpointing.set(max(checkpointing.count, state.get("checkpoint_layers", 0)))
            self.stepper.loss_scale.load(state.get("loss_scale", {}))
        # After this all have read what the first one writes below.
        checks.refuse_two_folders(self.folder, self.processes, self.done)
        if self.processes.first:
            self.folder.write_inputs(self.settings, self.tokenizer, self.base, self.data.held_out)
            self.folder.truncate_log(self.done)
            self.folder.write(self.run | {"status": "running", "steps": self.done})

    def take_steps(self) -> tuple[float, int, int]:
        """Train to the end, or until told to stop; seconds, tokens and supervised tokens of this call."""
        world = self.processes.world
        self.progress = Progress(self.console, self.steps, self.done)
        self.utilization = Utilization(self.adapted.device, self.adapted.dtype, world, say=self.progress.say)
        announce(
            self.console, self.base, self.data, self.adapted, self.backend, self.options, self.steps, self.done, world,
            self.utilization.peak, self.stepper.micro_tokens, self.sharded,
        )  # fmt: skip
        started, tokens, supervised = time.perf_counter(), 0, 0
        with _stop_on_signal(launched=world > 1) as stop, self.progress.live():
            if self.done < self.steps:
                self.dry_run()
            while self.done < self.steps:
                entry = self.take_step()
                tokens, supervised = tokens + entry["tokens"], supervised + entry["supervised"]
                stopping = self.processes.any(stop.is_set())
                if self.wants_sample():
                    entry |= self.sample()
                    stopping = stopping or self.processes.any(stop.is_set())
                self.note(entry)
                if self.done % self.options.save_every == 0 or self.done == self.steps or stopping:
                    self.save()
                if stopping:
                    break
        return time.perf_counter() - started, tokens, supervised

    def dry_run(self) -> None:
        """Let memory run out now rather than in an hour, and say what became smaller."""
        self.stepper.on_smaller = lambda: self.say(
            f"memory ran out: micro-batches of at most {self.stepper.micro_tokens:,} tokens from here on, "
            f"{self.adapted.checkpointing.count} of {self.adapted.checkpointing.layers} layers under gradient "
            f"checkpointing; the {self.order.batch_rows} rows of a step, and so its gradient, stay the same"
        )
        trained = sum(parameter.numel() for parameter in self.adapted.trainable().values())
        state = 0 if self.optimizer.state else trained * optimizer_bytes(self.settings)
        self.stepper.dry_run([self.order.at(step) for step in range(self.done, self.steps)], optimizer_bytes=state)
        self.say(spill_warning(self.device))

    def take_step(self) -> dict[str, Any]:
        """One optimizer step; its line of the log."""
        began, step, adapted = time.perf_counter(), self.done, self.adapted
        rows = self.order.at(step)
        rate = optimizer.learning_rate(step, self.steps, self.options)
        optimizer.set_learning_rate(self.optimizer, rate)
        result, norm = self.stepper.clipped_gradient(rows, seed=step_seed(self.options.seed, step))
        checks.refuse_nan(result.loss, norm, step, [self.data.rows[row] for row in rows], self.last, adapted.dtype)
        self.optimizer.step()
        self.done = step + 1
        taken = time.perf_counter() - began
        flops = self.shape.training_flops(self.settings.lora, self.data.table.lengths[rows], result.supervised)
        return record.log_entry(self.done, result, rate, norm, taken, self.utilization(flops, taken), adapted.device)

    def wants_sample(self) -> bool:
        """Whether held-out rows are solved after this step."""
        every = self.options.sample_every
        return self.on_sample is not None and every > 0 and self.done % every == 0

    def sample(self) -> dict[str, Any]:
        """What `on_sample` says of the model as it stands, for the log; the other processes lend their shards."""
        if not self.processes.first:
            if self.sharded is not None:
                self.sharded.follow()
            return {}
        assert self.on_sample is not None  # `wants_sample` has looked
        with self.sharded.first_computes() if self.sharded is not None else nullcontext():
            found = dict(self.on_sample(Snapshot(self.done, self.adapted, self.tokenizer, self.data)))
        return {"sample": found} if found else {}

    def note(self, entry: dict[str, Any]) -> None:
        """Write a step down, and show it."""
        if self.trackers is not None:
            self.folder.append_log(entry)
            self.trackers(entry)
        if self.done % self.options.log_every == 0 or self.done == self.steps or "sample" in entry:
            self.progress.step(entry)

    def save(self) -> None:
        """A checkpoint of this step."""
        if self.processes.first:
            state = {
                "micro_tokens": self.stepper.micro_tokens,
                "checkpoint_layers": self.adapted.checkpointing.count,
                "loss_scale": self.stepper.loss_scale.state(),
            }
            with checks.disk_errors(self.folder.path):
                checkpoint.save(
                    self.folder.checkpoints, self.done, self.adapted, self.optimizer, state,
                    keep=self.options.keep_checkpoints,
                )  # fmt: skip
        self.last = self.folder.checkpoints / f"step-{self.done}"

    def close(self, seconds: float, tokens: int, supervised: int) -> RunSummary:
        """The adapter and the account of the run."""
        status = "finished" if self.done == self.steps else "interrupted"
        run = record.closing(self.run, self.folder, status, self.done, seconds, tokens, supervised, self.stepper)
        if self.trackers is not None:
            self.trackers.close()
            with checks.disk_errors(self.folder.path):
                self.folder.write_adapter(self.adapted)
                plot_run(self.folder.log(), self.folder.path / "plots")
                self.folder.write(run)
        self.processes.wait()
        if status == "interrupted":
            self.say(f"stopped after step {self.done} of {self.steps}, saved; the same call goes on from here")
        return record.summary(self.folder, run, self.data)

    def say(self, message: str) -> None:
        """A line that stays on the screen; nothing where there is nothing to say."""
        if message:
            self.console.print(message, style="yellow", highlight=False, soft_wrap=not self.console.is_terminal)


def step_seed(seed: int, step: int) -> int:
    """Seed of the random numbers (dropout, NEFTune) of one step."""
    return (seed * 1_000_003 + step) % (1 << 63)


@contextmanager
def _stop_on_signal(*, launched: bool) -> Iterator[threading.Event]:
    """An event that Ctrl-C or SIGTERM sets, seen at the end of a step; a second Ctrl-C interrupts at once.

    A launcher passes on the Ctrl-C that the terminal has sent to everybody already: within a second both are one. It
    also sends SIGTERM as soon as another process is lost, while this one is about to say so; so under a launcher
    SIGTERM stays caught to the end.
    """
    stop = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stop  # only the main thread may handle signals; a host program that trains in another has its own way
        return

    first = 0.0

    def handle(_number: int, _frame: Any) -> None:
        nonlocal first
        if not stop.is_set():
            first = time.monotonic()
            stop.set()
        elif time.monotonic() - first > 1.0:
            raise KeyboardInterrupt

    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            if not (launched and number == signal.SIGTERM):
                signal.signal(number, handler)

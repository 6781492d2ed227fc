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
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qlora.quiet import no_telemetry
from qlora.settings import QloraSettings
from runtime.errors import TrainError

if TYPE_CHECKING:
    from rich.console import Console

    from qlora.adapter import Adapted
    from qlora.prepare import Prepared
    from qlora.processes import Processes
    from qlora.runfolder import RunFolder


@dataclass(frozen=True)
class RunSummary:
    """What a run did.

    Attributes:
        out_dir: the run folder.
        status: `finished`, or `interrupted` (call `train` again to go on).
        steps, total_steps: taken so far, of how many.
        first_loss, last_loss: mean loss per kind, and over all (`loss`), of the first step and of the last tenth.
        rows, held_out, too_long, bad: what became of the rows.
        tokens, supervised: seen in this call.
        seconds: of training in this call, without loading.
        backend, device: what computed it.
    """

    out_dir: Path
    status: str
    steps: int
    total_steps: int
    first_loss: dict[str, float]
    last_loss: dict[str, float]
    rows: int
    held_out: int
    too_long: int
    bad: int
    tokens: int = 0
    supervised: int = 0
    seconds: float = 0.0
    backend: str = ""
    device: str = ""
    micro_tokens: int = 0

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {**asdict(self), "out_dir": str(self.out_dir)}


@dataclass(frozen=True)
class Snapshot:
    """What a sampling callback gets: the model as it stands after `step`. Call it under `qlora.adapter.inference`."""

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
        TrainError: no memory or disk space left, a loss that is no number (the last checkpoint is kept), or a GPU that
            torch cannot use and a base too large for a processor.
    """
    from qlora.determinism import deterministic

    with deterministic(settings.train.deterministic):
        return _join_and_run(settings, Path(out_dir), console, fresh, on_sample)


def _join_and_run(
    settings: QloraSettings, out_dir: Path, console: Console | None, fresh: bool, on_sample: OnSample | None
) -> RunSummary:
    no_telemetry()
    from rich.console import Console

    from qlora.base import choose_backend
    from qlora.devices import announce_gpus
    from qlora.processes import is_cut, join
    from qlora.runfolder import RunFolder

    folder = RunFolder(out_dir)
    cut = is_cut(settings.train)
    backend, reason = choose_backend(settings.train.backend, cut=cut)
    # First the place of this process: unsloth's import starts CUDA on whatever GPU is the current one.
    processes = join()
    if backend == "unsloth":
        import_unsloth_first()
    console = console or Console()
    if not processes.first:
        console = Console(quiet=True)
    announce_gpus(settings.base, processes.world, lambda text: console.print(text, style="yellow", markup=False))
    with processes.watched(), folder.locked() if processes.first else nullcontext():
        if fresh and processes.first:
            folder.clear()
        processes.wait()
        return _run(settings, folder, processes, (backend, reason), console, on_sample, cut)


def _run(
    settings: QloraSettings, folder: RunFolder, processes: Processes, backend: tuple[str, str], console: Console,
    on_sample: OnSample | None, cut: bool,
) -> RunSummary:  # fmt: skip
    from qlora import checkpoint, optimizer, setup
    from qlora.adapter import add_adapter
    from qlora.base import device_and_dtype, find_base, load_model, load_tokenizer
    from qlora.packing import RowOrder
    from qlora.peak import Utilization
    from qlora.plan import Shape
    from qlora.plots import plot_run
    from qlora.prepare import prepare
    from qlora.progress import Progress
    from qlora.proof import prove
    from qlora.sharding import ShardedBase
    from qlora.step import Stepper
    from qlora.trackers import Trackers

    options = settings.train
    if cut:
        setup.refuse_cut(settings.lora)
    base = find_base(settings.base, untested=options.untested_architecture)
    setup.check_context(base, options.context)
    tokenizer = load_tokenizer(base)
    data = prepare(settings.data, tokenizer, options.context)
    order = RowOrder(len(data.rows), options.batch_rows, options.seed)
    steps = options.max_steps or order.steps(options.epochs)
    run = setup.describe(settings, base, data, backend[0], steps)
    old = setup.earlier_run(folder, run)
    if old is not None and old["status"] == "finished":
        console.print(f"{folder.path} is finished ({old['steps']} steps); --fresh starts over", highlight=False)
        return setup.summary(folder, old, data)

    setup.check_disk(folder.path, base, settings.lora)
    trackers = Trackers(folder.path, settings, console.print) if processes.first else None
    model = load_model(base, tokenizer, options, backend[0], on_host=cut)
    adapted = add_adapter(model, tokenizer, settings.lora, options, backend[0], base_name=settings.base)
    if not base.is_tested:
        prove(Stepper(adapted, data, options, options.context))
    sharded = ShardedBase(adapted, processes, device_and_dtype(options)[0]) if cut else None
    optim = optimizer.build(adapted, options)
    stepper = Stepper(adapted, data, options, setup.micro_tokens(options, adapted.device, data.table.lengths))
    stepper.processes, stepper.together = processes, cut
    last, done = checkpoint.latest(folder.checkpoints), 0
    if last is not None:
        checkpoint.load(last, adapted, optim)
        state = checkpoint.state_of(last)
        done, stepper.micro_tokens = state["step"], min(stepper.micro_tokens, state["micro_tokens"])
        stepper.loss_scale.load(state.get("loss_scale", {}))
    setup.refuse_two_folders(folder, processes, done)  # and all have read what the first one writes below
    if processes.first:
        folder.write_inputs(settings, tokenizer, base, data.held_out)
        folder.cut_log(done)
        folder.write(run | {"status": "running", "steps": done})
    shape, progress = Shape.of(base.config, len(tokenizer)), Progress(console, steps, done)
    utilization = Utilization(adapted.device, adapted.dtype, processes.world, say=progress.say)
    peak = utilization.peak
    setup.announce(console, base, data, adapted, backend, options, steps, done, processes.world, peak, sharded)

    stepper.on_halved = lambda limit: progress.say(
        f"memory ran out: micro-batches of at most {limit:,} tokens from here on; the {order.batch_rows} rows of a "
        "step, and so its gradient, stay the same",
        "yellow",
    )
    started, tokens, supervised = time.perf_counter(), 0, 0
    with _stop_on_signal(launched=processes.world > 1) as stop, progress.live():
        stepper.dry_run([order.at(step) for step in range(done, steps)])
        for step in range(done, steps):
            began = time.perf_counter()
            rows = order.at(step)
            rate = optimizer.learning_rate(step, steps, options)
            optimizer.set_learning_rate(optim, rate)
            seed = setup.step_seed(options.seed, step)
            result, norm = stepper.clipped_gradient(rows, seed=seed)
            setup.refuse_nan(result.loss, norm, step, [data.rows[row] for row in rows], last, adapted.dtype)
            optim.step()

            done = step + 1
            stopping = processes.any(stop.is_set())
            tokens, supervised = tokens + result.tokens, supervised + result.supervised
            taken = time.perf_counter() - began
            flops = shape.training_flops(settings.lora, data.table.lengths[rows], result.supervised)
            mfu = utilization(flops, taken)
            entry = setup.log_entry(done, result, rate, norm, taken, mfu, adapted.device)
            if on_sample is not None and options.sample_every and done % options.sample_every == 0:
                if processes.first:
                    with sharded.first_computes() if sharded is not None else nullcontext():
                        sample = dict(on_sample(Snapshot(done, adapted, tokenizer, data)))
                    entry |= {"sample": sample} if sample else {}
                elif sharded is not None:
                    sharded.follow()
                stopping = stopping or processes.any(stop.is_set())
            if trackers is not None:
                folder.append_log(entry)
                trackers(entry)
            if done % options.log_every == 0 or done == steps or "sample" in entry:
                progress.step(entry)
            if done % options.save_every == 0 or done == steps or stopping:
                if processes.first:
                    with setup.disk_errors(folder.path):
                        state = {"micro_tokens": stepper.micro_tokens, "loss_scale": stepper.loss_scale.state()}
                        checkpoint.save(folder.checkpoints, done, adapted, optim, state, keep=options.keep_checkpoints)
                last = folder.checkpoints / f"step-{done}"
            if stopping:
                break

    status = "finished" if done == steps else "interrupted"
    run = setup.closing(run, folder, status, done, time.perf_counter() - started, tokens, supervised, stepper)
    if trackers is not None:
        trackers.close()
        with setup.disk_errors(folder.path):
            folder.write_adapter(adapted)
            plot_run(folder.log(), folder.path / "plots")
            folder.write(run)
    processes.wait()
    if status == "interrupted":
        progress.say(f"stopped after step {done} of {steps}, saved; the same call goes on from here", "yellow")
    return setup.summary(folder, run, data)


def import_unsloth_first() -> None:
    """Unsloth rewrites parts of transformers and peft, and can do so only before others import them."""
    from qlora.quiet import quiet_libraries

    with quiet_libraries() as said:
        try:
            import unsloth  # noqa: F401
        except Exception as error:  # not narrower: its import patches a dozen libraries and raises what they raise
            raise TrainError(
                f"unsloth cannot be imported ({type(error).__name__}: {error})",
                "nothing was trained",
                f"set train.backend=peft, or repair the installation {said.getvalue()[-200:]}".strip(),
            ) from error


@contextmanager
def _stop_on_signal(*, launched: bool) -> Iterator[threading.Event]:
    """An event that Ctrl-C or SIGTERM sets, to be seen at the end of a step; a second Ctrl-C interrupts at once.

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

"""Several trainings of an ablation at once, each with its evaluations in a process of its own.

For a small model on a processor: N trainings of one thread each finish sooner than one after the other with N threads.
What is measured is the same but for rounding.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import replace
from multiprocessing.connection import wait
from typing import TYPE_CHECKING, Any

from recipes.ablate.stages import Options, missing_modes, run_one
from recipes.ablate.study import Study
from runtime.errors import MathCoderError

if TYPE_CHECKING:
    from multiprocessing.synchronize import Event

    from rich.console import Console

_THREADS = "OMP_NUM_THREADS"


def run_jobs(study: Study, options: Options, jobs: int, console: Console, after: Callable[[], object]) -> int:
    """As `run_stages`, with up to `jobs` trainings at a time, each with its share of the cores."""
    trainings = study.trainings
    waiting = [index for index, training in enumerate(trainings) if missing_modes(study, training)]
    for index in set(range(len(trainings))) - set(waiting):
        run_one(study, trainings[index], options, console)  # There may be something to clear away.
    if not waiting:
        return 0
    share = cores_each(jobs)
    options = replace(options, threads=options.threads or share)
    # Rows and counts are in files by now.
    told = replace(study, files={}, counts={})
    jobs = min(jobs, len(waiting))
    console.print(f"{len(waiting)} of {len(trainings)} trainings to do, {jobs} at a time", highlight=False)
    errors = 0
    context = multiprocessing.get_context("spawn")
    stop = context.Event()
    with (
        _threads(share),
        ProcessPoolExecutor(jobs, context, initializer=_begin, initargs=(told, options, stop)) as pool,
    ):
        # The processes begin with the mask of this one: a Ctrl-C must not meet them while they import.
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        futures = [pool.submit(_run, index) for index in waiting]
        try:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
            for done in as_completed(futures):
                errors += done.result()
                after()
        except BaseException as error:
            stop.set()
            pool.shutdown(wait=False, cancel_futures=True)
            # Their work is saved, as that of one job is; a terminal's Ctrl-C reaches this process alone.
            for process in multiprocessing.active_children():
                if process.pid is not None:
                    os.kill(process.pid, signal.SIGINT)
            if isinstance(error, BrokenProcessPool):
                raise MathCoderError(
                    "a process of the ablation was ended from outside, perhaps because memory ran out",
                    "what was finished is kept",
                    "the same command goes on; fewer --jobs need less memory",
                ) from error
            raise
    return errors


def cores_each(jobs: int) -> int:
    """Cores that one of `jobs` trainings has."""
    from runtime.engine.llama.library import usable_cores

    return max(1, usable_cores() // jobs)


@contextmanager
def _threads(count: int) -> Iterator[None]:
    """Have processes that start meanwhile use `count` threads, unless the user said how many."""
    before = os.environ.get(_THREADS)
    os.environ.setdefault(_THREADS, str(count))
    try:
        yield
    finally:
        if before is None:
            del os.environ[_THREADS]


# In the process of a job

_own: dict[str, Any] = {}


def _begin(study: Study, options: Options, stop: Event) -> None:
    """What every training of this process needs; the process ends with the one that started it."""
    _own.update(study=study, options=options, stop=stop)
    os.setpgid(0, 0)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None  # a pool started this process
    wait([parent.sentinel])
    os.killpg(0, signal.SIGKILL)


def _run(index: int) -> int:
    from runtime.show.console import make_console

    study, options = _own["study"], _own["options"]
    training = study.trainings[index]
    console = make_console(file=_Named(training.name), terminal=False)  # type: ignore[arg-type]
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        if _own["stop"].is_set():  # It was told to stop before it was here to be told.
            raise KeyboardInterrupt
        return run_one(study, training, options, console)
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)


class _Named:
    """Standard error, with a name before each line."""

    def __init__(self, name: str) -> None:
        self._name, self._line = name, ""

    def write(self, text: str) -> int:
        """Whole lines go out at once, so that those of several processes do not mix."""
        *lines, self._line = (self._line + text).split("\n")
        if lines:
            sys.stderr.write("".join(f"{self._name}  {line}\n" for line in lines))
            sys.stderr.flush()
        return len(text)

    def flush(self) -> None:
        """Nothing: what is not a whole line waits."""

"""The parent's side of the algebra workers: start, ask, and kill what does not answer in time.

Workers are kept, because loading sympy takes a second; each thread that asks at the same time gets one of its own, up
to `MOST_WORKERS`. A worker that misses a deadline is killed and the pair gets no verdict.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import select
import subprocess
import sys
import threading
import time
from pathlib import Path

MOST_WORKERS = 2
_ROOT = str(Path(__file__).resolve().parent.parent.parent)
_START = "import sys; sys.path.insert(0, {root!r}); from runtime.grade.worker import main; main()"


class Worker:
    """One worker process."""

    def __init__(self) -> None:
        self.owner = os.getpid()
        self.ready = False
        self._count = 0
        self._buffer = b""
        # Thread pools of numerical libraries would only fight with the model for cores.
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-c", _START.format(root=_ROOT)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment,
            start_new_session=True,  # Ctrl-C at the terminal is for the program, not for its grader.
        )

    def wait_ready(self, deadline: float) -> bool:
        """Whether the libraries are loaded, waiting until `deadline` (of time.monotonic) at most."""
        if not self.ready:
            self.ready = self._read(deadline) is not None
        return self.ready

    def ask(self, left: str, right: str, deadline: float) -> bool | None:
        """The worker's verdict, or None where there was none by `deadline`; the worker is of no use then."""
        if not self.wait_ready(deadline):
            return None
        self._count += 1
        request = json.dumps({"id": self._count, "left": left, "right": right}) + "\n"
        try:
            assert self._process.stdin is not None
            self._process.stdin.write(request.encode())
            self._process.stdin.flush()
        except OSError:
            return None
        reply = self._read(deadline)
        if reply is None or reply.get("id") != self._count:
            return None
        return bool(reply["equal"])

    def _read(self, deadline: float) -> dict[str, object] | None:
        assert self._process.stdout is not None
        descriptor = self._process.stdout.fileno()
        while b"\n" not in self._buffer:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([descriptor], [], [], left)[0]:
                return None
            chunk = os.read(descriptor, 65536)
            if not chunk:
                return None
            self._buffer += chunk
        line, _, self._buffer = self._buffer.partition(b"\n")
        reply = json.loads(line)
        return reply if isinstance(reply, dict) else None

    def kill(self) -> None:
        """End the process now."""
        if self.owner != os.getpid():
            return  # A fork inherited the object; the process belongs to the parent.
        with contextlib.suppress(OSError):
            self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            with contextlib.suppress(OSError, AttributeError):
                stream.close()  # type: ignore[union-attr]


_idle: list[Worker] = []
_alive = 0
_changed = threading.Condition()
_process_id = os.getpid()


def equal(left: str, right: str, *, seconds: float) -> bool | None:
    """Whether math-verify calls two cleaned answers equal and no numbers speak against it.

    Returns None where there is no verdict within `seconds`. Safe to call from any thread.
    """
    deadline = time.monotonic() + seconds
    worker = _borrow(deadline)
    if worker is None:
        return None
    verdict = None
    try:
        verdict = worker.ask(left, right, deadline)
    finally:
        # A worker still loading when the deadline passes is slow, not broken; the next pair will find it ready.
        _give_back(worker, usable=verdict is not None or (not worker.ready and worker._process.poll() is None))
    return verdict


def warm_up(seconds: float = 30.0) -> bool:
    """Load a worker ahead of the first pair that needs one; whether it is ready."""
    worker = _borrow(time.monotonic() + seconds)
    if worker is None:
        return False
    ready = worker.wait_ready(time.monotonic() + seconds)
    _give_back(worker, usable=ready)
    return ready


def _borrow(deadline: float) -> Worker | None:
    global _alive, _process_id
    with _changed:
        if _process_id != os.getpid():
            # After a fork the parent's workers are not ours to talk to.
            _idle.clear()
            _alive, _process_id = 0, os.getpid()
        while not _idle and _alive >= MOST_WORKERS:
            if not _changed.wait(max(0.0, deadline - time.monotonic())):
                return None
        if _idle:
            return _idle.pop()
        _alive += 1
    try:
        return Worker()
    except OSError:
        with _changed:
            _alive -= 1
            _changed.notify()
        return None


def _give_back(worker: Worker, *, usable: bool) -> None:
    global _alive
    if not usable:
        worker.kill()
        # Its successor loads while our own rules decide the next pairs.
        with contextlib.suppress(OSError):
            worker, usable = Worker(), True
    with _changed:
        if usable:
            _idle.append(worker)
        else:
            _alive -= 1
        _changed.notify()


@atexit.register
def _close() -> None:
    while _idle:
        _idle.pop().kill()

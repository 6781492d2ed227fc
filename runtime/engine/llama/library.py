"""The few process-wide facts of llama.cpp: starting it, its log, and what its computations ask.

Everything here is about one library per process; models and contexts are in `model` and `decoder`.
"""

from __future__ import annotations

import ctypes
import os
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from runtime.errors import EngineError

_LOG: deque[str] = deque(maxlen=200)
_WARN, _ERROR, _CONTINUE = 3, 4, 5
"""GGML_LOG_LEVEL_* of ggml.h (1 debug, 2 info); the comment in llama-cpp-python's _logger.py has an older order."""

_ASSUMED_MEMORY = 4 * 1024**3


@cache
def library() -> Any:
    """The `llama_cpp` module with its backend started and its log captured.

    Raises:
        EngineError: llama-cpp-python is not installed or its shared library does not load.
    """
    try:
        llama_cpp = bindings()
    except (ImportError, RuntimeError, OSError) as error:
        raise EngineError(
            f"llama-cpp-python cannot be used: {error}",
            "no model can be run here",
            "install it with `pip install llama-cpp-python==0.3.36`",
        ) from error
    # llama.cpp says why a file does not load only in its log, and prints that log to stderr unless told otherwise.
    llama_cpp.llama_log_set(_log_callback(), ctypes.c_void_p(0))
    from llama_cpp._ggml import libggml

    libggml.ggml_set_abort_callback(_abort_callback())
    llama_cpp.llama_backend_init()
    return llama_cpp


@cache
def bindings() -> Any:
    """The `llama_cpp` module; where nobody else imports it first, its OpenMP threads do not spin for long."""
    with _short_spins():
        import llama_cpp

    return llama_cpp


@contextmanager
def _short_spins() -> Iterator[None]:
    """Let OpenMP's threads spin briefly at a barrier and then sleep, if the user has not said otherwise.

    GNU's runtime spins some milliseconds where there are as many processors as threads, and another busy process then
    takes the processor from the thread that all wait for. A 0.5B model on two cores: beside one busy process a batch of
    16 wrote 123 instead of 76 tokens a second, a single solution as many as before; beside two, 40 instead of 0.4. On
    an idle machine it is 1 % slower. The runtime reads the variable once, when it is loaded; what else this process
    loads or starts is not to see it.
    """
    name = "GOMP_SPINCOUNT"
    if name in os.environ or "OMP_WAIT_POLICY" in os.environ:
        yield
        return
    os.environ[name] = "1000"
    try:
        yield
    finally:
        del os.environ[name]


@cache
def _log_callback() -> Any:
    # The last level is remembered, because continuation lines carry their own.
    last = [0]

    def record(level: int, text: bytes | None, _: int | None) -> None:
        if level != _CONTINUE:
            last[0] = level
        if text and last[0] in (_WARN, _ERROR):
            _LOG.append(text.decode("utf-8", "replace").rstrip("\n"))

    # Kept alive by the cache: llama.cpp holds the bare pointer for the life of the process.
    return bindings().llama_log_callback(record)


@cache
def _abort_callback() -> Any:
    """What ggml calls where an assertion of its own fails, mostly on a damaged file.

    It would print a backtrace of C functions and abort, and nothing can keep it from ending the process: so the end is
    made a clear one.
    """

    def end(message: bytes | None) -> None:
        told = (message or b"").decode("utf-8", "replace").strip().rpartition("/")[2]
        words = (
            f"mathcoder: llama.cpp cannot go on ({told}). This process ends; results that were written stand. "
            "Check that the model file is complete (compare its size or checksum).\n"
        )
        os.write(2, words.encode())
        os._exit(1)

    return ctypes.CFUNCTYPE(None, ctypes.c_char_p)(end)


@contextmanager
def captured_log() -> Iterator[list[str]]:
    """Collect the warnings and errors llama.cpp logs inside the block (filled when it ends)."""
    library()
    _LOG.clear()
    lines: list[str] = []
    try:
        yield lines
    finally:
        lines += [line for line in _LOG if line.strip()]


def last_errors(lines: list[str]) -> str:
    """The most telling log lines as one phrase, without the function names llama.cpp puts in front."""
    told = [line.split(": ", 1)[-1] for line in lines]
    unique = list(dict.fromkeys(told))
    return "; ".join(unique[:3])


@cache
def abort_callback() -> Any:
    """What llama.cpp calls between the nodes of a graph with the `data` of a `StopFlag`: whether to stop.

    The callback is `bool f(void *data)`. A Python function would be called, GIL and all, hundreds of times a token. The
    C library's own `strlen` has a compatible signature and, on a buffer that is either "" or "\x01", the right value.
    """
    address = ctypes.cast(ctypes.CDLL(None).strlen, ctypes.c_void_p).value
    return bindings().ggml_abort_callback(address)


def usable_processors() -> set[int]:
    """Numbers of the processors this process may run on."""
    return os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set(range(os.cpu_count() or 1))


def free_memory() -> int:
    """Bytes that can be had without swapping; where the system does not say, 4 GB."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("MemAvailable:"))
    except (OSError, StopIteration, ValueError):
        return _ASSUMED_MEMORY


def usable_cores() -> int:
    """Physical cores this process may run on.

    Hyper-threads share one core's arithmetic units and gain nothing.
    """
    siblings = set()
    for cpu in usable_processors():
        path = Path(f"/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list")
        try:
            siblings.add(path.read_text().strip())
        except OSError:
            siblings.add(str(cpu))
    return max(1, len(siblings))


def build_facts() -> dict[str, Any]:
    """What the installed llama.cpp was built with, for `doctor` and for the record of a run."""
    lib = library()
    return {
        "llama_cpp_python": lib.__version__,
        "system_info": lib.llama_print_system_info().decode("utf-8", "replace").strip(),
        "gpu_offload": bool(lib.llama_supports_gpu_offload()),
        "mmap": bool(lib.llama_supports_mmap()),
        "usable_cores": usable_cores(),
    }

"""The parent of all sessions: imports once, then forks a supervisor for each session the app asks for."""

from __future__ import annotations

import contextlib
import errno
import gc
import importlib.abc
import importlib.util
import json
import os
import select
import signal
import socket
import sys
import traceback
from typing import Any

from ..boundary import kernel, namespaces, reduced
from ..boundary.confine import LackError, confine, prove
from ..protocol import pack, receive_request, report
from . import processes, streams, supervisor, worker  # noqa: F401  # The shell imports the streams, later.
from .pipes import Worker
from .scratch import remove_tree

_SPEC = importlib.util.find_spec(f"{__package__}.shell")
_SHELL_CODE = (
    _SPEC.loader.get_code(_SPEC.name) if _SPEC and isinstance(_SPEC.loader, importlib.abc.InspectLoader) else None
)
"""Read before the root changes and the project's folder is out of sight; run after, when IPython is to be imported."""

PROBE_LIMITS = {"memory_mb": 256, "disk_mb": 4, "processes": 16, "output_chars": 256, "cell_seconds": 1.0}


def serve(control: socket.socket, options: dict[str, Any]) -> None:
    """Prove the boundary, preload, say so, and fork sessions until the app hangs up; never returns."""
    proof = _start_proof(options)
    shell = preload(options)
    layers = _collect_proof(*proof)
    ours = options["tier"] == "namespaces"
    if ours:
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # Sessions are reaped by the kernel.
    else:
        reduced.become_reaper()
    _watch_memory_kills()
    control.send(json.dumps({"ready": options["tier"], "layers": layers}).encode())
    sessions: set[int] = set()
    poller = select.poll()
    poller.register(control, select.POLLIN)
    while True:
        if poller.poll(None if ours else 1000):
            received = receive_request(control)
            if received is None:
                break
            message, descriptors = received
            pid = _fork(options)
            if pid == 0:
                _session_or_exit(control, message, descriptors, shell, options)
            sessions.add(pid)
            for descriptor in descriptors:
                os.close(descriptor)
        if not ours:
            _reap(sessions)
    if not ours:
        processes.kill_others({os.getpid()})
    os._exit(0)


def _reap(sessions: set[int]) -> None:
    """Forget sessions that ended; end what a supervisor that died left behind, which by now is our child."""
    with contextlib.suppress(ChildProcessError):
        while (pid := os.waitpid(-1, os.WNOHANG)[0]) != 0:
            sessions.discard(pid)
    for stray in processes.children(os.getpid()) - sessions:
        for pid in (*processes.descendants(stray), stray):
            processes.send(pid, signal.SIGKILL)


def preload(options: dict[str, Any]) -> Any:
    """Import what cells use, build the shell, and leave nothing for the garbage collector to touch."""
    gc.disable()  # Nothing to be found while all of it is still in the making.
    sys.set_int_max_str_digits(0)  # Python 3.9 wrote the models' training data; the time limit bounds the conversion.
    sys.path[:] = options["path"]
    sys.argv, sys.orig_argv[:] = [""], [""]
    _forgo_semaphores()
    import numpy
    import sympy  # noqa: F401

    if int(numpy.__version__.partition(".")[0]) >= 2:
        numpy.set_printoptions(legacy="1.25")  # -3.0, which every model expects, and not np.float64(-3.0)

    assert _SPEC is not None
    assert _SHELL_CODE is not None
    module = sys.modules[_SPEC.name] = importlib.util.module_from_spec(_SPEC)
    exec(_SHELL_CODE, module.__dict__)
    shell = module.build(options.get("scratch_root") or options["scratch"])
    gc.freeze()  # IPython has just collected what there was, when the shell was reset after its warm-up.
    gc.enable()
    return shell


_vmstat: list[int] = []
"""The descriptor of /proc/vmstat, which a session's own /proc does not show."""


def _watch_memory_kills() -> None:
    with contextlib.suppress(OSError):
        _vmstat.append(os.open("/proc/vmstat", os.O_RDONLY | os.O_CLOEXEC))


def _memory_kills() -> int | None:
    """Processes that the kernel has ended so far because memory ran out; None where it does not say."""
    with contextlib.suppress(OSError, ValueError):
        for descriptor in _vmstat:
            for line in os.pread(descriptor, 1 << 16, 0).splitlines():
                if line.startswith(b"oom_kill "):
                    return int(line.split()[1])
    return None


def _forgo_semaphores() -> None:
    """Have `multiprocessing` say what it lacks here: named semaphores, files in /dev/shm."""
    try:
        import _multiprocessing  # type: ignore[import-not-found]  # nobody has written its types down
    except ImportError:
        return

    class SemLock:
        SEM_VALUE_MAX = _multiprocessing.SemLock.SEM_VALUE_MAX

        def __init__(self, *_: object) -> None:
            raise OSError(errno.ENOSYS, "the sandbox has no semaphores for processes; use threads")

    _multiprocessing.SemLock = SemLock


# ---------------------------------------------------------------------------------------------------- proof


def _start_proof(options: dict[str, Any]) -> tuple[int, int]:
    """A confined child that tries to get out; it runs while this process imports."""
    answer, write = os.pipe()
    pid = _fork(options)
    if pid == 0:
        try:
            os.close(answer)
            scratch = _enter(options, PROBE_LIMITS)
            try:
                layers = confine(PROBE_LIMITS, options, scratch)
                layers["through"] = prove(options, scratch)
            finally:
                if scratch != options["scratch"]:
                    with contextlib.suppress(OSError):
                        os.rmdir(scratch)
            os.write(write, json.dumps(layers).encode())
        except BaseException as error:  # A fork must never return into the zygote's code: it reports and ends.
            lack = str(error) if isinstance(error, LackError) else None
            os.write(write, json.dumps({"failed": f"{type(error).__name__}: {error}", "lack": lack}).encode())
        finally:
            os._exit(0)
    os.close(write)
    return pid, answer


def _collect_proof(pid: int, answer: int) -> dict[str, Any]:
    data = b""
    while piece := os.read(answer, 1 << 16):
        data += piece
    os.close(answer)
    os.waitpid(pid, 0)
    layers: dict[str, Any] = json.loads(data) if data else {"failed": "the confined process died"}
    if layers.get("lack"):
        raise LackError(layers["lack"])
    if "failed" in layers:
        raise RuntimeError(layers["failed"])
    if layers["through"]:
        raise RuntimeError("the boundary does not hold: " + "; ".join(layers["through"]))
    return layers


# ---------------------------------------------------------------------------------------------------- sessions


def _fork(options: dict[str, Any]) -> int:
    return namespaces.fork_session() if options["tier"] == "namespaces" else os.fork()


def _enter(options: dict[str, Any], limits: dict[str, Any]) -> str:
    """Make this fork the supervisor of a session; returns its scratch folder."""
    if options["tier"] == "namespaces":
        namespaces.enter_session(options["scratch"], limits)
        return str(options["scratch"])
    return reduced.enter_session(options)


def _session_or_exit(
    control: socket.socket, limits: dict[str, Any], descriptors: list[int], shell: Any, options: dict[str, Any]
) -> None:
    try:
        control.close()
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        _session(limits, descriptors, shell, options)
    except BaseException as error:  # The same: whatever it is, this fork ends here, and the app hears why.
        if options.get("debug"):
            traceback.print_exc()
        with contextlib.suppress(OSError):
            os.write(descriptors[0], pack({"failed": _reason(error)}))
    finally:
        os._exit(1)


def _open_one(first: int, second: int) -> int:
    """The first of two descriptors, unless it is not open yet."""
    try:
        os.fstat(first)
    except OSError:
        return second
    return first


def _reason(error: BaseException) -> str:
    return str(error) or type(error).__name__


def _session(limits: dict[str, Any], descriptors: list[int], shell: Any, options: dict[str, Any]) -> None:
    app, interrupts = socket.socket(fileno=descriptors[0]), descriptors[1]
    scratch = _enter(options, limits)
    os.set_blocking(interrupts, False)
    watched = None if options["tier"] == "namespaces" else scratch

    def spawn() -> Worker:
        return _spawn(limits, shell, options, scratch)

    try:
        supervisor.Supervisor(app, interrupts, limits, spawn, watched, _memory_kills).serve()
    finally:
        if watched is not None:
            processes.kill_others({os.getpid()})
            remove_tree(watched)
    os._exit(0)


def _spawn(limits: dict[str, Any], shell: Any, options: dict[str, Any], scratch: str) -> Worker:
    pipes: list[int] = []
    try:
        for _ in range(3):
            pipes += os.pipe()
        pid = os.fork()
    except OSError:
        for descriptor in pipes:
            os.close(descriptor)
        raise
    orders, reports, output = pipes[0:2], pipes[2:4], pipes[4:6]
    if pid == 0:
        try:
            reduced.die_with_parent()
            if reduced.on_linux():
                kernel.prctl(kernel.PR_SET_DUMPABLE, 1)  # The supervisor hides itself this way, and must see us.
            kept = ((orders[0], worker.ORDERS), (reports[1], worker.REPORTS), (output[1], worker.OUTPUT))
            for source, target in kept:
                os.dup2(source, target)
            os.closerange(3, worker.ORDERS)
            os.closerange(worker.OUTPUT + 1, 4096)
            confine(limits, options, scratch)
            worker.seed_numpy()
            worker.run_head(shell)
        except BaseException as error:  # The same once more: the supervisor hears why no cell can run.
            if options.get("debug"):
                traceback.print_exc()
            with contextlib.suppress(OSError):
                os.write(
                    _open_one(worker.REPORTS, reports[1]),
                    report(b"failed", 0, b',"why":%b' % json.dumps(_reason(error)).encode()),
                )
        finally:
            os._exit(1)
    for descriptor in (orders[0], reports[1], output[1]):
        os.close(descriptor)
    for descriptor in (orders[1], reports[0], output[0]):
        os.set_blocking(descriptor, False)
    return Worker(orders[1], reports[0], output[0], pid)

"""The parent of all sessions: imports once, then forks a supervisor for each session the app asks for."""

from __future__ import annotations

import gc
import importlib.abc
import importlib.util
import json
import os
import resource
import signal
import socket
import sys
import traceback
from typing import Any

from . import kernel, namespaces, supervisor, worker
from .launcher import receive


def serve(control: socket.socket, options: dict[str, Any]) -> None:
    """Preload, say so, and fork sessions until the app hangs up; never returns."""
    shell = preload(options)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    control.send(json.dumps({"ready": options["tier"]}).encode())
    while (request := receive(control)) is not None:
        message, descriptors = request
        pid = os.fork()
        if pid == 0:
            try:
                control.close()
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                _session(message, descriptors, shell, options)
            except BaseException:
                if options.get("debug"):
                    traceback.print_exc()
            finally:
                os._exit(1)
        for descriptor in descriptors:
            os.close(descriptor)
    os._exit(0)


_SPEC = importlib.util.find_spec(f"{__package__}.shell")
assert _SPEC is not None and isinstance(_SPEC.loader, importlib.abc.InspectLoader)
_SHELL_CODE = _SPEC.loader.get_code(_SPEC.name)
"""Read before the root changes and the project's folder is out of sight; run after, when IPython is to be imported."""


def _shell_module() -> Any:
    assert _SPEC is not None and _SHELL_CODE is not None
    module = sys.modules[_SPEC.name] = importlib.util.module_from_spec(_SPEC)
    exec(_SHELL_CODE, module.__dict__)
    return module


def preload(options: dict[str, Any]) -> Any:
    """Import what cells use, build the shell, and leave nothing for the garbage collector to touch."""
    scratch = options["scratch"]
    sys.set_int_max_str_digits(0)  # Python 3.9 wrote the models' training data; a time limit bounds the conversion.
    sys.path[:] = options["path"]
    import numpy  # noqa: F401
    import sympy  # noqa: F401

    shell = _shell_module().build(scratch)
    sys.argv = [""]
    gc.collect()
    gc.freeze()
    return shell


def _session(limits: dict[str, Any], descriptors: list[int], shell: Any, options: dict[str, Any]) -> None:
    namespaces.enter_session(options["scratch"], limits)
    app, interrupts = socket.socket(fileno=descriptors[0]), descriptors[1]
    os.set_blocking(interrupts, False)

    def spawn() -> supervisor.Worker:
        orders, reports, output = os.pipe(), os.pipe(), os.pipe()
        pid = os.fork()
        if pid == 0:
            try:
                kernel.prctl(kernel.PR_SET_PDEATHSIG, signal.SIGKILL)
                kernel.prctl(kernel.PR_SET_DUMPABLE, 1)  # The supervisor hides itself this way, and must see us.
                for source, target in ((orders[0], 60), (reports[1], 61), (output[1], 62)):
                    os.dup2(source, target)
                os.closerange(3, 60)
                os.closerange(63, 4096)
                _confine(limits, options)
                worker.seed_numpy()
                worker.run_head(shell)
            except BaseException:
                if options.get("debug"):
                    traceback.print_exc()
            finally:
                os._exit(1)
        for descriptor in (orders[0], reports[1], output[1]):
            os.close(descriptor)
        for descriptor in (orders[1], reports[0], output[0]):
            os.set_blocking(descriptor, False)
        return supervisor.Worker(orders[1], reports[0], output[0], pid)

    supervisor.Supervisor(app, interrupts, limits, spawn).serve()
    os._exit(0)


def _confine(limits: dict[str, Any], options: dict[str, Any]) -> None:
    """Take everything from the worker that it does not need. Each step stops something the others let through."""
    os.nice(19)
    os.chdir(options["scratch"])
    kernel.drop_bounding_set()
    memory = _mapped() + limits["memory_mb"] * 2**20
    for kind, value in (
        (resource.RLIMIT_AS, memory),
        (resource.RLIMIT_NPROC, limits["processes"]),
        (resource.RLIMIT_FSIZE, limits["disk_mb"] * 2**20),
        (resource.RLIMIT_NOFILE, 256),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_MEMLOCK, 0),
    ):
        resource.setrlimit(kind, (value, value))
    kernel.set_capabilities()
    kernel.prctl(kernel.PR_SET_NO_NEW_PRIVS, 1)


def _mapped() -> int:
    with open("/proc/self/statm", "rb") as handle:
        return int(handle.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")

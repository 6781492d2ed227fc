"""The fresh, single-threaded process between the app and all sandboxes: sets up one tier, preloads, forks sessions.

Started by `host` as a program of its own, because the app has threads (llama.cpp's, at least) and a fork of a process
with threads may copy a locked lock. It sees a minimal environment, one socket to the app and nothing else.
"""

from __future__ import annotations

import array
import json
import os
import select
import signal
import socket
import sys
import traceback
from typing import Any

CONTROL = 0
"""Descriptor of the socket to the app: handed over as standard input, so that it needs no number of its own."""


def main() -> None:
    """Set up the tier named in the first argument and serve; never returns."""
    options = json.loads(sys.argv[1])
    control = socket.socket(fileno=CONTROL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        _set_up(options, control)
    except BaseException as error:
        reason = f"{type(error).__name__}: {error}"
        if options.get("debug"):
            traceback.print_exc()
        control.send(json.dumps({"failed": reason}).encode())
        os._exit(1)


def _set_up(options: dict[str, Any], control: socket.socket) -> None:
    from . import kernel, namespaces, watch
    from .zygote import serve

    app = int(options["app"])
    watch.check_parent(app)
    # Loaded before the root changes and the repository is out of sight.
    from . import processes, protocol, supervisor, worker, zygote as _  # noqa: F401

    namespaces.enter_outer()
    ready_read, ready_write = os.pipe()
    zygote = os.fork()
    if zygote:
        os.close(ready_read)
        control.close()
        os.write(ready_write, b"1")
        watch.until_death(app, zygote)
    os.close(ready_write)
    kernel.prctl(kernel.PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.read(ready_read, 1) != b"1":
        os._exit(1)
    os.close(ready_read)
    try:
        namespaces.build_root(options)
        serve(control, options)
    except BaseException as error:
        if options.get("debug"):
            traceback.print_exc()
        control.send(json.dumps({"failed": f"{type(error).__name__}: {error}"}).encode())
        os._exit(1)


def receive(control: socket.socket) -> tuple[dict[str, Any], list[int]] | None:
    """One request from the app and the descriptors that came with it; None where it hung up."""
    room = socket.CMSG_SPACE(2 * array.array("i").itemsize)
    data, ancillary, _flags, _address = control.recvmsg(1 << 16, room, socket.MSG_CMSG_CLOEXEC)
    if not data:
        return None
    descriptors = array.array("i")
    for level, kind, payload in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            descriptors.frombytes(payload[: len(payload) - len(payload) % descriptors.itemsize])
    return json.loads(data), list(descriptors)


def wait_readable(control: socket.socket) -> None:
    """Sleep until the app has something to say."""
    poller = select.poll()
    poller.register(control, select.POLLIN)
    poller.poll()

"""The single-threaded process between app and sandboxes: sets up a tier, preloads, forks sessions.

Started by `host.launchers` as a program of its own, because the app has threads (llama.cpp's, at least) and a fork of a
process with threads may copy a locked lock. It sees a minimal environment, one socket to the app and nothing else.
"""

from __future__ import annotations

import errno
import json
import os
import signal
import socket
import sys
import traceback
from typing import Any

CONTROL = 0
"""Descriptor of the socket to the app: handed over as standard input, so that it needs no number of its own."""


def main() -> None:
    """Set up the tier named in the first argument and serve; never returns."""
    serve(json.loads(sys.argv[1]))


def serve(options: dict[str, Any]) -> None:
    """Set up the tier that `options` name, or its inner half, and serve; never returns."""
    _hide_command_line()
    control = socket.socket(fileno=CONTROL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # What the app was started with is inherited: ignored, children could not be waited for; blocked, not interrupted.
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    try:
        _set_up(options, control)
    except BaseException as error:  # Whatever it is, the app must hear why this tier does not work.
        fail(control, options, error)


def _hide_command_line() -> None:
    from ..boundary import kernel, reduced

    if reduced.on_linux():
        kernel.hide_command_line("mathcoder-sandbox")


def fail(control: socket.socket, options: dict[str, Any], error: BaseException) -> None:
    """Tell the app why this tier does not work here, and end."""
    if options.get("debug"):
        traceback.print_exc()
    from ..boundary.confine import LackError

    # Not ENOSPC, which is also what the kernel says where it allows no more namespaces.
    lack = isinstance(error, LackError) or (
        isinstance(error, OSError) and error.errno in (errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN)
    )
    reason = str(error) if lack else f"{type(error).__name__}: {error}"
    control.send(json.dumps({"failed": reason, "lack": lack}).encode())
    os._exit(1)


def _set_up(options: dict[str, Any], control: socket.socket) -> None:
    # All that is ours is loaded here, before the root changes and the project's folder is out of sight.
    from ..boundary import namespaces, reduced
    from . import watch, zygote

    app = int(options["app"])
    tier = options["tier"]
    if options.get("inner"):
        # Within bubblewrap, whose own parent does the watching, and which found Python on a path of its own.
        os.environ["PATH"] = options["PATH"]
        zygote.serve(control, options)
    watch.check_parent(app)
    options["tasks"] = reduced.count_tasks()
    if tier == "namespaces":
        namespaces.enter_outer()
    elif tier == "reduced":
        reduced.become_reaper()
    standing_by, stand_by = os.pipe()
    child = os.fork()
    if child:
        os.close(standing_by)
        control.close()
        os.write(stand_by, b"1")
        watch.until_death(app, child, options.get("scratch_root"))
    os.close(stand_by)
    reduced.die_with_parent()
    if os.read(standing_by, 1) != b"1":
        os._exit(1)  # The launcher was gone before the line above could tie us to it.
    os.close(standing_by)
    try:
        if tier == "bubblewrap":
            from ..boundary import bubblewrap

            bubblewrap.become(options)
        if tier == "namespaces":
            namespaces.build_root(options)
        elif tier == "reduced":
            reduced.give_up_root(options)
        zygote.serve(control, options)
    except BaseException as error:  # As in `main`: this fork reports and ends.
        fail(control, options, error)

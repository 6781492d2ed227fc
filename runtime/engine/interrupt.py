"""Stopping a computation: a flag that any thread sets and any engine heeds, and Ctrl-C that sets it."""

from __future__ import annotations

import ctypes
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class StopFlag:
    """A byte that llama.cpp looks at between the nodes of a graph, and that any thread can set.

    The callback llama.cpp wants is `bool f(void *data)`. A Python function would be called, GIL and all, hundreds of
    times a token. The C library's own `strlen` has a
    compatible signature and, on a buffer that is either "" or "\\x01", the right value: 0 or 1.
    """

    def __init__(self) -> None:
        self._buffer = ctypes.create_string_buffer(2)
        self.data = ctypes.cast(self._buffer, ctypes.c_void_p)

    def set(self) -> None:
        """Ask for the running computation to stop."""
        self._buffer[0] = b"\x01"

    def clear(self) -> None:
        """Allow computations again."""
        self._buffer[0] = b"\x00"

    def is_set(self) -> bool:
        """Whether a stop was asked for."""
        return self._buffer[0] != b"\x00"


@contextmanager
def stop_on_sigint(flag: StopFlag, also: Callable[[], None] | None = None) -> Iterator[None]:
    """Let Ctrl-C set `flag` (and call `also`) while the block runs, even inside a long native call.

    Python runs signal handlers only between bytecodes of the main thread, which may be seconds inside `llama_decode`.
    The C-level handler however writes to the wakeup descriptor immediately; a small thread waits for that. Outside the
    main thread, where handlers cannot be installed, this does nothing: whoever owns the main thread sets the flag.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    reader, writer = os.pipe()
    os.set_blocking(writer, False)

    def watch() -> None:
        while byte := os.read(reader, 1):
            if byte[0] == signal.SIGINT:
                flag.set()

    def handle(*_: object) -> None:
        flag.set()
        if also is not None:
            also()

    watcher = threading.Thread(target=watch, name="sigint-watcher", daemon=True)
    previous_handler = signal.getsignal(signal.SIGINT)
    signal.signal(signal.SIGINT, handle)
    previous_fd = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    watcher.start()
    try:
        yield
    finally:
        signal.set_wakeup_fd(previous_fd)
        signal.signal(signal.SIGINT, previous_handler if previous_handler is not None else signal.default_int_handler)
        os.close(writer)
        watcher.join()
        os.close(reader)

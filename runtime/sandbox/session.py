"""`Sandbox`: one persistent Python session behind a kernel boundary."""

from __future__ import annotations

import base64
import contextlib
import os
import socket
import threading
import time
from types import TracebackType
from typing import Any, Self

from ..errors import CellNotRunError
from ..lce import EMPTY_EXECUTION
from ..text import indented
from . import protocol
from .host import launchers
from .limits import CellResult, Limits

NOTICE = "[sandbox] "
"""Begins each line of output that the sandbox itself wrote; a cell's own line that begins so is indented."""


class Sandbox:
    """One session.

    Cheap to make: nothing starts before the first cell; all sessions of a process share one zygote.

    Different sessions may be used from different threads at the same time. One session runs one cell at a time.

    Args:
        limits: what a cell may use.
        tier: force one tier instead of the strongest that works (`runtime.sandbox.tiers` lists them).
        unsafe_exec: run cells with the rights of the user, where no tier works and the user insists. Callers show
            `tiers.UNSAFE_WARNING` for every session.
    """

    def __init__(self, limits: Limits | None = None, *, tier: str | None = None, unsafe_exec: bool = False) -> None:
        self.limits = limits or Limits()
        if unsafe_exec and tier is None:
            tier = "unsafe"
        self._wanted = tier
        self._host: launchers.Host | None = None
        self._socket: socket.socket | None = None
        self._interrupt: int | None = None
        self._cell = 0
        self._running = False
        self._lock = threading.Lock()

    @property
    def tier(self) -> str:
        """Which isolation is in force; starts the zygote if need be.

        Raises:
            SandboxError: none works here.
        """
        return launchers.get(self._wanted).tier

    def run(self, code: str) -> CellResult:
        """Run one cell and wait for it.

        A `KeyboardInterrupt` (or any other exception) that arrives meanwhile stops the cell and is raised again, with
        the session still usable.

        Raises:
            SandboxError: no isolation works here.
            CellNotRunError: the machine, and not the code, kept the cell from running or from ending: no process,
                descriptor, memory or disk space was left, or the sandbox's processes were killed.
            TypeError: `code` is no text; the session is as it was.
        """
        if not isinstance(code, str):
            raise TypeError(f"a cell is text, not {type(code).__name__}")
        if len(code) > protocol.MAX_CODE:
            text = f"ValueError: a cell of {len(code)} characters; at most {protocol.MAX_CODE} are run"
            return CellResult(text, "error", 0.0)
        with self._lock:
            fresh = self._open()
            try:
                answer = self._exchange(code)
            except (OSError, protocol.ProtocolError):
                self._close()
                cause = "a new sandbox session ended at once" if fresh else "the sandbox session was ended from outside"
                raise _not_run(cause, lost=not fresh) from None
            if "failed" in answer:
                if fresh:
                    self._close()  # Nothing is in it yet, and the next one may have more luck.
                raise _not_run(str(answer["failed"]), lost=bool(answer.get("lost")) and not fresh)
            return _result(answer)

    def interrupt(self) -> None:
        """Stop the running cell, keeping the session; may be called from any thread or from a signal handler."""
        descriptor = self._interrupt
        if descriptor is not None and self._running:
            with contextlib.suppress(OSError):
                os.write(descriptor, self._cell.to_bytes(4, "big"))

    def reset(self) -> None:
        """End the session; the next cell starts a fresh one."""
        with self._lock:
            self._close()

    def close(self) -> None:
        """End the session and everything that runs in it."""
        self.reset()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __del__(self) -> None:
        with contextlib.suppress(Exception):  # At interpreter exit, modules are gone; there is nobody to tell.
            self._close()

    def _open(self) -> bool:
        if self._socket is not None:
            return False
        for attempt in (1, 2):
            self._host = launchers.get(self._wanted)
            try:
                self._socket, self._interrupt = self._host.open_session(self.limits)
                return True
            except OSError as error:
                is_ours = error.errno in launchers.LACKS  # The launcher is well, and has the sessions of others.
                if not is_ours:
                    launchers.forget(self._host)
                if is_ours or attempt == 2:
                    raise _not_run(f"no sandbox session can be started: {error}", lost=False) from None
        return True

    def _exchange(self, code: str) -> dict[str, Any]:
        assert self._socket is not None
        reader = protocol.FrameReader(protocol.MAX_REPORT + 16 * self.limits.output_chars)
        self._cell += 1
        self._running = True
        try:
            self._socket.sendall(protocol.pack({"code": code}))
            return self._receive(reader, None)
        except (OSError, protocol.ProtocolError):
            raise
        except BaseException:
            # Ctrl-C, most likely. The session must not be left in the middle of a cell.
            self.interrupt()
            try:
                self._receive(reader, time.monotonic() + 5)
            except BaseException:  # A second Ctrl-C included: the first is raised below, and the session is over.
                self._close()
            raise
        finally:
            self._running = False

    def _receive(self, reader: protocol.FrameReader, deadline: float | None) -> dict[str, Any]:
        assert self._socket is not None
        while (answer := reader.next()) is None:
            self._socket.settimeout(None if deadline is None else max(0.01, deadline - time.monotonic()))
            data = self._socket.recv(1 << 18)
            if not data:
                raise protocol.ProtocolError("the session ended")
            reader.feed(data)
        return answer

    def _close(self) -> None:
        connection, self._socket = self._socket, None
        descriptor, self._interrupt = self._interrupt, None
        self._cell = 0
        if connection is not None:
            connection.close()
        if descriptor is not None:
            os.close(descriptor)


def warm() -> None:
    """Start the zygote now, so that the first cell does not wait for it.

    Raises:
        SandboxError: no isolation works here.
    """
    launchers.get()


def _not_run(cause: str, *, lost: bool) -> CellNotRunError:
    consequence = "the cell was not run" if not lost else "the cell has no result, and all variables are lost"
    remedy = (
        "the machine lacks something, the code did nothing wrong: free processes, files, memory or disk, and try again"
    )
    return CellNotRunError(cause, consequence, remedy, lost=lost)


def _result(answer: dict[str, Any]) -> CellResult:
    notices = tuple(str(notice) for notice in answer["notices"])
    output = str(answer["output"]).rstrip("\n")
    output = indented(output, NOTICE.strip())  # Nothing a cell prints can pass for a word of the sandbox itself.
    output = "\n".join([*([output] if output else []), *(NOTICE + notice for notice in notices)])
    images = [base64.b64decode(image) for image in answer["images"]]
    return CellResult(output or EMPTY_EXECUTION, answer["status"], float(answer["seconds"]), images, notices)

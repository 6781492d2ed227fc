"""One session as the app sees it: takes cells, enforces limits, describes what happened.

It runs as pid 1 of the session's own pid namespace where there is one. It holds the sockets to the app, which the
worker never sees, and it alone says how long a cell took and whether it was killed. Which process runs the cell is
`succession`'s business.
"""

from __future__ import annotations

import base64
import errno
import os
import signal
import socket
import time
from collections.abc import Callable
from typing import Any

from .. import protocol
from ..protocol import ProtocolError
from . import processes, scratch
from .allowance import Allowance
from .collect import OutputBuffer
from .pipes import Worker
from .recovery import BROKEN
from .succession import ACK, Succession

GRACE = 0.5
"""Seconds between the interrupt and the kill."""
STARVED_GRACE = 0.9
"""The same where the process wants to run and other programs keep it from the processor."""
SOCKET_BYTES, FREE_SOCKETS = 216 << 10, 16
"""What the buffers of one socket may hold (net.core.wmem_default and some), and how many sockets are not counted."""
LOOK_SECONDS = 0.1
"""Time between two looks at what the kernel does not bound."""
ENTRIES_PER_MB = 64
"""Files and folders per MiB of scratch space, as the inodes of tier 1's file system."""
_FULL = os.strerror(errno.ENOSPC)
PNG = b"\x89PNG\r\n\x1a\n"


class NotRunError(Exception):
    """The machine keeps a cell from running. `lost`: variables of earlier cells are gone, too."""

    def __init__(self, reason: str, lost: bool) -> None:
        super().__init__(reason)
        self.lost = lost


class Supervisor:
    """Serves one session until the app hangs up.

    Args:
        app: the socket to the app.
        interrupts: a pipe of the numbers of cells that the app wants stopped.
        limits: `Limits` as a mapping.
        spawn: starts a worker from nothing.
        watched: the scratch folder, where no file system of its own bounds it.
        kills: tells how many processes the kernel has ended for want of memory, None where that is not known.
    """

    def __init__(
        self,
        app: socket.socket,
        interrupts: int,
        limits: dict[str, Any],
        spawn: Callable[[], Worker],
        watched: str | None = None,
        kills: Callable[[], int | None] = lambda: None,
    ) -> None:
        self.line = Succession(app, interrupts, spawn)
        self.limits, self.watched, self._kills = limits, watched, kills
        self._born_with = processes.private(os.getpid())
        """Bytes that the session's first process brought along. Looked at before any cell, which could make it grow."""
        self._next_look = 0.0
        self._too_full = False
        self._allowance: Allowance | None = None
        self._inherited: set[int] = set()
        self._stopped_at = self._cpu_at_stop = 0.0
        self._kills_before = kills()

    def serve(self) -> None:
        """Run cells until the app's end of the socket closes."""
        try:
            while (order := protocol.read_frame(self.line.app.fileno(), protocol.MAX_ORDER)) is not None:
                try:
                    answer = self.run(str(order["code"]))
                except NotRunError as error:
                    answer = {"failed": str(error), "lost": error.lost}
                self.line.app.sendall(protocol.pack(answer))
                self.line.prepare()
                self._kills_before = self._kills()  # Here, where nobody waits.
        except (OSError, ProtocolError):
            return

    def run(self, code: str) -> dict[str, Any]:
        """Run one cell and describe what happened."""
        self.line.next_cell()
        self._next_look = time.monotonic() + LOOK_SECONDS
        output = OutputBuffer(self.limits["output_chars"])
        started = time.monotonic()
        status, images = self._attempt(code, output)
        seconds = time.monotonic() - started
        text, cut = output.text()
        if cut:
            self.line.notices.append(f"{cut} characters of output were left out in the middle")
        return {"output": text, "status": status, "seconds": seconds, "images": images, "notices": self.line.notices}

    def _attempt(self, code: str, output: OutputBuffer) -> tuple[str, list[str]]:
        limit = float(self.limits["cell_seconds"])
        frame = protocol.cell_order(self.line.number, code)
        # Taken while nothing of the user's runs. What an earlier cell left takes its time to die on a busy machine.
        self._inherited = processes.below()
        if self.watched is not None and scratch.disk_is_full(self.watched):
            raise NotRunError("the disk that holds the cells' files is full", lost=False)
        try:
            begun_by_one = any(self.line.begin(frame) for _ in range(3))
        except OSError as error:  # No process, no descriptor; pipes to the app fail elsewhere.
            raise NotRunError(
                f"the process that runs cells cannot be started: {error}", self.line.lost_something()
            ) from None
        if not begun_by_one:
            why = self.line.why or "it ended, or hung, before it could take the code"
            raise NotRunError(f"the process that runs cells does not start: {why}", self.line.lost_something())
        begun = time.monotonic()
        deadline = begun + limit
        self._allowance = Allowance(self.line.worker.head, limit)
        interrupted: str | None = None
        killed: str | None = None
        while True:
            now = time.monotonic()
            if interrupted is None and self.line.stop_asked == self.line.number:
                interrupted = "interrupt"
                deadline = self._stop() + GRACE
            if interrupted is None and now >= deadline:
                deadline = begun + limit + self._allowance.granted()
            if interrupted is None and now >= deadline:
                interrupted = "timeout"
                deadline = self._stop() + GRACE
            elif interrupted is not None and killed is None and now >= deadline and not self._starved(now):
                killed, deadline = interrupted, now + ACK
                processes.send(self.line.worker.head, signal.SIGKILL)
            elif killed is not None and now >= deadline:
                # Killed, yet nobody reported it: the snapshot is gone too.
                return self._fall(None, killed, output)
            event = self.line.wait(min(0.1, max(0.01, deadline - now)), output)
            if event is None and self.line.died_unheard():
                event = self.line.wait(0, output) or "gone"  # What was said meanwhile is heard first.
            if event == "app gone":
                raise ProtocolError("the app hung up")
            if event == "violation":
                self.line.notices.append("the cell wrote into the sandbox's own pipes and was stopped")
                processes.send(self.line.worker.head, signal.SIGKILL)
                killed, deadline = killed or "killed", time.monotonic() + ACK
            elif event == "gone":
                return self._fall(self.line.own_child_status(), killed or interrupted, output)
            elif isinstance(event, dict):
                # A snapshot that is some cells old, because threads kept the head from forking, speaks of its own.
                if event.get("event") == "died" and event.get("n") in (
                    self.line.number,
                    self.line.worker.snapshot_cell,
                ):
                    return self._fall(event.get("wait_status"), killed or interrupted, output)
                if event.get("event") == "done" and event.get("n") == self.line.number:
                    # What a file system of one's own refuses at once shows here at the latest.
                    if self.watched is not None and (reason := self._over_limit(now=True)):
                        self.line.notices.append(reason)
                        processes.send(self.line.worker.head, signal.SIGKILL)
                        return self._fall(None, "killed", output)
                    return self._finish(event, interrupted, output)
            if killed is None and (reason := self._over_limit()):
                self.line.notices.append(reason)
                processes.send(self.line.worker.head, signal.SIGKILL)
                killed, deadline = "killed", time.monotonic() + ACK

    def _stop(self) -> float:
        """Interrupt the cell, after ending what it forked, which would compete for the time it has to react."""
        for pid in processes.below() - self.line.ours():
            processes.send(pid, signal.SIGKILL)
        processes.send(self.line.worker.head, signal.SIGINT)
        self._stopped_at, self._cpu_at_stop = time.monotonic(), processes.cpu_seconds(self.line.worker.head)
        return self._stopped_at

    def _starved(self, now: float) -> bool:
        """Whether the cell could not react to the interrupt because it hardly ran since."""
        if now - self._stopped_at >= STARVED_GRACE or not processes.runnable(self.line.worker.head):
            return False
        return processes.cpu_seconds(self.line.worker.head) - self._cpu_at_stop < GRACE * 0.8

    def _finish(self, event: dict[str, Any], interrupted: str | None, output: OutputBuffer) -> tuple[str, list[str]]:
        status = "ok" if event.get("status") == "ok" else "error"
        self.line.keep()
        self._settle(output)
        if status == "error" and _FULL in output.text()[0] and self.watched and scratch.disk_is_full(self.watched):
            raise NotRunError("the disk that holds the cells' files is full", lost=False)
        claimed = event.get("images")
        images = [image for image in claimed if _is_png(image)] if isinstance(claimed, list) else []
        images = images[: protocol.MAX_IMAGES]
        if interrupted == "timeout" and status == "error":
            status = "timeout"
            self.line.notices.append(f"the cell was stopped after {self.limits['cell_seconds']:g} s")
        elif interrupted == "interrupt" and status == "error":
            self.line.notices.append(protocol.INTERRUPTED)
        return status, images

    def _fall(self, wait_status: int | None, reason: str | None, output: OutputBuffer) -> tuple[str, list[str]]:
        """The process that ran the cell is gone: return to the snapshot, say what is lost."""
        if reason == "timeout":
            self.line.notices.append(
                f"the cell was stopped after {self.limits['cell_seconds']:g} s; it ignored the interrupt"
            )
        elif reason == "interrupt":
            self.line.notices.append("the cell ignored the interrupt and was killed")
        elif reason is None:
            self.line.notices.append(f"the process running the cell {_how(wait_status)}")
        self.line.fall_back(wait_status)
        self._settle(output)
        if reason is None and wait_status == signal.SIGKILL and self._kills() != self._kills_before:
            raise NotRunError("the machine has no memory left, and ended the cell", lost=True)
        return ("timeout" if reason == "timeout" else "killed"), []

    def _settle(self, output: OutputBuffer) -> None:
        self.line.settle(output)
        if self._too_full and self.watched is not None:
            scratch.empty(self.watched)
            self._too_full = False

    def _over_limit(self, now: bool = False) -> str | None:
        """What the kernel does not bound by itself: memory of many processes, files in a shared file system.

        Looks only where it is time to, or `now`.
        """
        started = time.monotonic()
        if started < self._next_look and not now:
            return None
        others = processes.below() - self.line.ours()
        if self._allowance is not None:
            self._allowance.look(company=bool(others - self._inherited))
        if self._memory(bool(others)) > self.limits["memory_mb"] * 2**20:
            return f"the cell's processes took more than {self.limits['memory_mb']} MB of memory together"
        if len(others) > self.limits["processes"]:  # The kernel does not bound those of a root in name.
            return f"the cell had more than {self.limits['processes']} processes"
        if self.watched is not None:
            size, entries = scratch.disk_use(self.watched)
            size += processes.nameless_files(processes.below(), self.watched)
            if size > self.limits["disk_mb"] * 2**20 or entries > ENTRIES_PER_MB * (1 + self.limits["disk_mb"]):
                self._too_full = True
                return f"the cell's files took more than {self.limits['disk_mb']} MB; the scratch folder was emptied"
        # Looking costs most where there is much to look at; it gets a fifth of the time.
        self._next_look = time.monotonic() + max(LOOK_SECONDS, 4 * (time.monotonic() - started))
        return None

    def _memory(self, several: bool) -> int:
        """Bytes that the session's processes take on top of what they started from.

        One alone is held by the kernel, but for what lies in its sockets.
        """
        pids = processes.below()
        queued = max(0, processes.sockets(pids) - FREE_SOCKETS) * SOCKET_BYTES
        if not several:
            return queued
        limit = self.limits["memory_mb"] * 2**20 - queued
        estimate = sum(max(0, processes.private(pid) - self._born_with) for pid in pids)
        if estimate <= limit:
            return estimate + queued
        # Forks share most of their memory; what each really takes is known exactly, but slow to ask for.
        return sum(processes.memory_of(pid) for pid in pids) - self._born_with + queued


def _is_png(image: Any) -> bool:
    if not isinstance(image, str) or len(image) > protocol.MAX_IMAGE * 4 // 3 + 4:
        return False
    try:
        return base64.b64decode(image, validate=True).startswith(PNG)
    except ValueError:
        return False


def _how(wait_status: Any) -> str:
    if not isinstance(wait_status, int) or not 0 <= wait_status < 1 << 16:
        return "was killed"
    if wait_status == BROKEN << 8:
        return "could not have run another cell"
    if os.WIFSIGNALED(wait_status):
        number = os.WTERMSIG(wait_status)
        try:
            return f"was killed by {signal.Signals(number).name}"
        except ValueError:
            return f"was killed by signal {number}"
    return f"ended by itself with exit code {os.WEXITSTATUS(wait_status)}"

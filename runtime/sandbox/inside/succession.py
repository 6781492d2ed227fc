"""Which process runs a session's next cell: heads, and the snapshots behind them.

See `worker` for the other side. Nothing a worker reports is taken for more than a claim: a head is one only where the
process table agrees, and a death is one only where the process is gone.
"""

from __future__ import annotations

import array
import contextlib
import fcntl
import os
import select
import signal
import socket
import struct
import termios
import time
from collections.abc import Callable, Iterator
from typing import Any

from .. import protocol
from ..protocol import ProtocolError
from . import processes
from .collect import OutputBuffer
from .pipes import NONE, Worker, drain
from .recovery import BROKEN

ACK_CPU = 2.0
"""Seconds of processor time a head may take to begin a cell. It runs nothing of the user's then, so more means that
it is broken. Not wall-clock time: on a machine that is busy, a worker, which runs at the lowest rank, may wait long."""
ACK = 60.0
"""The same in wall-clock seconds, in case it does not even run."""
ACK_ASLEEP = 2.0
"""The same of sleep in one piece. It waits for nothing then, unless something that the user left behind makes it: a
thread that took the order out of the pipe, a hook that runs at a fork."""
READY = 1.0
"""Seconds for the head to take a snapshot in advance. It only saves time: without it, the cell takes its own."""
INTERRUPT = struct.Struct("!I")
"""The number of the cell to stop; numbers are a session's own, from 1."""

LOST_ALL = "all variables are lost; the session starts afresh"
LOST_CELL = "what this cell had changed is lost; the variables from before it are kept"
LOST_SINCE = "variables set since cell {cell} are lost; those from before it are kept"


class Succession:
    """The processes of one session's worker, the pipes to them, and the way to the app.

    Args:
        app: the socket to the app.
        interrupts: a pipe of the numbers of cells that the app wants stopped.
        spawn: starts a worker from nothing.
    """

    def __init__(self, app: socket.socket, interrupts: int, spawn: Callable[[], Worker]) -> None:
        self.app, self.interrupts, self.spawn = app, interrupts, spawn
        self.worker = spawn()
        self.number = 0
        """The cell that runs, or ran last."""
        self.notices: list[str] = []
        """What the app is to be told of it."""
        self.stop_asked = 0
        """The latest cell that the app wants stopped; word of it may come before the cell begins."""
        self._superseded: set[int] = set()
        self._owed = self._written = False
        """Whether the head still has to say what became of the snapshot ordered in advance; whether the order of the
        cell to begin still lies in the pipe, unread."""
        self.why = ""
        """What kept a worker from starting, in its own words from before any code of the user's ran."""
        self._broken = 0
        """How many cells in a row left a worker that could not run another."""

    # ------------------------------------------------------------------------------------------------ a cell begins

    def next_cell(self) -> None:
        """A new cell: nothing to tell of it yet."""
        self.number += 1
        self.notices, self._written = [], False

    def begin(self, frame: bytes) -> bool:
        """Hand the cell to the head; False where the head was broken and has been replaced.

        Raises:
            OSError: there is no head, and none can be started.
        """
        if self.worker.head == NONE:
            self.worker = self.spawn()
        for pid in (self.worker.snapshot, self.worker.head):
            processes.send(pid, signal.SIGCONT)
        if not self._heed_what_happened():
            return self._give_up()
        worker = self.worker
        try:
            if not self._written:
                protocol.write_all(worker.orders, frame, timeout=ACK)
                self._written = True
        except (OSError, TimeoutError):
            return self._give_up()
        for event in self._reports():
            if event.get("event") == "failed" and worker.fresh:
                self.why = str(event.get("why"))[:400]
            if event.get("n") != self.number:
                continue
            if event.get("event") == "died":
                return self._give_up(died=not processes.alive(worker.head))
            if event.get("event") == "start":
                if not self._adopt(event.get("pid"), self.number):
                    break
                return True
        return self._give_up()

    def _reports(self) -> Iterator[dict[str, Any]]:
        """What the head says while no user code runs in it; ends when no more can be expected."""
        head = self.worker.head
        deadline = time.monotonic() + ACK

        def used() -> float:
            # A hook of the user's may hang in the fork, whose parent only waits.
            return sum(processes.cpu_seconds(pid) for pid in (head, *processes.children(head)))

        before = used()
        awake = time.monotonic()
        while time.monotonic() < deadline and used() - before < ACK_CPU and time.monotonic() - awake < ACK_ASLEEP:
            event = self.wait(0.2, None)
            if not all(processes.sleeping(pid) for pid in (head, *processes.children(head))):
                awake = time.monotonic()
            if event == "app gone":
                raise ProtocolError("the app hung up")
            if event in ("gone", "violation"):
                return
            if isinstance(event, dict):
                yield event
            elif not processes.alive(head):
                return

    def _give_up(self, died: bool = False) -> bool:
        """Replace the head, which did not begin the cell; always False. `died`: its death has been reported."""
        worker = self.worker
        # An order that it has not read stays in the pipe, for the snapshot to read. Twice would be once too often.
        processes.send(worker.head, signal.SIGSTOP)
        unread = array.array("i", [0])
        with contextlib.suppress(OSError):
            fcntl.ioctl(worker.orders, termios.FIONREAD, unread)
        self._replace_head(died, begun=False)
        self._written = self._written and unread[0] > 0 and self.worker is worker
        self._owed = False
        return False

    def _adopt(self, pid: Any, cell: int) -> bool:
        """Take the process that says it will run `cell` as head, and its parent as snapshot; False for a lie."""
        worker = self.worker
        if pid == worker.head:
            return True
        if not isinstance(pid, int) or pid not in processes.children(worker.head):
            return False
        if worker.snapshot is not None:
            # It waits for a child that is not to die; ending it can wait until the app has its answer.
            self._superseded.add(worker.snapshot)
        worker.snapshot, worker.head, worker.snapshot_cell = worker.head, pid, cell
        return True

    def _heed_what_happened(self) -> bool:
        """Learn before a cell what came of the snapshot ordered in advance; False where nobody says."""
        worker = self.worker
        if self._owed:
            for event in self._reports():
                if event.get("n") == self.number and self._answered(event, self.number):
                    break
                if event.get("event") == "died":
                    break
            if self._owed and processes.alive(worker.head):
                return False
            self._owed = False
        if worker.snapshot is not None and not processes.alive(worker.head) and processes.alive(worker.snapshot):
            if worker.snapshot_cell != self.number:
                self.notices.append(LOST_SINCE.format(cell=worker.snapshot_cell))
            dead = worker.head
            worker.head, worker.snapshot = worker.snapshot, None
            self._await_death_report(dead)
        return True

    def _answered(self, event: dict[str, Any], cell: int) -> bool:
        """Whether this is the answer to the order of a snapshot for `cell`: it is there, or its process died."""
        if event.get("event") == "ready":
            self._adopt(event.get("pid"), cell)
        elif event.get("event") != "died":
            return False
        self._owed = False
        return True

    def died_unheard(self) -> bool:
        """Whether the head is dead and nobody will say so.

        No snapshot waits for it, or the snapshot has said so behind a frame that the cell began and did not end.
        """
        worker = self.worker
        if processes.alive(worker.head):
            return False
        if worker.snapshot is None:
            return True
        return processes.sleeping(worker.snapshot) and not processes.children(worker.snapshot)

    def own_child_status(self) -> int | None:
        """Wait status of a head that is this process's child; None for another's, or one that lives."""
        if self.worker.snapshot is None:
            for _ in range(50):  # Its pipes close some moments before it can be waited for.
                with contextlib.suppress(ChildProcessError):
                    pid, status = os.waitpid(self.worker.head, os.WNOHANG)
                    if pid:
                        return status
                time.sleep(0.002)
        return None

    # ------------------------------------------------------------------------------------------------ a cell has ended

    def keep(self) -> None:
        """The cell is done and the process that ran it goes on."""
        self._broken = 0
        self.worker.fresh = False

    def fall_back(self, wait_status: int | None) -> None:
        """The process that ran the cell is gone, or is to be: return to the snapshot, say what is lost."""
        # A death that the cell has made up is made true, and then reported in earnest.
        died = wait_status is not None and not processes.alive(self.worker.head)
        self._broken = self._broken + 1 if died and wait_status == BROKEN << 8 else 0
        if self._broken > 1:
            # The snapshot is no better: it was taken of a worker that was broken already.
            processes.send(self.worker.snapshot, signal.SIGKILL)
        self._replace_head(died)

    def lost_something(self) -> bool:
        """Whether variables of earlier cells are lost since the cell was to begin."""
        return any(notice == LOST_ALL or notice.startswith(LOST_SINCE.partition("{")[0]) for notice in self.notices)

    def _replace_head(self, died: bool = False, begun: bool = True) -> None:
        """Go back to the snapshot, or start afresh, and say what is lost.

        Args:
            died: the head's death has been reported.
            begun: the cell has run, so that a snapshot from right before it is a loss.
        """
        worker = self.worker
        lost: str | None
        if not died:
            processes.send(worker.head, signal.SIGKILL)
        if worker.snapshot is not None and processes.alive(worker.snapshot):
            lost = LOST_CELL if begun else None
            if worker.snapshot_cell != self.number:
                lost = LOST_SINCE.format(cell=worker.snapshot_cell)
            dead = worker.head
            worker.head, worker.snapshot = worker.snapshot, None
            self._await_death_report(dead)
        else:
            lost = LOST_ALL if not worker.fresh else LOST_CELL if begun else None
            self._retire(worker)
            try:
                self.worker = self.spawn()
            except OSError:  # The next cell tries again, and says why where it cannot.
                self.worker = Worker(NONE, NONE, NONE, NONE)
        if lost is not None and lost not in self.notices:
            self.notices.append(lost)

    def _await_death_report(self, dead: int) -> None:
        """Let the snapshot, which is the head again, notice its child's end; drop all that was reported.

        Its report must not be taken for a later one. The cell may have made up others, or half a one, which hides what
        comes after it; so this looks at the processes, and not at what they say.
        """
        head, deadline = self.worker.head, time.monotonic() + ACK
        while time.monotonic() < deadline and (dead in processes.children(head) or not processes.sleeping(head)):
            self.wait(0.005, None)
        self.worker.reader = protocol.reports()
        drain(self.worker.reports)

    def settle(self, output: OutputBuffer) -> None:
        """After a cell: nothing of it runs on, all it wrote is read, its state is frozen."""
        processes.kill_others({os.getpid(), *self.ours()})
        drain(self.worker.output, output)
        # The head has said all it had to say. What else there is was made up by the cell, to be believed later.
        self.worker.reader = protocol.reports()
        drain(self.worker.reports)

    # ------------------------------------------------------------------------------------------------ between cells

    def prepare(self) -> None:
        """What need not keep the app waiting: the snapshot for the next cell, and the end of those before it."""
        self._end_superseded()
        worker = self.worker
        if processes.threads_and_child_faults(worker.head)[0] == 1:
            self._order_snapshot(worker)
        if self._app_asks():
            return
        # Between cells nothing of the user's runs: not what came out of a fork, no thread, no process.
        processes.kill_others({os.getpid(), *self.ours()})
        for process in (worker.head, worker.snapshot):
            processes.send(process, signal.SIGSTOP)
        self._end_superseded()

    def _end_superseded(self) -> None:
        for pid in self._superseded:
            processes.send(pid, signal.SIGKILL)
        self._superseded.clear()
        processes.reap()

    def _order_snapshot(self, worker: Worker) -> None:
        """Have the head fork for the next cell. Whatever goes wrong shows when that cell begins."""
        cell = self.number + 1
        try:
            protocol.write_all(worker.orders, protocol.snapshot_order(cell), timeout=READY)
        except (OSError, TimeoutError):
            return
        self._owed = True
        deadline = time.monotonic() + READY
        while self._owed and (now := time.monotonic()) < deadline and not self._app_asks():
            event = self.wait(deadline - now, None, for_app=True)
            if isinstance(event, dict) and event.get("n") == cell:
                self._answered(event, cell)
            elif event is not None and not isinstance(event, dict):
                return

    def _retire(self, worker: Worker) -> None:
        processes.kill_others({os.getpid()})
        self._superseded.clear()
        processes.reap()
        for descriptor in (worker.orders, worker.reports, worker.output):
            os.close(descriptor)

    def ours(self) -> set[int]:
        """Processes of the session that no cell started."""
        return {pid for pid in (self.worker.head, self.worker.snapshot) if pid is not None} | self._superseded

    # ------------------------------------------------------------------------------------------------ descriptors

    def wait(
        self, seconds: float, output: OutputBuffer | None, *, for_app: bool = False
    ) -> dict[str, Any] | str | None:
        """Sleep until something happens; feed output; return a report or what else there is to know.

        With `for_app` also until the app's next order is there.
        """
        worker = self.worker
        try:
            if (frame := worker.reader.next()) is not None:
                return frame
        except ProtocolError:
            worker.reader = protocol.reports()
            return "violation"
        poller = select.poll()
        poller.register(worker.reports, select.POLLIN)
        poller.register(self.interrupts, select.POLLIN)
        poller.register(self.app, select.POLLHUP | select.POLLRDHUP | (select.POLLIN if for_app else 0))
        if output is not None:
            poller.register(worker.output, select.POLLIN)
        for descriptor, events in poller.poll(seconds * 1000):
            if descriptor == self.app.fileno():
                if events & ~select.POLLIN:
                    return "app gone"
                continue
            if descriptor == worker.output:
                with contextlib.suppress(BlockingIOError):
                    if output is not None:
                        output.feed(os.read(worker.output, 1 << 18))
            elif descriptor == self.interrupts:
                if events & select.POLLIN:
                    self._hear_interrupts()
            elif descriptor == worker.reports:
                try:
                    data = os.read(worker.reports, 1 << 18)
                except BlockingIOError:
                    continue
                if not data:
                    return "gone"
                worker.reader.feed(data)
        try:
            return worker.reader.next()
        except ProtocolError:
            worker.reader = protocol.reports()
            drain(worker.reports)
            return "violation"

    def _hear_interrupts(self) -> None:
        """Remember the latest cell that is to stop. Late words about earlier cells change nothing."""
        with contextlib.suppress(BlockingIOError):
            data = os.read(self.interrupts, 4096)
            for (number,) in INTERRUPT.iter_unpack(data[: len(data) // 4 * 4]):
                self.stop_asked = max(self.stop_asked, number)

    def _app_asks(self) -> bool:
        """Whether the app's next order is there, or the app is gone."""
        return bool(select.select([self.app], [], [], 0)[0])

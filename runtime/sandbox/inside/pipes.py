"""The supervisor's ends of a worker's pipes, and which of its processes are alive."""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass, field

from .. import protocol
from ..protocol import FrameReader
from .collect import OutputBuffer

NONE = -1
"""Stands for the process and the pipes of a worker that could not be started."""


@dataclass
class Worker:
    """Pipes to the worker's processes, and which of them are alive: `snapshot`, then `head`."""

    orders: int
    reports: int
    output: int
    head: int
    snapshot: int | None = None
    snapshot_cell: int = 0
    fresh: bool = True
    """Whether no cell has ended in it yet, so that a new worker is as good as a snapshot."""
    reader: FrameReader = field(default_factory=protocol.reports)


def drain(descriptor: int, output: OutputBuffer | None = None) -> None:
    """Read what lies in a pipe, into `output` where that is given."""
    if descriptor == NONE:
        return
    with contextlib.suppress(BlockingIOError):
        for _ in range(64):  # More than a pipe holds: whoever still writes does not hold us up.
            if not (data := os.read(descriptor, 1 << 18)):
                break
            if output is not None:
                output.feed(data)

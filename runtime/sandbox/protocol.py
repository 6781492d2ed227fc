"""Frames between the processes of the sandbox: a length, then JSON.

Never pickle, which runs what it reads.

Both sides cap the length before they allocate. A frame that breaks the rules is a `ProtocolError`, after which the
reader gives the channel up: there is nothing to resynchronise with when the other side may be hostile.

The worker is new in each cell, and what it touches is copied first, a page at a time. So it is spared the JSON library:
its orders are a number and the code, and it writes its reports as the text that they are.
"""

from __future__ import annotations

import array
import json
import os
import select
import socket
import struct
import time
from typing import Any

MAX_CODE = 1_000_000
"""Characters of source in one cell; a model writes a thousand. Beyond this, parsing alone would eat the time limit."""
MAX_ORDER = 16 * MAX_CODE
"""Bytes of a frame towards the worker: JSON may need twelve bytes for one character."""
INTERRUPTED = "the cell was interrupted"
"""Notice of a cell that was stopped on request."""
MAX_IMAGES = 8
MAX_IMAGE = 4 << 20
"""Bytes of one PNG."""
MAX_IMAGES_TOTAL = 10 << 20
"""Bytes of all PNGs of a cell."""
MAX_REPORT = 14 << 20
"""Bytes of a frame from the worker: base64 of all images and some. Reading one takes the supervisor four times that."""
MAX_REPORT_ITEMS = 256
"""Commas and brackets of a frame from the worker, which base64 does not have: a frame of nothing but empty lists would
take fifty times its size to hold."""
_MAX_DIGITS = 20
"""Digits of an integer in a frame. Longer ones take time that grows with the square of their length."""

# In the worker, user code may replace anything in these modules.
_dumps, _read, _write, _poll = json.dumps, os.read, os.write, select.poll
_HEADER, _ORDER = struct.Struct("!I"), struct.Struct("!II?")
_header, _read_header = _HEADER.pack, _ORDER.unpack
HEADER_SIZE = _HEADER.size


class ProtocolError(Exception):
    """The other side sent something that is not a frame."""


def pack(message: dict[str, Any]) -> bytes:
    """One frame."""
    # ASCII escapes carry lone surrogates, which UTF-8 cannot.
    body = _dumps(message, ensure_ascii=True, separators=(",", ":")).encode("ascii")
    return _HEADER.pack(len(body)) + body


class FrameReader:
    """Collects bytes and hands out whole frames."""

    def __init__(self, cap: int, items: int | None = None) -> None:
        self.cap, self.items = cap, items
        self._buffer = bytearray()

    def feed(self, data: bytes) -> None:
        """Add bytes as they arrived."""
        self._buffer += data

    def next(self) -> dict[str, Any] | None:
        """The next frame, None where it has not arrived whole.

        Raises:
            ProtocolError: too long, not ASCII, too many items, not valid JSON, not an object.
        """
        if len(self._buffer) < HEADER_SIZE:
            return None
        (length,) = _HEADER.unpack_from(self._buffer)
        if length > self.cap:
            raise ProtocolError(f"a frame of {length} bytes, over the cap of {self.cap}")
        if len(self._buffer) < HEADER_SIZE + length:
            return None
        body = self._buffer[HEADER_SIZE : HEADER_SIZE + length]
        del self._buffer[: HEADER_SIZE + length]
        if not body.isascii():  # Ours are; one other character makes a text four times as large.
            raise ProtocolError("a frame that is not ASCII")
        if self.items is not None and sum(map(body.count, (b",", b"[", b"{"))) > self.items:
            raise ProtocolError(f"a frame of more than {self.items} items")
        try:
            message = json.loads(body, parse_int=_integer)
        except (ValueError, RecursionError) as error:
            raise ProtocolError(f"a frame that is not valid JSON: {error}") from None
        if not isinstance(message, dict):
            raise ProtocolError("a frame that is not an object")
        return message


def reports() -> FrameReader:
    """For what comes from the worker, where user code may write whatever it likes."""
    return FrameReader(MAX_REPORT, MAX_REPORT_ITEMS)


def _integer(digits: str) -> int:
    if len(digits) > _MAX_DIGITS:
        raise ValueError(f"an integer of {len(digits)} digits")
    return int(digits)


def cell_order(number: int, code: str) -> bytes:
    """For the worker: run cell `number`."""
    body = code.encode("utf-8", "surrogatepass")
    return _ORDER.pack(len(body), number, True) + body


def snapshot_order(number: int) -> bytes:
    """For the worker: take the snapshot for cell `number` in advance."""
    return _ORDER.pack(0, number, False)


def read_order(descriptor: int) -> tuple[int, str | None] | None:
    """The next order, whole: the cell's number, and its code unless only a snapshot is wanted.

    None at the end. Reads not a byte beyond it: what follows may be another's to read.

    Raises:
        ProtocolError: too long to be an order.
    """
    header = _read(descriptor, _ORDER.size)
    if len(header) < _ORDER.size:
        header += _read_exactly(descriptor, _ORDER.size - len(header)) or b"" if header else b""
        if len(header) < _ORDER.size:
            return None
    length, number, has_code = _read_header(header)
    if length > MAX_ORDER:
        raise ProtocolError(f"an order of {length} bytes, over the cap of {MAX_ORDER}")
    body = _read(descriptor, length) if length else b""
    if len(body) < length:
        rest = _read_exactly(descriptor, length - len(body))
        if rest is None:
            return None
        body += rest
    return number, body.decode("utf-8", "surrogatepass") if has_code else None


def report(event: bytes, number: int, more: bytes = b"") -> bytes:
    """A frame that the worker writes. `more` is JSON's text of further members, each after a comma."""
    body = b'{"event":"%b","n":%d%b}' % (event, number, more)
    return _header(len(body)) + body


def read_frame(descriptor: int, cap: int) -> dict[str, Any] | None:
    """Read exactly one frame from a blocking descriptor; None at its end."""
    header = _read_exactly(descriptor, HEADER_SIZE)
    if header is None:
        return None
    (length,) = _HEADER.unpack(header)
    if length > cap:
        raise ProtocolError(f"a frame of {length} bytes, over the cap of {cap}")
    reader = FrameReader(cap)
    reader.feed(header)
    body = _read_exactly(descriptor, length)
    if body is None:
        return None
    reader.feed(body)
    return reader.next()


def _read_exactly(descriptor: int, count: int) -> bytes | None:
    data = bytearray()
    while len(data) < count:
        piece = _read(descriptor, min(count - len(data), 1 << 20))
        if not piece:
            return None
        data += piece
    return bytes(data)


def write_all(descriptor: int, data: bytes, timeout: float | None = None) -> None:
    """Write all of `data`; with a `timeout` in seconds the descriptor must be non-blocking.

    Raises:
        TimeoutError: the other side did not read in time.
        OSError: it is gone.
    """
    view = memoryview(data)
    deadline = None if timeout is None else time.monotonic() + timeout
    while view:
        if deadline is not None:
            poller = _poll()
            poller.register(descriptor, select.POLLOUT)
            if not poller.poll(max(0.0, deadline - time.monotonic()) * 1000):
                raise TimeoutError("the other side does not read")
        try:
            view = view[_write(descriptor, view[: 1 << 20]) :]
        except BlockingIOError:
            continue


def receive_request(control: socket.socket) -> tuple[dict[str, Any], list[int]] | None:
    """One request from the app and the descriptors that came with it; None where it hung up."""
    room = socket.CMSG_SPACE(2 * array.array("i").itemsize)
    data, ancillary, _flags, _address = control.recvmsg(1 << 16, room)
    if not data:
        return None
    descriptors = array.array("i")
    for level, kind, payload in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            descriptors.frombytes(payload[: len(payload) - len(payload) % descriptors.itemsize])
    return json.loads(data), list(descriptors)

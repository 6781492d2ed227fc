"""Bounds on connections: how many there may be, and how long one may stay silent."""

from __future__ import annotations

import asyncio
import json

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

MOST_CONNECTIONS = 128
"""Open at once; a request over a further one is refused, and beyond twice as many none is taken."""
SILENT_SECONDS = 60.0
"""For the head of a request to come; uvicorn bounds only the pause after an answer."""


class BoundedProtocol(H11Protocol):
    """One connection, given up where its client sends no request."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take a connection, or end it at once where there are far too many."""
        super().connection_made(transport)
        if len(self.connections) > 2 * MOST_CONNECTIONS:
            transport.abort()
            return
        self._begin_silence()

    def data_received(self, data: bytes) -> None:
        """Take bytes; as long as they are no whole head of a request, the silence goes on."""
        super().data_received(data)
        if self.conn.their_state is h11.IDLE and not self.transport.is_closing():
            self._begin_silence()

    def eof_received(self) -> None:
        """Answer a request that its client ended before its announced length, or in its head."""
        begun = self.conn.their_state is h11.IDLE and self.conn.trailing_data[0]
        if (begun or self.conn.their_state is h11.SEND_BODY) and self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            self.send_400_response("the request ended before it was whole")

    def _begin_silence(self) -> None:
        if self.timeout_keep_alive_task is None:
            self.timeout_keep_alive_task = self.loop.call_later(SILENT_SECONDS, self.timeout_keep_alive_handler)

    def send_400_response(self, msg: str) -> None:
        """Answer what is not HTTP in the shape of all our errors, and end the connection."""
        error = {"message": msg, "type": "invalid_request_error", "param": None, "code": None}
        data = json.dumps({"error": error}).encode()
        headers = [
            ("content-type", "application/json"), ("content-length", str(len(data))), ("connection", "close"),
        ]  # fmt: skip
        for part in (h11.Response(status_code=400, headers=headers), h11.Data(data=data), h11.EndOfMessage()):
            self.transport.write(self.conn.send(part) or b"")
        self.transport.close()

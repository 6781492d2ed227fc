"""Keeping the head and the tail of an endless output in constant memory."""

from __future__ import annotations

_CONTINUATION = bytes(range(0x80, 0xC0))


class OutputBuffer:
    """Takes bytes, gives at most `limit` characters: the first two thirds and the last third."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._head_chars = limit * 2 // 3
        self._tail_chars = limit - self._head_chars
        self._all = bytearray()
        self._tail = bytearray()
        self._skipped = 0

    def feed(self, data: bytes) -> None:
        """Add output as it arrived."""
        # A character has at most four bytes, so this much of each end is always enough.
        room = self.limit * 4 - len(self._all)
        if room > 0:
            self._all += data[:room]
            data = data[room:]
        if data:
            self._tail += data
            excess = len(self._tail) - self.limit * 8
            if excess > 0:
                cut = excess + self.limit * 4
                self._skipped += _characters(self._tail[:cut])
                del self._tail[:cut]

    def text(self) -> tuple[str, int]:
        """The output decoded, and how many characters were left out of it."""
        if not self._skipped:
            text = (self._all + self._tail).decode("utf-8", "replace")
            if len(text) <= self.limit:
                return text, 0
            left_out = len(text) - self.limit
            return self._join(text, text, left_out), left_out
        head, tail = self._all.decode("utf-8", "replace"), self._tail.decode("utf-8", "replace")
        left_out = len(head) - self._head_chars + self._skipped + len(tail) - self._tail_chars
        return self._join(head, tail, left_out), left_out

    def _join(self, head: str, tail: str, left_out: int) -> str:
        return f"{head[: self._head_chars]}\n[... {left_out} characters left out ...]\n{tail[-self._tail_chars :]}"


def _characters(data: bytes | bytearray) -> int:
    return len(data.translate(None, _CONTINUATION))

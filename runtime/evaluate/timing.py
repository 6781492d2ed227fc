"""Where a solution's time goes: an engine that tells its decodes apart, and energy counters.

One solution at a time: in a batch a decode serves several, and its time belongs to none of them.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from runtime.engine import Engine, TokenSequence

PARTS = ("prompt", "decode", "cell", "feed", "wait")
"""prompt: reading the question; decode: writing; cell: running code; feed: reading results; wait: everything else, as
starting a session or asking a server."""
RAPL = Path("/sys/class/powercap")


class TimedEngine:
    """An engine whose decoders add up seconds by part; everything else is the engine's own."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.seconds = {"prompt": 0.0, "decode": 0.0, "feed": 0.0}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)

    def open(self, sequences: int) -> Any:
        """A decoder that counts."""
        return _TimedDecoder(self._engine.open(sequences), self.seconds)

    def take(self) -> dict[str, float]:
        """The seconds since the last call."""
        taken = dict(self.seconds)
        for part in self.seconds:
            self.seconds[part] = 0.0
        return taken


class _TimedDecoder:
    def __init__(self, decoder: Any, seconds: dict[str, float]) -> None:
        self._decoder, self._seconds = decoder, seconds
        self._reading = "decode"

    def __getattr__(self, name: str) -> Any:
        return getattr(self._decoder, name)

    def start(self, *args: Any, **kwargs: Any) -> TokenSequence:
        """The prompt is read by the steps that follow, until a token is drawn."""
        sequence: TokenSequence = self._decoder.start(*args, **kwargs)
        self._reading = "prompt"
        return sequence

    def feed(self, sequence: TokenSequence, segments: Iterable[Any]) -> int:
        """Whatever is fed is read by the steps that follow."""
        count: int = self._decoder.feed(sequence, segments)
        if count:
            self._reading = "feed"
        return count

    def step(self, sequences: Sequence[TokenSequence]) -> Any:
        """One step, its seconds on the account of what was pending."""
        begun = time.perf_counter()
        drawn = self._decoder.step(sequences)
        self._seconds[self._reading] += time.perf_counter() - begun
        if drawn:
            self._reading = "decode"
        return drawn


class Energy:
    """The energy that the processor's packages have used, as Linux tells it (RAPL, `energy_uj`).

    It is that of the whole machine, whatever else runs on it.
    """

    def __init__(self, root: Path = RAPL) -> None:
        self._packages = []
        for counter in sorted(root.glob("intel-rapl:[0-9]*/energy_uj")):
            if counter.parent.name.count(":") != 1:
                continue  # a part of a package, counted there
            try:
                largest = int((counter.parent / "max_energy_range_uj").read_text(encoding="ascii"))
                self._packages.append((counter, largest, int(counter.read_text(encoding="ascii"))))
            except (OSError, ValueError):
                continue  # only root may read it on most systems

    @property
    def is_known(self) -> bool:
        """Whether this machine says anything."""
        return bool(self._packages)

    def take(self) -> float | None:
        """Joules since the last call; None where the machine does not say."""
        if not self._packages:
            return None
        used, packages = 0, []
        for counter, largest, before in self._packages:
            try:
                now = int(counter.read_text(encoding="ascii"))
            except (OSError, ValueError):
                return None
            used += now - before if now >= before else now + largest - before  # the counter begins again at its end
            packages.append((counter, largest, now))
        self._packages = packages
        return used / 1e6

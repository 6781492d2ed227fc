"""Engines: where the next token comes from.

`load` gives one; `protocol` says what all of them promise.
"""

from runtime.engine.load import load
from runtime.engine.protocol import (
    ENDED,
    TEXT_ONLY,
    About,
    ContextFullError,
    Decoder,
    Drawn,
    Engine,
    SequenceError,
    StoppedError,
    TokenSequence,
    Vocabulary,
)

__all__ = [
    "ENDED",
    "TEXT_ONLY",
    "About",
    "ContextFullError",
    "Decoder",
    "Drawn",
    "Engine",
    "SequenceError",
    "StoppedError",
    "TokenSequence",
    "Vocabulary",
    "load",
]

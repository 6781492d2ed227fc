"""A chat with a scripted engine, for tests in a pseudo-terminal: `python chat_program.py FOLDER`."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from runtime.chat.app import ChatOptions, chat
from runtime.chat.log import newest, read_log
from runtime.engine import Drawn, StoppedError, TokenSequence
from runtime.engine.scripted import ByteVocabulary, ReplayDecoder, ReplayEngine
from runtime.lce import Block
from runtime.sandbox import Limits
from runtime.settings import SolverSettings


def _text(content: str) -> Block:
    return Block("text", content)


def _code(content: str) -> Block:
    return Block("code", content)


SCRIPTS: dict[str, list[Block]] = {
    "sum": [_text("We add $12$ and \\(30\\)."), _code("total = 12 + 30\ntotal"), _text("So \\boxed{42}."), _text("42")],
    "double": [_text("Use the variable."), _code("total * 2"), _text("84")],
    "forever": [_text("Loop."), _code("import time\nwhile True: time.sleep(0.01)"), _text("never")],
    "endless": [_text("word " * 20_000), _text("never")],
    "hostile": [_text("Print."), _code(r"print('\x1b[31mRED\x1b[0m\x1b]0;owned\x07 \x9b31m done')"), _text("1")],
    "guess": [_text("We compute."), _code("2 + 3"), _text("So \\boxed{812}."), _text("812")],
    "plot": [
        _text("Draw."),
        _code("import matplotlib.pyplot as plt\nplt.plot([1, 3, 2])\nplt.show()"),
        _text("2"),
    ],
}


def script(question: str) -> list[Block]:
    """What the engine writes: the first script whose name stands in the question, else the question."""
    for name, blocks in SCRIPTS.items():
        if name in question:
            return blocks
    return [_text(f"You asked {question!r}."), _text("7")]


class PacedEngine(ReplayEngine):
    """Draws as fast as a small model on a laptop, and stops when asked to, as llama.cpp does."""

    def open(self, slots: int = 1) -> ReplayDecoder:
        decoder: Any = super().open(slots)
        plain = decoder.step

        def step(sequences: Sequence[TokenSequence]) -> list[Drawn]:
            time.sleep(0.0005)
            if self.stop_flag.is_set():
                raise StoppedError("stopped")
            return plain(sequences)

        decoder.step = step
        return decoder


class WithoutControlTokens(ByteVocabulary):
    """The vocabulary of a model that knows no dialect of ours."""

    def control_id(self, name: str) -> int | None:  # noqa: ARG002
        return None


def option(name: str, default: str) -> str:
    """The word after `name` on the command line."""
    return sys.argv[sys.argv.index(name) + 1] if name in sys.argv else default


def main() -> int:
    """Chat, keeping everything in the folder given on the command line."""
    folder = Path(sys.argv[1])
    chats = folder / "chats"
    resume = None
    if "--resume" in sys.argv:
        found = newest(chats)
        assert found is not None
        resume = read_log(found)
    n_ctx = int(option("--n-ctx", "65536"))

    def load(path: Path) -> PacedEngine:
        vocabulary = WithoutControlTokens() if path.name == "foreign.gguf" else ByteVocabulary()
        return PacedEngine(script, vocabulary=vocabulary, n_ctx=n_ctx)

    return chat(
        ChatOptions(
            model=folder / "scripted.gguf",
            load=load,
            settings=SolverSettings(dialect="lce"),
            limits=Limits(cell_seconds=60),  # tests may run beside much else
            history=Path(option("--history", str(folder / "history"))),
            log=Path(option("--log", str(chats / f"{time.time_ns()}.jsonl"))),
            examples=lambda _path: ["What is the sum?", "Double it."] if "--examples" in sys.argv else [],
            resume=resume,
            images_folder=None if "--private" in sys.argv else folder / "figures",
        )
    )


if __name__ == "__main__":
    sys.exit(main())

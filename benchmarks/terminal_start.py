"""How long does a person wait for the terminal? Three medians of five, in a real pseudo-terminal:

    python benchmarks/terminal_start.py [--runs 5]

1. `mathcoder --help`, from the start of the process to its end: at most 0.3 s.
2. `mathcoder chat`, from the start of the process to the prompt, with a model that takes no time to load (a scripted
   engine in place of llama.cpp): under 0.7 s. That is the chat's own share of a start.
3. The first letter of a solution on the screen after the engine has drawn it: at most 150 ms. This is taken on the
   first question of a fresh chat, when nothing has been drawn yet, and on the second.

`--profile` prints the slowest imports of both starts instead. Exit code 1 where a target is missed.
"""

from __future__ import annotations

import argparse
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from figures import RESULTS, ROOT, Figures

PATIENCE = 120.0
WORDS = "Zebras count every stripe before they answer."
"""What the scripted engine writes; the questions have none of its letters in this order."""
PROMPT = "›"


def scripted_chat(log: Path) -> int:
    """`mathcoder chat` with a scripted engine; `log` gets the time of its first letter."""
    import recipes.cli.solving as solving
    from recipes.cli import main

    def load_engine(*_: Any) -> Any:
        import runtime.engine.scripted as replay
        from runtime.engine.scripted import ReplayEngine
        from runtime.lce import Block

        # The scripted engine takes llama.cpp's flag to stop, and loading llama.cpp belongs to loading a model.
        replay.StopFlag = Flag  # type: ignore[misc, assignment]

        class Engine(ReplayEngine):
            """Notes when it draws the first token that a person can see."""

            def open(self, slots: int = 1) -> Any:
                decoder: Any = super().open(slots)
                plain, seen = decoder.step, [False]

                def step(sequences: Any) -> Any:
                    time.sleep(0.002)  # a small model on a laptop
                    drawn = plain(sequences)
                    if not seen[0] and any(item.piece.strip() == b"Z" for item in drawn):
                        seen[0] = True
                        with log.open("a") as handle:
                            handle.write(f"{time.monotonic()}\n")
                    return drawn

                decoder.step = step
                start = decoder.start

                def begin(*words: Any, **more: Any) -> Any:
                    seen[0] = False
                    return start(*words, **more)

                decoder.start = begin
                return decoder

        return Engine(lambda _question: [Block("text", WORDS * 3), Block("text", "7")], n_ctx=8192)

    solving.load_engine = load_engine
    return main(["chat", "nano", "--private"])


class Flag:
    """A flag to stop, as `runtime.engine.interrupt.StopFlag`."""

    def __init__(self) -> None:
        self.set_, self.callback = False, None

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(name)

    def set(self) -> None:
        self.set_ = True

    def clear(self) -> None:
        self.set_ = False

    def is_set(self) -> bool:
        return self.set_


def environment(home: Path) -> dict[str, str]:
    kept = {key: value for key, value in os.environ.items() if key in ("PATH", "LANG", "LC_ALL", "LD_LIBRARY_PATH")}
    return {
        **kept, "HOME": str(home), "TERM": "xterm-256color", "PYTHONPATH": str(ROOT), "PYTHONUTF8": "1",
        "PROMPT_TOOLKIT_NO_CPR": "1",
    }  # fmt: skip


def help_seconds(home: Path) -> float:
    begun = time.monotonic()
    subprocess.run([sys.executable, "-m", "recipes", "--help"], env=environment(home), check=True, capture_output=True)
    return time.monotonic() - begun


class Watched:
    """A chat in a pseudo-terminal, read as soon as there is something."""

    def __init__(self, home: Path) -> None:
        import pexpect

        self.log = home / "drawn.txt"
        self.log.unlink(missing_ok=True)
        self.begun = time.monotonic()
        self.child: Any = pexpect.spawn(
            sys.executable, [__file__, "--chat", str(self.log)], env=environment(home), cwd=str(home),
            dimensions=(40, 80), encoding="utf-8",
        )  # fmt: skip

    def seconds_until(self, pattern: str) -> float:
        """`time.monotonic()` at which `pattern` had been written to the terminal."""
        import pexpect

        text = ""
        while not re.search(pattern, text):
            if time.monotonic() - self.begun > PATIENCE:
                raise SystemExit(f"{pattern!r} did not come:\n{text[-2000:]}")
            try:
                text += self.child.read_nonblocking(65536, timeout=0.05)
            except pexpect.TIMEOUT:
                continue
            except pexpect.EOF:
                raise SystemExit(f"the chat ended before {pattern!r}:\n{text[-2000:]}") from None
        return time.monotonic()

    def settle(self) -> None:
        import pexpect

        try:
            while True:
                self.child.read_nonblocking(65536, timeout=0.5)
        except pexpect.TIMEOUT:
            pass

    def first_token(self) -> float:
        """Seconds from the engine's first letter to the screen's, for one question."""
        self.settle()
        before = len(self.log.read_text().split()) if self.log.exists() else 0
        self.child.send("how many?\r")
        shown = self.seconds_until("Z")
        drawn = self.log.read_text().split()
        self.seconds_until(r"answer")
        return shown - float(drawn[before])


def measure(runs: int) -> int:
    figures = Figures("terminal_start")
    with tempfile.TemporaryDirectory() as name:
        home = Path(name)
        help_seconds(home)  # the first one reads Python's files from the disk
        helps, starts, first, second = [], [], [], []
        for _ in range(runs):
            helps.append(help_seconds(home))
            chat = Watched(home)
            starts.append(chat.seconds_until(PROMPT) - chat.begun)
            first.append(chat.first_token())
            second.append(chat.first_token())
            chat.child.close(force=True)
    for title, values in (
        ("help_seconds", helps), ("start_seconds", starts), ("first_token_seconds", first),
        ("second_question_seconds", second),
    ):  # fmt: skip
        figures.details[title] = [round(value, 4) for value in values]
    figures.add("mathcoder --help", statistics.median(helps), at_most=0.3, unit="s")
    figures.add("start of a chat without its model", statistics.median(starts), below=0.7, unit="s")
    figures.add("first token, first question", 1000 * statistics.median(first), at_most=150, unit="ms")
    figures.add("first token, second question", 1000 * statistics.median(second), at_most=150, unit="ms")
    return figures.finish(RESULTS / "terminal_start.json" if runs >= 5 else None)


def profile() -> int:
    """Print the slowest imports of `--help` and of a chat that is left at once."""
    with tempfile.TemporaryDirectory() as name:
        home = Path(name)
        for title, words, given in (
            ("mathcoder --help", ["-m", "recipes", "--help"], None),
            ("mathcoder chat", [__file__, "--chat", str(home / "log")], "/quit\n"),
        ):
            done = subprocess.run(
                [sys.executable, "-X", "importtime", *words], env=environment(home), cwd=home, input=given,
                capture_output=True, text=True, check=False,
            )  # fmt: skip
            found = re.findall(r"import time: +(\d+) \| +(\d+) \|( +)(\S+)", done.stderr)
            print(f"\n{title}: {len(found)} modules, {sum(int(own) for own, *_ in found) / 1000:.0f} ms; cumulated")
            top = sorted(found, key=lambda item: -int(item[1]))[:25]
            for own, total, _, module in top:
                print(f"  {int(total) / 1000:8.1f} ms  (itself {int(own) / 1000:6.1f})  {module}")
    return 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--profile", action="store_true", help="print the slowest imports instead")
    parser.add_argument("--chat", type=Path, metavar="LOG", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.chat is not None:
        return scripted_chat(arguments.chat)
    return profile() if arguments.profile else measure(arguments.runs)


if __name__ == "__main__":
    sys.exit(main())

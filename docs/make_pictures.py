"""The pictures of docs/pictures, made from real runs in a real pseudo-terminal.

    python docs/make_pictures.py [NAME ...] [--columns 60 80 120] [--out docs/pictures] [--png]

Each picture is one command of `mathcoder`, run with the packaged nano model in an empty home folder; what it puts on
the screen, colours included, is written as SVG for a dark and for a light page. Nothing is drawn by hand and nothing
is left out; only the repository is called ~/mathcoder and the kernel has its bare version. A chat is asked problems of
the kinds the model was made for, and the first one that it solves is the picture; where it solves none of them, or
where a picture would show another path of this machine, the script fails.

Needs the dev extra (pexpect, pyte). `--png` also writes PNG files, to look at, and needs cairosvg.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import functools
import json
import os
import platform
import re
import shutil
import socket
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from docs.screen_as_svg import svg  # noqa: E402

ROWS = 300
"""Lines of the pretended screen: nothing scrolls away."""
KERNEL = platform.release()
PATIENCE = 900.0
"""Seconds for one step: a machine may be busy with other things."""
LARGEST = 150_000
"""Bytes of one picture."""


@dataclasses.dataclass(frozen=True)
class Picture:
    """One screen.

    Attributes:
        words: what follows `mathcoder`.
        columns: width of the terminal.
        shown: the command line in the title, where it differs.
    """

    words: tuple[str, ...]
    columns: int = 80
    shown: str = ""


PICTURES = {
    "help": Picture(("--help",), 100),
    "doctor": Picture(("doctor",), 100),
    "chat": Picture(("chat", "nano", "--private"), 80, "mathcoder chat nano"),
    "eval": Picture(("eval", "nano", "--data", "problems.jsonl", "--out", "runs/eval"), 100),
    "data-check": Picture(("data", "check", "rows.jsonl"), 100),
}


class Terminal:
    """A command in a pseudo-terminal and the screen it paints."""

    def __init__(self, words: list[str], columns: int, folder: Path, **more: str) -> None:
        import pexpect
        import pyte

        class Screen(pyte.Screen):
            """pyte knows no faint text (SGR 2). It is kept as blinking text, which nothing here uses."""

            def select_graphic_rendition(self, *codes: int) -> None:
                mapped: list[int] = []
                rest = list(codes)
                while rest:
                    code = rest.pop(0)
                    if code in (38, 48):  # a colour follows, whose numbers are no attributes
                        count = 4 if rest[:1] == [2] else 2
                        mapped += [code, *rest[:count]]
                        rest = rest[count:]
                    else:
                        mapped += [5] if code == 2 else [22, 25] if code == 22 else [code]
                super().select_graphic_rendition(*mapped)

        self.screen = Screen(columns, ROWS)
        self.stream = pyte.Stream(self.screen)
        kept = {k: v for k, v in os.environ.items() if k in ("PATH", "LANG", "LC_ALL", "LD_LIBRARY_PATH")}
        env = {
            **kept, "HOME": str(folder / "home"), "TERM": "xterm-256color", "PYTHONPATH": str(ROOT),
            "PROMPT_TOOLKIT_NO_CPR": "1", "PYTHONUTF8": "1", **more,
        }  # fmt: skip
        home = folder / "home"
        self.child: Any = pexpect.spawn(
            sys.executable, ["-m", "recipes", *words], env=env, cwd=str(home / "maths"),
            dimensions=(ROWS, columns), encoding="utf-8", timeout=PATIENCE,
        )  # fmt: skip

    def read(self, seconds: float = 0.1) -> bool:
        """Take what comes; False at the end."""
        import pexpect

        try:
            data = self.child.read_nonblocking(65536, timeout=seconds)
            # What is not as it was: where the repository lies here, and whose build of the kernel this is.
            data = data.replace(str(ROOT), "~/mathcoder").replace(KERNEL, KERNEL.partition("-")[0])
            self.stream.feed(data)
        except pexpect.TIMEOUT:
            return True
        except pexpect.EOF:
            return False
        return True

    @property
    def text(self) -> str:
        return "\n".join(line.rstrip() for line in self.screen.display).rstrip()

    def wait_for(self, pattern: str) -> str:
        end = time.monotonic() + PATIENCE
        while not re.search(pattern, self.text):
            if not self.read() or time.monotonic() > end:
                raise SystemExit(f"{pattern!r} did not come; the screen shows:\n{self.text}")
        return self.text

    def settle(self, seconds: float = 0.7) -> None:
        """Wait until nothing more comes."""
        before, since = "", time.monotonic()
        while time.monotonic() - since < seconds:
            if not self.read():
                return
            if self.text != before:
                before, since = self.text, time.monotonic()

    def to_end(self) -> None:
        end = time.monotonic() + PATIENCE
        while self.read():
            if time.monotonic() > end:
                raise SystemExit(f"no end after {PATIENCE:.0f} s; the screen shows:\n{self.text}")

    def close(self) -> None:
        self.child.close(force=True)


# The runs


def run(name: str, picture: Picture, folder: Path, theme: str) -> Terminal:
    """Run the command of a picture and return its last screen."""
    make_files(picture.words, folder / "home" / "maths")
    background = {"COLORFGBG": "0;15" if theme == "light" else "15;0"}
    if "nano" in picture.words:
        # So small a model is as fast on one thread, and on a busy machine several would wait for each other.
        background["MATHCODER_THREADS"] = "1"
    if name == "chat":
        return chat(picture, folder, background)
    terminal = Terminal(list(picture.words), picture.columns, folder, **background)
    terminal.to_end()
    terminal.child.close()
    # 1: the rows of `data check` have faults that were put there. 2 would be the picture of a mistake.
    if terminal.child.exitstatus not in (0, 1):
        raise SystemExit(f"{' '.join(picture.words)} ended with {terminal.child.exitstatus}:\n{terminal.text}")
    return terminal


def chat(picture: Picture, folder: Path, background: dict[str, str]) -> Terminal:
    """A question and `/vars`, for the first of the problems that the model solves."""
    for question, gold in problems():
        terminal = Terminal(list(picture.words), picture.columns, folder, **background)
        terminal.wait_for(r"Ctrl-D leaves\.")
        terminal.settle()
        terminal.child.send(f"{question}\r")
        terminal.wait_for(r"(?m)^(\d+ min )?[\d.]+ m?s(, \d+ cells?)?$")
        terminal.settle()
        blocks = [word for word in ("code", "execution", "answer") if re.search(rf"╭─ {word}", terminal.text)]
        if len(blocks) == 3 and re.search(rf"╭─ answer.*\n│ {re.escape(gold)} *│", terminal.text):
            terminal.child.send("/vars\r")
            terminal.wait_for(r"name +type +value")
            terminal.settle()
            return terminal
        print(f"  not solved, the next one: {question}", file=sys.stderr)
        terminal.close()
    raise SystemExit("the packaged model solves none of the problems of the picture")


@functools.cache
def problems() -> tuple[tuple[str, str], ...]:
    """Held-out problems of the packaged model's kinds, a few of each, with answers that are plain numbers."""
    from recipes.nano.problems import held_out

    drawn = [p for p in held_out("numbers", 60, seed=4) if re.fullmatch(r"\d+", p.gold) and len(p.question) < 240]
    return tuple((" ".join(p.question.split()), p.gold) for p in drawn)


@contextlib.contextmanager
def prepared() -> Iterator[Path]:
    """A folder with an empty home and in it a working folder."""
    with tempfile.TemporaryDirectory(prefix="pictures-") as name:
        folder = Path(name)
        (folder / "home" / "maths").mkdir(parents=True)
        yield folder


def make_files(words: tuple[str, ...], work: Path) -> None:
    """Write those of the files a picture's command names that are not there yet."""
    if not {"problems.jsonl", "rows.jsonl"} & set(words):
        return
    from recipes.data.rows import write_lines
    from recipes.nano.problems import held_out
    from recipes.nano.rows import execute_in_sandbox

    if "problems.jsonl" in words and not (work / "problems.jsonl").exists():
        drawn = enumerate(held_out("numbers", 30, seed=8))
        lines = [{"id": f"n{index}", "question": p.question, "gold": p.gold} for index, p in drawn]
        write_lines(work / "problems.jsonl", lines)
    if "rows.jsonl" in words and not (work / "rows.jsonl").exists():
        rows = [p.row_of(p.blocks(execute_in_sandbox)) for p in held_out("numbers", 48, seed=9)]
        # Two faults, so that the report has something to say: a wrong result, and an answer that no code gave.
        first, second = rows[17]["messages"][-1]["content"], rows[40]["messages"][-1]["content"]
        next(block for block in first if block["type"] == "execution")["content"] = "1234567"
        second[-1]["content"] = "7654321"
        write_lines(work / "rows.jsonl", rows)


def private_words(folder: Path) -> list[str]:
    """What must not stand in a picture."""
    return [str(ROOT), str(folder), str(Path.home()), sys.prefix, socket.gethostname()]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("names", nargs="*", choices=[[], *PICTURES], metavar="NAME", help=", ".join(PICTURES))
    parser.add_argument("--columns", type=int, nargs="+", help="widths; by default one for each picture")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "pictures")
    parser.add_argument("--png", action="store_true", help="also PNG files")
    parser.add_argument("--themes", nargs="+", default=["dark", "light"], choices=["dark", "light"])
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    bad = 0
    with prepared() as folder:
        for name in arguments.names or PICTURES:
            for columns in arguments.columns or [PICTURES[name].columns]:
                picture = dataclasses.replace(PICTURES[name], columns=columns)
                for theme in arguments.themes:
                    bad += draw(name, picture, folder, theme, arguments)
    return 1 if bad else 0


def draw(name: str, picture: Picture, folder: Path, theme: str, arguments: argparse.Namespace) -> int:
    for leftover in ("runs", "results"):
        shutil.rmtree(folder / "home" / "maths" / leftover, ignore_errors=True)
    terminal = run(name, picture, folder, theme)
    terminal.close()
    text = terminal.text
    title = picture.shown or " ".join(["mathcoder", *picture.words])
    content = svg(terminal.screen, title, theme)
    width = f"-{picture.columns}" if arguments.columns else ""
    target = arguments.out / f"{name}{width}-{theme}.svg"
    shown = [word for word in private_words(folder) if word in text]
    if shown or len(content.encode()) > LARGEST:
        print(f"{target.name}: {f'shows {shown}' if shown else f'{len(content):,} bytes'}\n{text}", file=sys.stderr)
        return 1
    target.write_text(content, encoding="utf-8")
    if arguments.png:
        import cairosvg

        # cairosvg takes the first of the fonts, whether it is there or not.
        plain = content.replace("ui-monospace, SFMono-Regular, Menlo, Consolas, ", "")
        cairosvg.svg2png(bytestring=plain.encode(), write_to=str(target.with_suffix(".png")), scale=1.0)
    print(json.dumps({"picture": target.name, "bytes": len(content.encode()), "lines": text.count("\n") + 1}))
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""IPython's own shell without its kernel: the echo, the pretty printing and the tracebacks the models were trained on.

Imported in the zygote only, once, before any session exists.
"""

from __future__ import annotations

import base64
import contextlib
import io
import os
import sys
from typing import Any

from IPython.core.displayhook import DisplayHook
from IPython.core.displaypub import DisplayPublisher
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config

from .protocol import MAX_IMAGE, MAX_IMAGES


class Streams:
    """The cell's standard streams: two text wrappers on one pipe, unbuffered, so that all writers keep their order."""

    def __init__(self) -> None:
        self.out = self._open(1)
        self.err = self._open(2)

    @staticmethod
    def _open(descriptor: int) -> io.TextIOWrapper:
        raw = io.FileIO(descriptor, "w", closefd=False)
        # `surrogatepass` output is no UTF-8; `backslashreplace` shows a lone surrogate as Jupyter's JSON does.
        return io.TextIOWrapper(raw, encoding="utf-8", errors="backslashreplace", write_through=True)  # type: ignore[arg-type]

    def install(self) -> None:
        """Give `sys` the streams of this process, except where the user's code put its own in place and they work."""
        if self.out.closed:
            self.out = self._open(1)
        if self.err.closed:
            self.err = self._open(2)
        for name, stream in (("stdout", self.out), ("stderr", self.err)):
            current = getattr(sys, name, None)
            if current is None or getattr(current, "closed", False):
                setattr(sys, name, stream)
            setattr(sys, f"__{name}__", stream)


class EchoHook(DisplayHook):
    """Echo as Jupyter does, without `Out[n]: `, and to the cell's output even where `sys.stdout` is something else."""

    def write_output_prompt(self) -> None:
        """No prompt: the echo is the output."""

    def write_format_data(self, format_dict: dict[str, Any], md_dict: Any = None) -> None:
        """Write the plain text; keep an image."""
        self.shell.collect_image(format_dict)
        if "text/plain" in format_dict:
            self.shell.write_out(format_dict["text/plain"] + "\n")

    def finish_displayhook(self) -> None:
        """Nothing was begun."""


class Publisher(DisplayPublisher):
    """`display(...)`: plain text to the output, PNG to the images."""

    def publish(self, data: Any, metadata: Any = None, **_ignored: Any) -> None:
        """Publish one display."""
        self.shell.collect_image(data)
        if "text/plain" in data:
            self.shell.write_out(data["text/plain"] + "\n")

    def clear_output(self, wait: bool = False) -> None:
        """Output that was sent stays."""


class Shell(InteractiveShell):
    """The session's interpreter."""

    displayhook_class = EchoHook
    display_pub_class = Publisher

    def prepare(self) -> None:
        """After a fork: streams of this process, an empty list of images."""
        self.streams = Streams()
        sys.stdout, sys.stderr = self.streams.out, self.streams.err
        sys.__stdout__, sys.__stderr__ = self.streams.out, self.streams.err
        self.images: list[bytes] = []

    def write_out(self, text: str) -> None:
        """Write to the cell's output, wherever `sys.stdout` points."""
        self.streams.out.write(text)

    def collect_image(self, data: Any) -> None:
        """Keep the PNG of a display, decoded, within the caps."""
        image = data.get("image/png")
        if image is None or len(self.images) >= MAX_IMAGES:
            return
        raw = base64.b64decode(image) if isinstance(image, str) else bytes(image)
        if len(raw) <= MAX_IMAGE:
            self.images.append(raw)

    def _showtraceback(self, etype: Any, evalue: Any, stb: Any) -> None:
        self.write_out(self.InteractiveTB.stb2text(stb) + "\n")

    def init_history(self) -> None:
        """Without the thread and the database that IPython would open."""
        super().init_history()

    def init_virtualenv(self) -> None:
        """The environment is the zygote's; IPython has nothing to warn about."""

    def run(self, code: str) -> bool:
        """Run one cell; True where it neither failed to compile nor raised."""
        self.images = []
        self.streams.install()
        result = self.run_cell(code, store_history=True)
        with contextlib.suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
        return bool(result.success)


def build(folder: str) -> Shell:
    """The shell, in a process of one thread; its profile folder goes into `folder`."""
    config = Config()
    config.HistoryManager.enabled = False
    config.HistoryManager.hist_file = ":memory:"
    config.InteractiveShell.colors = "nocolor"
    config.InteractiveShell.xmode = "Context"
    config.InteractiveShell.ipython_dir = os.path.join(folder, "ipython")
    shell: Shell = Shell.instance(config=config)
    return shell

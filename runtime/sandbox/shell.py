"""IPython's own shell without its kernel: the echo, the pretty printing and the tracebacks the models were trained on.

Imported in the zygote only, once, before any session exists.
"""

from __future__ import annotations

import base64
import contextlib
import io
import os
import sys
import types
from typing import Any

from IPython.core.displayhook import DisplayHook
from IPython.core.displaypub import DisplayPublisher
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config

from .protocol import MAX_IMAGE, MAX_IMAGES

_TRACE_END = 20
"""Frames kept at each end of a deep traceback."""
_PIECE = 1 << 16
"""Characters written at once: encoding a huge string whole would need its size again, twice."""


class _Stream(io.TextIOWrapper):
    def write(self, text: str) -> int:
        if not isinstance(text, str) or len(text) <= _PIECE:
            return super().write(text)
        for start in range(0, len(text), _PIECE):
            super().write(text[start : start + _PIECE])
        return len(text)


class Streams:
    """The cell's standard streams: two text wrappers on one pipe, unbuffered, so that all writers keep their order."""

    def __init__(self) -> None:
        self.out = self._open(1)
        self.err = self._open(2)

    @staticmethod
    def _open(descriptor: int) -> io.TextIOWrapper:
        raw = io.FileIO(descriptor, "w", closefd=False)
        # `surrogatepass` output is no UTF-8; `backslashreplace` shows a lone surrogate as Jupyter's JSON does.
        return _Stream(raw, encoding="utf-8", errors="backslashreplace", write_through=True)  # type: ignore[arg-type]

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

    def write_format_data(self, format_dict: dict[str, Any], md_dict: Any = None) -> None:  # noqa: ARG002
        """Write the plain text; keep an image."""
        self.shell.collect_image(format_dict)
        if "text/plain" in format_dict:
            self.shell.write_out(format_dict["text/plain"] + "\n")

    def finish_displayhook(self) -> None:
        """Nothing was begun."""


class Publisher(DisplayPublisher):
    """`display(...)`: plain text to the output, PNG to the images."""

    def publish(self, data: Any, metadata: Any = None, **_ignored: Any) -> None:  # noqa: ARG002
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

    def _showtraceback(self, etype: Any, evalue: Any, stb: Any) -> None:  # noqa: ARG002
        self.write_out(self.InteractiveTB.stb2text(stb) + "\n")

    def showtraceback(self, *arguments: Any, **options: Any) -> None:
        """Show the exception, whatever its own methods do; of an interrupt only where in the cell it struck."""
        kind, value, trace = sys.exc_info()
        if kind is not None and issubclass(kind, KeyboardInterrupt) and trace is not None:
            # The frames inside sympy, say, are many and take longer to format than the time left.
            first = trace.tb_next or trace
            cut = types.TracebackType(None, first.tb_frame, first.tb_lasti, first.tb_lineno)
            options["exc_tuple"], options["tb_offset"] = (kind, value, cut), 0
        _shorten(value)
        try:
            super().showtraceback(*arguments, **options)
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            name = getattr(kind, "__name__", "Exception")
            self.write_out(f"{name}: <its message raised {type(error).__name__}>\n")

    def ask_exit(self) -> None:
        """`exit()` does not end the session: the next cell is still to come."""

    def enable_gui(self, gui: str | None = None) -> None:
        """`%matplotlib inline` asks for this; there is no window system to enable."""

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


def _shorten(error: BaseException | None) -> None:
    """Drop the middle of very deep tracebacks: IPython formats all frames first and then hides the repeated ones.

    A RecursionError of a thousand frames takes it 3 s, half of a cell's time.
    """
    seen = 0
    while error is not None and seen < 8:
        frames = []
        trace = error.__traceback__
        while trace is not None:
            frames.append(trace)
            trace = trace.tb_next
        if len(frames) > 2 * _TRACE_END:
            rest: types.TracebackType | None = frames[-_TRACE_END]
            for frame in reversed(frames[:_TRACE_END]):
                rest = types.TracebackType(rest, frame.tb_frame, frame.tb_lasti, frame.tb_lineno)
            error.__traceback__ = rest
        error = error.__cause__ or error.__context__
        seen += 1


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

"""IPython's shell without its kernel: the echo, printing and tracebacks of the training data.

Imported in the zygote only, once, before any session exists.
"""

from __future__ import annotations

import ast
import base64
import contextlib
import logging
import os
import re
import sys
import types
import warnings
import zlib
from collections.abc import Iterator
from typing import Any

from IPython.core.compilerop import CachingCompiler
from IPython.core.displayhook import DisplayHook
from IPython.core.displaypub import DisplayPublisher
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config

from ..protocol import MAX_IMAGE, MAX_IMAGES, MAX_IMAGES_TOTAL
from .streams import Nowhere, Streams, write

_IPYTHON = re.compile(r"^\s*(?:In ?\[|>>>|[%!?])|\?\s*$|\bawait\b|\basync\b", re.M)
"""What only IPython understands, or what it treats in its own way; a false alarm only costs time."""
_WARNED_OF = re.compile(r"\\|\d\.?[A-Za-z_]")
"""What the parser may warn of by itself, and is not heard: escape sequences, as in LaTeX, and numbers that run into
names. Jupyter with Python 3.9 showed neither as a rule."""
_TRACE_END = 20
"""Frames kept at each end of a deep traceback."""


_crc32 = zlib.crc32  # User code may replace anything in a module.


class EchoHook(DisplayHook):
    """Echo as Jupyter does, without `Out[n]: `, to the cell's output whatever `sys.stdout` is."""

    @property
    def prompt_count(self) -> int:
        """The number of the cell that runs.

        IPython counts on before a cell or after it, depending on its version.
        """
        number: int = self.shell.number
        return number

    def quiet(self) -> bool:
        """Whether a semicolon ends the cell.

        IPython tokenizes it for that, which only a comment makes necessary.
        """
        parsed = self.shell.history_manager.input_hist_parsed
        code = parsed[-1].rstrip() if parsed else ""
        if "#" not in code.rpartition("\n")[2]:
            return bool(code.endswith(";"))
        return ";" in code and bool(super().quiet())

    def compute_format_data(self, result: Any) -> Any:
        """The texts of a value. Of a plain number or string every printer but `repr` would say the same."""
        if type(result) in (int, bool, str):
            return {"text/plain": repr(result)}, {}
        return super().compute_format_data(result)

    def write_output_prompt(self) -> None:
        """No prompt: the echo is the output."""

    def write_format_data(self, format_dict: dict[str, Any], md_dict: Any = None) -> None:  # noqa: ARG002
        """Write the plain text; keep an image."""
        self.shell.collect_image(format_dict)
        if "text/plain" in format_dict:
            self.shell.write_out(format_dict["text/plain"] + "\n")

    def log_output(self, format_dict: Any) -> None:
        """Remember the text for `%history -o`; of the rest, which would make a notebook, nobody does."""
        if "text/plain" in format_dict:
            self.shell.history_manager.output_hist_reprs[self.prompt_count] = format_dict["text/plain"]

    def finish_displayhook(self) -> None:
        """Nothing was begun."""


class Publisher(DisplayPublisher):
    """`display(...)`: plain text to the output, PNG to the images.

    Of what is a picture, only the picture: the released models read `<empty_execution>` after a plot, not its name.
    """

    def publish(self, data: Any, metadata: Any = None, **_ignored: Any) -> None:  # noqa: ARG002
        """Publish one display."""
        self.shell.collect_image(data)
        if "text/plain" in data and "image/png" not in data:
            self.shell.write_out(data["text/plain"] + "\n")

    def clear_output(self, wait: bool = False) -> None:
        """Output that was sent stays."""


class Compiler(CachingCompiler):
    """Names cells as IPython does, without SHA-1, a library that each cell would touch."""

    def get_code_name(self, raw_code: str, transformed_code: str, number: int) -> str:  # noqa: ARG002
        """The name that stands for a file's."""
        return f"<ipython-input-{number}-{_crc32(transformed_code.encode('utf-8', 'surrogatepass')):012x}>"


class Shell(InteractiveShell):
    """The session's interpreter."""

    # IPython has traits here, which tell their observers of each change. There are none, and it takes many steps.
    execution_count: int = 1
    last_execution_succeeded = True
    history_manager: Any = None
    display_formatter: Any = None

    compiler_class = Compiler
    displayhook_class = EchoHook
    display_pub_class = Publisher
    number = 1
    """Of the cell that runs."""

    def prepare(self) -> None:
        """After a fork: streams of this process, an empty list of images."""
        self.streams = Streams()
        sys.stdout, sys.stderr = self.streams.out, self.streams.err
        sys.__dict__.update(__stdout__=self.streams.out, __stderr__=self.streams.err)
        self.images: list[bytes] = []
        # IPython goes into these for each cell. Here nothing but cells runs, so once is enough.
        self.builtin_trap.__enter__()
        self.display_trap.__enter__()

    def write_out(self, text: str) -> None:
        """Write to the cell's output, wherever `sys.stdout` points."""
        write(self.streams.out, text)

    def collect_image(self, data: Any) -> None:
        """Keep the PNG of a display, decoded, within the caps."""
        image = data.get("image/png")
        if image is None or len(self.images) >= MAX_IMAGES:
            return
        raw = base64.b64decode(image) if isinstance(image, str) else bytes(image)
        if len(raw) <= MAX_IMAGE and len(raw) + sum(map(len, self.images)) <= MAX_IMAGES_TOTAL:
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
        except BaseException as error:  # The exception's own `__str__` runs here, and may raise anything.
            name = getattr(kind, "__name__", "Exception")
            self.write_out(f"{name}: <its message raised {type(error).__name__}>\n")

    def passed_through(self) -> list[tuple[type, tuple[str, ...]]]:
        """The methods that every cell goes through."""
        return [
            (type(self), ("run", "_as_python", "_run_python", "_execute", "_trigger", "write_out", "run_code")),
            (type(self.displayhook), ("__call__", "quiet", "compute_format_data", "write_format_data")),
            (type(self.displayhook), ("update_user_ns", "finish_displayhook")),
            (type(self.compile), ("ast_parse", "cache")),
            (type(self.streams), ("install",)),
        ]

    def customs(self) -> tuple[Any, ...]:
        """What a user may set up to change how later cells run; compared, never called."""
        return (
            [list(callbacks) for callbacks in self.events.callbacks.values()],
            list(self.ast_transformers),
            list(self.input_transformers_post),
            list(self.input_transformers_cleanup),
            self.displayhook,
            self.display_pub,
            self.display_formatter,
            self.compile,
            self.history_manager,
            self.builtin_trap,
            self.display_trap,
            self.events,
            self.user_ns,
            "_oh" in self.user_ns,
        )

    def ask_exit(self) -> None:
        """`exit()` does not end the session: the next cell is still to come."""

    def enable_gui(self, gui: str | None = None) -> None:
        """`%matplotlib inline` asks for this; there is no window system to enable."""

    def init_virtualenv(self) -> None:
        """The environment is the zygote's; IPython has nothing to warn about."""

    def run(self, code: str) -> bool:
        """Run one cell; True where it neither failed to compile nor raised."""
        self.images = []
        self.number = self.execution_count
        self.streams.install()
        sys.displayhook = self.displayhook  # whatever the last cell put there
        tree = self._as_python(code)
        ok = bool(self.run_cell(code, store_history=True).success) if tree is None else self._run_python(code, tree)
        with contextlib.suppress(Exception):  # User code may have put anything there.
            sys.stdout.flush()
            sys.stderr.flush()
        return ok

    def _as_python(self, code: str) -> ast.Module | None:
        """The cell's syntax tree where it is Python as it stands; None where IPython has to look at it."""
        if not code or code[0].isspace() or "\r" in code or _IPYTHON.search(code) or self.ast_transformers:
            return None
        quiet = warnings.catch_warnings(action="ignore") if _WARNED_OF.search(code) else contextlib.nullcontext()
        with quiet:
            try:
                return self.compile.ast_parse(code + "\n", filename="<cell>")
            except (SyntaxError, ValueError, OverflowError, MemoryError, RecursionError, Warning):
                # What a parser raises, and warnings that user code has turned into errors: IPython shows them.
                return None

    def _run_python(self, code: str, tree: ast.Module) -> bool:
        """What `run_cell` does with plain Python, on a shorter way.

        After a fork each page of memory that is touched is copied first. `run_cell` touches 900 of them for `x + 1`,
        this 270, and that is most of what a cell costs.
        """
        number: int = self.execution_count
        self.execution_count = number + 1
        self.history_manager.store_inputs(number, code + "\n", code)
        name = str(self.compile.cache(code + "\n", number, raw_code=code))
        self._trigger("pre_execute")
        ok = True
        for part, mode in _parts(tree):
            try:
                compiled = self.compile(part, name, mode)
            except (SyntaxError, OverflowError, ValueError, MemoryError, RecursionError):
                # `return` outside a function, say, which only shows now.
                self.showsyntaxerror()
                ok = False
                break
            if not self._execute(compiled):
                ok = False
                break
        self.last_execution_succeeded = ok
        self._trigger("post_execute")
        self._trigger("post_run_cell", None)
        return ok

    def _execute(self, compiled: types.CodeType) -> bool:
        runner = self.run_code(compiled)
        try:
            runner.send(None)
        except StopIteration as done:
            return not done.value
        raise RuntimeError("plain code waited for something")  # pragma: no cover

    def _trigger(self, event: str, *arguments: Any) -> None:
        if self.events.callbacks[event]:
            self.events.trigger(event, *arguments)

    def _tee(self, channel: str) -> contextlib.AbstractContextManager[None]:  # noqa: ARG002
        """IPython would keep a copy of all output."""
        return contextlib.nullcontext()

    def _format_exception_for_storage(self, exception: BaseException, *_more: Any, **_named: Any) -> dict[str, Any]:
        """IPython would format every traceback a second time, for its history."""
        return {"ename": type(exception).__name__, "evalue": "", "traceback": []}


def _parts(tree: ast.Module) -> Iterator[tuple[ast.AST, str]]:
    """Statements, then the last one by itself where it is an expression to echo."""
    body = tree.body
    echo = bool(body) and isinstance(body[-1], ast.Expr)
    plain = body[:-1] if echo else body
    if plain:
        yield ast.Module(plain, []), "exec"
    if echo:
        yield ast.Interactive(body[-1:]), "single"


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """An exception and those it came of, as far as anybody reads them."""
    for _ in range(8):
        if error is None:
            return
        yield error
        error = error.__cause__ or error.__context__


def _shorten(error: BaseException | None) -> None:
    """Drop the middle of very deep tracebacks.

    IPython formats all frames first and then hides the repeated ones.

    A RecursionError of a thousand frames takes it 3 s, half of a cell's time.
    """
    for one in _chain(error):
        frames = []
        trace = one.__traceback__
        while trace is not None:
            frames.append(trace)
            trace = trace.tb_next
        if len(frames) > 2 * _TRACE_END:
            rest: types.TracebackType | None = frames[-_TRACE_END]
            for frame in reversed(frames[:_TRACE_END]):
                rest = types.TracebackType(rest, frame.tb_frame, frame.tb_lasti, frame.tb_lineno)
            one.__traceback__ = rest


def build(folder: str) -> Shell:
    """The shell, in a process of one thread; its profile folder goes into `folder`."""
    config = Config()
    config.HistoryManager.enabled = False
    config.HistoryManager.hist_file = ":memory:"
    config.InteractiveShell.colors = "nocolor"
    config.InteractiveShell.xmode = "Context"
    config.InteractiveShell.ipython_dir = os.path.join(folder, "ipython")
    shell: Shell = Shell.instance(config=config)
    # HTML, LaTeX and the rest are made to be thrown away here.
    shell.display_formatter.active_types = ["text/plain", "image/png"]
    # On a slow machine matplotlib says that it looks for fonts, which is no output of the cell.
    logging.getLogger("matplotlib.font_manager").setLevel(logging.ERROR)
    _warm_up(shell)
    return shell


def _warm_up(shell: Shell) -> None:
    """Fail once and echo once here, so that no session has to import what tracebacks and echoes take."""
    shell.streams = Nowhere()
    shell.run("1/0")
    shell.run("(1, 'a')")
    shell.reset(new_session=True)
    shell.history_manager.output_hist_reprs.clear()
    shell.execution_count = 1
    for name in ("last_type", "last_value", "last_traceback", "last_exc"):
        if hasattr(sys, name):
            delattr(sys, name)

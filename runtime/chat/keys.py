"""Keys that are pressed while nobody reads them."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator


@contextlib.contextmanager
def no_echo() -> Iterator[None]:
    """Keep the terminal from printing keys (`^C` above all) into panels; they stay typed ahead.

    Enter stays the byte it is: turned into a line feed, as terminals do for programs that read whole lines, it would
    reach the next prompt as Ctrl-J, which begins a new line there and sends nothing.
    """
    if not sys.stdin.isatty() or os.name != "posix":
        yield
        return
    import termios

    descriptor = sys.stdin.fileno()
    before = termios.tcgetattr(descriptor)
    quiet = [*before]
    quiet[0] &= ~termios.ICRNL
    quiet[3] &= ~(termios.ECHO | termios.ICANON)
    termios.tcsetattr(descriptor, termios.TCSANOW, quiet)
    try:
        yield
    finally:
        termios.tcsetattr(descriptor, termios.TCSANOW, before)

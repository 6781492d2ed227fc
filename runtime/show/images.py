"""Figures in a terminal: kitty, iTerm2 and sixel graphics where it speaks them, else half blocks.

The PNG comes from untrusted code. Terminals with a graphics protocol get its bytes as they are; where pixels are
needed, the file is decoded inside the sandbox that made it, and only numbers come back.
"""

from __future__ import annotations

import base64
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from rich.color import Color
from rich.segment import Segment, Segments
from rich.style import Style
from rich.text import Text

from runtime.files import atomic_path

if TYPE_CHECKING:
    from rich.console import Console

    from runtime.sandbox import Sandbox

Protocol = Literal["kitty", "iterm", "sixel", "blocks", "off"]
PNG_MAGIC = b"\x89PNG\r\n\x1a\n"
MAX_BYTES = 8 * 1024 * 1024
"""A figure larger than this is saved but not shown."""
KITTY_CHUNK = 4096
"""Base64 characters that one kitty escape may carry (kitty graphics protocol, "remote client")."""
MAX_COLUMNS = 80
SIXEL_WIDTH = 640
SIXEL_COLOURS = 64


def protocol_of(environment: dict[str, str] | None = None) -> Protocol:
    """What the terminal speaks, as far as its variables tell.

    Inside tmux or screen nothing but half blocks is safe: escapes would need passthrough, which is off by default.
    """
    env = dict(os.environ) if environment is None else environment
    term, program = env.get("TERM", ""), env.get("TERM_PROGRAM", "")
    if term == "dumb":
        return "off"
    if env.get("TMUX") or term.startswith(("tmux", "screen")):
        return "blocks"
    if env.get("KITTY_WINDOW_ID") or term in ("xterm-kitty", "xterm-ghostty") or program == "ghostty":
        return "kitty"
    if program in ("iTerm.app", "WezTerm") or env.get("LC_TERMINAL") == "iTerm2":
        return "iterm"
    if "sixel" in term or term.startswith(("foot", "mlterm", "contour")):
        return "sixel"
    return "blocks"


class ImageShower:
    """Saves figures and shows them.

    Args:
        console: where to.
        folder: where the files go, as figure-1.png and so on, readable by their owner alone; None keeps none.
        protocol: how they are shown.
        sandbox: gives the session in which pixels are decoded; called only where pixels are needed.
    """

    def __init__(
        self, console: Console, folder: Path | None, protocol: Protocol, sandbox: Callable[[], Sandbox] | None = None
    ) -> None:
        self.console = console
        self.folder = folder
        self.protocol = protocol
        self._sandbox = sandbox

    def __call__(self, data: bytes) -> Path | None:
        """Save and show one figure; returns where it was saved, None where it was not (or is not a PNG file)."""
        if not data.startswith(PNG_MAGIC):
            return None
        path, note = None, "the figure is kept in memory alone; /export FILE.html keeps it"
        if self.folder is not None:
            try:
                path = self._save(data, self.folder)
                note = f"figure saved: {path}"
            except OSError as error:
                note = f"the figure could not be saved in {self.folder}: {error.strerror or error}"
        if self.console.is_terminal and len(data) <= MAX_BYTES:
            self._show(data)
        self.console.print(Text(note, style="note"), soft_wrap=True)  # a path that is broken cannot be copied
        return path

    def _save(self, data: bytes, folder: Path) -> Path:
        number = 1
        while (path := folder / f"figure-{number}.png").exists():
            number += 1
        with atomic_path(path) as temporary:
            temporary.touch(mode=0o600)
            os.chmod(temporary, 0o600)
            temporary.write_bytes(data)
        return path

    def _show(self, data: bytes) -> None:
        if self.protocol == "kitty":
            self._raw(kitty(data, min(MAX_COLUMNS, self.console.width)))
        elif self.protocol == "iterm":
            self._raw(iterm(data, min(MAX_COLUMNS, self.console.width)))
        elif self.protocol == "sixel" and self._sandbox is not None:
            with self._sandbox() as sandbox:
                image = decode_indexed(sandbox, data)
            if image is not None:
                self._raw(sixel(*image))
        elif self.protocol == "blocks" and self._sandbox is not None and self.console.color_system is not None:
            columns = min(MAX_COLUMNS, self.console.width - 1)
            rows = max(4, min(24, self.console.height - 4))
            with self._sandbox() as sandbox:
                pixels = decode_rgb(sandbox, data, columns, rows * 2)
            if pixels is not None:
                self.console.print(half_blocks(*pixels), end="")

    def _raw(self, escape: str) -> None:
        self.console.file.write(f"{escape}\n")
        self.console.file.flush()


def kitty(data: bytes, columns: int) -> str:
    """The kitty graphics escapes that show a PNG `columns` cells wide."""
    text = base64.b64encode(data).decode()
    chunks = [text[start : start + KITTY_CHUNK] for start in range(0, len(text), KITTY_CHUNK)]
    parts = []
    for number, chunk in enumerate(chunks):
        more = int(number + 1 < len(chunks))
        control = f"a=T,f=100,c={columns},q=2,m={more}" if number == 0 else f"m={more}"
        parts.append(f"\x1b_G{control};{chunk}\x1b\\")
    return "".join(parts)


def iterm(data: bytes, columns: int) -> str:
    """The iTerm2 escape that shows a PNG `columns` cells wide."""
    text = base64.b64encode(data).decode()
    return f"\x1b]1337;File=inline=1;size={len(data)};width={columns};preserveAspectRatio=1:{text}\x07"


def sixel(width: int, height: int, palette: list[tuple[int, int, int]], indices: bytes) -> str:
    """An indexed image as a sixel escape: bands of six rows, one pass a colour, runs compressed."""
    parts = [f'\x1bP0;1;0q"1;1;{width};{height}']
    parts += [f"#{n};2;{r * 100 // 255};{g * 100 // 255};{b * 100 // 255}" for n, (r, g, b) in enumerate(palette)]
    for top in range(0, height, 6):
        rows = [indices[row * width : (row + 1) * width] for row in range(top, min(top + 6, height))]
        for colour in sorted(set().union(*map(set, rows))):
            bits = [sum((row[x] == colour) << bit for bit, row in enumerate(rows)) for x in range(width)]
            parts.append(f"#{colour}{''.join(_runs(bits))}$")
        parts.append("-")
    return "".join(parts) + "\x1b\\"


def _runs(bits: list[int]) -> Iterator[str]:
    start = 0
    while start < len(bits):
        end = start
        while end < len(bits) and bits[end] == bits[start]:
            end += 1
        character = chr(63 + bits[start])
        yield f"!{end - start}{character}" if end - start > 3 else character * (end - start)
        start = end


def half_blocks(width: int, height: int, pixels: bytes) -> Segments:
    """RGB pixels as half-block characters, two rows of pixels a line."""

    def colour(x: int, y: int) -> Color:
        at = (y * width + x) * 3
        return Color.from_rgb(*pixels[at : at + 3])

    segments = []
    for y in range(0, height - height % 2, 2):
        segments += [Segment("▀", Style(color=colour(x, y), bgcolor=colour(x, y + 1))) for x in range(width)]
        segments.append(Segment("\n"))
    return Segments(segments)


_OPEN = """\
import base64, io
from PIL import Image
image = Image.open(io.BytesIO(base64.b64decode({data!r}))).convert('RGB')
"""
_RGB = (
    _OPEN
    + """\
width, height = image.size
scale = min({columns} / width, {rows} / height)
image = image.resize((max(1, int(width * scale)), max(2, int(height * scale) // 2 * 2)))
print(*image.size, base64.b64encode(image.tobytes()).decode())"""
)
_INDEXED = (
    _OPEN
    + """\
width, height = image.size
if width > {width}:
    image = image.resize(({width}, max(1, height * {width} // width)))
image = image.quantize({colours})
palette = bytes(image.getpalette())[:3 * {colours}]
print(*image.size, *(base64.b64encode(part).decode() for part in (palette, image.tobytes())))"""
)
_BASE64 = r"([A-Za-z0-9+/=]+)"


def decode_rgb(sandbox: Sandbox, data: bytes, columns: int, rows: int) -> tuple[int, int, bytes] | None:
    """Width, height and RGB bytes of a PNG scaled into `columns` x `rows`; None if unreadable."""
    code = _RGB.format(data=base64.b64encode(data), columns=columns, rows=rows)
    match = re.fullmatch(rf"(\d{{1,4}}) (\d{{1,4}}) {_BASE64}", sandbox.run(code).output.strip())
    if match is None:
        return None
    width, height, pixels = int(match[1]), int(match[2]), base64.b64decode(match[3])
    fits = 0 < width <= columns and 0 < height <= rows and len(pixels) == width * height * 3
    return (width, height, pixels) if fits else None


def decode_indexed(sandbox: Sandbox, data: bytes) -> tuple[int, int, list[tuple[int, int, int]], bytes] | None:
    """Width, height, palette and indices of a PNG with few colours; None where it cannot be read."""
    code = _INDEXED.format(data=base64.b64encode(data), width=SIXEL_WIDTH, colours=SIXEL_COLOURS)
    match = re.fullmatch(rf"(\d{{1,4}}) (\d{{1,5}}) {_BASE64} {_BASE64}", sandbox.run(code).output.strip())
    if match is None:
        return None
    width, height = int(match[1]), int(match[2])
    flat, indices = base64.b64decode(match[3]), base64.b64decode(match[4])
    palette = [(flat[at], flat[at + 1], flat[at + 2]) for at in range(0, len(flat) - 2, 3)]
    fits = len(indices) == width * height and palette and max(indices, default=0) < len(palette)
    return (width, height, palette, indices) if fits else None

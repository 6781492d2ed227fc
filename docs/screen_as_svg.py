"""A terminal's screen, as pyte has it, written as SVG."""

from __future__ import annotations

import itertools
import re
from typing import Any


def as_text(screen: Any) -> Any:
    """The lines of the screen with their colours, as rich text."""
    from rich.style import Style
    from rich.text import Text

    last = max((row for row in range(screen.lines) if screen.display[row].strip()), default=0)
    text = Text(no_wrap=True, end="")
    for row in range(last + 1):
        cells = [screen.buffer[row][column] for column in range(len(screen.display[row].rstrip()))]
        # Neighbours of one style are one piece: a piece for each letter would make a picture ten times as large.
        for look, letters in itertools.groupby(cells, key=lambda cell: cell[1:]):
            fg, bg, bold, italics, underscore, strikethrough, reverse, blink = look
            style = Style(
                color=colour(fg), bgcolor=colour(bg), bold=bold, italic=italics,
                underline=underscore, strike=strikethrough, reverse=reverse, dim=blink,
            )  # fmt: skip
            # Frames are drawn as lines: whether their letters meet depends on the font of whoever looks.
            text.append("".join(" " if cell.data in STROKES else cell.data for cell in letters), style)
        text.append("\n" if row < last else "")
    return text


ARMS = {
    "─": "l1r1", "│": "u1d1", "┌": "r1d1", "┐": "l1d1", "└": "u1r1", "┘": "u1l1", "├": "u1d1r1", "┤": "u1d1l1",
    "┬": "l1r1d1", "┴": "l1r1u1", "┼": "l1r1u1d1", "━": "l2r2", "┃": "u2d2", "┏": "r2d2", "┓": "l2d2", "┗": "u2r2",
    "┛": "u2l2", "┣": "u2d2r2", "┫": "u2d2l2", "┳": "l2r2d2", "┻": "l2r2u2", "╋": "l2r2u2d2", "┡": "u2r2d1",
    "┩": "u2l2d1", "╇": "l2r2u2d1", "╸": "l2", "╺": "r2",
}  # fmt: skip
"""Letters of frames, tables and bars: arms to the left, right, up and down, thin (1) or thick (2)."""
CORNERS = {
    "╭": "M{w} {y}H{r}Q{x} {y} {x} {b}V{h}", "╮": "M0 {y}H{l}Q{x} {y} {x} {b}V{h}",
    "╰": "M{x} 0V{t}Q{x} {y} {r} {y}H{w}", "╯": "M{x} 0V{t}Q{x} {y} {l} {y}H0",
}  # fmt: skip
"""Round corners as paths in a cell of `w` by `h` with its middle at `x`, `y`."""
STROKES = {*ARMS, *CORNERS}
WIDTH, HEIGHT, TOP = 12.2, 24.4, 1.5
"""A cell of rich's SVG, and where the first line begins."""


def strokes(screen: Any, theme: Any) -> str:
    """The frames on the screen as SVG paths."""
    from rich.color import Color, blend_rgb

    x, y, bend = WIDTH / 2, HEIGHT / 2, 5.0
    places = {"w": WIDTH, "h": HEIGHT, "x": x, "y": y, "l": x - bend, "r": x + bend, "t": y - bend, "b": y + bend}
    found = []
    for row, column in itertools.product(range(screen.lines), range(screen.columns)):
        cell = screen.buffer[row][column]
        if cell.data not in STROKES:
            continue
        shade = theme.foreground_color
        if (name := colour(cell.fg)) is not None:
            shade = Color.parse(name).get_truecolor(theme)
        if cell.blink:
            shade = blend_rgb(shade, theme.background_color, 0.5)
        start = f'<path transform="translate({column * WIDTH:g} {row * HEIGHT + TOP:g})" stroke="{shade.hex}"'
        if cell.data in CORNERS:
            path = CORNERS[cell.data].format(**{key: f"{value:g}" for key, value in places.items()})
            found.append(f'{start} d="{path}"/>')
            continue
        ends = {"l": "H0", "r": f"H{WIDTH:g}", "u": "V0", "d": f"V{HEIGHT:g}"}
        for weight, thick in (("1", ""), ("2", ' stroke-width="2.8"')):
            arms = re.findall(rf"(\w){weight}", ARMS[cell.data])
            if arms:
                path = "".join(f"M{x:g} {y:g}{ends[arm]}" for arm in arms)
                found.append(f'{start} d="{path}"{thick}/>')
    return f'<g fill="none" stroke-width="1.4">{"".join(found)}</g>'


def colour(name: str) -> str | None:
    """pyte's name of a colour as rich's."""
    if name == "default":
        return None
    if re.fullmatch(r"[0-9a-f]{6}", name):
        return f"#{name}"
    name = name.replace("brown", "yellow")
    return re.sub(r"^bright_?", "bright_", name)


def svg(screen: Any, title: str, theme: str) -> str:
    """The screen as SVG, without fonts from elsewhere: a page that shows it asks nobody for anything."""
    import io

    from rich.console import Console
    from rich.terminal_theme import TerminalTheme

    dark = TerminalTheme(
        (22, 24, 29), (214, 218, 224),
        [(22, 24, 29), (240, 113, 120), (149, 205, 121), (235, 203, 110), (103, 168, 245), (199, 146, 234),
         (97, 208, 214), (214, 218, 224)],
        [(108, 117, 130), (255, 139, 146), (172, 224, 147), (255, 222, 138), (133, 188, 255), (219, 172, 250),
         (126, 227, 232), (255, 255, 255)],
    )  # fmt: skip
    light = TerminalTheme(
        (255, 255, 255), (36, 41, 47),
        [(36, 41, 47), (190, 30, 45), (26, 110, 47), (136, 89, 0), (9, 87, 195), (117, 50, 180), (10, 106, 120),
         (100, 108, 118)],
        [(87, 96, 106), (207, 34, 46), (31, 130, 57), (154, 103, 0), (33, 104, 217), (137, 70, 200), (16, 125, 140),
         (36, 41, 47)],
    )  # fmt: skip
    console = Console(record=True, width=screen.columns, file=io.StringIO(), force_terminal=True, color_system="256")
    console.print(as_text(screen), crop=False, soft_wrap=True)
    shades = dark if theme == "dark" else light
    drawn = console.export_svg(title=title, theme=shades, code_format=FORMAT, unique_id="picture")
    if theme == "light":  # the window's own border is white in rich's picture
        drawn = drawn.replace("rgba(255,255,255,0.35)", "rgba(0,0,0,0.25)")
    return drawn.replace("<!-- frames -->", strokes(screen, shades))


FORMAT = """\
<svg class="rich-terminal" viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg">
    <style>
    .{unique_id}-matrix {{
        font-family: ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace;
        font-size: {char_height}px; line-height: {line_height}px; font-variant-east-asian: full-width;
    }}
    .{unique_id}-title {{ font-size: 18px; font-family: system-ui, sans-serif; }}
    {styles}
    </style>
    <defs>
    <clipPath id="{unique_id}-clip-terminal">
      <rect x="0" y="0" width="{terminal_width}" height="{terminal_height}" />
    </clipPath>
    {lines}
    </defs>
    {chrome}
    <g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
    {backgrounds}
    <g class="{unique_id}-matrix">
    {matrix}
    </g>
    <!-- frames -->
    </g>
</svg>
"""

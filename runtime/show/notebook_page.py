"""Conversations as Markdown, a self-contained HTML page, or JSON; `export` goes by the file's name."""

from __future__ import annotations

import base64
import html
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from runtime.errors import InputError
from runtime.files import write_text
from runtime.lce import EMPTY_EXECUTION, Block
from runtime.show.console import LONGEST_COLOURED
from runtime.show.latex import readable
from runtime.show.notebook import Turn, dollars, notebook_text, thought

SUFFIXES = (".md", ".html", ".ipynb", ".json")


def export(turns: Sequence[Turn], target: str | Path, *, title: str = "MathCoder", model: str = "") -> Path:
    """Write `turns` to `target` in the format that its suffix names.

    Raises:
        InputError: there is nothing to write, the suffix names no format, or the folder cannot be written to.
    """
    target = Path(target).expanduser()
    if not turns:
        raise InputError("there is nothing to export yet", "", "ask a question first")
    suffix = target.suffix.lower()
    if suffix == ".md":
        text = markdown(turns, title=title, model=model)
    elif suffix in (".html", ".htm"):
        text = page(turns, title=title, model=model)
    elif suffix == ".ipynb":
        text = notebook_text(turns, title=title, model=model)
    elif suffix == ".json":
        text = json.dumps(as_json(turns, model=model), indent=2, ensure_ascii=False) + "\n"
    else:
        raise InputError(f"{target.name} is not an export format", "", f"end the name in {', '.join(SUFFIXES)}")
    try:
        write_text(target, text)
    except OSError as error:
        raise InputError(
            f"{target} cannot be written: {error.strerror or error}",
            "nothing was exported",
            "name a file in a folder of yours",
        ) from None
    return target


def as_json(turns: Iterable[Turn], *, model: str = "") -> dict[str, Any]:
    """Everything that is known, for programs; images as base64 PNG."""
    return {
        "model": model,
        "turns": [
            {
                "question": turn.question,
                "blocks": [block.as_dict() for block in turn.blocks],
                "answer": turn.answer,
                "status": turn.status,
                **turn.facts,
                "images": {str(k): [base64.b64encode(d).decode() for d in v] for k, v in turn.images.items()},
            }
            for turn in turns
        ],
    }


def markdown(turns: Iterable[Turn], *, title: str = "MathCoder", model: str = "") -> str:
    """The conversation as Markdown; formulas stay LaTeX, between dollars."""
    parts = [f"# {title}"] + ([f"Model: `{model}`"] if model else [])
    for turn in turns:
        parts.append("\n".join(f"> {line}".rstrip() for line in dollars(turn.question).split("\n")))
        executions = -1
        for block in turn.blocks:
            if block.thinking:
                parts.append(thought(block.content))
            elif block.type == "text":
                parts.append(dollars(block.content).strip())
            elif block.type == "code":
                parts.append(_fenced(block.content, "python"))
            else:
                executions += 1
                if block.content != EMPTY_EXECUTION:
                    parts.append(_fenced(block.content, "text"))
                for data in turn.images.get(executions, []):
                    parts.append(f"![figure](data:image/png;base64,{base64.b64encode(data).decode()})")
        parts.append(_ending(turn))
    return "\n\n".join(part for part in parts if part) + "\n"


def _ending(turn: Turn) -> str:
    if turn.answer is None:
        return f"*No answer ({turn.status}).*"
    answer = f"${turn.answer}$" if "\\" in turn.answer and "$" not in turn.answer else turn.answer
    return f"**Answer:** {answer}"


def _fenced(content: str, language: str) -> str:
    # A fence longer than any run of backticks inside cannot be closed by the content.
    longest = max((len(run) for run in _backtick_runs(content)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{content.rstrip()}\n{fence}"


def _backtick_runs(content: str) -> list[str]:
    runs, current = [], ""
    for character in f"{content} ":
        if character == "`":
            current += character
        elif current:
            runs.append(current)
            current = ""
    return runs


_CSS = """
:root { color-scheme: light dark; --line: #d0d7de; --soft: #f6f8fa; }
:root { --blue: #0969da; --amber: #9a6700; --green: #1a7f37; }
@media (prefers-color-scheme: dark) {
  :root { --line: #3d444d; --soft: #161b22; --blue: #4493f8; --amber: #d29922; --green: #3fb950; }
}
body { font: 16px/1.55 system-ui, sans-serif; max-width: 46rem; margin: 2rem auto; padding: 0 1rem; }
blockquote { margin: 2rem 0 1rem; padding: .6rem 1rem; border-left: 4px solid var(--blue); background: var(--soft); }
pre { padding: .7rem .9rem; overflow-x: auto; border: 1px solid var(--line); border-radius: 6px; font-size: .88rem; }
pre.code { background: var(--soft); }
pre.execution { border-left: 4px solid var(--amber); white-space: pre-wrap; overflow-wrap: anywhere; }
p.answer { padding: .6rem 1rem; border: 2px solid var(--green); border-radius: 6px; font-weight: 600; }
footer { color: gray; font-size: .85rem; margin-top: 3rem; }
img { max-width: 100%; }
"""


def page(turns: Iterable[Turn], *, title: str = "MathCoder", model: str = "") -> str:
    """The conversation as one HTML page that needs nothing else: no scripts, no fonts, no network."""
    from markdown_it import MarkdownIt

    # html off: what a model wrote is text, never markup of this page. Links and images stay text for the same reason.
    renderer = MarkdownIt("commonmark", {"html": False, "breaks": True}).disable(["link", "image", "autolink"])
    renderer.enable("table")
    body: list[str] = [f"<h1>{html.escape(title)}</h1>"]
    for turn in turns:
        body.append(f"<blockquote>{_lines(readable(turn.question))}</blockquote>")
        executions = -1
        for block in turn.blocks:
            if block.type == "execution":
                executions += 1
                body += _execution(block, turn.images.get(executions, []))
            elif block.type == "code":
                body.append(_highlighted(block.content))
            elif block.thinking:
                body.append(thought(block.content))
            elif block.content.strip():
                body.append(renderer.render(readable(block.content, markdown=True)))
        if turn.answer is not None:
            body.append(f'<p class="answer">{html.escape(_plain_answer(turn.answer))}</p>')
        else:
            body.append(f"<p><em>No answer ({html.escape(turn.status)}).</em></p>")
    footer = f"<footer>Model: {html.escape(model)}. Made with MathCoder Toolkit.</footer>" if model else ""
    return (
        f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{html.escape(title)}</title>\n<style>{_CSS}{_highlight_css()}</style>\n</head>\n<body>\n"
        + "\n".join([*body, footer])
        + "\n</body>\n</html>\n"
    )


def _plain_answer(answer: str) -> str:
    from runtime.show.panels import answer_text

    return answer_text(answer)


def _lines(text: str) -> str:
    return "<br>\n".join(html.escape(line) for line in text.strip().split("\n"))


def _execution(block: Block, images: list[bytes]) -> list[str]:
    shown = "(no output)" if block.content == EMPTY_EXECUTION else block.content
    parts = [f'<pre class="execution">{html.escape(shown)}</pre>']
    parts += [
        f'<p><img alt="figure" src="data:image/png;base64,{base64.b64encode(data).decode()}"></p>' for data in images
    ]
    return parts


def _highlighted(code: str) -> str:
    if len(code) > LONGEST_COLOURED:
        return f'<pre class="code">{html.escape(code)}</pre>'
    from pygments import highlight
    from pygments.formatters import HtmlFormatter
    from pygments.lexers import PythonLexer

    inner = highlight(code, PythonLexer(), HtmlFormatter(nowrap=True))
    return f'<pre class="code">{inner}</pre>'


def _highlight_css() -> str:
    from pygments.formatters import HtmlFormatter

    light = HtmlFormatter(style="default").get_style_defs("pre.code")
    dark = HtmlFormatter(style="github-dark").get_style_defs("pre.code")
    # Only token colours: backgrounds come from the page.
    keep = [line for line in light.split("\n") if line.startswith("pre.code .")]
    keep_dark = [line for line in dark.split("\n") if line.startswith("pre.code .")]
    return "\n".join(keep) + "\n@media (prefers-color-scheme: dark) {\n" + "\n".join(keep_dark) + "\n}\n"

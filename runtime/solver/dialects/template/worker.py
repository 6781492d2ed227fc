"""Renders chat templates in a process of its own: what stands in a model file is not trusted.

Run as a script with a JSON object on its standard input; imports nothing of this project. Jinja's sandbox keeps a
template from Python; the limits here keep it from time and memory, and nothing is there that could read a file.
"""

from __future__ import annotations

import json
import sys
from datetime import datetime
from typing import Any

CPU_SECONDS = 3
MEMORY_BYTES = 1 << 30
OUTPUT_CHARS = 1_000_000


def environment(dates: list[str], today: str) -> Any:
    """What the templates of models expect: the environment that transformers renders them in."""
    import jinja2.ext
    import jinja2.nodes
    import jinja2.sandbox

    class Generation(jinja2.ext.Extension):
        """`{% generation %}` marks what is trained on; here it is its content."""

        tags = {"generation"}  # noqa: RUF012

        def parse(self, parser: Any) -> Any:
            line = next(parser.stream).lineno
            body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
            return jinja2.nodes.Scope(body, lineno=line)

    def tojson(value: Any, ensure_ascii: bool = False, **options: Any) -> str:
        return json.dumps(value, ensure_ascii=ensure_ascii, default=str, **options)

    def raise_exception(message: object) -> None:
        raise jinja2.TemplateError(str(message))

    def strftime_now(layout: str) -> str:
        dates.append(layout)
        return datetime.fromisoformat(today).strftime(layout)

    # Lists may be changed: some templates append to theirs. They are this process's own.
    made = jinja2.sandbox.SandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[Generation, jinja2.ext.loopcontrols]
    )
    made.filters.update(tojson=tojson, from_json=json.loads, fromjson=json.loads)
    made.globals.update(raise_exception=raise_exception, strftime_now=strftime_now)
    return made


def rendered(template: Any, values: dict[str, Any]) -> dict[str, str]:
    """The text, or why there is none."""
    parts: list[str] = []
    length = 0
    try:
        for part in template.generate(**values):
            parts.append(part)
            length += len(part)
            if length > OUTPUT_CHARS:
                return {"error": f"it writes more than {OUTPUT_CHARS:,} characters"}
    except MemoryError:
        return {"error": f"it takes more than {MEMORY_BYTES >> 20} MB of memory"}
    except RecursionError:
        return {"error": "it calls itself without an end"}
    except Exception as error:  # Whatever a foreign template raises is what is told of it.
        return {"error": one_line(error)}
    return {"text": "".join(parts)}


def one_line(error: Exception) -> str:
    """What was raised; its words are the template's."""
    return " ".join(f"{type(error).__name__}: {error}"[:300].split())


def main() -> None:
    """Read the template and what to render; write each result, and whether it asks for the date."""
    asked = json.load(sys.stdin)
    import jinja2

    dates: list[str] = []
    made = environment(dates, asked["today"])
    limit()
    try:
        template = made.from_string(asked["template"])
    except MemoryError:
        results = [{"error": f"it takes more than {MEMORY_BYTES >> 20} MB of memory"}] * len(asked["values"])
    except (jinja2.TemplateError, RecursionError, ValueError, OverflowError, SyntaxError) as error:
        results = [{"error": one_line(error)}] * len(asked["values"])
    else:
        results = [rendered(template, values) for values in asked["values"]]
    json.dump({"results": results, "dated": bool(dates)}, sys.stdout)


def limit() -> None:
    """Bound what the rest of this process may take.

    Where the system knows no limits, the parent's clock alone does.
    """
    try:
        import resource
    except ImportError:
        return
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    if sys.platform == "linux":
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))


if __name__ == "__main__":
    main()

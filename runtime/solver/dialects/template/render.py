"""A chat template rendered, in a process that ends whatever the template does."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any, NamedTuple

from runtime.errors import ModelError

SECONDS = 60.0
"""Wall-clock time for all renderings of one template. Usual ones take 0.2 s with the start of the process; the worker's
own limit is 3 s of processor time, so that a busy machine does not decide what a model speaks."""
LONGEST_TEMPLATE = 500_000
"""Characters; the longest known one has 30,000."""
_WORKER = Path(__file__).with_name("worker.py")


class Rendered(NamedTuple):
    """One rendering: the text, or why there is none."""

    text: str
    error: str = ""


class Renderings(NamedTuple):
    """What a template gave."""

    results: list[Rendered]
    is_dated: bool
    """Whether the template asked for today's date."""


def render(template: str, values: Sequence[dict[str, Any]]) -> Renderings:
    """`template` rendered once with each of `values`.

    Raises:
        ModelError: the template does not end in time, takes too much memory, or is too long.
    """
    if len(template) > LONGEST_TEMPLATE:
        raise _refused(f"has {len(template):,} characters")
    asked = json.dumps({"template": template, "values": list(values), "today": date.today().isoformat()})
    try:
        done = subprocess.run(
            [sys.executable, "-I", str(_WORKER)],
            input=asked.encode("utf-8", "replace"),
            capture_output=True,
            timeout=SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise _refused(f"did not end within {SECONDS:g} seconds") from None
    if done.returncode != 0:
        last = done.stderr.decode("utf-8", "replace").strip().rpartition("\n")[2]
        why = last or f"its process was killed (code {done.returncode}), as one that takes too much time or memory is"
        raise _refused(f"could not be rendered: {why[:200]}")
    answer = json.loads(done.stdout)
    results = [Rendered(one.get("text", ""), one.get("error", "")) for one in answer["results"]]
    return Renderings(results, bool(answer["dated"]))


def _refused(what: str) -> ModelError:
    return ModelError(
        f"the model's chat template {what}",
        "the form in which it was trained to call tools cannot be read from it",
        "name a dialect with --dialect (generic, for one), or take another file of the same model",
    )

"""docs/commands.md says what the parsers take."""

from __future__ import annotations

import runpy
from pathlib import Path

DOCS = Path(__file__).resolve().parent.parent / "docs"


def test_the_page_of_verbs_is_the_one_that_the_parsers_make() -> None:
    made = runpy.run_path(str(DOCS / "make_commands.py"))["page"]()
    page = (DOCS / "commands.md").read_text(encoding="utf-8")
    assert page == made, "run: python docs/make_commands.py > docs/commands.md"

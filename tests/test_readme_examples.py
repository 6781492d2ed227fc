"""Every question that README, docs and help put to a model is put to it, and the answer is right."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from recipes.cli import VERBS, verb_module
from runtime.grade import equivalent

ROOT = Path(__file__).resolve().parent.parent
GOLD = {"Write 77 in base 2.": "1001101"}
"""The right answers, worked out by a person."""


def asked() -> list[tuple[str, ...]]:
    """The `solve` calls with a question for the nano model, from every page and every verb's help."""
    texts = [path.read_text(encoding="utf-8") for path in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))]
    texts += [verb_module(verb).parser().format_help() for verb in VERBS]
    found: list[tuple[str, ...]] = []
    for line in "\n".join(texts).splitlines():
        echoed = re.search(r'echo "([^"]+)" \|', line)
        for call in re.findall(r"mathcoder solve nano [^|<#]*", line):
            words = shlex.split(call, comments=True)[2:]
            options = [word for word in words[1:] if word.startswith("--samples") or word.isdigit()]
            question = echoed[1] if echoed else next((word for word in words[1:] if " " in word), None)
            if question is not None and question != "...":
                found.append((question, *options))
    return sorted(set(found))


def test_there_are_examples() -> None:
    assert len(asked()) >= 2


@pytest.mark.parametrize("call", asked(), ids=" ".join)
def test_the_answer_to_an_example_is_right(call: tuple[str, ...]) -> None:
    question, *options = call
    words = [sys.executable, "-m", "recipes", "solve", "nano", question, *options, "--json"]
    done = subprocess.run(words, capture_output=True, text=True, cwd=ROOT, timeout=240, check=False)
    assert done.returncode == 0, done.stderr
    assert equivalent(json.loads(done.stdout)["answer"], GOLD[question])

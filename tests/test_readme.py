"""What README and docs promise exists: commands, options, recipes, files, chat commands, settings."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from recipes.cli import VERBS
from recipes.cli.completion import options_of
from recipes.places import built_in
from recipes.preferences import Preferences
from runtime.chat.commands import COMMANDS

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "SECURITY.md", *sorted((ROOT / "docs").glob("*.md"))]
RECIPES = sorted((ROOT / "recipes").rglob("*.yaml"))


def commands(page: Path) -> list[list[str]]:
    """Every `mathcoder ...` line in the page's shell blocks, indented blocks and comments, as words."""
    found = []
    text = re.sub(r"\\\n[# ]*", " ", page.read_text(encoding="utf-8"))
    indented = "\n".join(re.findall(r"^(?:    |#   )(mathcoder .*)$", text, flags=re.M))
    for block in [*re.findall(r"```sh\n(.*?)```", text, flags=re.S), indented]:
        for line in block.splitlines():
            for part in re.split(r"\||<\(", line.partition("  #")[0]):
                if re.match(r"\s*mathcoder ", part):
                    found.append(shlex.split(part.strip().rstrip(")"), comments=True))
    return found


@pytest.mark.parametrize("page", [*PAGES, *RECIPES], ids=lambda page: page.name)
def test_every_command_of_a_page_has_a_known_verb_known_options_and_known_recipes(page: Path) -> None:
    for words in commands(page):
        if words[1] == "--completion":
            continue
        assert words[1] in VERBS, words
        options = {word.split("=")[0] for word in words if word.startswith("--")}
        assert options <= {*options_of(words[1]), "--help"}, words
        if words[1] in ("train", "plan"):
            assert words[2] in built_in() or words[2].endswith(".yaml"), words


def test_the_two_commands_stand_at_the_top_and_are_targets_of_the_makefile() -> None:
    head = (ROOT / "README.md").read_text(encoding="utf-8")[:400]
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in ("demo", "test"):
        assert f"make {target} " in head
        assert re.search(rf"^{target}:", makefile, flags=re.M)


def test_every_packaged_recipe_is_in_the_readme() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert [name for name in built_in() if f"`{name}`" not in text] == []


def test_every_file_a_page_links_to_exists() -> None:
    for page in PAGES:
        for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


@pytest.mark.parametrize("page", ["docs/architecture.md", "CONTRIBUTING.md"])
def test_every_file_and_folder_a_page_names_exists(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    named = re.findall(r"[` ]((?:runtime|qlora|export|recipes|tests|docs|benchmarks)/[\w./-]*)", text)
    assert named
    assert [name for name in named if not (ROOT / name).exists()] == []


def test_the_chat_commands_in_the_docs_are_those_of_the_program_with_the_same_words() -> None:
    text = (ROOT / "docs" / "terminal.md").read_text(encoding="utf-8")
    listed = re.findall(r"^\| `/(\w+) ?(.*?)` \| (.*?) \|$", text, flags=re.M)
    told = [(name, usage.replace("\\|", "|"), summary) for name, usage, summary in listed]
    assert told == [(command.name, command.usage, command.summary) for command in COMMANDS.values()]


def test_every_setting_is_in_the_docs() -> None:
    text = (ROOT / "docs" / "terminal.md").read_text(encoding="utf-8")
    assert [name for name in Preferences.model_fields if f"`{name}`" not in text] == []


def test_ci_runs_the_suite_and_the_fast_demo_and_asks_nobody() -> None:
    script = ROOT / ".ci" / "run"
    text = script.read_text(encoding="utf-8")
    assert script.stat().st_mode & 0o111
    assert "make test" in text
    assert "make demo-fast" in text
    assert "set -eu" in text

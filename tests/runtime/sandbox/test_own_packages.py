"""Where the toolkit is installed as a package, cells see libraries and none of its own code."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from runtime.sandbox import Limits, Sandbox
from runtime.sandbox.host import launchers

OURS = ("recipes", "qlora", "export", "runtime")
LEAK = "GOLD = 4711"


@pytest.fixture
def installed(tier: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Sandbox, Path]]:
    """A session beside a folder of packages that has ours, a library, and a library's folder of packages."""
    folder = tmp_path / "site-packages"
    for name in (*OURS, "library", "library/deep"):
        (folder / name).mkdir(parents=True)
        (folder / name / "__init__.py").write_text(f"{LEAK}\n")
        (folder / name / "data.txt").write_text(LEAK)
    (folder / "single.py").write_text(LEAK)
    questions = tmp_path / "questions.jsonl"
    questions.write_text(f'{{"gold": "{LEAK}"}}')
    for path in (tmp_path, *tmp_path.rglob("*")):
        path.chmod(0o755)
    for path in tmp_path.parents:
        if path.stat().st_uid == tmp_path.stat().st_uid and path != Path("/tmp"):
            path.chmod(path.stat().st_mode | 0o055)
    monkeypatch.setattr(sys, "path", [*sys.path, str(folder)])
    launchers.close_all()  # The next session is of a launcher that sees the folder.
    with Sandbox(Limits(cell_seconds=30), tier=tier) as session:
        yield session, folder
    launchers.close_all()


def test_own_packages_and_question_files_can_neither_be_imported_nor_read(installed: tuple[Sandbox, Path]) -> None:
    sandbox, folder = installed
    shown = sandbox.run("import library, library.deep, single; print(library.GOLD, library.deep.GOLD, single.GOLD)")
    assert shown.output.split() == ["4711"] * 3, shown.output
    read = sandbox.run(f"print(open({str(folder / 'library' / 'data.txt')!r}).read())")
    assert read.output.strip() == LEAK, read.output
    for name in OURS:
        for code in (
            f"import {name}; print({name}.GOLD)",
            f"print(open({str(folder / name / 'data.txt')!r}).read())",
            f"import runpy; print(runpy.run_path({str(folder / name / '__init__.py')!r})['GOLD'])",
            f"import library, os; print(open(os.path.join(library.__path__[0], '..', {name!r}, 'data.txt')).read())",
        ):
            result = sandbox.run(code)
            assert "4711" not in result.output, (code, result.output)
            assert result.status == "error", (code, result.output)
    result = sandbox.run(f"print(open({str(folder.parent / 'questions.jsonl')!r}).read())")
    assert result.status == "error"
    assert "4711" not in result.output

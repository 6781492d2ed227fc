"""Which bubblewrap is used, what is said of one that is not, and what it is asked for.

That code cannot get out of it is tested in `test_sandbox_boundary` and `test_probes`, where it is installed.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from bubblewrap_here import OLDEST_THAT_RUNS_OUR_HALF, why_not

from runtime.errors import SandboxError
from runtime.sandbox import Sandbox
from runtime.sandbox.boundary import bubblewrap, confine
from runtime.sandbox.host import launchers, paths

Install = Callable[[str], Path]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Put a program called `bwrap` first on the path, which prints what it is told to."""

    def install(script: str) -> Path:
        program = tmp_path / "bwrap"
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)
        monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
        return program

    return install


@pytest.mark.skipif(bool(why_not()), reason=f"no test of the sandbox runs in its tier: {why_not()}")
def test_the_installed_one_runs_cells(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bubblewrap, "OLDEST", OLDEST_THAT_RUNS_OUR_HALF)
    with Sandbox(tier="bubblewrap") as sandbox:
        assert sandbox.run("6 * 7").output == "42"


@pytest.mark.parametrize("version", ["0.8.0", "0.11.1", "0.2"])
def test_an_older_one_is_refused_with_cause_and_remedy(install: Install, version: str) -> None:
    program = install(f"echo bubblewrap {version}")
    with pytest.raises(SandboxError, match=r"is older than 0\.12, and not used") as raised:
        Sandbox(tier="bubblewrap").run("1")
    older = ".".join(version.split(".")[:2])
    assert f"bubblewrap {older} ({program})" in raised.value.cause
    assert "install bubblewrap 0.12 or newer" in raised.value.remedy


@pytest.mark.parametrize("version", ["0.12.0", "0.13", "1.0.0"])
def test_a_new_enough_one_is_found(install: Install, version: str) -> None:
    program = install(f"echo bubblewrap {version}")
    assert bubblewrap.find() == str(program)


@pytest.mark.parametrize("script", ["echo hello", "exit 3"])
def test_one_that_tells_no_version_is_refused(install: Install, script: str) -> None:
    install(script)
    with pytest.raises(OSError, match="does not tell its version"):
        bubblewrap.find()


def test_where_there_is_none_the_reason_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(launchers.TierError, match="bubblewrap is not installed"):
        launchers.start("bubblewrap")


def test_one_that_fails_is_a_tier_that_does_not_work(install: Install) -> None:
    install('[ "$1" = --version ] && echo bubblewrap 9.9 || exit 1')
    with pytest.raises(launchers.TierError, match="bubblewrap"):
        launchers.start("bubblewrap")


def test_all_it_shows_is_what_python_needs_and_nothing_of_it_can_be_written() -> None:
    bound = paths.trees(paths.code_path())
    files = paths.own_files()
    scratch = paths.scratch_path([*bound, *files])
    line = bubblewrap.arguments({"trees": bound, "hidden": [], "files": files, "scratch": scratch})
    shown = [line[at + 2] for at, word in enumerate(line) if word in ("--ro-bind", "--symlink", "--dev-bind")]
    assert set(shown) == {*bound, *files, *confine.DEVICES, "/python"}
    assert line[line.index("/python") - 1] == sys.executable
    assert "--bind" not in line
    assert line[line.index("--tmpfs") + 1] == scratch
    # The folder of the session hides nothing that the inner half reads.
    assert not any(path.startswith(scratch + os.sep) for path in shown)
    assert line.index("--remount-ro") > max(at for at, word in enumerate(line) if word in ("--ro-bind", "--tmpfs"))
    for option in ("--unshare-all", "--unshare-user", "--die-with-parent", "--new-session"):
        assert option in line
    assert line[line.index("--cap-drop") + 1] == "ALL"

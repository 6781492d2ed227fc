"""The scratch folder on a shared file system: what is in it is seen and deleted, however deep."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from runtime.sandbox.inside import scratch

DEEP = 40
NAME = "d" * 200


@pytest.fixture
def deep(tmp_path: Path) -> Path:
    """A folder with files below a path of 8,000 characters, twice what can be named."""
    top = tmp_path / "scratch"
    top.mkdir()
    before = os.open(".", os.O_RDONLY)
    try:
        os.chdir(top)
        for _ in range(DEEP):
            os.mkdir(NAME)
            os.chdir(NAME)
        Path("hidden").write_bytes(bytes(1 << 20))
        os.mkdir("sealed", 0)
    finally:
        os.fchdir(before)
        os.close(before)
    (top / "seen").write_bytes(bytes(1 << 20))
    (top / "link").symlink_to("/usr")
    return top


def test_files_below_a_path_too_long_to_name_are_counted(deep: Path) -> None:
    size, entries = scratch.disk_use(str(deep))
    assert size >= 2 << 20
    assert entries == DEEP + 4


def test_files_below_a_path_too_long_to_name_are_deleted(deep: Path) -> None:
    scratch.empty(str(deep))
    assert list(deep.iterdir()) == []
    scratch.remove_tree(str(deep))
    assert not deep.exists()
    assert Path("/usr/bin").is_dir()


def test_counting_and_deleting_what_is_not_there_is_no_error(tmp_path: Path) -> None:
    assert scratch.disk_use(str(tmp_path / "none")) == (0, 0)
    scratch.remove_tree(str(tmp_path / "none"))

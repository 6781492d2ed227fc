"""The doors for foreign text and for files: what is read can be written, failures leave what was."""

from __future__ import annotations

import errno
import gzip
import json
import os
from pathlib import Path

import pytest

from runtime.errors import DataError, InputError, WriteError
from runtime.files import (
    BadLine,
    atomic_path,
    cache_folder,
    json_line,
    lock,
    locked,
    parse_line,
    read_lines,
    read_objects,
    write_json,
    write_text,
)
from runtime.text import is_well_formed, well_formed, well_formed_json

HALF = "low \udcff, high \ud83d"


def test_half_of_a_surrogate_pair_becomes_the_replacement_character_and_a_whole_one_stays() -> None:
    assert well_formed(HALF) == "low \ufffd, high \ufffd"
    assert well_formed("\U0001f600 é") == "\U0001f600 é"
    assert (is_well_formed(HALF), is_well_formed("\U0001f600")) == (False, True)
    assert well_formed_json({"k\ud800": [HALF, 1, None]}) == {"k\ufffd": ["low \ufffd, high \ufffd", 1, None]}


def test_a_line_is_read_with_its_pairs_whole_and_its_halves_replaced() -> None:
    assert parse_line(rb'{"q": "\ud83d\ude00 \uDE00"}') == {"q": "\U0001f600 \ufffd"}
    assert parse_line(rb'["\ud83d"]', halves=True) == ["\ud83d"]
    assert parse_line(b'\xef\xbb\xbf"bom"') == "bom"


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b'{"q": "caf\xe9"}', "not UTF-8"),
        (b'"\xed\xa0\xbd"', "not UTF-8"),
        (b"{", "not valid JSON"),
        (b"[" * 100_000, "nested too deeply"),
        (b"9" * 5000, "not valid JSON"),
    ],
)
def test_a_line_without_json_says_what_is_wrong_with_it(raw: bytes, reason: str) -> None:
    found = parse_line(raw)
    assert isinstance(found, BadLine)
    assert reason in found.reason


def test_lines_come_with_file_and_number_whatever_their_characters(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl.gz"
    with gzip.open(path, "wb") as out:
        out.write('"a\u2028b"\n\n{\n"last"'.encode())
    lines = list(read_lines(path))
    assert [(line.number, line.value) for line in lines if line.number != 3] == [(1, "a\u2028b"), (4, "last")]
    assert isinstance(lines[1].value, BadLine)
    assert lines[0].place == f"{path}:1"
    with pytest.raises(DataError, match=r"line 1 of .* is not a JSON object"):
        list(read_objects(path))


def test_a_line_over_the_bound_is_skipped_and_the_next_one_read(tmp_path: Path) -> None:
    path = tmp_path / "long.jsonl"
    path.write_bytes(b'"' + b"x" * 500 + b'"\n"short"\n')
    first, second = read_lines(path, longest=100)
    assert "503 bytes; at most 100" in first.value.reason
    assert second.value == "short"


def test_half_a_compressed_file_is_an_error_and_never_half_the_rows(tmp_path: Path) -> None:
    path = tmp_path / "cut.jsonl.gz"
    path.write_bytes(gzip.compress(b'"row"\n' * 5000)[:-20])
    with pytest.raises(DataError, match="cannot be read to its end"):
        list(read_lines(path))
    with pytest.raises(InputError, match="cannot be read: No such file"):
        list(read_lines(tmp_path / "none.jsonl"))


def test_whatever_is_written_is_utf_8(tmp_path: Path) -> None:
    write_text(tmp_path / "a.md", HALF)
    write_json(tmp_path / "a.json", {"q": HALF, "path": Path("x")})
    assert (tmp_path / "a.md").read_text(encoding="utf-8") == "low \ufffd, high \ufffd"
    assert json.loads((tmp_path / "a.json").read_text(encoding="utf-8")) == {
        "q": "low \ufffd, high \ufffd", "path": "x",
    }  # fmt: skip
    assert json.loads(json_line({"q": HALF}).encode()) == {"q": "low \ufffd, high \ufffd"}


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    target = tmp_path / "kept.txt"
    target.write_text("old")

    def fill() -> None:
        with atomic_path(target) as temporary:
            temporary.write_text("half")
            raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(WriteError, match=r"kept\.txt cannot be written: No space left on device") as caught:
        fill()
    assert caught.value.errno == errno.ENOSPC
    assert target.read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["kept.txt"]


def test_a_place_that_cannot_be_is_one_sentence() -> None:
    with pytest.raises(WriteError, match=r"/proc/nowhere/x\.txt cannot be written"):
        write_text("/proc/nowhere/x.txt", "")


def test_what_could_not_be_read_while_writing_is_not_blamed_on_the_target(tmp_path: Path) -> None:
    def copy() -> None:
        with atomic_path(tmp_path / "copy") as temporary:
            temporary.write_bytes((tmp_path / "none").read_bytes())

    with pytest.raises(FileNotFoundError, match="none"):
        copy()


def test_a_link_under_a_guessed_temporary_name_is_not_followed(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("mine")
    (tmp_path / f".out.txt.{os.getpid()}.tmp").symlink_to(victim)
    write_text(tmp_path / "out.txt", "new")
    assert victim.read_text() == "mine"


def test_a_private_file_is_private_from_its_first_byte(tmp_path: Path) -> None:
    with atomic_path(tmp_path / "chat.jsonl", mode=0o600) as temporary:
        assert temporary.stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "chat.jsonl").stat().st_mode & 0o777 == 0o600


def test_a_lock_keeps_the_second_out_until_the_first_is_done(tmp_path: Path) -> None:
    busy = InputError("somebody is at work here")
    with locked(tmp_path / "deep" / ".lock", busy), pytest.raises(InputError, match="somebody is at work"):
        lock(tmp_path / "deep" / ".lock", busy)
    os.close(lock(tmp_path / "deep" / ".lock", busy))


def test_the_cache_goes_where_the_environment_says_and_needs_no_home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MATHCODER_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere/cache")
    assert cache_folder() == Path("/somewhere/cache/mathcoder")
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    monkeypatch.setenv("HOME", "/home/someone")
    assert cache_folder() == Path("/home/someone/.cache/mathcoder")
    monkeypatch.setenv("MATHCODER_CACHE", "/chosen")
    assert cache_folder() == Path("/chosen")
    monkeypatch.delenv("MATHCODER_CACHE")

    def homeless() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", homeless)
    assert cache_folder().name == "mathcoder"


def test_a_device_or_pipe_is_not_replaced_by_a_file(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(WriteError, match="device or a pipe"), atomic_path(pipe):
        pytest.fail("written")
    assert pipe.is_fifo()

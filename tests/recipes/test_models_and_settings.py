"""Finding models by name, and the one order in which settings count."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from recipes.cli import main
from recipes.models import find, resolve
from recipes.preferences import preferences
from runtime.errors import InputError
from runtime.text import size_text


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name, folder in (("CONFIG", "config"), ("DATA", "data"), ("STATE", "state")):
        monkeypatch.setenv(f"XDG_{name}_HOME", str(tmp_path / folder))
    for name in ("MODEL", "MODELS", "THREADS", "SAMPLES", "SETTINGS", "TEMPERATURE"):
        monkeypatch.delenv(f"MATHCODER_{name}", raising=False)
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    return tmp_path


def gguf(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"GGUF" + b"\0" * 2000)
    return path


def settings(home: Path, text: str) -> None:
    file = home / "config" / "mathcoder" / "settings.yaml"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")


def test_models_are_found_where_the_help_says(own_home: Path) -> None:
    gguf(own_home / "work" / "here.gguf")
    gguf(own_home / "work" / "runs" / "a-1" / "export" / "run.gguf")
    gguf(own_home / "data" / "mathcoder" / "models" / "kept.gguf")
    gguf(own_home / "elsewhere" / "far.gguf")
    settings(own_home, f"models: [{own_home / 'elsewhere'}]\n")
    assert {"here", "run", "kept", "far"} <= {item.name for item in find()}


def test_a_certificate_beside_a_file_is_told(own_home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    gguf(own_home / "work" / "tiny-Q8_0.gguf")
    certificate = own_home / "work" / "tiny.certificate.json"
    certificate.write_text(json.dumps({"certified": True}), encoding="utf-8")
    assert main(["models", "--json"]) == 0
    listed = {item["name"]: item for item in json.loads(capsys.readouterr().out)}
    assert listed["tiny-Q8_0"]["certificate"] == "holds"
    assert listed["tiny-Q8_0"]["bytes"] == 2004


def test_a_model_is_named_by_path_by_name_or_by_its_only_folder(own_home: Path) -> None:
    path = gguf(own_home / "work" / "runs" / "x" / "deep.gguf")
    assert resolve(str(path)) == path
    assert resolve("deep") == path
    assert resolve("deep.gguf") == path
    assert resolve("runs/x") == Path("runs/x/deep.gguf")


def test_a_name_that_stands_for_nothing_or_for_two_files_is_refused(own_home: Path) -> None:
    gguf(own_home / "work" / "runs" / "a" / "twin.gguf")
    gguf(own_home / "work" / "runs" / "b" / "twin.gguf")
    with pytest.raises(InputError, match="several files"):
        resolve("twin")
    with pytest.raises(InputError, match="did you mean twin"):
        resolve("twins")
    with pytest.raises(InputError, match="no model was named"):
        resolve(None)


def test_the_command_line_wins_over_the_environment_over_the_file_over_the_default(
    own_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert preferences().samples == 1
    settings(own_home, "samples: 2\n")
    assert preferences().samples == 2
    monkeypatch.setenv("MATHCODER_SAMPLES", "3")
    assert preferences().samples == 3
    assert preferences(samples=4).samples == 4
    assert preferences(samples=None).samples == 3


def test_every_mistake_in_the_settings_is_told_with_where_it_stands(
    own_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings(own_home, "temprature: 1\nimages: cat\n")
    monkeypatch.setenv("MATHCODER_THREADS", "many")
    with pytest.raises(InputError, match="temprature = 1") as caught:
        preferences()
    told = str(caught.value)
    assert "Did you mean temperature?" in told
    assert "MATHCODER_THREADS" in told
    assert "settings.yaml" in told
    assert "images = 'cat'" in told


def test_a_settings_file_of_version_0_1_is_still_read(own_home: Path) -> None:
    settings(own_home, "samples: 2\nerror_wording: python\n")
    assert preferences().samples == 2


def test_a_settings_file_that_is_no_mapping_is_refused(own_home: Path) -> None:
    settings(own_home, "- a\n")
    with pytest.raises(InputError, match="no `key: value` lines"):
        preferences()


def test_a_chat_without_a_model_says_what_there_is(own_home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    gguf(own_home / "work" / "mine.gguf")
    assert main(["chat"]) == 2
    told = capsys.readouterr().err
    assert "mine" in told
    assert "mathcoder train" in told
    assert "mathcoder chat" in told


def test_sizes_are_written_for_people() -> None:
    assert [size_text(size) for size in (12, 2004, 6_900_000, 4_100_000_000)] == ["12 B", "2.0 kB", "6.9 MB", "4.1 GB"]

"""Where weights lie is read from an index that may say anything, and never leaves the folder."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from qlora.weights import read_object, weight_files
from runtime.errors import ModelError


def folder_with(tmp_path: Path, index: str) -> Path:
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "model.safetensors.index.json").write_text(index)
    (folder / "a.safetensors").write_bytes(b"")
    (tmp_path / "x.safetensors").write_bytes(b"")
    return folder


def test_shards_come_once_each_in_the_order_of_their_names(tmp_path: Path) -> None:
    index = {"weight_map": {"u": "b.safetensors", "v": "a.safetensors", "w": "b.safetensors"}}
    folder = folder_with(tmp_path, json.dumps(index))
    (folder / "b.safetensors").write_bytes(b"")
    assert [file.name for file in weight_files(folder)] == ["a.safetensors", "b.safetensors"]


@pytest.mark.parametrize("name", ["../x.safetensors", "/etc/passwd", "a/../../x.safetensors", "..", ".", "", "a\0b"])
def test_a_shard_outside_the_folder_is_refused(name: str, tmp_path: Path) -> None:
    folder = folder_with(tmp_path, json.dumps({"weight_map": {"w": name}}))
    with pytest.raises(ModelError, match=r"is not a shard index .* is not the name of a file beside it"):
        weight_files(folder)


@pytest.mark.parametrize(
    "index",
    ["", "{", "[]", "{}", '{"weight_map": []}', '{"weight_map": {}}', '{"weight_map": {"w": 3}}',
     '{"weight_map": {"w": ["a"]}}', '{"weight_map": {"w": null, "v": "a.safetensors"}}', "[" * 100_000],
)  # fmt: skip
def test_an_index_that_is_none_is_one_clear_error(index: str, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="is not a shard index"):
        weight_files(folder_with(tmp_path, index))


def test_a_shard_that_is_missing_is_named(tmp_path: Path) -> None:
    folder = folder_with(tmp_path, json.dumps({"weight_map": {"u": "a.safetensors", "v": "c.safetensors"}}))
    with pytest.raises(ModelError, match=r"lacks 1 of 2 shards: c\.safetensors"):
        weight_files(folder)


@pytest.mark.parametrize(
    ("content", "said"),
    [(b"{", "is not valid JSON"), (b"\xff\xfe", "is not valid JSON"), (b"[" * 100_000, "is not valid JSON"),
     (b"[]", "holds no JSON object"), (b"3", "holds no JSON object")],
)  # fmt: skip
def test_a_config_that_is_none_is_one_clear_error(content: bytes, said: str, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_bytes(content)
    with pytest.raises(ModelError, match=said):
        read_object(tmp_path / "config.json", "nothing was trained")

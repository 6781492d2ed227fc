"""Fake folders of Ollama, LM Studio, the hub and llama.cpp: what is listed, found and refused."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import pytest

from export.gguf.file import first_keys
from recipes.cli import main
from recipes.models import Found, name_of, resolve, survey
from runtime.errors import InputError, ModelError
from tests.runtime.gguf_factory import write_adapter, write_model

MODEL = "application/vnd.ollama.image.model"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("OLLAMA_MODELS", "HF_HOME", "HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "LLAMA_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name in ("XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME"):
        monkeypatch.setenv(name, str(tmp_path / name))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setattr("recipes.models.ollama.SYSTEM_STORE", tmp_path / "usr-share-ollama")
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path / "home"


def gguf(path: Path, size: int = 2000) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"GGUF" + b"\3\0\0\0" + b"\0" * (size - 8))
    return path


def found() -> dict[str, Found]:
    return {item.name: item for item in survey().found if item.name not in ("nano", "smollm2")}


def unusable() -> str:
    return "\n".join(item.told for item in survey().unusable)


def ollama(store: Path, name: str, layers: list[dict[str, Any]] | str, folder: str = "manifests") -> Path:
    """Write a manifest; of each model layer with a number for a digest, the blob too."""
    path = store / folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(layers, str):
        path.write_text(layers, encoding="utf-8")
        return path
    for layer in layers:
        if isinstance(layer["digest"], int):
            digest = f"{layer['digest']:064x}"
            gguf(store / "blobs" / f"sha256-{digest}", 2000 + layer["digest"])
            layer["digest"] = f"sha256:{digest}"
    path.write_text(json.dumps({"schemaVersion": 2, "layers": layers}), encoding="utf-8")
    return path


def model(digest: int | str) -> dict[str, Any]:
    return {"mediaType": MODEL, "digest": digest, "size": 1}


def test_ollama_s_models_are_found_by_the_names_that_ollama_gives(
    home: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    store = home / ".ollama" / "models"
    template = {"mediaType": "application/vnd.ollama.image.template", "digest": "sha256:" + "f" * 64}
    ollama(store, "registry.ollama.ai/library/qwen3/4b", [template, model(1)])
    ollama(store, "registry.ollama.ai/library/qwen3/latest", [model(2)])
    ollama(store, "registry.ollama.ai/someone/mine/v1", [model(3)])
    ollama(store, "hf.co/org/tiny-GGUF/Q4_K_M", [model(1)])
    ollama(tmp_path / "usr-share-ollama", "registry.ollama.ai/library/gpt-oss/20b", [model(4)])
    listed = found()
    names = {"qwen3:4b", "qwen3:latest", "someone/mine:v1", "hf.co/org/tiny-GGUF:Q4_K_M", "gpt-oss:20b"}
    assert set(listed) == {f"ollama:{name}" for name in names}
    assert (listed["ollama:qwen3:4b"].size, listed["ollama:qwen3:4b"].place) == (2001, "Ollama")
    assert resolve("ollama:qwen3:4b") == store / "blobs" / f"sha256-{1:064x}"
    assert resolve("ollama:qwen3") == store / "blobs" / f"sha256-{2:064x}"
    assert resolve("ollama:gpt-oss").name == f"sha256-{4:064x}", "its only tag"
    assert name_of(resolve("ollama:qwen3:latest")) == "ollama:qwen3:latest"
    with pytest.raises(InputError, match=r"ollama:qwen4:4b is not on this machine.*did you mean ollama:qwen3:4b"):
        resolve("ollama:qwen4:4b")
    monkeypatch.setenv("OLLAMA_MODELS", str(tmp_path / "elsewhere"))
    ollama(tmp_path / "elsewhere", "registry.ollama.ai/library/moved/1b", [model(5)])
    assert set(found()) == {"ollama:moved:1b", "ollama:gpt-oss:20b"}


def test_a_manifest_of_newer_versions_is_a_link_to_a_blob_and_may_list_variants(home: Path) -> None:
    store = home / ".ollama" / "models"
    ollama(store, "registry.ollama.ai/library/new/1b", [model(7)])  # makes the blob
    child = {"mediaType": "application/vnd.docker.distribution.manifest.v2+json", "layers": [model(f"sha256:{7:064x}")]}
    (store / "blobs" / f"sha256-{9:064x}").write_text(json.dumps(child), encoding="utf-8")
    variants = [{"runner": "mlx", "layers": [{"mediaType": "application/vnd.ollama.image.tensor"}]}]
    variants.append({"runner": "llamacpp", "digest": f"sha256:{9:064x}"})
    listing = {"mediaType": "application/vnd.ollama.manifest.list.v2+json", "manifests": variants}
    (store / "blobs" / f"sha256-{8:064x}").write_text(json.dumps(listing), encoding="utf-8")
    path = store / "manifests-v2" / "registry.ollama.ai" / "library" / "new" / "2b"
    path.parent.mkdir(parents=True)
    path.symlink_to(f"../../../../blobs/sha256-{8:064x}")
    assert resolve("ollama:new:2b") == store / "blobs" / f"sha256-{7:064x}"


def test_what_is_broken_in_ollama_s_store_is_a_line_and_never_leads_out_of_it(home: Path, tmp_path: Path) -> None:
    store = home / ".ollama" / "models"
    library = "registry.ollama.ai/library"
    outside = gguf(tmp_path / "secret.gguf")
    cases: dict[str, tuple[list[dict[str, Any]] | str, str]] = {
        "cut": ('{"layers": [', "not valid JSON"),
        "deep": ("[" * 100_000, "not valid JSON"),
        "list": ("[]", "not a JSON object"),
        "none": ("{}", "has no layers"),
        "cloud": ([], "holds no GGUF file"),
        "gone": ([model(f"sha256:{5:064x}")], "is gone"),
        "leaves": ([model(f"sha256-{os.path.relpath(outside, store / 'blobs')}")], "is not a SHA-256"),
        "number": (json.dumps({"layers": [{"mediaType": MODEL, "digest": 5}]}), "is not a SHA-256"),
        "huge": (" " * (2 << 20), "over 1,048,576 bytes"),
        "escape": ([model("\x1b[2Jsha256:" + "0" * 64)], "is not a SHA-256"),
        "adapted": (
            [model(1), {"mediaType": "application/vnd.ollama.image.adapter", "digest": "sha256:" + "1" * 64}],
            "an adapter of its own",
        ),
    }
    for tag, (layers, _) in cases.items():
        ollama(store, f"{library}/bad/{tag}", layers)
    (store / "manifests" / library / "bad" / "link").symlink_to(tmp_path / "manifest")
    (tmp_path / "manifest").write_text(json.dumps({"layers": [model(f"sha256:{1:064x}")]}), encoding="utf-8")
    (store / "manifests" / library / "bad" / "dangling").symlink_to(tmp_path / "nothing")
    (store / "manifests" / library / "bad" / "folder").mkdir()
    os.mkfifo(store / "manifests" / library / "bad" / "pipe")
    ollama(store, f"{library}/bad/a\x1b[31mb", [model(1)])
    assert found() == {}
    told = {item.name: item.reason for item in survey().unusable}
    for tag, (_, reason) in cases.items():
        assert reason in told[f"ollama:bad:{tag}"], tag
    for tag in ("link", "dangling", "folder", "pipe"):
        assert f"ollama:bad:{tag}" in told
    assert "\x1b" not in unusable()
    assert "not a name that Ollama gives" in told["ollama:bad:a[31mb"]
    with pytest.raises(ModelError, match="ollama:bad:gone cannot be used: its blob"):
        resolve("ollama:bad:gone")


def test_lm_studio_s_models_are_found_where_its_settings_say(home: Path, tmp_path: Path) -> None:
    gguf(home / ".lmstudio" / "models" / "pub" / "tiny-GGUF" / "tiny-Q4_K_M.gguf")
    gguf(home / ".lmstudio" / "models" / "pub" / "tiny-GGUF" / "mmproj-tiny-F16.gguf")
    gguf(home / ".cache" / "lm-studio" / "models" / "old" / "repo" / "old.gguf")
    assert set(found()) == {"lmstudio:pub/tiny-GGUF/tiny-Q4_K_M", "lmstudio:old/repo/old"}
    moved = gguf(tmp_path / "big" / "pub" / "repo" / "moved.gguf")
    (home / ".lmstudio" / "settings.json").write_text(json.dumps({"downloadsFolder": str(tmp_path / "big")}))
    assert resolve("lmstudio:pub/repo/moved") == resolve("lmstudio:pub/repo/moved.gguf") == moved
    other = gguf(tmp_path / "its-home" / "models" / "a" / "b" / "pointed.gguf")
    (home / ".lmstudio-home-pointer").write_text(str(tmp_path / "its-home") + "\n")
    assert resolve("lmstudio:a/b/pointed") == other
    for damaged in (
        "{",
        "[1]",
        '{"downloadsFolder": 5}',
        '{"downloadsFolder": "../up"}',
        '{"downloadsFolder": "/\\u0000"}',
    ):
        (home / ".lmstudio" / "settings.json").write_text(damaged)
        assert "lmstudio:a/b/pointed" in found()


def snapshot(cache: Path, repository: str, commit: str, *files: str) -> Path:
    folder = cache / f"models--{repository.replace('/', '--')}"
    for number, name in enumerate(files):
        blob = gguf(folder / "blobs" / f"{commit}{number}")
        link = folder / "snapshots" / commit / name
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(os.path.relpath(blob, link.parent))
    return folder


def test_the_hub_s_cache_is_listed_by_repository_and_quantization(
    home: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    cache = home / ".cache" / "huggingface" / "hub"
    folder = snapshot(cache, "org/tiny-GGUF", "new", "tiny-Q8_0.gguf", "tiny-Q4_K_M.gguf", "mmproj-F16.gguf")
    snapshot(cache, "org/tiny-GGUF", "old", "tiny-Q8_0.gguf", "tiny-Q2_K.gguf")
    (folder / "refs").mkdir()
    (folder / "refs" / "main").write_text("new")
    snapshot(cache, "org/split", "c", *(f"Q6_K/big-Q6_K-0000{n}-of-00002.gguf" for n in (1, 2)))
    (cache / "models--org--weights" / "snapshots" / "c").mkdir(parents=True)
    (cache / "datasets--org--rows" / "snapshots" / "c").mkdir(parents=True)
    listed = found()
    assert set(listed) == {f"hf:org/tiny-GGUF:{tag}" for tag in ("Q8_0", "Q4_K_M", "Q2_K")} | {"hf:org/split:Q6_K"}
    assert resolve("hf:org/tiny-GGUF") == folder / "snapshots" / "new" / "tiny-Q4_K_M.gguf", "as `models get` chooses"
    assert resolve("hf:Org/Tiny-GGUF:q8_0") == folder / "snapshots" / "new" / "tiny-Q8_0.gguf"
    split = listed["hf:org/split:Q6_K"]
    assert (split.parts, split.size, split.path.name) == (2, 4000, "big-Q6_K-00001-of-00002.gguf")
    (folder / "blobs" / "new1").unlink()
    assert "a link to a file that is gone" in unusable()
    with pytest.raises(InputError, match="mathcoder models get hf:org/other"):
        resolve("hf:org/other")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    snapshot(tmp_path / "hf" / "hub", "a/b", "c", "b-IQ4_XS.gguf")
    assert set(found()) == {"hf:a/b:IQ4_XS"}


def test_llama_cpp_s_cache_is_listed_in_its_old_and_its_new_layout(
    home: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    cache = home / ".cache" / "llama.cpp"
    gguf(cache / "org_tiny-GGUF_tiny-Q4_K_M.gguf")
    gguf(cache / "org_other_other.gguf")
    gguf(cache / "bare.gguf")
    for name, file in (("org=tiny-GGUF=Q4_K_M", "tiny-Q4_K_M.gguf"), ("org=other=latest", "other.gguf")):
        (cache / f"manifest={name}.json").write_text(json.dumps({"ggufFile": {"rfilename": file}}))
    (cache / "manifest=org=bad=latest.json").write_text("{")
    assert set(found()) == {"hf:org/tiny-GGUF:Q4_K_M", "hf:org/other:other", "llama.cpp:bare"}
    monkeypatch.setenv("LLAMA_CACHE", str(tmp_path / "llama"))
    snapshot(tmp_path / "llama", "x/y", "c", "y-Q8_0.gguf")
    assert set(found()) == {"hf:x/y:Q8_0"}


def test_split_files_of_one_s_own_are_one_model_and_a_missing_part_is_told() -> None:
    for number in (1, 2, 3):
        gguf(Path(f"big-Q4_K_M-0000{number}-of-00003.gguf"))
    gguf(Path("half-00002-of-00002.gguf"))
    listed = found()
    assert set(listed) == {"big-Q4_K_M"}
    assert (listed["big-Q4_K_M"].parts, listed["big-Q4_K_M"].size) == (3, 6000)
    assert resolve("big-Q4_K_M").name == "big-Q4_K_M-00001-of-00003.gguf"
    assert "half: 1 of its 2 files are missing" in unusable()


def test_unreadable_folders_loops_and_files_of_other_kinds_are_a_line_each(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = home / ".lmstudio" / "models" / "p" / "r"
    folder.mkdir(parents=True)
    (folder / "text.gguf").write_text("not a model")
    (folder / "loop.gguf").symlink_to("loop.gguf")
    (folder / "loopfolder").symlink_to(".")
    gguf(folder / "good.gguf")
    os.mkfifo(folder / "pipe.gguf")
    write_adapter(folder / "adapter.gguf")
    (folder / "empty.gguf").touch()
    gguf(folder / "evil\x1b]0;title\x07\nname.gguf")
    Path("loop.gguf").symlink_to("loop.gguf")
    assert main(["models"]) == 0
    shown = capsys.readouterr().out
    assert "\x1b]0" not in shown
    told = unusable()
    for name in ("text", "loop", "pipe", "empty"):
        assert f"lmstudio:p/r/{name}" in told
    assert "adapter" not in told
    names = [name for name in found() if name.startswith("lmstudio:")]
    assert names == ["lmstudio:p/r/evil]0;title name", "lmstudio:p/r/good"]


def test_a_folder_that_may_not_be_read_is_a_line(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (home / ".ollama" / "models" / "manifests").mkdir(parents=True)
    listdir = os.listdir

    def refusing(path: Any) -> list[str]:
        if str(path).endswith("manifests"):
            raise PermissionError(13, "Permission denied")
        return listdir(path)

    monkeypatch.setattr("recipes.models.found.os.listdir", refusing)
    assert "cannot be read: Permission denied" in unusable()


def test_a_header_gives_its_first_keys_and_damage_gives_those_in_front_of_it(tmp_path: Path) -> None:
    path = write_model(tmp_path / "tiny.gguf")
    header = first_keys(path)
    assert header is not None
    assert (header["general.architecture"], header["general.name"]) == ("llama", "tiny random llama")
    assert header["llama.context_length"] == 1024
    data = path.read_bytes()
    for cut in range(4, 400, 7):
        path.write_bytes(data[:cut])
        assert first_keys(path) is not None
    path.write_bytes(data[:24] + b"\xff" * 400)
    assert first_keys(path) == {}


def test_removing_what_another_program_holds_is_refused(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ollama(home / ".ollama" / "models", "registry.ollama.ai/library/qwen3/4b", [model(1)])
    mine = gguf(Path("mine.gguf"))
    for name, told in (
        ("ollama:qwen3:4b", "ollama rm qwen3:4b"),
        ("mine", "delete the file yourself"),
        ("x", "no model x"),
    ):
        assert main(["models", "rm", name, "--yes"]) == 2
        assert told in capsys.readouterr().err.replace("Delete", "delete")
    assert mine.is_file()
    assert resolve("ollama:qwen3:4b").is_file()


@pytest.mark.alone
def test_two_hundred_models_are_listed_within_two_seconds(home: Path) -> None:
    for number in range(100):
        ollama(home / ".ollama" / "models", f"registry.ollama.ai/library/m{number}/latest", [model(number)])
        gguf(home / ".lmstudio" / "models" / "pub" / f"repo{number}" / "m-Q4_K_M.gguf", 100_000)
    began = time.perf_counter()
    assert len(found()) == 200
    assert time.perf_counter() - began < 2

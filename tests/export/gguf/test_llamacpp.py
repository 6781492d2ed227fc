"""The converter is found, fetched with its hash checked, or its absence explained."""

from __future__ import annotations

import io
import shutil
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from export.gguf import llamacpp
from export.gguf.convert import conversion_error
from runtime.errors import ExportError, InputError
from runtime.files import sha256_file

SMALL = ("convert_hf_to_gguf.py", "convert_lora_to_gguf.py", "conversion/base.py", "gguf-py/gguf/__init__.py")


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MATHCODER_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def archive(path: Path, *, without: str = "", version: str | None = None, content: bytes = b"test") -> Path:
    """A source distribution in small."""
    top = f"llama_cpp_python-{version or llamacpp.installed_version()}"
    names = [*SMALL, "src/x.cpp"]
    with tarfile.open(path, "w:gz") as tar:
        for name in names:
            if name != without:
                info = tarfile.TarInfo(f"{top}/vendor/llama.cpp/{name}")
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))
    return path


@pytest.fixture
def known(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., Path]:
    """An archive that is the source distribution which the project knows."""

    def make(**options: Any) -> Path:
        file = archive(tmp_path / "x.tar.gz", **options)
        monkeypatch.setattr(llamacpp, "SHA256", {llamacpp.installed_version(): sha256_file(file)})
        monkeypatch.setattr(llamacpp, "TREES", {})
        return file

    return make


def test_no_network_is_one_sentence_with_the_remedy(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    failed = subprocess.CompletedProcess([], 1, "", "WARNING: x\nERROR: No matching distribution found for y\n")
    monkeypatch.setattr("subprocess.run", lambda *_args, **_kw: failed)
    with pytest.raises(ExportError, match=r"No matching distribution.*--llama-cpp FILE"):
        llamacpp.find()
    assert not any(cache.glob("llama.cpp-*"))


def test_an_archive_with_another_hash_is_not_used(cache: Path, tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="expected 832db0699007f1be"):
        llamacpp.find(archive(tmp_path / "x.tar.gz"))
    assert not any(cache.glob("llama.cpp-*"))


@pytest.mark.usefixtures("cache")
def test_only_what_is_needed_is_unpacked_and_the_second_call_finds_it(
    known: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    file = known()
    found = llamacpp.find(file)
    assert found.converter.read_text() == "test"
    assert not (found.folder / "src").exists()
    monkeypatch.setattr("subprocess.run", lambda *_args, **_kw: pytest.fail("fetched again"))
    assert llamacpp.find() == found
    assert llamacpp.is_at_hand()


@pytest.mark.usefixtures("cache")
def test_of_a_version_nobody_knows_a_newly_given_archive_replaces_the_cached_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(llamacpp, "SHA256", {})
    monkeypatch.setattr(llamacpp, "TREES", {})
    first = llamacpp.find(archive(tmp_path / "x.tar.gz"))
    assert "is known to compare" in str(first.mismatch)
    (first.folder / "kept").touch()
    llamacpp.find(tmp_path / "x.tar.gz")
    assert (first.folder / "kept").exists(), "the same again is left alone"
    second = llamacpp.find(archive(tmp_path / "y.tar.gz", content=b"other"))
    assert second == first
    assert second.converter.read_text() == "other"
    assert [path.name for path in first.folder.parent.iterdir()] == [first.folder.name]


@pytest.mark.usefixtures("cache")
def test_a_cached_converter_that_is_not_the_known_one_is_fetched_again(
    known: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    file = known()
    found = llamacpp.find(file)
    monkeypatch.setattr(llamacpp, "TREES", {llamacpp.installed_version(): llamacpp.tree_hash(found.folder)})
    assert llamacpp.find().mismatch is None
    (found.folder / "conversion" / "base.py").write_text("# edited")
    assert not llamacpp.is_at_hand()
    monkeypatch.setattr(llamacpp, "download", lambda *_: file)
    assert llamacpp.find().mismatch is None
    assert (found.folder / "conversion" / "base.py").read_text() == "test"


def test_an_archive_without_converter_leaves_nothing(known: Callable[..., Path], cache: Path) -> None:
    file = known(without="conversion/base.py")
    with pytest.raises(ExportError, match=r"holds no vendor/llama\.cpp"):
        llamacpp.find(file)
    assert list(cache.iterdir()) == []


def test_a_cut_archive_is_refused(known: Callable[..., Path], cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = known()
    file.write_bytes(file.read_bytes()[:-60])
    monkeypatch.setattr(llamacpp, "SHA256", {llamacpp.installed_version(): sha256_file(file)})
    with pytest.raises(ExportError, match=r"not a readable \.tar\.gz|holds no vendor"):
        llamacpp.find(file)
    assert not any(cache.glob("llama.cpp-*"))


def test_an_archive_of_another_version_is_named_and_refused(known: Callable[..., Path], cache: Path) -> None:
    file = known(version="0.3.9")
    with pytest.raises(InputError, match=rf"0\.3\.9; {llamacpp.installed_version()} is installed"):
        llamacpp.find(file)
    assert not any(cache.glob("llama.cpp-*"))


def test_a_folder_that_differs_from_the_known_converter_says_so(converter: Any, tmp_path: Path) -> None:
    assert llamacpp.find(converter.folder).mismatch is None
    copy = tmp_path / "copy"
    shutil.copytree(converter.folder, copy)
    with open(copy / "conversion" / "base.py", "a", encoding="utf-8") as handle:
        handle.write("# patched\n")
    assert "differs from the converter of llama-cpp-python" in str(llamacpp.find(copy).mismatch)


def test_a_folder_is_not_compared_with_a_version_nobody_knows(converter: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(llamacpp, "TREES", {})
    assert "is known to compare" in str(llamacpp.find(converter.folder).mismatch)


def test_the_command_line_hands_a_folder_or_an_archive_on(tmp_path: Path) -> None:
    from recipes.cli.export import parser, settings_of

    for path in (tmp_path, tmp_path / "llama_cpp_python-0.3.36.tar.gz"):
        args = parser().read(["run", "--llama-cpp", str(path)])
        assert args is not None
        assert settings_of(args).llama_cpp == path


def test_a_given_folder_is_used_and_a_wrong_one_refused(tmp_path: Path) -> None:
    for name in SMALL:
        (tmp_path / "vendor" / "llama.cpp" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "vendor" / "llama.cpp" / name).touch()
    assert llamacpp.find(tmp_path).folder == tmp_path / "vendor" / "llama.cpp"
    with pytest.raises(InputError, match=r"holds no llama\.cpp converter"):
        llamacpp.find(tmp_path / "vendor" / "llama.cpp" / "gguf-py")
    with pytest.raises(InputError, match="does not exist"):
        llamacpp.find(tmp_path / "nowhere")


@pytest.mark.usefixtures("cache")
def test_nothing_of_the_distribution_runs_while_it_is_fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The build backend pip asks for metadata is ours, and pip is told the hash."""
    seen: dict[str, Any] = {}

    def run(command: list[str], *, env: dict[str, str], **_: Any) -> Any:
        seen["command"] = command
        folder = Path(env["PYTHONPATH"])
        scope: dict[str, Any] = {}
        exec((folder / "scikit_build_core" / "build.py").read_text(), scope)
        (tmp_path / "metadata").mkdir()
        seen["name"] = scope["prepare_metadata_for_build_wheel"](str(tmp_path / "metadata"))
        seen["requirement"] = Path(command[-1]).read_text()
        return subprocess.CompletedProcess(command, 1, "", "ERROR: stopped by the test")

    monkeypatch.setattr("subprocess.run", run)
    with pytest.raises(ExportError, match="stopped by the test"):
        llamacpp.find()
    assert {"--require-hashes", "--no-build-isolation", "--no-deps"} <= set(seen["command"])
    assert seen["requirement"].split("sha256:")[1].strip() == llamacpp.SHA256[llamacpp.installed_version()]
    text = (tmp_path / "metadata" / seen["name"] / "METADATA").read_text()
    assert f"Version: {llamacpp.installed_version()}" in text


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["WARNING: The BPE pre-tokenizer was not recognized!"], r"set export\.pre_tokenizer"),
        (["ERROR:hf-to-gguf:Model FooForCausalLM is not supported"], "architecture FooForCausalLM"),
        (["Traceback", "  File x", "ValueError: Can not map tensor 'x'"], "Can not map tensor"),
        ([], "it said nothing"),
    ],
)
def test_the_converters_reason_becomes_one_sentence(lines: list[str], message: str) -> None:
    with pytest.raises(ExportError, match=message):
        raise conversion_error(lines)

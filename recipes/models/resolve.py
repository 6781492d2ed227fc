"""The file that a name stands for: a path, `nano`, or a name from the list of models."""

from __future__ import annotations

import os
from pathlib import Path

from recipes import smollm2
from recipes.models.found import Found, Unusable
from recipes.models.names import preferred
from recipes.models.ollama import look_at_ollama
from recipes.models.own import NANO
from recipes.models.survey import LOOKS, Survey, survey
from recipes.places import PACKAGED_MODEL, models_folder
from recipes.preferences import preferences
from runtime.errors import InputError, ModelError
from runtime.text import did_you_mean


def resolve(name: str | None) -> Path:
    """The file behind a path, `nano`, or a name from the list; None takes the model in the settings.

    Raises:
        InputError: no such model; the message says what there is.
        ModelError: it is there and cannot be used.
    """
    if name is None:
        name = preferences().model
        if name is None:
            raise InputError("no model was named", "", "name one (mathcoder models lists them), or set MATHCODER_MODEL")
    path = Path(name).expanduser()
    if os.path.isfile(path):
        return path
    if name == NANO:
        if PACKAGED_MODEL.is_file():
            return PACKAGED_MODEL
        raise InputError("this installation lacks the packaged nano model", "", "make one with `mathcoder demo`")
    if name == smollm2.NAME:
        if (base := smollm2.base_file(models_folder())) is not None:
            return base
        raise InputError(
            f"the base of {smollm2.NAME} is not on this machine",
            "its packaged adapter alone writes nothing",
            f"fetch it (98 MB): mathcoder models get {smollm2.NAME}",
        )
    if (prefix := prefix_of(name)) is not None:
        return _in_stores(name, prefix)
    if os.path.isdir(path):
        inside = sorted(path.glob("*.gguf"))
        if len(inside) == 1:
            return inside[0]
        choice = ", ".join(str(item) for item in inside)
        remedy = (
            f"name one of its files: {choice}" if inside else "it holds no GGUF file; name another folder or a file"
        )
        raise InputError(f"{name} is a folder, not a GGUF file", "", remedy)
    looked = survey() if os.sep not in name else Survey([], [])
    matches = [item for item in looked.found if name in (item.name, item.path.name)]
    if len(matches) == 1:
        return matches[0].path
    if len(matches) > 1:
        raise InputError(f"{name} stands for several files", "", "name one: " + ", ".join(str(m.path) for m in matches))
    _refuse_unusable(name, looked.unusable)
    known = did_you_mean(name, [item.name for item in looked.found], "did you mean {}? ")
    raise InputError(f"there is no model file {name}", "", f"{known}`mathcoder models` lists what there is")


def name_of(path: Path) -> str:
    """What people call the model at `path`: the file's name, save where files are named by their hash."""
    if not path.name.startswith("sha256"):
        return path.name
    return next((item.name for item in look_at_ollama().found if item.path == path), path.name)


def prefix_of(name: str) -> str | None:
    """What a name begins with that says which program holds the model (`ollama:`), else None."""
    return next((prefix for prefix in LOOKS if name.startswith(prefix)), None)


def _in_stores(name: str, prefix: str) -> Path:
    looks = [look_at() for look_at in LOOKS[prefix]]
    found = [item for look in looks for item in look.found]
    match = _named(name.removesuffix(".gguf"), prefix, found)
    if match is not None:
        return match.path
    _refuse_unusable(name, [item for look in looks for item in look.unusable])
    known = did_you_mean(name, [item.name for item in found], "did you mean {}? ")
    if prefix == "hf:":
        remedy = f"{known}`mathcoder models get {name}` fetches it"
    else:
        remedy = f"{known}`mathcoder models` lists what there is"
    raise InputError(f"{name} is not on this machine", "", remedy)


def _named(name: str, prefix: str, found: list[Found]) -> Found | None:
    """The first of `found` that is called `name`; without a tag, the one that is taken by default."""
    folded = name.casefold()
    match = next((item for item in found if item.name.casefold() == folded), None)
    if match is not None or ":" in name.removeprefix(prefix):
        return match
    tags = {
        item.name[len(name) + 1 :]: item for item in reversed(found) if item.name.casefold().startswith(f"{folded}:")
    }
    if prefix == "ollama:":
        tag = "latest" if "latest" in tags else next(iter(tags)) if len(tags) == 1 else None
    else:
        tag = preferred({tag: item.size for tag, item in tags.items()}) if tags else None
    return tags[tag] if tag is not None else None


def _refuse_unusable(name: str, unusable: list[Unusable]) -> None:
    for item in unusable:
        if item.name.casefold() == name.casefold():
            raise ModelError(f"{name} cannot be used: {item.reason}", "", f"its place: {item.place or item.name}")


def examples_of(path: Path) -> list[str]:
    """Problems that the model at `path` is known to solve; empty where nothing is known."""
    from recipes.nano.examples import EXAMPLES

    return list(EXAMPLES) if path.resolve() == PACKAGED_MODEL.resolve() else []

"""A recipe: one YAML file with the settings of every room, checked as a whole.

A recipe is named by its path, or, for the packaged ones, by its bare name (`nano`). Every mistake in it is reported at
once, each with its key, its value and the nearest valid name.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, Field, ValidationError, model_validator

from export.settings import ExportSettings
from qlora.settings import (
    LAYOUT_KEYS,
    DataSettings,
    LoraSettings,
    QloraSettings,
    Settings,
    TrainSettings,
    problem_of_dialect,
)
from recipes.places import RECIPES, built_in
from recipes.reinforce.settings import ReinforceSettings
from recipes.smollm2 import NAME as SMOLLM2
from recipes.yaml_text import load_yaml, read_yaml
from runtime.errors import InputError, RecipeError
from runtime.sandbox import Limits
from runtime.settings import SolverSettings
from runtime.text import did_you_mean, nearest

NANO = "nano"
"""As a base: the embedded one. As a data source: rows generated and executed on this machine."""


class Recipe(Settings):
    """Everything one model needs, from its base to how it is solved with."""

    name: str = Field(
        min_length=1, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", description="of the run folder and of the exported files"
    )
    base: str = Field(min_length=1, description="folder, hub id or GGUF file of the base model, or `nano`, `smollm2`")
    dialect: str = Field(
        default="lce",
        min_length=1,
        description="how rows are rendered. lce: the block format, with eight tokens of its own; auto: in the "
        "interpreter format that the base's chat template declares; or one by name (docs/dialects.md)",
    )
    data: DataSettings
    train: TrainSettings = TrainSettings()
    lora: LoraSettings = LoraSettings()
    export: ExportSettings = ExportSettings()
    solve: SolverSettings = SolverSettings()
    sandbox: Limits = Limits()
    reinforce: ReinforceSettings = ReinforceSettings()

    @model_validator(mode="before")
    @classmethod
    def _sections(cls, value: Any) -> Any:
        # A section whose every line is commented out is `null` in YAML; the person means its defaults.
        if isinstance(value, Mapping):
            return {key: item for key, item in value.items() if item is not None or key not in _SECTIONS}
        return value

    @model_validator(mode="after")
    def _one_format(self) -> Recipe:
        if problem := problem_of_dialect(self.dialect, self.lora):
            raise ValueError(problem)
        return self

    @cached_property
    def hash8(self) -> str:
        """Eight hex digits over what decides the trained weights, for the default run folder."""
        return self._hash8({"name", "base", "data", "train", "lora"})

    def _hash8(self, sections: set[str]) -> str:
        relevant = self.model_dump(mode="json", include=sections)
        # What may change while a run goes on must not send it to another folder.
        if self.dialect != "lce":
            # Runs of recipes that do not name one keep their folders.
            relevant["dialect"] = self.dialect
        relevant["train"] = {key: value for key, value in relevant["train"].items() if key not in LAYOUT_KEYS}
        return hashlib.sha256(json.dumps(relevant, sort_keys=True).encode()).hexdigest()[:8]

    @property
    def run_folder(self) -> Path:
        """Where a run of this recipe goes unless told otherwise."""
        return Path("runs") / f"{self.name}-{self.hash8}"

    @property
    def reinforced_folder(self) -> Path:
        """Where `mathcoder reinforce` goes with this recipe unless told otherwise."""
        return (
            Path("runs") / f"{self.name}-{self._hash8({'name', 'base', 'data', 'train', 'lora', 'solve', 'reinforce'})}"
        )

    def qlora(self) -> QloraSettings:
        """What the training room needs, with `nano` replaced by real paths (this may generate the rows)."""
        data = self.data
        if data.source == NANO:
            from recipes.nano.rows import training_rows_path

            data = data.model_copy(update={"source": str(training_rows_path())})
        train = self.train
        if is_gguf(self.base) and "quantize" not in train.model_fields_set:
            # What llama.cpp holds is what the adapter is for; quantizing it once more would train for another base.
            train = train.model_copy(update={"quantize": False})
        return QloraSettings(
            name=self.name, base=base_path(self.base), dialect=self.dialect, data=data, train=train, lora=self.lora
        )


_SECTIONS = frozenset({"train", "lora", "export", "solve", "sandbox", "reinforce"})


def is_gguf(base: str) -> bool:
    """Whether a recipe's `base` is a GGUF file, or the name of one."""
    return base == SMOLLM2 or base.lower().endswith(".gguf")


def gguf_path(base: str) -> Path:
    """The file behind a base that is a GGUF.

    Raises:
        InputError: it is not on this machine.
    """
    from recipes.models import resolve

    return resolve(base) if base == SMOLLM2 else Path(base).expanduser()


def base_path(base: str) -> str:
    """Folder or hub id of a base: `nano` is the embedded folder, a GGUF the one made from it in the cache.

    Raises:
        InputError: there is no such GGUF.
        ModelError: it is of a kind that cannot become a base.
    """
    if base == NANO:
        return str(RECIPES / "nano" / "base")
    if is_gguf(base):
        from export.from_gguf import base_folder

        return str(base_folder(gguf_path(base)))
    return base


def recipe_path(name: str) -> Path:
    """The file behind `name`: a path, or the name of a packaged recipe.

    Raises:
        InputError: neither.
    """
    packaged = RECIPES / f"{name}.yaml"
    if "/" not in name.removeprefix("paper/") and not name.endswith((".yaml", ".yml")) and packaged.is_file():
        return packaged
    path = Path(name).expanduser()
    if path.is_file():
        return path
    if path.suffix in (".yaml", ".yml") or "/" in name:
        # A path into the source tree (`recipes/nano.yaml`) also works from a folder that has none.
        if path.parent.name in ("", "recipes") and (RECIPES / path.name).is_file() and not path.parent.is_absolute():
            return RECIPES / path.name
        raise InputError(f"there is no recipe file {name}", "", f"packaged recipes: {', '.join(built_in())}")
    hint = did_you_mean(name, built_in(), "did you mean {}? ")
    raise InputError(f"unknown recipe {name!r}", "", f"{hint}Packaged recipes: {', '.join(built_in())}; or give a path")


def load_recipe(name: str, overrides: Sequence[str] = (), *, data: str | None = None) -> Recipe:
    """Read, override and validate a recipe.

    Args:
        name: a path, or the name of a packaged recipe.
        overrides: `key=value`, the key dotted (`train.epochs=2`) or, where only one section has it, bare (`epochs=2`);
            the value is read as YAML.
        data: replaces the source of the rows; what else stands under `data` stays.

    Raises:
        InputError: there is no such recipe, or an override is no `key=value`.
        RecipeError: the file is not a YAML mapping, or does not validate; every mistake is listed.
    """
    path = recipe_path(name)
    content = read_yaml(path, "nothing was started")
    _resolve_beside(content, path)
    if data is not None:
        section = content.get("data")
        kept = dict(section) if isinstance(section, Mapping) else {}
        # Another source has other files: what chose one of the old source's files cannot be meant for it.
        content["data"] = {k: v for k, v in kept.items() if k not in ("file", "revision")} | {"source": data}
    for override in overrides:
        _override(content, override)
    return validate(content, str(path))


def validate(content: Mapping[str, Any], origin: str) -> Recipe:
    """`content` as a recipe.

    Raises:
        RecipeError: with every mistake, one a line.
    """
    try:
        return Recipe.model_validate(content)
    except ValidationError as error:
        raise mistakes_in(origin, error) from None


def mistakes_in(origin: str, error: ValidationError, prefix: str = "") -> RecipeError:
    """Every mistake of a validation as one error; `prefix` (`export.`) names a section validated alone."""
    mistakes = [_mistake(item, prefix) for item in error.errors()]
    count = "1 mistake" if len(mistakes) == 1 else f"{len(mistakes)} mistakes"
    return RecipeError(f"{origin} has {count}:\n" + "\n".join(f"  - {mistake}" for mistake in mistakes))


def keys() -> list[str]:
    """Every valid key, dotted."""
    return list(_keys(Recipe, ""))


def _keys(model: type[BaseModel], prefix: str) -> Iterator[str]:
    for name, field in model.model_fields.items():
        yield f"{prefix}{name}"
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from _keys(field.annotation, f"{prefix}{name}.")


def _mistake(item: Mapping[str, Any], prefix: str) -> str:
    """One pydantic error as a sentence: key, value, reason, nearest valid name."""
    key = prefix + ".".join(str(part) for part in item["loc"]) or "the recipe"
    key = key.rstrip(".")
    value = item["input"]
    if item["type"] == "extra_forbidden":
        near = _nearest_key(key)
        return f"{key}: there is no such key (value {_short(value)})" + (f"; did you mean {near}?" if near else "")
    if item["type"] == "missing":
        return f"{key}: this key is required and missing"
    expected = item.get("ctx", {}).get("expected")
    hint = ""
    if item["type"] == "literal_error" and isinstance(value, str) and expected:
        choices = [choice.strip("' ") for choice in str(expected).replace(" or ", ",").split(",")]
        hint = did_you_mean(value, choices, "; did you mean {}?", cutoff=0.5)
    reason = str(item["msg"]).removeprefix("Value error, ")
    return f"{key}: {reason[:1].lower()}{reason[1:]} (value {_short(value)}){hint}"


def _nearest_key(key: str) -> str:
    every = keys()
    section, _, leaf = key.rpartition(".")
    siblings = [name for name in every if name.rpartition(".")[0] == section]
    if close := nearest(key, siblings, cutoff=0.75):
        return close
    # Right name, wrong section (`epochs` at the top), or a name close to one of another section.
    same_leaf = [name for name in every if name.rpartition(".")[2] == leaf]
    if same_leaf:
        return " or ".join(same_leaf)
    leaves = {name.rpartition(".")[2]: name for name in reversed(every)}
    near = nearest(leaf, leaves, cutoff=0.7)
    return leaves[near] if near else ""


def _short(value: Any) -> str:
    try:
        shown = json.dumps(value, ensure_ascii=False)
    except (TypeError, ValueError):
        shown = repr(value)
    return shown if len(shown) <= 60 else f"{shown[:57]}..."


def _resolve_beside(content: dict[str, Any], recipe: Path) -> None:
    """Let a recipe name files beside it: such a path wins over one relative to the working folder."""

    def beside(value: Any) -> Any:
        if isinstance(value, str) and value not in (NANO, SMOLLM2) and not Path(value).is_absolute():
            candidate = recipe.parent / value
            if candidate.exists():
                return str(candidate)
        return value

    if "base" in content:
        content["base"] = beside(content["base"])
    if isinstance(content.get("data"), Mapping):
        content["data"] = {**content["data"], "source": beside(content["data"].get("source"))}
        if content["data"]["source"] is None:
            del content["data"]["source"]
    elif "data" in content:
        content["data"] = beside(content["data"])


def _override(content: dict[str, Any], override: str) -> None:
    key, equals, text = override.partition("=")
    if not equals or not key:
        raise InputError(f"{override!r} is not of the form key=value", "", "write e.g. train.epochs=2")
    try:
        value = load_yaml(text)
    except yaml.YAMLError:
        value = text
    path = _full_key(key, keys()).split(".")
    section = content
    for part in path[:-1]:
        inner = section.get(part)
        if not isinstance(inner, dict):
            # `data: file.jsonl` is short for its source; an override of another key must not lose it.
            inner = {"source": inner} if part == "data" and isinstance(inner, str) else {}
            section[part] = inner
        else:
            section[part] = inner = dict(inner)
        section = inner
    section[path[-1]] = value


def _full_key(key: str, every: Iterable[str]) -> str:
    """A bare key with its section where exactly one has it; everything else as it stands."""
    every = list(every)
    if key in every or "." in key:
        return key
    candidates = [name for name in every if name.rpartition(".")[2] == key and name.count(".") == 1]
    return candidates[0] if len(candidates) == 1 else key

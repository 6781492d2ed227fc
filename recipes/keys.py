"""Every key of a recipe with its values, default and meaning, from the models that validate it.

`python -m recipes.keys` prints docs/recipe-keys.md; a test says when the page is out of date.
"""

from __future__ import annotations

import types
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from recipes.schema import Recipe


@dataclass(frozen=True)
class RecipeKey:
    """One key of a recipe.

    Attributes:
        name: dotted.
        values: what it takes, in words.
        default: as it stands in YAML; empty where the key is required.
        meaning: one sentence.
    """

    name: str
    values: str
    default: str
    meaning: str


def recipe_keys() -> list[RecipeKey]:
    """All keys in the order of the models."""
    return list(_of(Recipe, ""))


def as_text() -> str:
    """For a terminal: a key and its default on one line, its meaning below."""
    lines = []
    for key in recipe_keys():
        default = f" (default {key.default})" if key.default else " (required)"
        lines += [f"{key.name}: {key.values}{default}", f"    {key.meaning}"]
    return "\n".join(lines)


def as_markdown() -> str:
    """The page docs/recipe-keys.md."""
    lines = [
        "# Keys of a recipe",
        "",
        "Made from the models that validate a recipe, by `python -m recipes.keys > docs/recipe-keys.md`;",
        "`mathcoder train --keys` prints the same. `mathcoder train RECIPE train.epochs=1` replaces one for a run.",
    ]
    section = None
    for key in recipe_keys():
        head = key.name.rpartition(".")[0]
        if head != section:
            section = head
            lines += ["", f"## {f'`{head}`' if head else 'At the top'}", ""]
            lines += ["| key | values | default | meaning |", "|---|---|---|---|"]
        name = key.name.rpartition(".")[2]
        cells = (f"`{name}`", key.values, f"`{key.default}`" if key.default else "required", key.meaning)
        lines.append(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |")
    return "\n".join(lines) + "\n"


def _of(model: type[BaseModel], prefix: str) -> Iterator[RecipeKey]:
    for name, field in model.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from _of(field.annotation, f"{prefix}{name}.")
        else:
            meaning = " ".join((field.description or "").split())
            yield RecipeKey(f"{prefix}{name}", _values(field.annotation, field.metadata), _default(field), meaning)


def _values(annotation: Any, metadata: list[Any]) -> str:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        extra = [item for part in arguments[1:] for item in (part.metadata if isinstance(part, FieldInfo) else [part])]
        return _values(arguments[0], [*metadata, *extra])
    if origin is Literal:
        return ", ".join(f"`{value}`" for value in arguments)
    if origin is dict:
        return "names, each with a value"
    if origin in (Union, types.UnionType):
        return " or ".join(_values(part, metadata) for part in arguments if part is not type(None))
    if origin in (list, tuple):
        return f"list of {_values(arguments[0], [])}"
    words = {str: "text", int: "whole number", float: "number", bool: "true or false", Path: "path"}[annotation]
    bounds = [_bound(item) for item in metadata] if annotation in (int, float) else []
    return " ".join([words, *filter(None, bounds)])


def _bound(item: Any) -> str:
    signs = {"ge": "≥", "gt": ">", "le": "≤", "lt": "<"}
    return " ".join(
        f"{sign} {value:g}" for name, sign in signs.items() if (value := getattr(item, name, None)) is not None
    )


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return ""
    value = field.get_default(call_default_factory=True)
    if value is PydanticUndefined:
        return ""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(str, value))}]"
    return str(value)


if __name__ == "__main__":
    print(as_markdown(), end="")

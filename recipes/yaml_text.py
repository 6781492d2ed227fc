"""YAML that people write (recipes, settings, overrides), read in time proportional to its length."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from runtime.errors import RecipeError
from runtime.text import well_formed_json

MOST_NODES = 10_000
"""Values in one text, each alias counted as all that it stands for; a recipe has about a hundred."""


class _Loader(yaml.SafeLoader):
    """SafeLoader that refuses a key given twice (YAML would keep the last) and aliases without end."""

    def get_single_node(self) -> yaml.Node | None:
        node = super().get_single_node()
        if node is not None:
            _size(node, {}, set())
        return node

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if key in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key!r} stands twice", key_node.start_mark
                )
            seen.add(key)
        return super().construct_mapping(node, deep=deep)


def load_yaml(text: str) -> Any:
    """The value that `text` stands for; half of a surrogate pair in it becomes U+FFFD.

    Raises:
        YAMLError: it is not YAML, gives a key twice, is nested too deeply, or stands for more than MOST_NODES values.
    """
    try:
        value = well_formed_json(yaml.load(text, Loader=_Loader))
        repr(value)  # raises where a hexadecimal number is too long to be written in a message
    except RecursionError:
        raise yaml.YAMLError("it is nested too deeply") from None
    except (TypeError, ValueError) as error:  # a key that is a list, a date that is none
        raise yaml.YAMLError(str(error)) from None
    except (AttributeError, LookupError, ArithmeticError):  # what PyYAML raises of `!!bool 5` and its like
        raise yaml.YAMLError("a value does not fit the tag (!!...) before it") from None
    return value


def read_yaml(path: Path, consequence: str, remedy: str = "") -> dict[str, Any]:
    """The settings in a YAML file; none where it is empty.

    Raises:
        RecipeError: it cannot be read, is not valid YAML, or holds something else than a mapping.
    """
    try:
        content = load_yaml(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise RecipeError(f"{path} cannot be read: {error.strerror or error}", consequence, remedy) from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise RecipeError(f"{path} is not valid YAML: {' '.join(str(error).split())}", consequence, remedy) from None
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise RecipeError(
            f"{path} holds {type(content).__name__}, not a mapping of settings: no `key: value` lines",
            consequence,
            remedy,
        )
    return content


def _size(node: yaml.Node, known: dict[int, int], within: set[int]) -> int:
    """Values that `node` stands for."""
    if id(node) in known:
        return known[id(node)]
    if id(node) in within:
        raise yaml.constructor.ConstructorError(None, None, "a value contains itself", node.start_mark)
    within.add(id(node))
    size = 1
    if isinstance(node, yaml.CollectionNode):
        for item in node.value:
            for part in item if isinstance(item, tuple) else (item,):
                size += _size(part, known, within)
    within.discard(id(node))
    if size > MOST_NODES:
        message = f"its aliases stand for more than {MOST_NODES:,} values"
        raise yaml.constructor.ConstructorError(None, None, message, node.start_mark)
    known[id(node)] = size
    return size

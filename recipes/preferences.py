"""A person's settings: the file, the environment, and the one order in which they count.

A command-line option wins over `MATHCODER_<KEY>` in the environment, which wins over the settings
file, which wins over the default.
"""

from __future__ import annotations

import os
from typing import Any, Literal

from pydantic import Field, ValidationError

from qlora.settings import Settings
from recipes.places import settings_file
from recipes.yaml_text import read_yaml
from runtime.errors import InputError
from runtime.text import did_you_mean

PREFIX = "MATHCODER_"
RETIRED = frozenset({"error_wording"})
"""Keys of version 0.1 that mean nothing any more; a file that still has them is read."""


class Preferences(Settings):
    """What a person may set once instead of typing it every time."""

    model: str | None = Field(None, description="model that `chat` and `solve` use where none is named")
    models: list[str] = Field(default_factory=list, description="more folders in which to look for GGUF files")
    n_ctx: int | None = Field(None, ge=16, description="tokens one conversation may hold")
    threads: int | None = Field(None, ge=1, description="threads for decoding")
    gpu_layers: int = Field(0, ge=-1, description="layers kept on the GPU; -1 for all")
    temperature: float = Field(0.0, ge=0, le=10)
    samples: int = Field(1, ge=1, description="solutions that vote on an answer")
    cell_seconds: float = Field(6.0, gt=0, description="time limit of one cell")
    memory_mb: int = Field(1024, ge=64, description="memory limit of a session")
    theme: Literal["auto", "dark", "light"] = Field("auto", description="colours for a dark or a light terminal")
    images: Literal["auto", "kitty", "iterm", "sixel", "blocks", "off"] = Field(
        "auto", description="how plots are shown"
    )
    editor: str | None = Field(None, description="program that /edit opens; else $VISUAL, $EDITOR")


def preferences(**command_line: Any) -> Preferences:
    """The settings that count; an argument that is None was not given on the command line.

    Raises:
        InputError: the file or a variable does not validate; every mistake is named with where it stands.
    """
    values, origins = gather()
    for key, value in command_line.items():
        if value is not None and key in Preferences.model_fields:
            values[key], origins[key] = value, "the command line"
    try:
        return Preferences.model_validate(values)
    except ValidationError as error:
        lines = []
        for item in error.errors():
            key = str(item["loc"][0])
            reason = "there is no such setting" if item["type"] == "extra_forbidden" else item["msg"]
            near = did_you_mean(key, Preferences.model_fields) if item["type"] == "extra_forbidden" else ""
            lines.append(
                f"  - {key} = {item['input']!r} ({origins.get(key, settings_file())}): {reason}. {near}".rstrip()
            )
        told = "the settings have mistakes:\n" + "\n".join(lines)
        raise InputError(told, "", "\nCorrect them; docs/terminal.md lists every setting") from None


def gather() -> tuple[dict[str, Any], dict[str, str]]:
    """Values from the file and the environment, and where each came from.

    Raises:
        InputError: the file is not a YAML mapping.
    """
    values: dict[str, Any] = {}
    origins: dict[str, str] = {}
    file = settings_file()
    # Not `Path.is_file`, which raises where a folder above may not be entered.
    if os.path.isfile(file):
        for key, value in read_yaml(file, "no setting is known", "correct or remove it").items():
            if str(key) not in RETIRED:
                values[str(key)], origins[str(key)] = value, str(file)
    for key, field in Preferences.model_fields.items():
        text = os.environ.get(PREFIX + key.upper())
        if text:
            values[key] = text.split(os.pathsep) if field.annotation == list[str] else text
            origins[key] = PREFIX + key.upper()
    return values, origins

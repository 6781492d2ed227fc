"""Where this program keeps a person's files: settings, chats, history, models (XDG folders)."""

from __future__ import annotations

import os
from pathlib import Path

from runtime.files import home_folder

RECIPES = Path(__file__).resolve().parent
"""Folder of the packaged recipes and of the nano model."""
PACKAGED_MODEL = RECIPES / "nano" / "nano-q8_0.gguf"
"""The model that every installation has."""


def built_in() -> list[str]:
    """Names of the packaged recipes."""
    return sorted(path.stem for path in RECIPES.glob("*.yaml"))


def trainable() -> list[str]:
    """Those for `mathcoder train`; the others are for `mathcoder reinforce` and bear its name."""
    return [name for name in built_in() if not name.startswith("reinforce-")]


def _xdg(variable: str, default: str) -> Path:
    value = os.environ.get(variable, "")
    # The XDG specification says that a relative path is to be ignored.
    return (Path(value) if os.path.isabs(value) else home_folder() / default) / "mathcoder"


def settings_file() -> Path:
    """The person's settings file (`MATHCODER_SETTINGS` names another)."""
    named = os.environ.get("MATHCODER_SETTINGS")
    return Path(named).expanduser() if named else _xdg("XDG_CONFIG_HOME", ".config") / "settings.yaml"


def state_folder() -> Path:
    """Chats and input history."""
    return _xdg("XDG_STATE_HOME", ".local/state")


def tilde(path: Path) -> str:
    """A path as people write it: `~` for the home folder."""
    home, text = str(home_folder()), str(path)
    if home == os.sep:
        return text
    return f"~{text[len(home) :]}" if text == home or text.startswith(home.rstrip(os.sep) + os.sep) else text


def models_folder() -> Path:
    """Where a person keeps GGUF files that `mathcoder models` should find from any folder."""
    return _xdg("XDG_DATA_HOME", ".local/share") / "models"

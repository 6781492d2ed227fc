"""Where fetched and made things are cached: one folder for all of them.

`nano/` rows made for the embedded base, `tokens/` tokenized rows, `data/` journals of unfinished `data` commands,
`llama.cpp-VERSION/` the converter.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path


def cache_folder() -> Path:
    """`$MATHCODER_CACHE`, else `mathcoder` in `$XDG_CACHE_HOME`, else in `~/.cache`. Nothing is made."""
    if chosen := os.environ.get("MATHCODER_CACHE"):
        return Path(chosen)
    # The standard has relative values ignored (XDG Base Directory Specification, "Basics").
    named = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(named) if os.path.isabs(named) else home_folder() / ".cache") / "mathcoder"


def home_folder() -> Path:
    """The user's home; where the system names none, a folder of this user's among the temporary ones."""
    try:
        return Path.home()
    except RuntimeError:  # no HOME and no passwd entry, as in a container with a user id of its own
        return Path(tempfile.gettempdir()) / f"mathcoder-{os.getuid() if hasattr(os, 'getuid') else 'home'}"

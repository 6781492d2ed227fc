"""Libraries that a solution wanted and that are not installed here, told to the person."""

from __future__ import annotations

import re
from collections.abc import Iterable

PLOTS = "mathcoder-toolkit[plots]"
"""The extra that brings them."""
OPTIONAL = ("matplotlib", "scipy", "pandas")
"""Libraries that models of this kind import beside numpy and sympy."""
_ABSENT = re.compile(rf"^ModuleNotFoundError: No module named '({'|'.join(OPTIONAL)})(?:\.\w+)*'", re.MULTILINE)


def absent(outputs: Iterable[str]) -> str:
    """One line on libraries that these outputs lacked, and what installs them; empty without any."""
    names = dict.fromkeys(name for output in outputs for name in _ABSENT.findall(output))
    if not names:
        return ""
    verb = "is" if len(names) == 1 else "are"
    does = "draws" if list(names) == ["matplotlib"] else "imports it" if len(names) == 1 else "imports them"
    return f"{' and '.join(names)} {verb} not installed, so code that {does} fails; pip install '{PLOTS}'"

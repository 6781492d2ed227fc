"""macOS: a `sandbox-exec` profile.

Experimental: written from Apple's documentation and not yet run by anyone.

It promises no network and no writes outside the scratch folder. It has no cap on memory.
"""

from __future__ import annotations

import os
import sys

PROGRAM = "/usr/bin/sandbox-exec"


def profile(trees: list[str], scratch_root: str, hidden: list[str]) -> str:
    """The policy, in the profile language: deny, then allow what Python needs."""
    readable = "\n".join(
        f"  (subpath {_quote(tree)})" for tree in [*trees, "/usr/lib", "/System/Library", scratch_root]
    )
    denied = "\n".join(f"(deny file-read* (subpath {_quote(folder)}))" for folder in hidden)
    return f"""(version 1)
(deny default)
(allow process-fork)
(allow process-exec (literal {_quote(os.path.realpath(sys.executable))}) (literal {_quote(sys.executable)}))
(allow signal (target same-sandbox))
(allow sysctl-read)
(allow file-read-metadata)
(allow file-read*
  (literal "/dev/null") (literal "/dev/zero") (literal "/dev/random") (literal "/dev/urandom")
  (subpath {_quote(sys.prefix)}) (subpath {_quote(sys.base_prefix)})
{readable})
(allow file-write* (subpath {_quote(scratch_root)}) (literal "/dev/null"))
(deny network*)
{denied}
"""


def command(trees: list[str], scratch_root: str, hidden: list[str]) -> list[str]:
    """What to put before the launcher's command line.

    Raises:
        OSError: this is no macOS.
    """
    if sys.platform != "darwin" or not os.path.exists(PROGRAM):
        raise OSError("sandbox-exec exists on macOS only")
    return [PROGRAM, "-p", profile(trees, scratch_root, hidden)]


def _quote(path: str) -> str:
    escaped = path.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'

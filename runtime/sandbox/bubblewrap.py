"""Tier 1b: bubblewrap, where AppArmor forbids namespaces to programs it does not know and knows this one."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

OLDEST = (0, 12)


def find() -> str:
    """Path of a bubblewrap that is new enough.

    Raises:
        OSError: there is none, with the reason.
    """
    program = shutil.which("bwrap")
    if program is None:
        raise FileNotFoundError("bubblewrap is not installed (no program `bwrap` on the path)")
    answer = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=10, check=False).stdout
    found = re.search(r"(\d+)\.(\d+)", answer)
    version = (int(found[1]), int(found[2])) if found else (0, 0)
    if version < OLDEST:
        raise OSError(f"bubblewrap {version[0]}.{version[1]} is older than {OLDEST[0]}.{OLDEST[1]}")
    return program


def command(options: dict[str, Any]) -> list[str]:
    """The command line that runs the launcher's inner half within bubblewrap."""
    package = Path(__file__).resolve().parent
    root = str(package.parents[1])
    line = [options["bwrap"], "--unshare-all", "--unshare-user", "--uid", "1000", "--gid", "1000", "--cap-drop", "ALL"]
    line += ["--die-with-parent", "--new-session", "--as-pid-1", "--proc", "/proc", "--dir", "/dev"]
    for name in ("null", "zero", "full", "random", "urandom"):
        line += ["--dev-bind", f"/dev/{name}", f"/dev/{name}"]
    for tree in options["trees"]:
        if os.path.islink(tree):
            line += ["--symlink", os.readlink(tree), tree]
        else:
            line += ["--ro-bind", tree, tree]
    # The inner half is a new program, so it needs to read this package; it holds no secret.
    line += ["--ro-bind", str(package), str(package)]
    for name in ("__init__.py", "errors.py", "lce.py"):
        line += ["--ro-bind", str(package.parent / name), str(package.parent / name)]
    line += ["--perms", "0700", "--size", str(1 << 30), "--tmpfs", options["scratch"], "--remount-ro", "/"]
    line += ["--chdir", options["scratch"]]
    inner = {**options, "inner": True, "scratch_root": options["scratch"]}
    return [*line, "--", sys.executable, "-s", "-P", "-B", "-c", options["entry"], json.dumps(inner), root]


def become(options: dict[str, Any]) -> None:
    """Replace this process with bubblewrap; the socket to the app stays its standard input."""
    arguments = command(options)
    os.set_inheritable(0, True)
    os.execv(arguments[0], arguments)

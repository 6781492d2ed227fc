"""Tier 1b: bubblewrap, where AppArmor forbids namespaces to programs that it does not know."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from . import reduced
from .confine import DEVICES
from .reduced import NOBODY

OLDEST = (0, 12)
PYTHON = "python"
"""The interpreter's name within: who lists the machine's processes is not told where it lies."""
INNER = (
    "import json, sys; root, options = json.load(open({told})); sys.path.insert(0, root); "
    "from runtime.sandbox.inside.launcher import serve; sys.path.pop(0); serve(options)"
)


def find() -> str:
    """Path of a bubblewrap that is new enough.

    Raises:
        OSError: there is none, with the reason.
    """
    program = shutil.which("bwrap")
    if program is None:
        raise FileNotFoundError("bubblewrap is not installed (no program `bwrap` on the path)")
    try:
        answer = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=10, check=False).stdout
    except subprocess.TimeoutExpired:
        answer = ""
    found = re.search(r"(\d+)\.(\d+)", answer)
    if found is None:
        raise OSError(f"{program} does not tell its version, and is not used")
    version = (int(found[1]), int(found[2]))
    if version < OLDEST:
        raise OSError(
            f"bubblewrap {version[0]}.{version[1]} ({program}) is older than {OLDEST[0]}.{OLDEST[1]}, and not used"
        )
    return program


def arguments(options: dict[str, Any]) -> list[str]:
    """What bubblewrap is asked for, but for the program it runs, the launcher's inner half."""
    line = ["--unshare-all", "--unshare-user", "--uid", "1000", "--gid", "1000", "--cap-drop", "ALL"]
    line += ["--die-with-parent", "--new-session", "--as-pid-1", "--hostname", "sandbox"]
    line += ["--proc", "/proc", "--dir", "/dev"]
    for name in DEVICES:
        line += ["--dev-bind", name, name]
    for path in options["trees"]:
        line += _shown(path)
    for folder in options["hidden"]:
        line += ["--tmpfs", folder]
    for path in options["files"]:
        line += _shown(path)
    for folder in options["hidden"]:
        line += ["--remount-ro", folder]
    line += ["--symlink", sys.executable, f"/{PYTHON}", "--setenv", "PATH", "/"]
    line += ["--perms", "0700", "--size", str(1 << 30), "--tmpfs", options["scratch"], "--remount-ro", "/"]
    return [*line, "--chdir", options["scratch"]]


def _shown(path: str) -> list[str]:
    return ["--symlink", os.readlink(path), path] if os.path.islink(path) else ["--ro-bind", path, path]


def give_up_root(options: dict[str, Any]) -> None:
    """As root, become nobody: the kernel bounds no processes of root, whatever their namespace.

    Raises:
        OSError: nobody cannot read Python, which lies in a folder closed to others.
    """
    if os.geteuid() != 0:
        return
    os.setgroups([])
    os.setresgid(NOBODY, NOBODY, NOBODY)
    os.setresuid(NOBODY, NOBODY, NOBODY)
    reduced.die_with_parent()  # cleared by the change of user
    for path in (*options["trees"], *options["files"]):
        if not os.access(path, os.R_OK):
            raise PermissionError(
                f"started by root, bubblewrap runs as nobody, who cannot read {path}: Python lies in a folder closed "
                "to others"
            )


def become(options: dict[str, Any]) -> None:
    """Replace this process with bubblewrap; the socket to the app stays its standard input."""
    give_up_root(options)
    inner = {**options, "inner": True, "scratch_root": options["scratch"], "PATH": os.environ["PATH"]}
    root = str(Path(__file__).resolve().parents[3])
    asked = _in_memory("\0".join(arguments(options)))
    told = _in_memory(json.dumps([root, inner]))
    os.set_inheritable(0, True)
    # Its command line stays readable to every user of the machine for as long as the sandbox lives.
    python = [PYTHON, "-s", "-P", "-B", "-c", INNER.format(told=told)]
    os.execv(options["bwrap"], ["bwrap", "--args", str(asked), "--", *python])


def _in_memory(text: str) -> int:
    """An inheritable descriptor from which `text` can be read once."""
    descriptor = os.memfd_create("mathcoder-sandbox", 0)
    os.write(descriptor, os.fsencode(text))
    os.lseek(descriptor, 0, os.SEEK_SET)
    return descriptor

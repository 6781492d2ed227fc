"""What a sandbox is shown of the file system: the interpreter, its packages, the libraries they need."""

from __future__ import annotations

import contextlib
import os
import sys
import sysconfig
from pathlib import Path

SYSTEM_TREES = ("/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/share/zoneinfo", "/etc/ld.so.cache")
OURS = ("recipes", "qlora", "export", "runtime")
"""Packages that no cell has any business with: they hold generators of problems with their answers, and the grader that
decides what reinforcement rewards."""
_MOST_LINKS = 40
"""As many as Linux follows in one path."""


def code_path() -> list[str]:
    """`sys.path` for the sandbox: the standard library and installed packages, no project folders."""
    prefixes = {os.path.realpath(sys.prefix), os.path.realpath(sys.base_prefix), sys.prefix, sys.base_prefix}
    kept = []
    for entry in sys.path:
        if not entry or not os.path.exists(entry):
            continue
        name = os.path.basename(entry)
        below = any(entry == prefix or entry.startswith(prefix + os.sep) for prefix in prefixes)
        if name in ("site-packages", "dist-packages") or (below and name in ("lib-dynload", *_stdlib_names())):
            kept.append(entry)
    return kept


def _stdlib_names() -> set[str]:
    return {os.path.basename(sysconfig.get_path(name)) for name in ("stdlib", "platstdlib")}


def trees(path: list[str]) -> list[str]:
    """Folders, files and links to show inside, read-only: libraries and what `path` needs.

    Outermost first.

    Links in any part of a path are shown as links, beside what they lead to.
    """
    wanted = [tree for tree in SYSTEM_TREES if os.path.lexists(tree)]
    for prefix in (sys.base_prefix, sys.prefix):
        if prefix != "/usr":
            wanted.append(os.path.join(prefix, "lib"))
    wanted += path
    for folder in path:
        wanted += _linked_packages(folder)
    return _outermost(wanted)


def hidden(path: list[str]) -> list[str]:
    """Folders of our own packages among those that `path` shows, where the toolkit is installed."""
    candidates = (os.path.realpath(os.path.join(folder, name)) for folder in path for name in OURS)
    return sorted({folder for folder in candidates if os.path.isdir(folder)})


def own_files() -> list[str]:
    """What the launcher needs as a program, beside libraries; none of it is secret.

    As `trees`.
    """
    package = Path(__file__).resolve().parents[1]
    wanted = [sys.executable, os.path.join(sys.prefix, "pyvenv.cfg"), str(package), str(package.parent / "__init__.py")]
    return _outermost(wanted)


def _outermost(wanted: list[str]) -> list[str]:
    kept: list[str] = []
    for tree in sorted({step for path in wanted for step in _steps(os.path.abspath(path))}):
        inside = any(tree.startswith(other + os.sep) for other in kept if not os.path.islink(other))
        if os.path.lexists(tree) and not inside:
            kept.append(tree)
    return kept


def _steps(path: str) -> list[str]:
    """The symbolic links on the way to `path`, each by its own real folder, and the real path at the end."""
    found: list[str] = []
    here, left = os.sep, [part for part in path.split(os.sep) if part]
    while left:
        part = left.pop(0)
        if part in (".", ".."):
            here = os.path.dirname(here) if part == ".." else here
            continue
        step = os.path.join(here, part)
        if not os.path.islink(step):
            here = step
            continue
        if len(found) >= _MOST_LINKS:
            return found
        found.append(step)
        target = os.readlink(step)
        here = os.sep if target.startswith(os.sep) else here
        left = [piece for piece in target.split(os.sep) if piece] + left
    return [*found, here]


def _linked_packages(folder: str) -> list[str]:
    """Where those packages of a folder lie that are links, or whose files are.

    Some installers make them so.
    """
    found: list[str] = []
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_symlink():
                found.append(entry.path)
            elif entry.is_dir():
                with contextlib.suppress(OSError), os.scandir(entry.path) as inside:
                    link = next((one.path for one in inside if one.is_symlink()), None)
                    if link is not None:
                        found.append(os.path.dirname(os.path.realpath(link)))
    return found


def scratch_path(bound: list[str]) -> str:
    """The session's folder: `/work`, or another where something that Python needs lies there."""

    def is_free(folder: str) -> bool:
        return not any(
            tree == folder or tree.startswith(folder + os.sep) or folder.startswith(tree + os.sep) for tree in bound
        )

    return next(folder for folder in ("/work", "/work/scratch", "/session") if is_free(folder))

"""What a sandbox is shown of the file system: the interpreter, its packages, the libraries they need."""

from __future__ import annotations

import os
import sys
import sysconfig

SYSTEM_TREES = ("/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/share/zoneinfo", "/etc/ld.so.cache")


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
    """Folders and files to show inside, read-only, outermost first: shared libraries and what `path` needs."""
    wanted = [tree for tree in SYSTEM_TREES if os.path.lexists(tree)]
    for prefix in (sys.base_prefix, sys.prefix):
        if prefix != "/usr":
            wanted.append(os.path.join(prefix, "lib"))
    wanted += path
    kept: list[str] = []
    for tree in sorted({os.path.abspath(tree) for tree in wanted}):
        inside = any(tree.startswith(other + os.sep) for other in kept if not os.path.islink(other))
        if os.path.lexists(tree) and not inside:
            kept.append(tree)
    return kept


def scratch_path(bound: list[str]) -> str:
    """The session's folder: `/work`, or a folder in it where something that Python needs lies below `/work`."""
    return "/work/scratch" if any(tree.startswith("/work/") for tree in bound) else "/work"

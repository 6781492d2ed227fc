"""Models in the caches of the Hugging Face hub and of llama.cpp."""

from __future__ import annotations

import json
import os
import re
import sys
from pathlib import Path

from recipes.models.found import Look
from recipes.models.names import tagged
from runtime.files import home_folder

HUB_PREFIX = "hf:"
LLAMA_PREFIX = "llama.cpp:"
_REPOSITORY = re.compile(r"models--([A-Za-z0-9][A-Za-z0-9._-]*)\Z")
_DEPTH = 3
_MANIFEST = re.compile(r"manifest=([A-Za-z0-9._-]+)=([A-Za-z0-9._-]+)=([^=]+)\.json\Z")


def look_at_hub_cache() -> Look:
    """What the cache of the hub's own client holds, as `hf:ORG/REPO:TAG`."""
    look = Look("Hugging Face cache")
    _hub_layout(look, _hub_folder())
    return look


def look_at_llama_cache() -> Look:
    """What llama.cpp's own cache holds, as `hf:ORG/REPO:TAG`, or `llama.cpp:FILE` where unknown.

    Newer versions use the layout of the hub's cache, in the same folder where LLAMA_CACHE names one.
    """
    look = Look("llama.cpp cache")
    folder = _llama_folder()
    if os.path.realpath(folder) != os.path.realpath(_hub_folder()):
        _hub_layout(look, folder)
    known = _manifests(look, folder)
    for files, root in look.models(folder, 0):
        repository, tag = known.get(files.files[0].casefold(), ("", ""))
        # "latest" is what llama.cpp notes where no quantization was asked for.
        if tag == "latest":
            tag = files.quantization or files.base.removeprefix(f"{repository.replace('/', '_')}_")
        name = f"{HUB_PREFIX}{repository}:{tag}" if repository else f"{LLAMA_PREFIX}{files.stem}"
        look.add(name, [root / part for part in files.files], missing=files.missing)
    return look


def _hub_folder() -> Path:
    for variable, below in (("HF_HUB_CACHE", ""), ("HUGGINGFACE_HUB_CACHE", ""), ("HF_HOME", "hub")):
        if named := os.environ.get(variable):
            return Path(os.path.expandvars(named)).expanduser() / below
    return _cache_home() / "huggingface" / "hub"


def _llama_folder() -> Path:
    if named := os.environ.get("LLAMA_CACHE"):
        return Path(named)
    if sys.platform == "darwin":
        return home_folder() / "Library" / "Caches" / "llama.cpp"
    return _cache_home() / "llama.cpp"


def _cache_home() -> Path:
    named = os.environ.get("XDG_CACHE_HOME", "")
    return Path(named) if os.path.isabs(named) else home_folder() / ".cache"


def _hub_layout(look: Look, folder: Path) -> None:
    """models--ORG--REPO/snapshots/COMMIT/FILE, each file a link to a blob."""
    for repository in look.entries(folder):
        named = _REPOSITORY.match(repository.name)
        if named is None:
            continue
        prefix = f"{HUB_PREFIX}{named[1].replace('--', '/', 1)}"
        seen: set[str] = set()
        for snapshot in _snapshots(look, repository):
            sets = [files for files, _ in look.models(snapshot, _DEPTH)]
            for tag, files in tagged(sets).items():
                if tag not in seen:
                    parts = [snapshot / name for name in files.files]
                    # A version that is whole stands in for a newer one that is not.
                    if look.add(f"{prefix}:{tag}", parts, missing=files.missing):
                        seen.add(tag)


def _snapshots(look: Look, repository: Path) -> list[Path]:
    """The snapshots of a repository, the one that `main` means first, then the newest."""
    try:
        main = (repository / "refs" / "main").read_text(encoding="ascii")[:64].strip()
    except (OSError, UnicodeDecodeError):
        main = ""
    found = [path for path in look.entries(repository / "snapshots") if os.path.isdir(path)]
    return sorted(found, key=lambda path: (path.name != main, -os.stat(path).st_mtime))


def _manifests(look: Look, folder: Path) -> dict[str, tuple[str, str]]:
    """Repository and tag by file name in small letters, from manifests that older versions wrote."""
    names = {}
    for path in look.entries(folder):
        said = _MANIFEST.match(path.name)
        if said is None or not os.path.isfile(path):
            continue
        try:
            with open(path, "rb") as handle:
                content = json.loads(handle.read(1 << 20))
            file = content["ggufFile"]["rfilename"]
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            continue  # the file itself is still listed, under its own name
        organization, repository, tag = said.groups()
        if isinstance(file, str):
            stored = f"{organization}_{repository}_{file}".replace("/", "_")
            names[stored.casefold()] = (f"{organization}/{repository}", tag)
    return names

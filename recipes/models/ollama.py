"""Ollama's models: manifests that name blobs. Nothing is copied; the blob itself is the GGUF file."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

from recipes.models.found import Look, one_line
from runtime.files import home_folder

PREFIX = "ollama:"
SYSTEM_STORE = Path("/usr/share/ollama/.ollama/models")
"""Where the service that Ollama's installer sets up on Linux keeps them."""
_MODEL = "application/vnd.ollama.image.model"
_ADAPTER = "application/vnd.ollama.image.adapter"
_LIST = "application/vnd.ollama.manifest.list.v2+json"
_DIGEST = re.compile(r"sha256[:-]([0-9a-fA-F]{64})\Z")
_PART = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,350}\Z")
_LARGEST = 1 << 20
"""Bytes of a manifest that are read; real ones have a few hundred."""


def look_at_ollama() -> Look:
    """What Ollama holds, as `ollama:NAME:TAG`."""
    look = Look("Ollama")
    named = os.environ.get("OLLAMA_MODELS")
    first = Path(named).expanduser() if named else home_folder() / ".ollama" / "models"
    seen: set[str] = set()
    for store in dict.fromkeys((first, SYSTEM_STORE)):
        # Newer versions move a manifest from the second folder to the first, as a link to a blob.
        for folder in (store / "manifests-v2", store / "manifests"):
            for path in _fourth_level(look, folder):
                parts = path.relative_to(folder).parts
                name = f"{PREFIX}{_name(*parts)}"
                if not all(map(_PART.match, parts)):
                    look.refuse(name, "is not a name that Ollama gives")
                elif name not in seen:
                    seen.add(name)
                    _add(look, name, path, store)
    return look


def _fourth_level(look: Look, folder: Path) -> list[Path]:
    """Manifests lie at HOST/NAMESPACE/MODEL/TAG."""
    level = [folder]
    for _ in range(4):
        level = [entry for above in level for entry in look.entries(above) if not entry.name.startswith(".")]
    return level


def _name(host: str, namespace: str, model: str, tag: str) -> str:
    """The name as `ollama list` shows it: what is the default is left out."""
    if host == "registry.ollama.ai":
        return f"{model}:{tag}" if namespace == "library" else f"{namespace}/{model}:{tag}"
    return f"{host}/{namespace}/{model}:{tag}"


def _add(look: Look, name: str, path: Path, store: Path) -> None:
    try:
        # A link out of the store is not a manifest of this store's.
        if not Path(os.path.realpath(path)).is_relative_to(os.path.realpath(store)):
            raise ValueError("its manifest is a link that leads out of the store")
        manifest = _runnable(_read(path), store)
        digests = {kind: [layer for layer in _layers(manifest) if layer[0] == kind] for kind in (_MODEL, _ADAPTER)}
        if not digests[_MODEL]:
            raise ValueError("it holds no GGUF file (a cloud model, or one in another format)")
        if len(digests[_MODEL]) > 1:
            raise ValueError("it consists of several files under names that llama.cpp does not know")
        if digests[_ADAPTER]:
            raise ValueError("it has an adapter of its own, which would be left out")
        blob = _blob(digests[_MODEL][0][1], store)
    except OSError as error:
        look.refuse(name, f"its manifest cannot be read: {error.strerror or error}")
    except ValueError as error:
        look.refuse(name, one_line(str(error)))
    else:
        if os.path.lexists(blob):
            look.add(name, [blob])
        else:
            look.refuse(name, f"its blob {blob.name[:19]}… is gone")


def _runnable(manifest: dict[str, Any], store: Path) -> dict[str, Any]:
    """The manifest itself, or of a list the one that llama.cpp can run."""
    if manifest.get("mediaType") != _LIST:
        return manifest
    children = [child for child in manifest.get("manifests") or [] if isinstance(child, dict)]
    for runner in ("llamacpp", "ollama"):
        for child in children:
            if child.get("runner") == runner:
                return child if child.get("layers") else _read(_blob(child.get("digest"), store))
    raise ValueError("none of its variants is a GGUF file")


def _layers(manifest: dict[str, Any]) -> list[tuple[Any, Any]]:
    layers = manifest.get("layers")
    if not isinstance(layers, list):
        raise ValueError("its manifest has no layers")
    return [(layer.get("mediaType"), layer.get("digest")) for layer in layers if isinstance(layer, dict)]


def _blob(digest: Any, store: Path) -> Path:
    found = _DIGEST.match(digest) if isinstance(digest, str) else None
    if found is None:
        raise ValueError(f"its manifest names {digest!r}, which is not a SHA-256")
    # Versions before 0.1.30 wrote a colon.
    names = (f"sha256-{found[1].lower()}", f"sha256:{found[1].lower()}")
    return next((path for name in names if os.path.lexists(path := store / "blobs" / name)), store / "blobs" / names[0])


def _read(path: Path) -> dict[str, Any]:
    if not path.is_file():  # a pipe would never end
        raise ValueError("its manifest is not a file")
    with open(path, "rb") as handle:
        raw = handle.read(_LARGEST + 1)
    if len(raw) > _LARGEST:
        raise ValueError(f"its manifest has over {_LARGEST:,} bytes")
    try:
        content = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise ValueError("its manifest is not valid JSON") from error
    if not isinstance(content, dict):
        raise ValueError("its manifest is not a JSON object")
    return content

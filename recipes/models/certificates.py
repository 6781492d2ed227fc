"""What the certificate beside a model says about it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from recipes import smollm2


def certificate_of(path: Path) -> str:
    """What the certificate beside a file says about it, in a word or two.

    A base that an adapter is packaged for is certified with that adapter.
    """
    adapter = smollm2.adapter_for(path)
    if adapter is not None:
        path = adapter
    for candidate in sorted(path.parent.glob("*.certificate.json")):
        stem = candidate.name.removesuffix(".certificate.json")
        if path.stem == stem or path.stem.startswith(f"{stem}-"):
            try:
                content = json.loads(candidate.read_text(encoding="utf-8"))
            except (OSError, ValueError):
                return "unreadable"
            return _verdict(content, path)
    return "none"


def _verdict(content: Any, path: Path) -> str:
    if not isinstance(content, dict):
        return "unreadable"
    files = content.get("files")
    entries = files.values() if isinstance(files, dict) else files if isinstance(files, list) else []
    for entry in entries:
        if isinstance(entry, dict) and Path(str(entry.get("file", ""))).name == path.name:
            return "holds" if entry.get("certified") else "does not hold"
    certified = content.get("certified")
    if isinstance(certified, bool):
        return "holds" if certified else "does not hold"
    return "present"

"""The one door to the hub: models and data sets fetched once, found again offline, refused in one sentence.

huggingface_hub belongs to the `train` extra; it is imported when something is fetched and not before.
"""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from runtime.errors import InputError

DEFAULT_ENDPOINT = "https://huggingface.co"
CONNECT_SECONDS = 5.0
"""Seconds in which the hub has to accept a connection. Its own client tries five times before it says anything."""
_PROXIES = ("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy")
_REASONS = {
    "GatedRepoError": ("its owners ask for a licence to be accepted", "accept it on the hub, then run `hf auth login`"),
    "RepositoryNotFoundError": (
        "the hub has none of that name, or a private one",
        "check the name, or `hf auth login`",
    ),
    "RevisionNotFoundError": ("it has no such revision", "check the revision"),
    "EntryNotFoundError": ("it has no such file", "check the file's name"),
    "LocalEntryNotFoundError": ("the hub cannot be reached, and it is not on this disk", "connect to the network"),
}
"""What the client's exceptions mean to a person, and what to do."""


def fetch(
    name: str,
    kind: Literal["model", "dataset"],
    patterns: Sequence[str],
    *,
    consequence: str,
    remedy: str,
    ignored: Sequence[str] = (),
    revision: str | None = None,
) -> Path:
    """The folder with the files of a hub repository that match `patterns`, fetched where they are not cached.

    Args:
        name: ORG/NAME.
        patterns, ignored: of file names.
        consequence: of a failure, for the message.
        remedy: what else a person could do, for the message.

    Raises:
        InputError: it cannot be had; the message says why.
    """
    prefer_the_cache_where_the_hub_is_out_of_reach()
    # Read when huggingface_hub is imported; progress bars of others do not belong on our screen.
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    from huggingface_hub import snapshot_download

    try:
        return Path(
            snapshot_download(
                name,
                repo_type=kind,
                revision=revision,
                allow_patterns=list(patterns),
                ignore_patterns=list(ignored) or None,
            )
        )
    except Exception as error:
        # Not narrower: the client's errors, and those of httpx below it, share no root but Exception; whichever it is,
        # there are no files.
        why, what = next(
            (_REASONS[cls.__name__] for cls in type(error).__mro__ if cls.__name__ in _REASONS),
            (f"{type(error).__name__}: {str(error).strip()}".splitlines()[0][:200], "check the name and the network"),
        )
        thing = "model" if kind == "model" else "data set"
        raise InputError(
            f"the {thing} {name} could not be fetched: {why}", consequence, f"{what}, or {remedy}"
        ) from error


def prefer_the_cache_where_the_hub_is_out_of_reach() -> None:
    """Tell the hub's libraries to look on this disk alone where no connection to the hub can be made.

    They would try each file five times, with a warning and a longer pause each, before they look there.
    """
    if os.environ.get("HF_HUB_OFFLINE") or any(os.environ.get(name) for name in _PROXIES) or _reachable():
        return
    os.environ["HF_HUB_OFFLINE"] = os.environ["HF_DATASETS_OFFLINE"] = "1"
    # Both read their variable once, when they are imported.
    for module, constant in (("huggingface_hub.constants", "HF_HUB_OFFLINE"), ("datasets.config", "HF_HUB_OFFLINE")):
        if module in sys.modules:
            setattr(sys.modules[module], constant, True)


def _reachable() -> bool:
    where = urlsplit(os.environ.get("HF_ENDPOINT") or DEFAULT_ENDPOINT)
    port = where.port or (80 if where.scheme == "http" else 443)
    try:
        socket.create_connection((where.hostname or "", port), timeout=CONNECT_SECONDS).close()
    except OSError:
        return False
    return True

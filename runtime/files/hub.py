"""The one door to the hub: models and data sets fetched once, found offline, refused in a sentence.

huggingface_hub belongs to the `train` extra; it is imported when something is fetched and not before.
"""

from __future__ import annotations

import errno
import os
import socket
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from runtime.errors import InputError, MathCoderError, ModelError, WriteError

DEFAULT_ENDPOINT = "https://huggingface.co"
CONNECT_SECONDS = 5.0
"""Seconds in which the hub has to accept a connection. Its own client tries five times before it says anything."""
ANSWER = 30.0
"""Seconds in which the hub has to say what a repository holds; its own client waits for ever."""
PIECE = 1 << 20
"""Bytes that are written at a time. Where a connection breaks, the piece that was coming is lost; the client's 10 MB
take ten seconds or more on many lines."""
_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO, errno.EFBIG, errno.ENOENT)
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
    "OfflineModeIsEnabled": ("HF_HUB_OFFLINE says to stay away from the hub", "unset it"),
    "HFValidationError": ("the hub gives no such names", "write ORG/NAME"),
    "TimeoutException": ("the hub does not answer", "try again later"),
    "TransportError": ("the connection to the hub broke", "try again"),
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
    """The folder with the files of a hub repository that match `patterns`, fetched if need be.

    Args:
        name: ORG/NAME.
        patterns, ignored: of file names.
        consequence: of a failure, for the message.
        remedy: what else a person could do, for the message.

    Raises:
        InputError: it cannot be had; the message says why.
    """
    prefer_the_cache_where_the_hub_is_out_of_reach()
    with _told(f"the {'model' if kind == 'model' else 'data set'} {name}", consequence, remedy):
        from huggingface_hub import snapshot_download

        return Path(
            snapshot_download(
                name,
                repo_type=kind,
                revision=revision,
                allow_patterns=list(patterns),
                ignore_patterns=list(ignored) or None,
            )
        )


@dataclass(frozen=True)
class HubFile:
    """A file as its repository lists it: path, bytes, SHA-256 in hex where the hub publishes one."""

    path: str
    size: int
    sha256: str | None


def published(name: str, *, consequence: str, remedy: str) -> tuple[str, list[HubFile]]:
    """The newest commit of a model's repository, and the files it lists.

    They come from outside: check them.

    Raises:
        InputError: the hub cannot be reached, or refuses.
    """
    what = f"the model {name}"
    if not os.environ.get("HF_HUB_OFFLINE") and out_of_reach():
        raise InputError(
            f"{what} could not be fetched: the hub cannot be reached", consequence, f"connect, or {remedy}"
        )
    with _told(what, consequence, remedy):
        from huggingface_hub import HfApi

        info = HfApi().model_info(name, files_metadata=True, timeout=ANSWER)
        files = [
            HubFile(item.rfilename, item.size or 0, item.lfs.sha256 if item.lfs else None)
            for item in info.siblings or []
        ]
        return str(info.sha), files


def download(
    name: str,
    file: HubFile,
    revision: str,
    target: Path,
    arrived: Callable[[int], None],
    *,
    consequence: str,
    remedy: str,
) -> None:
    """Append to `target` what it lacks of `file`; a connection that breaks is taken up again.

    The hub's own `hf_hub_download` begins anew with each process, which for a model of 20 GB is no help; its reader
    below that goes on where a file ends.

    Args:
        name: of the model's repository.
        revision: commit.
        target: the file so far; it is made where it is missing.
        arrived: called with the bytes of each piece that has come; negative where the hub began anew.

    Raises:
        InputError: the hub refuses or cannot be reached; `target` keeps what has come.
        ModelError: it sends more than it tells of.
        WriteError: no room.
    """

    class Bar:
        """What the client reports its progress to."""

        def __init__(self, **_: Any) -> None:
            pass

        def __enter__(self) -> Bar:
            return self

        def __exit__(self, *_: object) -> None:
            pass

        def update(self, count: int) -> None:
            if handle.tell() + count > file.size:  # told of before it is written
                raise ModelError(
                    f"the hub sends more of {file.path} than the {file.size:,} bytes it tells of", consequence, remedy
                )
            arrived(count)

    with _told(f"{file.path} of the model {name}", consequence, remedy, target):
        import httpx
        from huggingface_hub import constants, hf_hub_url
        from huggingface_hub.file_download import http_get
        from huggingface_hub.utils import build_hf_headers, logging

        logging.set_verbosity_error()  # it tells of each attempt
        constants.DOWNLOAD_CHUNK_SIZE = PIECE
        with open(target, "ab") as handle:
            while True:
                before = handle.tell()
                try:
                    http_get(
                        hf_hub_url(name, file.path, revision=revision),
                        handle,
                        resume_size=before,
                        headers=build_hf_headers(),
                        expected_size=file.size,
                        tqdm_class=Bar,
                    )
                    break
                except (httpx.ReadError, httpx.WriteError):  # of these alone it does not begin again by itself
                    if handle.tell() == before:
                        raise
            handle.flush()
            os.fsync(handle.fileno())


@contextmanager
def _told(what: str, consequence: str, remedy: str, target: Path | None = None) -> Iterator[None]:
    """Make one sentence of what keeps the hub's client from its work; errors on `target` are the disk's."""
    # Read when huggingface_hub is imported; progress bars of others do not belong on our screen.
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    try:
        yield
    except (MathCoderError, ImportError):
        raise
    except Exception as error:
        if target is not None and isinstance(error, OSError) and error.errno in _DISK:
            raise WriteError.of(target, error, consequence) from error
        # Not narrower: the client's errors, and those of httpx below it, share no root but Exception; whichever it is,
        # there are no files.
        why, what_to_do = next(
            (_REASONS[cls.__name__] for cls in type(error).__mro__ if cls.__name__ in _REASONS),
            (f"{type(error).__name__}: {str(error).strip()}".splitlines()[0][:200], "check the name and the network"),
        )
        raise InputError(f"{what} could not be fetched: {why}", consequence, f"{what_to_do}, or {remedy}") from error


def prefer_the_cache_where_the_hub_is_out_of_reach() -> None:
    """Tell the hub's libraries to look on this disk alone where no connection to the hub can be made.

    They would try each file five times, with a warning and a longer pause each, before they look there.
    """
    if os.environ.get("HF_HUB_OFFLINE") or not out_of_reach():
        return
    os.environ["HF_HUB_OFFLINE"] = os.environ["HF_DATASETS_OFFLINE"] = "1"
    # Both read their variable once, when they are imported.
    for module, constant in (("huggingface_hub.constants", "HF_HUB_OFFLINE"), ("datasets.config", "HF_HUB_OFFLINE")):
        if module in sys.modules:
            setattr(sys.modules[module], constant, True)


def out_of_reach() -> bool:
    """Whether no connection to the hub can be made; behind a proxy nobody can tell, and it is tried."""
    if any(os.environ.get(name) for name in _PROXIES):
        return False
    where = urlsplit(os.environ.get("HF_ENDPOINT") or DEFAULT_ENDPOINT)
    port = where.port or (80 if where.scheme == "http" else 443)
    try:
        socket.create_connection((where.hostname or "", port), timeout=CONNECT_SECONDS).close()
    except OSError:
        return True
    return False

"""The address of a server: what is connected to, and what may be shown of it."""

from __future__ import annotations

import base64
import http.client
import re
from dataclasses import dataclass
from urllib.parse import SplitResult, quote, unquote, urlsplit

from runtime.errors import InputError
from runtime.text import for_screen


@dataclass(frozen=True)
class Address:
    """Where a server listens.

    Attributes:
        shown: the URL without user, password and query, for messages and for the facts of a run.
        authorization: the header of that name, empty where nothing is to be sent.
    """

    shown: str
    secure: bool
    host: str
    port: int | None
    path: str
    authorization: str

    def connect(self, timeout: float) -> http.client.HTTPConnection:
        """A connection, not yet opened."""
        kind = http.client.HTTPSConnection if self.secure else http.client.HTTPConnection
        return kind(self.host, self.port, timeout=timeout)


def read_address(url: str, api_key: str | None = None) -> Address:
    """The address that `url` names; a user and a password in it are sent where there is no key.

    Raises:
        InputError: not an http(s) URL, or a key that cannot be sent.
    """
    shown = for_screen(re.sub(r"^([^/?#]*//)?[^/?#]*@", r"\1", url.partition("?")[0]))
    try:
        parts = urlsplit(url)
        port = parts.port
        (parts.hostname or "").encode("idna")
    except ValueError:  # an odd port, an unclosed bracket, or a name that no resolver takes
        parts, port = urlsplit(""), None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise InputError(f"{shown!r} is not an http URL", "", "give one such as http://127.0.0.1:8000/v1")
    path = quote(parts.path.rstrip("/"), safe="/%:@!$&'()*+,;=~", errors="surrogateescape")
    return Address(shown, parts.scheme == "https", parts.hostname, port, path, _authorization(parts, api_key))


def _authorization(parts: SplitResult, key: str | None) -> str:
    """The bearer key, else user and password of the URL (RFC 7617), else nothing."""
    if key:
        if not re.fullmatch("[!-~]+", key):
            raise InputError(
                "the key of the server holds characters that no header may", "", "copy it again, without line breaks"
            )
        return f"Bearer {key}"
    if parts.username is None and parts.password is None:
        return ""
    both = f"{unquote(parts.username or '')}:{unquote(parts.password or '')}"
    return f"Basic {base64.b64encode(both.encode(errors='surrogateescape')).decode()}"

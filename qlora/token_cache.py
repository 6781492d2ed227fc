"""Token tables on disk, found again by the hash of everything that decided them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

from qlora.data import Row
from qlora.tokenized import TokenTable, tokenize_rows
from qlora.tokens import segment_tokenizer
from runtime.files import atomic_path, cache_folder

VERSION = "1"
"""Part of every key; raised when segments or tokenization change."""
SMALL = 4000
"""Rows below which tokenizing anew is as quick as looking into the cache."""


def cached_table(rows: Sequence[Row], tokenizer: Any, folder: Path | None = None) -> TokenTable:
    """`tokenize_rows`, remembered. A cache that cannot be read or written costs time and nothing else."""
    if len(rows) < SMALL:
        return tokenize_rows(rows, tokenizer)
    file = (folder or cache_folder() / "tokens") / f"{_key(rows, tokenizer)}.npz"
    table = _read(file)
    if table is None or len(table) != len(rows):
        table = tokenize_rows(rows, tokenizer)
        _write(file, table)
    return table


def _read(file: Path) -> TokenTable | None:
    import numpy as np

    try:
        with np.load(file) as saved:
            return TokenTable(saved["ids"], saved["kinds"], saved["starts"])
    except (OSError, ValueError, KeyError, EOFError, BadZipFile):
        return None  # absent or damaged


def _write(file: Path, table: TokenTable) -> None:
    import numpy as np

    # A home without space or permission is no reason not to train.
    with suppress(OSError), atomic_path(file) as temporary, open(temporary, "wb") as out:
        np.savez(out, ids=table.ids, kinds=table.kinds, starts=table.starts)


def _key(rows: Sequence[Row], tokenizer: Any) -> str:
    digest = hashlib.sha256(VERSION.encode())
    tokens = segment_tokenizer(tokenizer)
    digest.update(repr((tokens.prefix, sorted(tokens.control.items()))).encode())
    if tokens.dialect is not None:
        digest.update(repr((tokens.dialect, tokens.vocabulary.reserved)).encode())
    digest.update(tokenizer.backend_tokenizer.to_str().encode())
    for row in rows:
        for message in row.messages:
            digest.update(message["role"].encode())
            for block in message["content"]:
                content = block["content"].encode()
                digest.update(f"|{block['type']}|{len(content)}|".encode())
                digest.update(content)
    return digest.hexdigest()
